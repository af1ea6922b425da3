"""What a curriculum is: an ordered list of phases, each the sole owner of its routing knobs."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

Routing = Literal["softmax", "sparsemax"]
Shape = Literal["linear", "cosine", "exponential"]

# The numeric settings of a phase, and what each may be. Routing is the one setting that is not a number.
KNOBS = ("temperature", "lr", "load_balance", "entropy")
MUST_BE_POSITIVE = ("temperature", "lr")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Times(_Frozen):
    """A value as a factor of the run's base value, so that one curriculum serves environments of different rates."""

    times: Annotated[float, Field(ge=0)]
    """Factor of the base value."""


Level = Annotated[float, Field(ge=0)] | Times


class Ramp(_Frozen):
    """A value that moves over its phase, from `from` at its first episode to `to` at its end."""

    start: Level = Field(alias="from")
    """Value at the beginning of the phase."""
    to: Level
    """Value that the phase ends with."""
    shape: Shape = "linear"
    """How it gets there: `linear`, `cosine` (slow at both ends) or `exponential` (same factor each episode)."""


Value = Annotated[float, Field(ge=0)] | Times | Ramp


class Until(_Frozen):
    """Where a phase ends."""

    episode: Annotated[int, Field(ge=1)]
    """The phase ends once this many episodes are complete: episode 1,000 is its last, 1,001 belongs to the next."""


class Phase(_Frozen):
    """A stretch of training with its own settings. An unset key inherits from the phase before."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    """Shown on every chart, recorded with every episode."""
    until: Until | None = None
    """Where it ends; only the last phase leaves it out and lasts to the end of the run."""
    routing: Routing | None = None
    """How router logits become gate weights."""
    temperature: Value | None = None
    """Router logits are divided by it before the routing; lower is sharper."""
    lr: Value | None = None
    """Learning rate of Adam."""
    load_balance: Value | None = None
    """Coefficient of the Switch load-balance loss."""
    entropy: Value | None = None
    """Coefficient of PPO's action-entropy bonus."""

    @field_validator(*KNOBS, mode="wrap")
    @classmethod
    def _one_sentence_for_any_bad_value(cls, value: Any, handler: Any, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(
                f"phase '{info.data.get('name', '?')}' has {info.field_name} {value!r}; "
                "give a number of 0 or more, {times: F} or {from: A, to: B}."
            ) from None

    @field_validator("name")
    @classmethod
    def _no_blank_name(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("a phase needs a name; give it one, such as 'warmup'.")
        return name.strip()

    @model_validator(mode="after")
    def _positive_where_it_must_be(self) -> Self:
        for knob in MUST_BE_POSITIVE:
            for level in levels(getattr(self, knob)):
                number = level.times if isinstance(level, Times) else level
                if number <= 0:
                    raise ValueError(f"phase '{self.name}' has {knob} {number:g}; it must be greater than 0.")
        for knob in KNOBS:
            value = getattr(self, knob)
            if isinstance(value, Ramp) and value.shape == "exponential":
                for level in levels(value):
                    if (level.times if isinstance(level, Times) else level) <= 0:
                        raise ValueError(
                            f"phase '{self.name}' ramps {knob} exponentially to or from 0; use shape 'linear'."
                        )
        return self


class Curriculum(_Frozen):
    """An ordered list of phases, and the run length their boundaries were written for."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    """A short name, shown beside the run."""
    description: str = ""
    """One or two sentences: what it does and where it comes from."""
    episodes: Annotated[int, Field(ge=1)] | None = None
    """Run length that the boundaries are meant for; `scaled` moves them for another length."""
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    """The phases, first to last."""

    @model_validator(mode="after")
    def _phases_follow_each_other(self) -> Self:
        seen: dict[str, int] = {}
        start = 0
        for number, phase in enumerate(self.phases, start=1):
            if phase.name in seen:
                raise ValueError(
                    f"Phases {seen[phase.name]} and {number} are both named '{phase.name}'; rename one of them."
                )
            seen[phase.name] = number
            last = number == len(self.phases)
            if phase.until is None:
                if not last:
                    raise ValueError(
                        f"Phase {number} '{phase.name}' has no end; only the last phase may leave 'until' out."
                    )
                continue
            if last:
                raise ValueError(
                    f"Phase {number} '{phase.name}' is the last and lasts to the end of the run; leave its 'until' out."
                )
            if phase.until.episode <= start:
                raise ValueError(
                    f"Phase {number} '{phase.name}' ends at episode {phase.until.episode} "
                    f"but phase {number - 1} '{self.phases[number - 2].name}' ends at {start}; "
                    "each phase must end later than the one before."
                )
            start = phase.until.episode
        return self

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Completed-episode counts at which a phase ends and the next begins, ascending; one fewer than phases."""
        return tuple(phase.until.episode for phase in self.phases if phase.until is not None)

    def to_dict(self) -> dict[str, Any]:
        """The curriculum as it would be written in YAML: unset keys left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def levels(value: Value | None) -> tuple[float | Times, ...]:
    """The plain numbers or factors a value is made of: none, one, or a ramp's two ends."""
    if value is None:
        return ()
    if isinstance(value, Ramp):
        return (value.start, value.to)
    return (value,)


def shape_fraction(shape: Shape, start: float, end: float, fraction: float) -> float:
    """A ramp's value `fraction` (0 to 1) of the way through its phase.

    linear: start + (end − start)·f.  cosine: start + (end − start)·(1 − cos πf)/2.  exponential: start·(end/start)^f.
    """
    if shape == "exponential":
        return float(start * (end / start) ** fraction)
    if shape == "cosine":
        fraction = (1 - math.cos(math.pi * fraction)) / 2
    return start + (end - start) * fraction
