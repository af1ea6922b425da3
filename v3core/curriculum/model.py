"""The model of a curriculum: an ordered list of phases, each with its own settings."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from v3core.curriculum.knobs import FROM_RECIPE, KNOBS, MAX_EXPERTS, Graph, Routing, TopKWeights
from v3core.curriculum.until import Frozen, Until
from v3core.environment_setup import EnvArgs
from v3core.errors import reason_of
from v3core.messages import _
from v3core.phrases import one_of

Shape = Literal["linear", "cosine", "exponential"]
MAX_NAME = 60
"""Characters of a curriculum's name."""


class Times(Frozen):
    """A value as a factor of the run's base value, so that one curriculum serves environments of different rates."""

    times: float
    """Factor of the base value."""


Level = float | Times


class Over(Frozen):
    """How long a ramp takes: exactly one of `episodes` and `steps`."""

    episodes: Annotated[int, Field(ge=1)] | None = None
    """Episodes from the beginning of its phase."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Environment steps from the beginning of its phase, all environments together."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.episodes is None) == (self.steps is None):
            raise ValueError(_("An 'over' must have exactly one of 'episodes' and 'steps'."))
        return self

    @model_serializer(mode="wrap")
    def _what_is_set(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class Ramp(Frozen):
    """A value that moves over its phase, from `from` at its first episode to `to` at its end."""

    start: Level = Field(alias="from")
    """Value at the beginning of the phase."""
    to: Level
    """Value that the ramp ends with, and keeps to the end of the phase."""
    shape: Shape = "linear"
    """Shape of the ramp: `linear`, `cosine` (slow at both ends) or `exponential` (same factor each episode)."""
    over: Over | None = None
    """Length of the ramp; by default as long as the phase (in a phase that ends by a trigger: its `max_episodes`)."""


Value = float | Times | Ramp


class _Phase(Frozen):
    """A stretch of training with its own settings. An unset key inherits from the phase before."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    """Shown on every chart, recorded with every episode."""
    until: Until | None = None
    """When it ends; only the last phase omits it and lasts until the end of the run."""
    env: Annotated[str, Field(min_length=1)] | None = None
    """Environment id of the phase; the first that names none has the run's."""
    env_args: EnvArgs | None = None
    """Arguments that its environment is made with; those of a name that it leaves out stay as they are, unless it
    names an `env`."""
    routing: Routing | None = None
    """How router logits become gate weights."""
    top_k: Annotated[int, Field(ge=1, le=MAX_EXPERTS)] | None = None
    """Experts that routing `topk` chooses."""
    top_k_weights: TopKWeights | None = None
    """What the chosen experts weigh under routing `topk`."""

    @field_validator("until", mode="wrap")
    @classmethod
    def _an_end_is_a_mapping(cls, value: Any, handler: Any, info: ValidationInfo) -> Any:
        if value is not None and not isinstance(value, dict | Until):
            raise ValueError(
                _(
                    "phase '{get}' has until {value!r}; write {{episode: N}}, {{step: N}} or a trigger such as "
                    "{{metric: return, at_least: 450}}.",
                    get=info.data.get("name", "?"),
                    value=value,
                )
            )
        try:
            return handler(value)
        except ValidationError as error:
            if error.errors()[0]["type"] != "value_error":
                raise  # a wrong field, which pydantic names itself
            phase = info.data.get("name", "?")
            raise ValueError(_("phase '{get}': {reason}", get=phase, reason=reason_of(error))) from None

    @field_validator(*KNOBS, mode="wrap", check_fields=False)
    @classmethod
    def _one_sentence_for_any_bad_value(cls, value: Any, handler: Any, info: ValidationInfo) -> Any:
        assert info.field_name is not None
        try:
            if isinstance(value, bool):
                raise ValueError
            parsed: Value | None = handler(value)
        except ValueError:
            allowed = KNOBS[info.field_name].allowed
            number = _("a number") if allowed.low == -math.inf else _("a number {words}", words=allowed.words)
            factor = ["{times: F}"] if info.field_name in FROM_RECIPE else []
            raise ValueError(
                _(
                    "phase '{get}' has {field_name} {value!r}; give {forms}.",
                    get=info.data.get("name", "?"),
                    field_name=info.field_name,
                    value=value,
                    forms=one_of([number, *factor, "{from: A, to: B}"]),
                )
            ) from None
        if problem := value_problem(parsed, info.field_name):
            raise ValueError(
                _(
                    "phase '{get}' has {field_name} {value!r}; it {problem}.",
                    get=info.data.get("name", "?"),
                    field_name=info.field_name,
                    value=value,
                    problem=problem,
                )
            )
        return parsed

    @field_validator("name")
    @classmethod
    def _no_blank_name(cls, name: str) -> str:
        if not name.strip():
            raise ValueError(_("a phase needs a name; give it one, such as 'warmup'."))
        return name.strip()

    @model_validator(mode="after")
    def _ramps_know_how_long_they_take(self) -> Self:
        if self.until is None or not self.until.is_trigger or self.until.max_episodes is not None:
            return self
        if knob := next((knob for knob, ramp in ramps_of(self).items() if ramp.over is None), None):
            raise ValueError(
                _(
                    "phase '{name}' ends by a trigger, so the length of its ramp of {knob} is unknown; give the "
                    "ramp 'over: {{episodes: N}}' or the trigger 'max_episodes'.",
                    name=self.name,
                    knob=knob,
                )
            )
        return self


if TYPE_CHECKING:

    class Phase(_Phase):
        """`_Phase` with a field for each knob."""

        def __getattr__(self, knob: str) -> Value | None: ...

else:
    Phase = create_model(
        "Phase",
        __base__=_Phase,
        __doc__=_Phase.__doc__,
        __module__=__name__,
        **{name: (Value | None, Field(None, description=knob.meaning)) for name, knob in KNOBS.items()},
    )


def ramps_of(phase: _Phase) -> dict[str, Ramp]:
    """The knobs that ramp in a phase."""
    return {knob: value for knob in KNOBS if isinstance(value := getattr(phase, knob), Ramp)}


def order_problem(before: Sequence[Phase], phase: Phase, *, last: bool) -> str:
    """What is wrong with a phase after those `before` it, one sentence; empty if nothing."""
    number = len(before) + 1
    for earlier, other in enumerate(before, start=1):
        if other.name == phase.name:
            return _(
                "Phases {earlier} and {number} are both named '{name}'; rename one of them.",
                earlier=earlier,
                number=number,
                name=phase.name,
            )
    if phase.until is None:
        return (
            ""
            if last
            else _(
                "Phase {number} '{name}' has no end; only the last phase can omit 'until'.",
                number=number,
                name=phase.name,
            )
        )
    if last:
        return _(
            "Phase {number} '{name}' is the last and lasts until the end of the run; remove its 'until'.",
            number=number,
            name=phase.name,
        )
    for unit in ("episode", "step"):
        end = getattr(phase.until, unit)
        for earlier, other in enumerate(before, start=1):
            previous = getattr(other.until, unit, None)
            if end is not None and previous is not None and end <= previous:
                return _(
                    "Phase {number} '{name}' ends at {end} but phase {earlier} '{name2}' ends at {previous}; each "
                    "phase must end after the previous one.",
                    number=number,
                    name=phase.name,
                    end=_("step {steps}", steps=end) if unit == "step" else _("episode {episodes}", episodes=end),
                    earlier=earlier,
                    name2=other.name,
                    previous=previous,
                )
    return ""


class Architecture(Frozen):
    """Network settings of a curriculum, which no phase changes. Omitted settings are the recipe's."""

    experts: Annotated[int, Field(ge=1, le=MAX_EXPERTS)] | None = None
    """Experts that the router chooses among."""
    shared_experts: Annotated[int, Field(ge=0, le=MAX_EXPERTS)] | None = None
    """Additional experts that are always active (DeepSeekMoE)."""
    expert_width_times: Annotated[float, Field(gt=0, le=MAX_EXPERTS)] | None = None
    """Hidden width of an expert as a multiple of the recipe's."""
    graph: Graph | None = None
    """Graph layers: attention (`gatv1`, `gatv2`), or per-node layers without messages (`mlp`)."""
    single_expert: bool = False
    """One expert, as wide as all of the recipe's together: parameters matched, nothing to route."""

    @model_validator(mode="after")
    def _one_expert_is_one(self) -> Self:
        for name in ("experts", "shared_experts", "expert_width_times"):
            if self.single_expert and getattr(self, name) is not None:
                raise ValueError(_("'policy' has single_expert and {name}; these conflict; remove one.", name=name))
        return self


class Curriculum(Frozen):
    """An ordered list of phases, and the run length they were written for."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    """A short name, shown with the run."""
    description: str = ""
    """One or two sentences: what it does and where it comes from."""
    episodes: Annotated[int, Field(ge=1)] | None = None
    """Run length that it is meant for; `scaled` fits it to another length."""
    policy: Architecture | None = None
    """What it needs of the network; never changed by a phase."""
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    """The phases, first to last."""

    @model_validator(mode="after")
    def _phases_follow_each_other(self) -> Self:
        for index, phase in enumerate(self.phases):
            if problem := order_problem(self.phases[:index], phase, last=phase is self.phases[-1]):
                raise ValueError(problem)
        return self

    @property
    def planned_ends(self) -> tuple[int | None, ...]:
        """Where each phase but the last ends, in completed episodes; None where steps or a trigger decide."""
        return tuple(phase.until.episode for phase in self.phases if phase.until is not None)

    @property
    def boundaries(self) -> tuple[int, ...]:
        """The ends that are planned in completed episodes, ascending: `planned_ends` without its None."""
        return tuple(end for end in self.planned_ends if end is not None)

    def to_dict(self) -> dict[str, Any]:
        """The curriculum as it would be written in YAML, without unset keys."""
        content: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self.policy is not None and not self.policy.single_expert:
            content["policy"].pop("single_expert", None)
        return content


def levels_of(value: Value) -> tuple[Level, ...]:
    """The plain numbers or factors in a value: one, or a ramp's two ends."""
    return (value.start, value.to) if isinstance(value, Ramp) else (value,)


def value_problem(value: Value | None, knob: str) -> str:
    """What is wrong with a value for a knob, such as `must be greater than 0`; empty if nothing."""
    if value is None:
        return ""
    allowed = KNOBS[knob].allowed
    levels = levels_of(value)
    numbers = [level.times if isinstance(level, Times) else level for level in levels]
    if any(isinstance(level, Times) for level in levels) and not KNOBS[knob].from_recipe:
        return _("has no base value to multiply; write the number itself")
    if not all(math.isfinite(number) and allowed.holds(number) for number in numbers):
        is_bounded = allowed.low > -math.inf
        return _("must be {words}", words=allowed.words) if is_bounded else _("must be a finite number")
    if isinstance(value, Ramp) and value.shape == "exponential" and min(numbers) <= 0:
        return _("cannot ramp exponentially to or from 0 or less; use a linear ramp")
    return ""


def shape_fraction(shape: Shape, start: float, end: float, fraction: float) -> float:
    """A ramp's value `fraction` of the way: `start` at 0 and before, exactly `end` at 1 and after, never outside.

    linear: start + (end − start)·f.  cosine: start + (end − start)·(1 − cos πf)/2.  exponential: start·(end/start)^f.
    """
    if fraction <= 0:
        return start
    if fraction >= 1:
        return end
    if shape == "exponential":
        value = float(start ** (1 - fraction) * end**fraction)
    else:
        share = (1 - math.cos(math.pi * fraction)) / 2 if shape == "cosine" else fraction
        value = start + (end - start) * share
    # Rounding may leave the range by one unit in the last place.
    return min(max(value, min(start, end)), max(start, end))
