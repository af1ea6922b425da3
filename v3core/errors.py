"""Errors that a user can fix."""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError


class V3Error(Exception):
    """A mistake that the user can fix, in one sentence: what is wrong and what to do.

    Pages show the sentence next to the field, the command line prints it on stderr and exits non-zero.
    """


def close_matches(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names nearest to `word`, case ignored, best first."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=count, cutoff=0.5)
    return [by_lower[name] for name in found]


def suggestion(word: str, known: Iterable[str]) -> str:
    """`Did you mean A, B or C?`, or an empty string when nothing is near."""
    found = close_matches(word, known)
    if not found:
        return ""
    names = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"
    return f"Did you mean {names}?"


def explain(error: ValidationError, subject: str) -> str:
    """The first problem of a pydantic error as one sentence that names the field.

    Args:
        error: what pydantic raised.
        subject: what was being read, e.g. `Curriculum file v3.yaml`.
    """
    first = error.errors()[0]
    where = _place(first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return message if message[0].isupper() else f"{subject}: {message}"
    if first["type"] == "extra_forbidden":
        return f"{subject}: {where} is not a known key; check the spelling."
    if first["type"] == "missing":
        return f"{subject}: {where} is missing."
    if first["type"] == "too_short":
        return f"{subject}: {where} is empty; give at least one value."
    if first["type"] == "json_invalid":
        return f"{subject}: {message[0].lower()}{message[1:]}."
    value = first["input"]
    shown = repr(value) if isinstance(value, str | int | float | bool) or value is None else "of the wrong type"
    return f"{subject}: {where} is {shown}; {message[0].lower()}{message[1:]}."


def _place(location: tuple[int | str, ...]) -> str:
    """`phases.0.until.episode` as `'until.episode' of phase 1`: list places count from 1."""
    keys = list(location)
    if len(keys) > 1 and keys[0] == "phases" and isinstance(keys[1], int):
        phase = f"phase {keys[1] + 1}"
        inner = ".".join(str(part) for part in keys[2:])
        return f"'{inner}' of {phase}" if inner else phase
    return f"'{'.'.join(str(part) for part in keys)}'"
