"""A setting's planned curve over a run: steps as steps, ramps as ramps."""

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go

from v3core.curriculum import (
    COEFFICIENTS,
    KNOBS,
    BaseValues,
    Curriculum,
    PhaseStart,
    Progress,
    Ramp,
    phase_spans,
    planned_starts,
    settings_at,
)
from v3core.rollup import Floats

KNOB_TITLES = {name: f"{knob.title}{' coefficient' * (name in COEFFICIENTS)}" for name, knob in KNOBS.items()}

_ALWAYS = ("temperature", "lr")
_POINTS_PER_PHASE = 80

StepsAt = Callable[[float], float]
"""Environment steps taken when so many episodes were complete; NaN where that is not known."""


def knobs_in_use(curriculum: Curriculum, base: BaseValues) -> list[str]:
    """The knobs worth drawing: temperature, learning rate, what a phase sets, and coefficients that are not 0."""
    return [
        knob
        for knob in KNOBS
        if knob in _ALWAYS
        or any(getattr(phase, knob) is not None for phase in curriculum.phases)
        or (knob in COEFFICIENTS and getattr(base, knob) != 0)
    ]


def planned_curve(
    curriculum: Curriculum,
    episodes: int,
    base: BaseValues,
    knob: str,
    *,
    starts: Sequence[PhaseStart] = (),
    steps_at: StepsAt | None = None,
) -> tuple[Floats, Floats]:
    """A setting as planned, as the corners and points of a line over completed episodes.

    Each phase contributes its first and its last value, and points between them for ramps to bend at and for the mouse
    to find; where two phases meet, both have a point at the same place, so that a step is drawn as a step.

    Args:
        curriculum: the revision in force.
        episodes: length of the run.
        base: the run's base values.
        knob: which setting.
        starts: where phases really began; the others are drawn where they are planned.
        steps_at: what a ramp over environment steps is read by. Where it does not know, the curve has a gap.
    """
    x: list[float] = []
    y: list[float] = []
    known = planned_starts(curriculum, starts)
    for index, (_, start, end) in enumerate(phase_spans(curriculum, episodes, starts)):
        begun = known[: index + 1]
        # The steps at which a planned phase will begin are not known, so neither is a ramp over steps in it.
        steps = steps_at if index < max(len(starts), 1) else None
        # A ramp is read at whole episodes, as training reads it.
        inner = {round(point) for point in np.linspace(start, end, _POINTS_PER_PHASE).tolist()} - {start, end}
        for point in [start, *sorted(inner), end]:
            x.append(point)
            step = 0.0
            if _ramps_over_steps(curriculum, index, knob):
                step = float("nan") if steps is None else steps(point)
            if np.isnan(step):
                y.append(step)
            else:
                progress = Progress(point, episodes, int(step), begun)
                y.append(float(getattr(settings_at(curriculum, progress, base), knob)))
    return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)


def add_plan(
    figure: go.Figure,
    curriculum: Curriculum,
    episodes: int,
    base: BaseValues,
    knob: str,
    *,
    name: str,
    colour: str,
    axis: str = "y",
    dash: str = "solid",
    width: float = 2,
    hover: str = "%{y:.4~g}",
    starts: Sequence[PhaseStart] = (),
    steps_at: StepsAt | None = None,
) -> None:
    """Draw a setting's planned curve."""
    x, y = planned_curve(curriculum, episodes, base, knob, starts=starts, steps_at=steps_at)
    figure.add_scatter(
        x=x,
        y=y,
        name=name,
        legendgroup=name,
        yaxis=axis,
        mode="lines",
        line={"color": colour, "width": width, "dash": dash},
        hovertemplate=hover,
    )


def _ramps_over_steps(curriculum: Curriculum, index: int, knob: str) -> bool:
    phase = curriculum.phases[index]
    value = getattr(phase, knob)
    return isinstance(value, Ramp) and value.over is None and phase.until is not None and phase.until.step is not None
