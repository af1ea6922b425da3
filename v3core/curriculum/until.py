"""When a phase ends: at an episode, at a step, or on a trigger."""

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_serializer, model_validator

from v3core.curriculum.knobs import METRICS
from v3core.messages import _
from v3core.phrases import all_of, listed
from v3core.rollup import LONGEST_WINDOW

MAX_WINDOW = 10_000
"""How many episodes the trainer keeps for triggers."""
FACT = "fact:"
"""Before the name of a fact of episodes that a trigger watches."""
_FACT = re.compile(r"fact:[a-z][a-z0-9_]{0,39}")
_OF_TRIGGERS = ("at_least", "at_most", "window", "min_episodes", "max_episodes")


class Frozen(BaseModel):
    """What every part of a curriculum is: immutable, without unknown keys, without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Until(Frozen):
    """The end of a phase: exactly one of `episode`, `step` and `metric`."""

    episode: Annotated[int, Field(ge=1)] | None = None
    """The phase ends once this many episodes are complete: episode 1,000 is its last, 1,001 belongs to the next."""
    step: Annotated[int, Field(ge=1)] | None = None
    """The phase ends once the run has taken this many environment steps, all environments together."""
    metric: str | None = None
    """The phase ends once the mean of this over its last `window` complete episodes is `at_least` or `at_most` X: a
    metric of triggers, or `fact:NAME` for one of the recipe's `episode_facts`."""
    at_least: float | None = None
    at_most: float | None = None
    window: Annotated[int, Field(ge=1, le=MAX_WINDOW)] = LONGEST_WINDOW
    """Episodes of the phase that the mean is over; with fewer the trigger does not hold."""
    min_episodes: Annotated[int, Field(ge=0)] = 0
    """The trigger does not end the phase before this many episodes of it are complete."""
    max_episodes: Annotated[int, Field(ge=1)] | None = None
    """The phase ends after this many episodes in any case; if omitted, a trigger that never fires never ends it."""

    @field_validator("metric")
    @classmethod
    def _is_watched(cls, metric: str | None) -> str | None:
        if metric is not None and metric not in METRICS and not _FACT.fullmatch(metric):
            raise ValueError(
                _(
                    "A trigger watches '{metric}'; choose {metrics} or a fact, as in fact:score.",
                    metric=metric[:60],
                    metrics=listed(list(METRICS)),
                )
            )
        return metric

    @model_validator(mode="after")
    def _exactly_one_end(self) -> Self:
        ends = [name for name in ("episode", "step", "metric") if getattr(self, name) is not None]
        if len(ends) != 1:
            said = all_of([f"'{name}'" for name in ends]) if ends else _("none")
            raise ValueError(
                _("An 'until' must have exactly one of 'episode', 'step' and 'metric'; this one has {said}.", said=said)
            )
        if self.metric is None:
            if stray := next((name for name in _OF_TRIGGERS if name in self.model_fields_set), None):
                raise ValueError(
                    _(
                        "'{stray}' belongs to a trigger; remove it from the 'until' with '{ends}'.",
                        stray=stray,
                        ends=ends[0],
                    )
                )
            return self
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(_("A trigger on {metric} needs either 'at_least' or 'at_most'.", metric=self.metric))
        if self.metric == "success" and not 0 <= self.threshold <= 1:
            raise ValueError(
                _(
                    "A trigger on success has {threshold:g}; it is a rate, so choose from 0 to 1.",
                    threshold=self.threshold,
                )
            )
        if self.max_episodes is not None and self.max_episodes < max(self.window, self.min_episodes):
            raise ValueError(
                _(
                    "A trigger on {metric} has max_episodes {max_episodes}, too few for it to fire: raise it to "
                    "{max} (its 'window' and 'min_episodes') or lower these.",
                    metric=self.metric,
                    max_episodes=self.max_episodes,
                    max=max(self.window, self.min_episodes),
                )
            )
        return self

    @property
    def fact(self) -> str | None:
        """The fact of episodes that a trigger watches, if it watches one."""
        return self.metric.removeprefix(FACT) if self.metric is not None and self.metric.startswith(FACT) else None

    @property
    def is_trigger(self) -> bool:
        """Whether what happens in training decides."""
        return self.metric is not None

    @property
    def threshold(self) -> float:
        """The threshold of a trigger; NaN for other ends."""
        level = self.at_least if self.at_least is not None else self.at_most
        return float("nan") if level is None else level

    def holds(self, mean: float) -> bool:
        """Whether a trigger is satisfied with this mean of its metric; never with NaN."""
        if self.at_least is not None:
            return mean >= self.at_least
        return self.at_most is not None and mean <= self.at_most

    @model_serializer(mode="wrap")
    def _only_what_was_said(self, handler: Any) -> dict[str, Any]:
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return {name: value for name, value in handler(self).items() if value != defaults[name]}
