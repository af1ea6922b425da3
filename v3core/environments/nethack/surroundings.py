"""What the policy sees of NetHack: what is near, what matters further away, the status, the message, the inventory.

Nodes of the state graph (docs/environments.md has the reasons):
- `near`, 25: the cells around the player, each a class of glyph; the one in the middle is the player.
- `things`, 12: what matters beyond them, nearest first: what it is, in which direction, how far.
- `health`, `hunger`, `attributes`, `place`, `experience`, `condition`: one each, from the status line.
- `message`: how often each word is in it. `inventory`: which letters are in use, and how many items of each kind.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from v3core.environments.nethack.glyphs import (
    CLASSES,
    END,
    INVISIBLE,
    MONSTERS,
    OBJECT_KINDS,
    SWALLOWED,
    THINGS,
    classes,
    things,
)
from v3core.environments.situations import Risen, Seen, Situation
from v3core.environments.types import NodePart, StateGraphSpec
from v3core.errors import V3Error
from v3core.messages import _

KEYS = ("glyphs", "blstats", "message", "inv_letters", "inv_oclasses")
"""What is asked of the environment, because it is used: each of its other keys costs time."""

REACH = 2
"""Cells that are seen to each side of the player."""
SIDE = 2 * REACH + 1
PLAYER = SIDE * SIDE // 2
"""The node of the player."""
SLOTS = (4, 3)
"""Columns and rows of the nodes for what matters further away."""
DIRECTIONS = ("here", "north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
DISTANCES = (3, 5, 8, 14)
"""Steps at which each class of distance begins; class 0 is an empty place's."""
MESSAGE_PLACES = 64
"""Places that the words of messages share, each at the one that its checksum says."""
NEAR = (_("glyph"),)
FAR = (_("thing"), _("direction"), _("distance"))
"""Names of the channels, by which these nodes are known to those who describe them."""

STATUS = {
    "health": (
        _("hit points"),
        _("most hit points"),
        _("share of hit points"),
        _("power"),
        _("most power"),
        _("armour class"),
    ),
    "hunger": (_("hunger"), _("burden")),
    "attributes": (
        *(
            _("strength"),
            _("strength beyond 18"),
            _("dexterity"),
            _("constitution"),
            _("intelligence"),
            _("wisdom"),
            _("charisma"),
        ),
        _("alignment"),
    ),
    "place": (_("column"), _("row"), _("depth"), _("dungeon"), _("level")),
    "experience": (
        _("experience level"),
        _("log of experience"),
        _("log of score"),
        _("log of gold"),
        _("log of turns"),
    ),
    "condition": (
        *(
            _("turning to stone"),
            _("turning to slime"),
            _("strangled"),
            _("food poisoning"),
            _("ill"),
            _("blind"),
            _("deaf"),
            _("stunned"),
        ),
        *(_("confused"), _("hallucinating"), _("levitating"), _("flying"), _("riding")),
    ),
}
"""The numbers of each node that the status line gives."""
_ALIGNMENT = 26
"""The last place of `blstats`, which MiniHack can leave out."""
_PLAIN = {"hunger": (21, 22), "attributes": (2, 3, 4, 5, 6, 7, 8, _ALIGNMENT), "place": (0, 1, 12, 23, 24)}
"""Places of numbers in `blstats` that are taken as they are."""
_HIT_POINTS, _LOGARITHMS, _CONDITION = (10, 11, 14, 15, 16), [19, 9, 13, 20], 25
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
INVENTORY = (
    *(_("letter {letter}", letter=letter) for letter in _LETTERS),
    *(_("number of items: {kind}", kind=kind) for kind in OBJECT_KINDS),
)


class Surroundings(gymnasium.ObservationWrapper[dict[str, Any], Any, Any]):
    """Observes what the graph of this module has nodes for."""

    READ = KEYS
    """Of what it is around."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        _check_status(env.observation_space)
        self._classes, self._things = classes(), things()
        rows, columns = _shape(env.observation_space)
        self._padded = np.full((rows + 2 * REACH, columns + 2 * REACH), self._classes[END], dtype=np.int16)
        self._inside = self._padded[REACH:-REACH, REACH:-REACH]
        self._direction = _directions(rows, columns)
        status = {name: spaces.Box(-np.inf, np.inf, (len(of),), np.float32) for name, of in STATUS.items()}
        self.observation_space = spaces.Dict(
            {
                "near": spaces.Box(0, CLASSES - 1, (SIDE, SIDE, 1), np.int16),
                "things": spaces.Box(0, len(THINGS) - 1, (*SLOTS, len(FAR)), np.int16),
                **status,
                "message": spaces.Text(256, min_length=0, charset=frozenset(map(chr, range(1, 256)))),
                "inventory": spaces.Box(0, 55, (len(INVENTORY),), np.float32),
            }
        )

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Of NetHack's Dict with at least `KEYS`; ValueError names one that is not there."""
        check_keys(observation, KEYS)
        status: list[int] = observation["blstats"].tolist()
        glyphs: NDArray[np.int16] = observation["glyphs"]
        column, row = status[0], status[1]
        self._inside[:] = self._classes[glyphs]
        near = self._padded[row : row + SIDE, column : column + SIDE]
        return {
            "near": near.T[:, :, None].copy(),  # the next observation is written over it; a wrapper may keep this one
            "things": self._far(glyphs, column, row),
            **status_nodes(status),
            "message": message_of(observation),
            "inventory": inventory_of(observation["inv_letters"], observation["inv_oclasses"]),
        }

    def _far(self, glyphs: NDArray[np.int16], column: int, row: int) -> NDArray[np.int16]:
        """The nearest things beyond the cells near the player, [*SLOTS, 3]: values of the channels in FAR."""
        found = np.zeros((SLOTS[0] * SLOTS[1], len(FAR)), dtype=np.int16)
        kinds = self._things[glyphs]
        rows, columns = np.nonzero(kinds)
        if len(rows):
            down, right = rows - row, columns - column
            steps = np.maximum(np.abs(down), np.abs(right))
            # Stable: of things as far away, those further up come first.
            nearest = np.argsort(steps, kind="stable")
            nearest = nearest[np.searchsorted(steps[nearest], REACH, "right") :][: len(found)]
            down, right = down[nearest], right[nearest]
            count = len(nearest)
            found[:count, 0] = kinds[rows[nearest], columns[nearest]]
            found[:count, 1] = self._direction[down, right]  # negative indices are from the end, as they should be
            found[:count, 2] = np.searchsorted(DISTANCES, steps[nearest], "right")
        return found.reshape(*SLOTS, len(FAR))


def check_keys(observation: dict[str, Any], keys: Iterable[str]) -> None:
    """ValueError names the first key that is not there."""
    missing = next((key for key in keys if key not in observation), None)
    if missing is not None:
        raise ValueError(_("the observation has no '{name}'", name=missing))


def cell_name(place: int) -> str:
    """Of a node for a cell, such as `2 west, 1 north`; the one in the middle is the player's."""
    right, down = place // SIDE - REACH, place % SIDE - REACH
    words = [f"{abs(right)} {'east' if right > 0 else 'west'}"] if right else []
    words += [f"{abs(down)} {'south' if down > 0 else 'north'}"] if down else []
    return ", ".join(words) or "Player"


def thing_words(thing: int, direction: int, distance: int) -> str:
    """Of channels of a node, such as `stairs down, north-east, 5 to 7 steps`."""
    if thing == 0:
        return THINGS[0]
    bounds = (REACH + 1, *DISTANCES[1:])
    far = (
        _("{bounds} to {value}", bounds=bounds[distance - 1], value=bounds[distance] - 1)
        if distance < len(bounds)
        else _("{bounds} or more", bounds=bounds[-1])
    )
    return _("{things}, {directions}, {far} steps", things=THINGS[thing], directions=DIRECTIONS[direction], far=far)


def status_nodes(status: list[int]) -> dict[str, NDArray[np.float32]]:
    """What each node of the status line observes, from `blstats` as a list."""
    points, most, power, most_power, armour = (status[place] for place in _HIT_POINTS)
    found = {
        "health": np.array((points, most, points / max(most, 1), power, most_power, armour), dtype=np.float32),
        **{name: np.array([status[place] for place in places], np.float32) for name, places in _PLAIN.items()},
        "condition": np.array([status[_CONDITION] >> bit & 1 for bit in range(13)], dtype=np.float32),
    }
    logarithms = np.log1p([max(status[place], 0) for place in _LOGARITHMS])
    found["experience"] = np.array((status[18], *logarithms), dtype=np.float32)
    return found


def message_of(observation: dict[str, Any]) -> str:
    """The message of an observation as a text."""
    return bytes(observation["message"]).partition(b"\0")[0].decode("latin-1")


_PLACE_OF_LETTER = np.full(256, -1)
_PLACE_OF_LETTER[[ord(letter) for letter in _LETTERS]] = np.arange(len(_LETTERS))


def inventory_of(letters: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Which letters are in use, and the number of items of each kind, from `inv_letters` and `inv_oclasses`."""
    found = np.zeros(len(INVENTORY), dtype=np.float32)
    used = letters != 0
    places = _PLACE_OF_LETTER[letters[used]]
    found[places[places >= 0]] = 1
    counts = np.bincount(kinds[used], minlength=len(OBJECT_KINDS) + 2)
    found[len(_LETTERS) :] = counts[1 : len(OBJECT_KINDS) + 1]
    return found


def _check_status(space: spaces.Space[Any]) -> None:
    assert isinstance(space, spaces.Dict)
    (numbers,) = space["blstats"].shape or (0,)
    if numbers <= _ALIGNMENT:
        raise V3Error(
            "its observation 'blstats' has {numbers} numbers, but the policy's nodes are made of {needed}; remove its "
            "argument include_alignment_blstats, or name observation_keys.",
            numbers=numbers,
            needed=_ALIGNMENT + 1,
        )


def _shape(space: spaces.Space[Any]) -> tuple[int, int]:
    assert isinstance(space, spaces.Dict)
    shape = space["glyphs"].shape
    assert shape is not None
    return int(shape[0]), int(shape[1])


def _directions(rows: int, columns: int) -> NDArray[np.int16]:
    """The place in DIRECTIONS of each offset [down, right], negative ones from the end: eighths of a full turn."""
    down = np.fft.fftfreq(2 * rows, 1 / (2 * rows))[:, None]
    right = np.fft.fftfreq(2 * columns, 1 / (2 * columns))[None, :]
    eighth = np.round(np.arctan2(right, -down) / (np.pi / 4)).astype(np.int16) % 8
    return np.where((down == 0) & (right == 0), 0, eighth + 1).astype(np.int16)


def graph() -> StateGraphSpec:
    """The state graph of what `Surroundings` observes.

    Cells see their neighbours. The player, the cell in the middle, sees everything; everything sees the player.
    """
    sizes = (CLASSES,), (len(THINGS), len(DIRECTIONS), len(DISTANCES) + 1)
    parts = [
        NodePart("grid", SIDE * SIDE, 0, SIDE * SIDE, (SIDE, SIDE, 1), ("near",), categories=sizes[0], labels=NEAR)
    ]
    count = SLOTS[0] * SLOTS[1]
    add = partial(_after, parts)
    add("grid", count, count * len(FAR), (*SLOTS, len(FAR)), "things", categories=sizes[1], labels=FAR)
    for name, numbers in STATUS.items():
        add("features", 1, len(numbers), (len(numbers),), name, group=len(numbers), labels=numbers)
    add("words", 1, MESSAGE_PLACES, (MESSAGE_PLACES,), "message")
    add("features", 1, len(INVENTORY), (len(INVENTORY),), "inventory", group=len(INVENTORY), labels=INVENTORY)
    return StateGraphSpec(tuple(parts), _neighbours(sum(part.nodes for part in parts)), situations=SITUATIONS)


LOW_HEALTH = 1 / 3
"""Share of the most hit points below which health is low."""
_HUNGRY = 2
"""Level of hunger from which on the status line says `Hungry`, `Weak` or worse."""
STEPS_ON_NEW_LEVEL = 20


def _monster_adjacent(seen: Seen) -> NDArray[np.bool_]:
    """Whether a monster that is not a pet is on one of the eight cells around the player; peaceful ones count.

    One that has swallowed the player is on all of them.
    """
    beside = slice(REACH - 1, REACH + 2)
    glyphs = seen["near"][:, beside, beside, 0].reshape(-1, 9)
    around = np.delete(glyphs, 4, axis=1)
    return np.asarray(((around < MONSTERS) | (around == INVISIBLE) | (around == SWALLOWED)).any(1))


SITUATIONS: dict[str, Situation] = {
    _("health low"): lambda seen: seen["health"][:, 2] < LOW_HEALTH,
    _("monster adjacent"): _monster_adjacent,
    _("hungry"): lambda seen: seen["hunger"][:, 0] >= _HUNGRY,
    _("new level"): Risen(lambda seen: seen["place"][:, 2], STEPS_ON_NEW_LEVEL),
}
"""What a game of NetHack is about at a step. A level is new that is deeper than any before in the game, for
a number of steps from the arrival, also if the player has gone back up meanwhile."""


def _after(
    parts: list[NodePart], kind: Any, nodes: int, size: int, shape: tuple[int, ...], key: str, **of: Any
) -> None:
    parts.append(NodePart(kind, nodes, parts[-1].start + parts[-1].size, size, shape, (key,), **of))


def _neighbours(nodes: int) -> NDArray[np.bool_]:
    near = np.eye(nodes, dtype=np.bool_)
    column, row = np.divmod(np.arange(SIDE * SIDE), SIDE)
    beside = (np.abs(column[:, None] - column) <= 1) & (np.abs(row[:, None] - row) <= 1)
    near[: SIDE * SIDE, : SIDE * SIDE] = beside
    near[PLAYER, :] = near[:, PLAYER] = True
    return near
