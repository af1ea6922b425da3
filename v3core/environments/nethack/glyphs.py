"""Classes of NetHack's glyphs: what a policy learns an embedding for. Numbers of NetHack 3.6, as `nle` has them.

Listed here and not asked of the package: what a policy reads must not change with its version.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

MONSTERS = 381
"""Species of monsters."""
_PET, _INVISIBLE, _DETECTED, _BODY, _RIDDEN, _OBJECT, _CMAP, _EXPLOSION, _ZAP, _SWALLOW, _WARNING, _STATUE, END = (
    *(381, 762, 763, 1144, 1525, 1906, 2359, 2446, 2509, 2541, 5589, 5595),
    5976,
)
"""The first glyph of each kind, and the end of all."""

SYMBOLS = _EXPLOSION - _CMAP
"""Parts of a map, such as walls, doors, stairs and traps."""
STONE = MONSTERS + 1
"""The class of what has not been seen, and of what is beyond the map."""
_OBJECTS = STONE + SYMBOLS
_OTHERS = (
    "an invisible monster",
    "a corpse",
    "an explosion",
    "a ray",
    "the inside of a monster",
    "a warning",
    "a statue",
)
OBJECT_KINDS = (
    *("an odd object", "a weapon", "armour", "a ring", "an amulet", "a tool", "food", "a potion", "a scroll"),
    *("a spell book", "a wand", "gold", "a gem", "a boulder", "an iron ball", "an iron chain", "venom"),
)
"""Classes of objects, from 1 on, as NetHack numbers them."""
CLASSES = _OBJECTS + len(OBJECT_KINDS) + len(_OTHERS)
"""Of a glyph: a species of monster, a pet, a symbol of the map, a kind of object, or something else."""
INVISIBLE = CLASSES - len(_OTHERS)
"""The class of an invisible monster."""
SWALLOWED = INVISIBLE + _OTHERS.index("the inside of a monster")
"""The class of what is around a player who was swallowed."""

_DOORS = {12: "a doorway", 13: "an open door", 14: "an open door", 15: "a closed door", 16: "a closed door"}
_FEATURES = (
    *("dark part of a room", *["wall"] * 11, "doorway", "open door", "open door", "closed door", "closed door"),
    *("iron bars", "tree", "floor", "dark part of a room", "corridor", "lit corridor", "stairs up", "stairs down"),
    *("ladder up", "ladder down", "altar", "grave", "throne", "sink", "fountain", "water", "ice", "lava"),
    *("lowered drawbridge", "lowered drawbridge", "raised drawbridge", "raised drawbridge", "air", "cloud", "water"),
    *("arrow trap", "dart trap", "falling rock trap", "squeaky board", "bear trap", "land mine", "boulder trap"),
    *("sleeping gas trap", "rust trap", "fire trap", "pit", "spiked pit", "hole", "trap door", "teleportation trap"),
    *("level teleporter", "magic portal", "web", "statue trap", "magic trap", "anti-magic field", "polymorph trap"),
    "vibrating square",
)
_FIRST_TRAP, _LAST_TRAP = 42, 64

THINGS = (
    *("nothing", "a monster", "a pet", "stairs down", "stairs up", "a doorway", "an open door", "a closed door"),
    *("a trap", "an altar, fountain or the like", *OBJECT_KINDS, "a corpse", "a statue"),
)
"""What matters far away; `nothing` is an empty place."""
_THING = {name: place for place, name in enumerate(THINGS)}


@cache
def classes() -> NDArray[np.int16]:
    """The class of each glyph, [END + 1]; the last one is NetHack's number for no glyph."""
    found = np.full(END + 1, STONE, dtype=np.int16)
    found[:_PET] = np.arange(MONSTERS)
    found[_PET:_INVISIBLE] = MONSTERS
    for first, other in zip(
        (_INVISIBLE, _BODY, _EXPLOSION, _ZAP, _SWALLOW, _WARNING, _STATUE), range(len(_OTHERS)), strict=True
    ):
        found[first:] = CLASSES - len(_OTHERS) + other
    for first in (_DETECTED, _RIDDEN):
        found[first : first + MONSTERS] = np.arange(MONSTERS)
    found[_OBJECT:_CMAP] = _OBJECTS + np.maximum(_kinds_of_objects() - 1, 0)
    found[_CMAP:_EXPLOSION] = STONE + np.arange(SYMBOLS)
    found[END] = STONE
    return found


@cache
def things() -> NDArray[np.int8]:
    """The place in `THINGS` of each glyph, [END + 1]."""
    found = np.zeros(END + 1, dtype=np.int8)
    for first, last in ((0, _PET), (_INVISIBLE, _BODY), (_RIDDEN, _OBJECT), (_WARNING, _STATUE)):
        found[first:last] = _THING["a monster"]
    found[_PET:_INVISIBLE] = _THING["a pet"]
    found[_BODY:_RIDDEN] = _THING["a corpse"]
    found[_STATUE:END] = _THING["a statue"]
    found[_OBJECT:_CMAP] = _THING[OBJECT_KINDS[0]] + np.maximum(_kinds_of_objects() - 1, 0)
    for symbol, name in _DOORS.items():
        found[_CMAP + symbol] = _THING[name]
    for symbol, name in ((23, "stairs up"), (24, "stairs down"), (25, "stairs up"), (26, "stairs down")):
        found[_CMAP + symbol] = _THING[name]
    found[_CMAP + 27 : _CMAP + 32] = _THING["an altar, fountain or the like"]
    found[_CMAP + _FIRST_TRAP : _CMAP + _LAST_TRAP + 1] = _THING["a trap"]
    return found


@cache
def _kinds_of_objects() -> NDArray[np.int64]:
    """The class of each object, [453], as NetHack numbers them: 1 is an odd one."""
    from nle import nethack

    return np.array([ord(nethack.objclass(number).oc_class) for number in range(_CMAP - _OBJECT)], dtype=np.int64)


def class_name(number: int) -> str:
    """A class in words, such as `newt`, `a pet`, `closed door` or `food`."""
    if number < MONSTERS:
        from nle import nethack

        return str(nethack.permonst(number).mname)
    if number == MONSTERS:
        return "a pet"
    if number < _OBJECTS:
        symbol = number - STONE
        return "not seen" if symbol == 0 else _FEATURES[symbol] if symbol < len(_FEATURES) else "an effect"
    return (OBJECT_KINDS + _OTHERS)[number - _OBJECTS]
