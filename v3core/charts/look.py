"""How all charts of a page are looked at: along which axis, from where, how far, and how smooth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from v3core.charts.figure import Figure
from v3core.charts.series import RunSeries
from v3core.errors import V3Error
from v3core.rollup import Floats

Axis = Literal["episode", "step", "time"]
AXES = get_args(Axis)
MAX_WINDOW = 1000
MAX_EPISODES = 2**53


@dataclass(frozen=True)
class Look:
    """The same for all charts of a run."""

    x: Axis = "episode"
    since: int = 0
    """Completed episodes that the episode axis begins at: the start of a phase."""
    window: int = 0
    """Episodes that lines are a mean of: 1 for none, 0 for what each chart has of its own."""
    so_far: bool = False
    """Whether the axis ends at the newest episode and not at the end of the plan."""

    def __post_init__(self) -> None:
        if self.x not in AXES or not 0 <= self.since <= MAX_EPISODES or not 0 <= self.window <= MAX_WINDOW:
            raise V3Error(f"Charts cannot be looked at like this: {self}.")


AS_TRAINED = Look()
"""Every episode of the plan, as each chart shows it."""


def along(figure: Figure, series: RunSeries, look: Look) -> Figure:
    """Put a figure that was drawn over episodes along another axis, in place."""
    layout = figure.layout
    if look.so_far:
        layout.xaxis.range = [0, max(series.completed, 1)]
    if look.x == "episode":
        if look.since:
            _moved(figure, lambda x: x - look.since)
            layout.xaxis.merge({"title": {"text": f"Episodes since episode {look.since:,}"}})
            layout.xaxis.range = [0, max(layout.xaxis.range[1], 1)]
            layout.meta.since = look.since
        return figure
    episode, value = _known(series, look.x)
    _clipped(figure, series.completed)
    unit, name = _unit(value[-1]) if look.x == "time" else (1.0, "Environment steps")
    _moved(figure, lambda x: np.interp(x, episode, value / unit, right=value[-1] / unit))
    layout.xaxis.merge({"title": {"text": name}, "range": [0, max(float(value[-1] / unit), 1e-6)]})
    layout.xaxis.tickformat = ",d" if look.x == "step" else ",.4~g"
    layout.xaxis.unifiedhovertitle.text = "Step %{x:,d}" if look.x == "step" else "%{x:,.4~g} " + name.lower()
    layout.meta.boundaries = []
    return figure


def episodes_of(series: RunSeries, look: Look, start: float, end: float) -> tuple[float, float]:
    """The part of the axis that is zoomed to, in completed episodes."""
    if look.x == "episode":
        return start + look.since, end + look.since
    episode, value = _known(series, look.x)
    unit = _unit(value[-1])[0] if look.x == "time" else 1.0
    found = np.interp([start * unit, end * unit], value, episode)
    return float(found[0]), float(found[1])


def _known(series: RunSeries, x: Axis) -> tuple[Floats, Floats]:
    """Completed episodes, and the steps or seconds after them; neither falls."""
    curve = series.curve
    seconds = np.full(len(curve), np.nan) if series.seconds is None else series.seconds
    value = curve.summary("step").last if x == "step" else seconds
    known = np.isfinite(value)
    episode = np.concatenate(([0.0], curve.episode[known].astype(np.float64)))
    return episode, np.maximum.accumulate(np.concatenate(([0.0], value[known])))


def _unit(seconds: float) -> tuple[float, str]:
    if seconds >= 3 * 3600:
        return 3600.0, "Hours since the start"
    return (60.0, "Minutes since the start") if seconds >= 180 else (1.0, "Seconds since the start")


def _clipped(figure: Figure, completed: int) -> None:
    """Leave out what is ahead: where it will be on another axis is not known."""
    layout = figure.layout
    layout.shapes = [
        shape | {"x1": min(shape["x1"], completed)}
        for shape in layout.shapes
        if shape["x0"] < completed or shape.get("name") == "now"
    ]
    layout.meta.bands = [
        {**band, "start": min(band["start"], completed), "end": min(band["end"], completed)}
        for band in layout.meta.bands
    ]
    for trace in figure.data:
        if trace.type == "scatter" and len(trace.x) and max(trace.x) > completed:
            x, y = np.asarray(trace.x, dtype=np.float64), np.asarray(trace.y, dtype=np.float64)
            trace.y = np.where(x <= completed, y, np.nan) if len(x) > 2 else trace.y
            trace.x = np.minimum(x, completed)


def _moved(figure: Figure, move: Callable[[Any], Any]) -> None:
    """Replace every place on the x axis."""
    layout = figure.layout
    layout.xaxis.range = [float(move(place)) for place in layout.xaxis.range]
    for trace in figure.data:
        if len(trace.x):
            trace.x = np.asarray(move(np.asarray(trace.x, dtype=np.float64)))
    for shape in layout.shapes:
        shape.x0, shape.x1 = float(move(shape.x0)), float(move(shape.x1))
    for note in layout.annotations:
        if str(note.name).startswith(("band", "row")):
            note.x = float(move(note.x)) if str(note.name).startswith("band") else note.x
    layout.meta.bands = [
        {**band, "start": float(move(band["start"])), "end": float(move(band["end"]))} for band in layout.meta.bands
    ]
