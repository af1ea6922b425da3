"""Names of features and nodes, and what they see, in the reader's language; recordings have them in English.

Names are messages of the catalogues. What a MiniGrid's cells have is put together of a few words, which are found again
here: `environments/state_words.py` and `environments/node_words.py` write them.
"""

import re
from collections.abc import Iterable
from functools import cache, lru_cache

from v3core.messages import ENGLISH, Message, _, spoken
from v3core.phrases import listed, strung
from v3core.recall import recalled

_COLOURS = {
    **{"red": _("red"), "green": _("green"), "blue": _("blue")},
    **{"purple": _("purple"), "yellow": _("yellow"), "grey": _("grey")},
}
_OBJECTS = {
    **{"door": _("door"), "key": _("key"), "ball": _("ball"), "box": _("box")},
    **{"goal": _("goal"), "lava": _("lava"), "agent": _("agent")},
}
_STATES = {"open": _("open"), "closed": _("closed"), "locked": _("locked")}
_PLAIN = {
    **{"unseen": _("unseen"), "empty": _("empty"), "wall": _("wall"), "floor": _("floor"), "nothing": _("nothing")},
}
NODES = (
    *(_("Direction"), _("Mission"), _("Image")),
    *(_("Health"), _("Attributes"), _("Place"), _("Experience"), _("Condition"), _("Message"), _("Inventory")),
    *(_("Belief"), _("Pre"), _("Scene"), _("Effect"), _("Rule"), _("Confidence")),
)
"""What nodes are called by the keys of observations of MiniGrid and of NetHack."""
_PLAYER = "Player"
"""The node of NetHack's player, which shares its name with the player of replays."""
_SIDES = {
    "east": lambda steps: _("{steps} east", steps=steps),
    "west": lambda steps: _("{steps} west", steps=steps),
    "south": lambda steps: _("{steps} south", steps=steps),
    "north": lambda steps: _("{steps} north", steps=steps),
}
_ENDS = {"time limit": _("time limit"), "task done": _("task done"), "unknown": _("unknown")}
"""Why a game of NetHack ended, where that is not in its own words."""
_FACING = {
    **{"right": _("agent, facing right"), "down": _("agent, facing down")},
    **{"left": _("agent, facing left"), "up": _("agent, facing up")},
}
_DIRECTION = {
    **{"right": _("facing right"), "down": _("facing down"), "left": _("facing left"), "up": _("facing up")},
}
_HUB = " (hub)"
_PLACE = re.compile(r"(?P<thing>.+?)(?: (?P<ahead>\d+) ahead)?(?:,? (?P<aside>\d+) (?P<side>left|right))?")
_OFFSETS = re.compile(r"\d+ (?:east|west|south|north)(?:, \d+ (?:south|north))?")
_OF_IMAGE = re.compile(r"(?P<image>.+), (?P<cell>column \d+, row \d+)")
_SPAN = re.compile(r"(?P<first>.+ \d+) to (?P<last>\d+)")
_NUMBERED = re.compile(r"(?P<name>.*[^\d ]) (?P<number>\d+)")
_CELL = re.compile(r"(?P<thing>.+) at column (?P<column>\d+), row (?P<row>\d+)")


def in_words(text: str) -> str:
    """A name, or what is seen, as it was recorded, in the reader's language; what is not known stays as it is."""
    return all_in_words((text,))[0]


def all_in_words(texts: Iterable[str]) -> list[str]:
    """Several of them."""
    language = spoken()
    if language == ENGLISH:
        return list(map(str, texts))
    return [text.in_language(language) if isinstance(text, Message) else _in_language(text, language) for text in texts]


@lru_cache(maxsize=4096)
def _in_language(text: str, language: str) -> str:
    if not any(map(str.isalpha, text)):
        return text
    if text == _PLAYER:
        return _("the player").in_language(language)
    parts = [_seen(part) for part in text.split("; ")]
    if None not in parts:
        return strung(_("; "), parts).in_language(language)
    if text.endswith(_HUB):
        return _("{value} (hub)", value=_in_language(text.removesuffix(_HUB), language)).in_language(language)
    for name in (text, f"{text[:1].lower()}{text[1:]}"):
        if (found := recalled(name, language)) != name:
            return found
    return _put_together(text, language)


def _put_together(text: str, language: str) -> str:
    """A name of several parts: a cell of an image, several numbers, a number of several, a place beside the player."""
    if found := _OF_IMAGE.fullmatch(text):
        return listed([_in_language(found["image"], language), _in_language(found["cell"], language)]).in_language(
            language
        )
    if found := _SPAN.fullmatch(text):
        span = _("{one} to {value}", one=_in_language(found["first"], language), value=found["last"])
        return span.in_language(language)
    if (found := _NUMBERED.fullmatch(text)) and (name := _in_language(found["name"], language)) != found["name"]:
        return f"{name} {found['number']}"
    if _OFFSETS.fullmatch(text):
        steps = [part.split(" ") for part in text.split(", ")]
        return listed([_SIDES[side](number) for number, side in steps]).in_language(language)
    return text


def end_in_words(text: str) -> str:
    """A fact of an episode; what people and environments wrote, as it is."""
    return _ENDS.get(text, text)


def _seen(part: str) -> Message | None:
    """One thing and where it is; None if it is none that is known."""
    if part in things():
        return things()[part]
    if (found := _CELL.fullmatch(part)) and (thing := things().get(found["thing"])):
        place = {"column": int(found["column"]), "row": int(found["row"])}
        return _("{thing} at column {column}, row {row}", thing=thing, **place)
    found = _PLACE.fullmatch(part)
    thing = things().get(found["thing"]) if found else None
    if found is None or thing is None:
        return None
    where = [_("{ahead} ahead", ahead=found["ahead"])] if found["ahead"] else []
    if found["side"] == "left":
        where.append(_("{aside} left", aside=found["aside"]))
    elif found["side"]:
        where.append(_("{aside} right", aside=found["aside"]))
    return strung(" ", [thing, listed(where)])


@cache
def things() -> dict[str, Message]:
    """What a cell of a MiniGrid can have, as it is recorded."""
    found = {**_PLAIN, **_OBJECTS}
    for name, thing in _OBJECTS.items():
        for shade, colour in _COLOURS.items():
            found[f"{shade} {name}"] = _("{colour} {thing}", colour=colour, thing=thing)
    for state, words in _STATES.items():
        for shade, colour in _COLOURS.items():
            found[f"{state} {shade} door"] = _("{state} {colour} door", state=words, colour=colour)
    for name, thing in list(found.items()):
        found[f"carries {name}"] = _("carries {thing}", thing=thing)
        found[f"agent, carries {name}"] = _("agent, carries {thing}", thing=thing)
    return found | {str(words): words for words in (*_FACING.values(), *_DIRECTION.values())}
