"""How all charts of a page are looked at: along which axis, from where, how far, and how smooth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from v3core.charts.figure import Figure
from v3core.charts.frame import at_episode
from v3core.charts.series import RunSeries
from v3core.errors import V3Error
from v3core.messages import _, say, translated
from v3core.rollup import Floats

Axis = Literal["episode", "step", "time"]
AXES = get_args(Axis)
MAX_WINDOW = 1000
MAX_EPISODES = 2**53
MAX_NAME = 200
_UNITS = {
    3600.0: (_("Hours since the start"), _("{number} hours since the start")),
    60.0: (_("Minutes since the start"), _("{number} minutes since the start")),
    1.0: (_("Seconds since the start"), _("{number} seconds since the start")),
}
"""Titles of the axis of time by the seconds of its unit, and what hovers say."""


@dataclass(frozen=True)
class Look:
    """The same for all charts of a page."""

    x: Axis = "episode"
    since: int = 0
    """Completed episodes that the episode axis begins at: the start of a phase."""
    phase: str = ""
    """Of compared runs: the phase whose start is 0 in each; empty for the start of the run."""
    window: int = 0
    """Episodes that lines are a mean of: 1 for none, 0 for what each chart has of its own."""
    so_far: bool = False
    """Whether the axis ends at the newest episode and not at the end of the plan."""

    def __post_init__(self) -> None:
        if (
            self.x not in AXES
            or not 0 <= self.since <= MAX_EPISODES
            or not 0 <= self.window <= MAX_WINDOW
            or len(self.phase) > MAX_NAME
        ):
            raise V3Error("Charts cannot be looked at like this: {self}.", self=self)


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
            layout.xaxis.merge({"title": {"text": say("Episodes since episode {since:,}", since=look.since)}})
            _have_hovers_say(
                figure, say("{number} episodes since episode {since:,}", number="%{x:,d}", since=look.since)
            )
            layout.xaxis.range = [0, max(layout.xaxis.range[1], 1)]
            layout.meta.since = look.since
        return figure
    _clipped(figure, series.completed)
    unit = unit_of([series], look)
    place = places(series, look, unit)
    _moved(figure, place)
    end = float(place(series.completed))
    dress(figure, look, unit, end=max(end, series.steps) if look.x == "step" and not look.so_far else end)
    layout.meta.boundaries = []
    return figure


def dress(figure: Figure, look: Look, unit: float, *, end: float) -> None:
    """Title, ticks and hover of an axis over steps or time that ends at `end`, in the units of `unit_of`."""
    name, hover = _UNITS[unit] if look.x == "time" else (_("Environment steps"), _("Step {number}"))
    axis = figure.layout.xaxis
    axis.merge({"title": {"text": translated(name)}, "range": [0, max(end, 1e-6)]})
    axis.tickformat = ",d" if look.x == "step" else ",.4~g"
    _have_hovers_say(figure, say(hover, number=f"%{{x:{axis.tickformat}}}"))


def _have_hovers_say(figure: Figure, words: str) -> None:
    """Have all hovers say where a point is on an axis that is not that of episodes."""
    title, otherwise = figure.layout.xaxis.unifiedhovertitle, at_episode()
    title.text = title.text.replace(otherwise, words)
    for trace in figure.data:
        if otherwise in (trace.hovertemplate or ""):
            trace.hovertemplate = trace.hovertemplate.replace(otherwise, words)


def unit_of(runs: Sequence[RunSeries], look: Look) -> float:
    """Seconds in a unit of the time axis of these runs; 1 on another axis."""
    if look.x != "time":
        return 1.0
    longest = max((_known(run, "time")[1][-1] for run in runs), default=0.0)
    return 3600.0 if longest >= 3 * 3600 else 60.0 if longest >= 180 else 1.0


def places(series: RunSeries, look: Look, unit: float) -> Callable[[Any], Any]:
    """Where completed episodes are on the x axis; beyond the newest, steps and time are those of the newest."""
    if look.x == "episode":
        begins = start_of(series, look) or 0
        return lambda episodes: np.asarray(episodes, dtype=np.float64) - begins
    episode, value = _known(series, look.x)
    return lambda episodes: np.interp(episodes, episode, value / unit, right=value[-1] / unit)


def start_of(series: RunSeries, look: Look) -> int | None:
    """Completed episodes at which the episode axis begins; None for a run that has not begun the phase of the look."""
    if not look.phase or look.x != "episode":
        return look.since
    return next((band.start for band in series.bands if band.name == look.phase and not band.planned), None)


def episodes_of(
    series: RunSeries, look: Look, start: float, end: float, unit: float | None = None
) -> tuple[float, float]:
    """The part of the axis that is zoomed to, in completed episodes; `unit` is that of the run by default."""
    if look.x == "episode":
        begins = start_of(series, look) or 0
        return start + begins, end + begins
    episode, value = _known(series, look.x)
    unit = unit or unit_of([series], look)
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
