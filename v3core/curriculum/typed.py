"""A phase as typed: its end, such as `step 50000`, and the values of its settings, such as `1 → 0.5 cosine`."""

import re
from typing import get_args

from v3core.curriculum.knobs import KNOBS, METRICS
from v3core.curriculum.model import Architecture, Level, Over, Ramp, Shape, Times, Value, value_problem
from v3core.curriculum.until import FACT, Until
from v3core.errors import V3Error, explained
from v3core.messages import _
from v3core.phrases import listed

HOW_TO_WRITE_AN_END = _(
    "Enter a number of completed episodes (1000), of environment steps (step 50000), or a trigger: return ≥ 450 "
    "(100) ends the phase once the mean return of its last 100 episodes reaches 450. Add 'after 200' for a minimum "
    "and 'within 1500' for a maximum number of episodes in the phase."
)

_COUNT = re.compile(r"(?:(episode|step)s?\s+)?(-?\d[\d,_]*)", re.IGNORECASE)
_TRIGGER = re.compile(
    r"(?P<metric>(?:fact:)?[a-z][a-z0-9_]*)\s*(?P<sign>≥|>=|≤|<=)\s*(?P<level>\S+?)\s*(?:\((?P<window>\d[\d,]*)\))?"
    r"(?:,?\s+after\s+(?P<min_episodes>\d[\d,]*))?(?:,?\s+within\s+(?P<max_episodes>\d[\d,]*))?",
    re.IGNORECASE,
)
_ARROW = re.compile(r"\s*(?:→|->|=>|\bto\b)\s*")
_OVER = re.compile(r"\s+over\s+(\d[\d,]*)(\s+steps?)?$", re.IGNORECASE)
_SHAPES: tuple[Shape, ...] = get_args(Shape)


def format_end(until: Until | None) -> str:
    """The end as `parse_end` reads it; that of the last phase is an empty string."""
    if until is None:
        return ""
    if until.episode is not None:
        return str(until.episode)
    if until.step is not None:
        return f"step {until.step}"
    sign = "≥" if until.at_least is not None else "≤"
    text = f"{until.metric} {sign} {format_number(until.threshold)} ({until.window})"
    if until.min_episodes:
        text += f" after {until.min_episodes}"
    return text if until.max_episodes is None else f"{text} within {until.max_episodes}"


def parse_end(text: str) -> Until | None:
    """The end of a phase as typed, None for an empty text; raises a V3Error for one that is none."""
    text = text.strip()
    if not text:
        return None
    if count := _COUNT.fullmatch(text):
        unit, number = (count[1] or "episode").lower(), int(count[2].replace(",", "").replace("_", ""))
        if number < 1:
            at = _("step {number:d}", number=number) if unit == "step" else _("episode {number:d}", number=number)
            raise V3Error("A phase cannot end at {at}; choose 1 or later.", at=at)
        return Until(step=number) if unit == "step" else Until(episode=number)
    found = _TRIGGER.fullmatch(text)
    if found is None:
        raise V3Error("End '{text}' cannot be parsed; write 1000, step 50000 or return ≥ 450 (100).", text=text)
    metric = found["metric"].lower()
    if metric not in METRICS and not metric.startswith(FACT):
        raise V3Error(
            "End '{text}' watches '{metric}'; choose {metrics} or a fact, as in fact:score.",
            text=text,
            metric=metric,
            metrics=listed(list(METRICS)),
        )
    try:
        level = float(found["level"])
    except ValueError:
        raise V3Error(
            "End '{text}' compares with '{found}', which is not a number; write 450 or 0.9.",
            text=text,
            found=found["level"],
        ) from None
    counts = {
        name: int(found[name].replace(",", ""))
        for name in ("window", "min_episodes", "max_episodes")
        if found[name] is not None
    }
    bound = "at_least" if found["sign"] in {"≥", ">="} else "at_most"
    with explained(_("End '{text}'", text=text)):
        return Until.model_validate({"metric": metric, bound: level, **counts})


def format_value(value: Value | None) -> str:
    """The value as `parse_value` reads it; an unset one is an empty string."""
    if value is None:
        return ""
    if isinstance(value, Ramp):
        shape = "" if value.shape == "linear" else f" {value.shape}"
        over = ""
        if value.over is not None:
            over = f" over {value.over.episodes or f'{value.over.steps} steps'}"
        return f"{_format_level(value.start)} → {_format_level(value.to)}{shape}{over}"
    return _format_level(value)


def describe_architecture(policy: Architecture) -> str:
    """What a curriculum changes of the recipe's network, as in `7 experts, 1 shared, experts ×0.5 as wide`."""
    parts = [_("one expert as wide as all of the recipe's experts together")] if policy.single_expert else []
    if policy.experts is not None:
        parts.append(_("{experts} experts", experts=policy.experts))
    if policy.shared_experts is not None:
        parts.append(_("{shared_experts} shared", shared_experts=policy.shared_experts))
    if policy.expert_width_times is not None:
        parts.append(_("experts ×{expert_width_times:g} as wide", expert_width_times=policy.expert_width_times))
    if policy.graph is not None:
        parts.append(
            _("no message passing") if policy.graph == "mlp" else _("graph layers {graph}", graph=policy.graph)
        )
    return listed(parts) if parts else _("from the recipe")


def parse_value(text: str, knob: str) -> Value | None:
    """The value of a knob as typed, None for an empty text; raises a V3Error for one that is not allowed."""
    if not (text := text.strip()):
        return None
    try:
        value = _read(text)
        problem = value_problem(value, knob)
    except V3Error as unreadable:
        problem = unreadable.message
    if problem:
        raise V3Error("{title} '{text}' {problem}.", title=_(KNOBS[knob].title), text=text, problem=problem)
    return value


def _read(text: str) -> Value:
    """The value, valid or not; raises the end of a sentence if it cannot be read."""
    over: Over | None = None
    if found := _OVER.search(text):
        length, text = int(found[1].replace(",", "")), text[: found.start()]
        if length < 1:
            raise V3Error("must last 1 step or more") if found[2] else V3Error("must last 1 episode or more")
        over = Over(steps=length) if found[2] else Over(episodes=length)
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
    return short if float(short) == number else repr(number).removesuffix(".0")


def _format_level(level: Level) -> str:
    return f"×{format_number(level.times)}" if isinstance(level, Times) else format_number(level)
