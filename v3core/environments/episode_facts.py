"""What an environment says in `info` at an episode's end, by the paths that a run names: numbers and short words."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from v3core.messages import _

Fact = float | str
MAX_LETTERS = 60
"""Of a word that is recorded."""


def facts_of(info: Mapping[str, Any], paths: Mapping[str, str]) -> tuple[dict[str, Fact], str | None]:
    """The facts of an episode, and a sentence on one that cannot be recorded, or None.

    Args:
        info: what the last step returned.
        paths: name of a fact to its path in `info`, such as `nethack.score`: a key, or keys of dicts joined by dots.
    """
    found: dict[str, Fact] = {}
    odd: str | None = None
    for name, path in paths.items():
        value = _at(info, path)
        plain = value.item() if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0 else value
        if isinstance(plain, str):
            text = " ".join(_printable(plain[: 20 * MAX_LETTERS]).split())
            found[name] = text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"
        elif isinstance(plain, bool | int | float) and is_finite(plain):
            found[name] = float(plain)
        elif plain is not None:
            odd = odd or _(
                "info['{path}'] at the end of an episode is a {name} that is neither a finite number nor a text; "
                "the fact '{name2}' of such an episode is not recorded.",
                path=path,
                name=type(value).__name__,
                name2=name,
            )
    return found, odd


def is_finite(number: float) -> bool:
    """Whether it is a number that can be recorded; a whole number can be too large for one."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _printable(text: str) -> str:
    """Without what moves a terminal's cursor, and the halves of signs that no database takes."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _at(info: Mapping[str, Any], path: str) -> Any:
    """The value at a path; None if there is none."""
    if path in info:
        return info[path]
    value: Any = info
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def facts_as_text(facts: Mapping[str, Fact]) -> str | None:
    """As it is stored: JSON, whole numbers without a point; None without facts."""
    if not facts:
        return None
    shown = {name: int(fact) if isinstance(fact, float) and fact.is_integer() else fact for name, fact in facts.items()}
    return json.dumps(shown, ensure_ascii=False)
