"""A phase's value as a person types it: `0.5`, `×0.5`, `1 → 0.5`, `1 → 0.5 cosine`, or nothing to inherit."""

import math
import re

from v3core.curriculum.model import MUST_BE_POSITIVE, Level, Ramp, Shape, Times, Value
from v3core.errors import V3Error

_ARROW = re.compile(r"\s*(?:→|->|=>|\bto\b)\s*")
_SHAPES: tuple[Shape, ...] = ("linear", "cosine", "exponential")


def format_value(value: Value | None) -> str:
    """The value as `parse_value` reads it; an unset one is an empty string."""
    if value is None:
        return ""
    if isinstance(value, Ramp):
        shape = "" if value.shape == "linear" else f" {value.shape}"
        return f"{_format_level(value.start)} → {_format_level(value.to)}{shape}"
    return _format_level(value)


def parse_value(text: str, knob: str) -> Value | None:
    """What a person typed for a knob.

    Raises:
        V3Error: if it cannot be read, is negative, or is 0 where the knob must be positive.
    """
    text = text.strip()
    if not text:
        return None
    shape: Shape = "linear"
    for known in _SHAPES:
        if text.lower().endswith(f" {known}"):
            shape, text = known, text[: -len(known)].strip()
    ends = _ARROW.split(text)
    if len(ends) > 2:
        raise V3Error(f"{_label(knob)} '{text}' has more than one arrow; a phase ramps once, as in '1 → 0.5'.")
    parsed = [_parse_level(end, knob, text) for end in ends]
    if len(parsed) == 1:
        return parsed[0]
    if shape == "exponential" and any(_number(level) == 0 for level in parsed):
        raise V3Error(f"{_label(knob)} '{text}' cannot ramp exponentially to or from 0; use a linear ramp.")
    return Ramp.model_validate({"from": parsed[0], "to": parsed[1], "shape": shape})


def _parse_level(text: str, knob: str, whole: str) -> Level:
    factor = text[:1] in {"×", "x", "X", "*"}
    try:
        number = float(text[1:] if factor else text)
    except ValueError:
        raise V3Error(
            f"{_label(knob)} '{whole}' cannot be read; write a number, a factor (×0.5) or a ramp (1 → 0.5)."
        ) from None
    if not math.isfinite(number) or number < 0:
        raise V3Error(f"{_label(knob)} '{whole}' must be 0 or more.")
    if number == 0 and knob in MUST_BE_POSITIVE:
        raise V3Error(f"{_label(knob)} '{whole}' must be greater than 0.")
    return Times(times=number) if factor else number


def _format_level(level: Level) -> str:
    return f"×{level.times:g}" if isinstance(level, Times) else f"{level:g}"


def _number(level: Level) -> float:
    return level.times if isinstance(level, Times) else level


def _label(knob: str) -> str:
    return {"lr": "Learning rate", "load_balance": "Load balance", "entropy": "Entropy bonus"}.get(
        knob, knob.capitalize()
    )
