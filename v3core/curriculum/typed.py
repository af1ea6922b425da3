"""The value of a setting as typed: `0.5`, `×0.5`, `1 → 0.5`, `1 → 0.5 cosine over 300`, or nothing to inherit."""

import re

from v3core.curriculum.knobs import KNOBS
from v3core.curriculum.model import Architecture, Level, Over, Ramp, Shape, Times, Value, value_problem
from v3core.errors import V3Error

_ARROW = re.compile(r"\s*(?:→|->|=>|\bto\b)\s*")
_OVER = re.compile(r"\s+over\s+(\d[\d,]*)$", re.IGNORECASE)
_SHAPES: tuple[Shape, ...] = ("linear", "cosine", "exponential")


def format_value(value: Value | None) -> str:
    """The value as `parse_value` reads it; an unset one is an empty string."""
    if value is None:
        return ""
    if isinstance(value, Ramp):
        shape = "" if value.shape == "linear" else f" {value.shape}"
        over = "" if value.over is None else f" over {value.over.episodes}"
        return f"{_format_level(value.start)} → {_format_level(value.to)}{shape}{over}"
    return _format_level(value)


def describe_architecture(policy: Architecture) -> str:
    """What a curriculum changes of the recipe's network, as in `7 experts, 1 shared, experts ×0.5 as wide`."""
    if policy.single_expert:
        parts = ["one expert as wide as all of the recipe's experts together"]
    else:
        parts = [
            text
            for value, text in (
                (policy.experts, f"{policy.experts} experts"),
                (policy.shared_experts, f"{policy.shared_experts} shared"),
                (policy.expert_width_times, f"experts ×{policy.expert_width_times or 0:g} as wide"),
            )
            if value is not None
        ]
    if policy.graph is not None:
        parts.append({"mlp": "no message passing"}.get(policy.graph, f"graph layers {policy.graph}"))
    return ", ".join(parts) or "from the recipe"


def parse_value(text: str, knob: str) -> Value | None:
    """Parse the typed value of a knob.

    Raises:
        V3Error: if it cannot be read, or is out of the knob's range.
    """
    if not (text := text.strip()):
        return None
    try:
        value = _read(text)
        problem = value_problem(value, knob)
    except V3Error as unreadable:
        problem = str(unreadable)
    if problem:
        raise V3Error(f"{KNOBS[knob].title} '{text}' {problem}.")
    return value


def _read(text: str) -> Value:
    """The value, whatever it may be.

    Raises:
        V3Error: the end of a sentence, if it cannot be read.
    """
    over: Over | None = None
    if found := _OVER.search(text):
        episodes, text = int(found[1].replace(",", "")), text[: found.start()]
        if episodes < 1:
            raise V3Error("must last 1 episode or more")
        over = Over(episodes=episodes)
    shape = next((known for known in _SHAPES if text.lower().endswith(f" {known}")), None)
    ends = _ARROW.split(text.removesuffix(text[-len(shape) :]).strip() if shape else text)
    if len(ends) > 2:
        raise V3Error("has more than one arrow; a phase ramps once, as in '1 → 0.5'")
    parsed = [_read_level(end) for end in ends]
    if len(parsed) == 2:
        # Not validated yet: `value_problem` describes problems of its numbers.
        return Ramp.model_construct(start=parsed[0], to=parsed[1], shape=shape or "linear", over=over)
    if over is not None or shape is not None:
        raise V3Error("does not ramp; write a ramp (1 → 0.5) or the number alone")
    return parsed[0]


def _read_level(text: str) -> Level:
    is_factor = text[:1] in {"×", "x", "X", "*"}
    try:
        number = float(text[1:] if is_factor else text)
    except ValueError:
        raise V3Error("cannot be parsed; write a number, a multiple (×0.5) or a ramp (1 → 0.5)") from None
    return Times.model_construct(times=number) if is_factor else number


def format_number(number: float) -> str:
    """As short as can be while it is read back as the same number."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _format_level(level: Level) -> str:
    return f"×{format_number(level.times)}" if isinstance(level, Times) else format_number(level)
