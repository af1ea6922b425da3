"""The 115 features of the published implementation of this policy, for comparison: one node per block, no map.

Read at github.com/YUANXICHE98/TEDG-RL-Server, commit 8b56abe: `ablation_v3/train/train_v3_gat_moe.py` and
`src/core/state_constructor.py`. Its definitions are kept, also where they do not do what they are named after: they
count as a wall what is unexplored stone, for its numbers of glyphs are not those of its own version of NetHack.
docs/environments.md has the meaning of each block.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from v3core.environments.nethack.surroundings import check_keys
from v3core.environments.types import NodePart, StateGraphSpec
from v3core.messages import _

BLOCKS = {"belief": 50, "pre": 15, "scene": 15, "effect": 8, "rule": 10, "confidence": 1, "goal": 16}
"""Numbers of each block, in order."""
_SIZE = sum(BLOCKS.values())
_ENDS = np.cumsum(tuple(BLOCKS.values()))[:-1].tolist()
_NAMES_OF_BELIEF = (
    *(
        _("alive"),
        _("game active"),
        _("has hit points"),
        _("share of hit points"),
        _("hunger is 0"),
        _("no gold"),
        _("depth / 10"),
    ),
    *(
        _("gold / 1000"),
        _("hunger / 1500"),
        _("steps / 1000"),
        _("monsters beside"),
        _("walls beside"),
        _("doors beside"),
    ),
    *(_("items beside"), _("floor beside"), _("a monster is beside"), _("an item is beside"), _("a door is beside")),
    *(_("in a corridor"), _("in a room")),
)
_PRE = {"player_alive": 8, "hp_full": 4, "hp_low": 1, "has_gold": 0, "hunger_satiated": 0, "hunger_hungry": 2}
_SCENE = {"dlvl_1": 0, "dlvl_5": 9, "dlvl_7": 7, "dlvl_9": 5, "dlvl_10": 1}
"""The place among ten of each condition that its hypergraph knows: its number there, modulo ten."""
_POINTS, _MOST, _DEPTH, _GOLD, _HUNGER = 10, 11, 12, 13, 21


class PublishedFeatures(gymnasium.ObservationWrapper[dict[str, Any], Any, Any]):
    """Observes the 115 features instead of the map. Around a NetHack or MiniHack as it comes."""

    READ = ("glyphs", "blstats")
    """Of what it is around."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        if not isinstance(env.observation_space, spaces.Dict) or not {"glyphs", "blstats"} <= set(
            env.observation_space.spaces
        ):
            raise TypeError(_("it takes the whole observation of a NetHack or MiniHack"))
        self.observation_space = spaces.Dict(
            {name: spaces.Box(-np.inf, np.inf, (size,), np.float32) for name, size in BLOCKS.items()}
        )
        self._steps = 0

    def reset(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode: its steps are one of the features."""
        self._steps = 0
        return super().reset(**given)

    def step(self, action: Any) -> Any:
        """One step."""
        self._steps += 1
        return super().step(action)

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The 115 features of NetHack's Dict, block by block; ValueError names a key that is not there."""
        check_keys(observation, self.READ)
        features = published_features(observation["glyphs"], observation["blstats"].tolist(), self._steps)
        return dict(zip(BLOCKS, np.split(features, _ENDS), strict=True))


def published_features(glyphs: NDArray[np.int16], status: list[int], steps: int) -> NDArray[np.float32]:
    """The features [115] of a map of glyphs, of `blstats` as a list, and of the steps of the episode so far."""
    points, most, depth, gold, hunger = (status[place] for place in (_POINTS, _MOST, _DEPTH, _GOLD, _HUNGER))
    column, row = status[0], status[1]
    beside = glyphs[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    monsters = int(((beside > 0) & (beside < 400)).sum())
    walls = int(((beside >= 2359) & (beside <= 2362)).sum())
    doors = int(((beside >= 2363) & (beside <= 2365)).sum())
    items = int(((beside > 400) & (beside < 800)).sum())
    floor = int((beside == 2358).sum())
    found = np.zeros(_SIZE, dtype=np.float32)
    found[: len(_NAMES_OF_BELIEF)] = (
        *(1, points > 0, 1, points / max(most, 1), hunger == 0, gold == 0, min(depth / 10, 1), min(gold / 1000, 1)),
        *(min(hunger / 1500, 1), min(steps / 1000, 1), monsters / 9, walls / 9, doors / 9, items / 9, floor / 9),
        *(monsters > 0, items > 0, doors > 0, walls >= 6, walls <= 2),
    )
    pre = ["player_alive"] * (points > 0)
    if most > 0:
        share = points / most
        pre += ["hp_full"] if share >= 0.8 else ["hp_medium"] if share >= 0.5 else ["hp_low"] if share < 0.3 else []
    pre += ["has_gold"] * (gold > 0)
    pre += ["hunger_satiated"] if hunger == 0 else ["hunger_hungry"] if hunger > 500 else []
    scene = [f"dlvl_{min(depth, 10)}"] * (depth > 0) + ["monsters_nearby"] * (monsters > 0)
    scene += ["many_monsters"] * (monsters >= 3)
    scene += ["in_corridor"] if walls >= 6 else ["in_room"] if walls <= 2 else []
    scene += ["door_nearby"] * (doors > 0) + ["items_nearby"] * (items > 0)
    found[50:65] = _conditions(pre, _PRE, 30, ("hp", "hunger", "power"))
    found[65:80] = _conditions(scene, _SCENE, 40, ("dlvl", "shop", "monster", "ac_poor"))
    found[99] = 1.0
    return found


def _conditions(names: list[str], places: dict[str, int], most: int, words: tuple[str, ...]) -> NDArray[np.float32]:
    """A block of 15: ten hashed places of unit length, how many conditions there are, and shares of some of them."""
    found = np.zeros(15, dtype=np.float32)
    if not names:
        return found
    for rank, name in enumerate(names[:10], 1):
        if name in places:
            found[places[name]] += 1 / rank
    found[:10] /= np.linalg.norm(found[:10]) or 1.0
    found[10] = len(names) / most
    shares = [sum(word in name for name in names) / len(names) for word in words]
    if len(shares) == 3:
        shares = [len(set(names)) / len(names), *shares]
    found[11:] = shares
    return found


def graph() -> StateGraphSpec:
    """A node for each block; all see each other."""
    parts: list[NodePart] = []
    for name, size in BLOCKS.items():
        start = sum(part.size for part in parts)
        numbers = tuple(f"{name} {place}" for place in range(1, size + 1))
        if name == "belief":
            numbers = _NAMES_OF_BELIEF + numbers[len(_NAMES_OF_BELIEF) :]
        parts.append(NodePart("features", 1, start, size, (size,), (name,), group=size, labels=numbers))
    return StateGraphSpec(tuple(parts), np.ones((len(parts), len(parts)), dtype=np.bool_))
