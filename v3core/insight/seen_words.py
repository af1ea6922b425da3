"""Names of features and nodes, and what they see, in the reader's language; recordings have them in English.

Names are messages of the catalogues. What a MiniGrid's cells have is put together of a few words, which are found again
here: `environments/state_words.py` and `environments/node_words.py` write them.
"""

import re
from collections.abc import Iterable
from functools import cache, lru_cache

from v3core.messages import ENGLISH, Message, _, recalled, spoken
from v3core.phrases import listed, strung

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
NODES = (_("Direction"), _("Mission"))
"""What nodes are called by the keys of a MiniGrid's observations."""
_FACING = {
    **{"right": _("agent, facing right"), "down": _("agent, facing down")},
    **{"left": _("agent, facing left"), "up": _("agent, facing up")},
}
_DIRECTION = {
    **{"right": _("facing right"), "down": _("facing down"), "left": _("facing left"), "up": _("facing up")},
}
_HUB = " (hub)"
_PLACE = re.compile(r"(?P<thing>.+?)(?: (?P<ahead>\d+) ahead)?(?:,? (?P<aside>\d+) (?P<side>left|right))?")
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
    parts = [_seen(part) for part in text.split("; ")]
    if None not in parts:
        return strung(_("; "), parts).in_language(language)
    if text.endswith(_HUB):
        return _("{value} (hub)", value=_in_language(text.removesuffix(_HUB), language)).in_language(language)
    for name in (text, f"{text[:1].lower()}{text[1:]}"):
        if (found := recalled(name, language)) != name:
            return found
    return text


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
