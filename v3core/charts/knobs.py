"""A setting's planned curve over a run: steps as steps, ramps as ramps."""

import numpy as np
import plotly.graph_objects as go

from v3core.charts.series import Floats
from v3core.curriculum import BaseValues, Curriculum, Progress, phase_spans, settings_at

KNOB_TITLES = {
    "temperature": "Temperature",
    "lr": "Learning rate",
    "load_balance": "Load-balance coefficient",
    "entropy": "Entropy coefficient",
}

_POINTS_PER_PHASE = 80


def planned_curve(curriculum: Curriculum, episodes: int, base: BaseValues, knob: str) -> tuple[Floats, Floats]:
    """A setting as planned, as the corners and points of a line over completed episodes.

    Each phase contributes its first and its last value, and points between them for ramps to bend at and for the mouse
    to find; where two phases meet, both have a point at the same place, so that a step is drawn as a step.
    """
    x: list[float] = []
    y: list[float] = []
    for index, (_, start, end) in enumerate(phase_spans(curriculum, episodes)):
        alone = _ending_with(curriculum, index)
        # A ramp is read at whole episodes, as training reads it.
        inner = {round(point) for point in np.linspace(start, end, _POINTS_PER_PHASE).tolist()} - {start, end}
        at = [start, *sorted(inner), end]
        x += at
        y += [_value(alone, point, end, base, knob) for point in at]
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
) -> None:
    """Draw a setting's planned curve."""
    x, y = planned_curve(curriculum, episodes, base, knob)
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


def _ending_with(curriculum: Curriculum, index: int) -> Curriculum:
    """The curriculum up to one phase, which then lasts to the end: its ramp reaches its last value there."""
    last = curriculum.phases[index].model_copy(update={"until": None})
    return curriculum.model_copy(update={"phases": (*curriculum.phases[:index], last)})


def _value(curriculum: Curriculum, episode: int, episodes: int, base: BaseValues, knob: str) -> float:
    return float(getattr(settings_at(curriculum, Progress(episode, episodes), base), knob))
