"""Traces that several charts use: a mean with the band of its extremes, a level, evaluations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure, Node
from v3core.charts.frame import at_episode, colour_bar
from v3core.charts.palette import EVALUATION, NEUTRAL, colour_scale, expert_colours, rgba
from v3core.charts.series import EvaluationPoint
from v3core.insight.measures import loads_of
from v3core.messages import _, say
from v3core.metrics import WINDOWED
from v3core.rollup import Floats, Integers, Series

AREA_OPACITY = 0.9
"""Of an expert's share of the load."""


def add_metric(
    figure: Figure,
    curve: Series,
    metric: str,
    *,
    name: str,
    colour: str,
    axis: str = "y",
    number: str = ".3g",
    hover: str | None = None,
    width: float = 1.5,
    spread: bool = True,
    window: int = 0,
    dash: str = "solid",
) -> None:
    """Draw a metric: every value, or per bucket the mean in front of a band from the lowest to the highest.

    Without `spread`, the extremes are in the hover alone; `hover`, a template of plotly, replaces value and extremes.
    `number` is the d3 format of a value, `width` that of the line in pixels. With a `window` of episodes the line is
    their mean, in front of what it is made of. `dash` is the pattern of the line, dotted if it is of fewer episodes.
    Of one of `WINDOWED` the line is its value at the end of each bucket, whatever the `window`.
    """
    summary = curve.summary(metric)
    text = value = f"%{{y:{number}}}"
    is_windowed = metric in WINDOWED
    mean = summary.last if is_windowed else mean_of(curve, metric, window)
    is_smooth = window > curve.size and not is_windowed
    dash = "dot" if is_smooth and is_short(curve, metric, window) else dash
    spread = spread or is_smooth
    lowest_to_highest = None
    if curve.size > 1 and not is_windowed:
        if spread:
            _add_spread(figure, curve.episode, summary.minimum, summary.maximum, colour=colour, axis=axis, group=name)
        lowest_to_highest = np.column_stack((summary.minimum, summary.maximum))
        low, high = f"%{{customdata[0]:{number}}}", f"%{{customdata[1]:{number}}}"
        text = say("{value}  ({low} to {high})", value=value, low=low, high=high)
    elif is_smooth and curve.size == 1:
        raw = {"color": rgba(colour, 0.6), "width": 0.75}
        _add_behind(figure, curve.episode, summary.mean, colour=colour, axis=axis, group=name, line=raw)
    figure.add(
        "scatter",
        x=curve.episode,
        y=mean,
        customdata=lowest_to_highest,
        name=name,
        legendgroup=name,
        yaxis=axis,
        **_lone(mean, colour),
        line={"color": colour, "width": width} | ({"dash": dash} if dash != "solid" else {}),
        hovertemplate=hover or text,
    )
    if is_smooth:
        add_partial(figure, curve.is_full(metric, window))


def mean_of(curve: Series, metric: str, window: int) -> Floats:
    """The mean of each bucket, or as `trailing_mean_of` where the window is longer."""
    return trailing_mean_of(curve, metric, window) if window > curve.size else curve.summary(metric).mean


def trailing_mean_of(curve: Series, metric: str, window: int) -> Floats:
    """The mean of the last `window` episodes up to each bucket's end; NaN where there are not as many yet.

    If there are nowhere as many (`is_short`), that of all up to there, which is drawn dotted.
    """
    mean, reached = curve.trailing(metric, window), curve.is_reached(metric, window)
    return np.where(reached, mean, np.nan) if reached.any() else mean


def loads_over(curve: Series, load: str, window: int) -> Floats:
    """`load` or `hard_load` of each expert, shape [n, experts].

    The mean of each bucket or, where the window is longer, over all steps of its episodes together, as dead experts are
    counted; NaN where there are not as many yet, as of `trailing_mean_of`.
    """
    if window <= curve.size:
        return loads_of(curve, load).shares
    pooled, reached = loads_of(curve, load).pooled(curve.span_of(window) // curve.size), curve.spans(window)
    return np.where(reached[:, None], pooled, np.nan) if reached.any() else pooled


def is_short(curve: Series, metric: str, window: int) -> bool:
    """Whether a mean of the last `window` episodes is nowhere of as many: they were not trained, or have no number."""
    return not curve.is_full(metric, window).any()


def add_partial(figure: Figure, full: NDArray[np.bool_]) -> None:
    """Draw the points of the last trace dotted that are a mean of fewer episodes, as some have no number.

    `full` says which are of all. Nothing changes where all of it is dotted already.
    """
    whole = figure.data[-1]
    partial = ~full & ~np.isnan(whole.y)
    if not partial.any() or whole.line.dash == "dot":
        return
    parts = [np.where(full, whole.y, np.nan), np.where(partial, whole.y, np.nan)]
    group = whole.legendgroup or whole.name
    dotted = {
        "name": _("{name}, some missing", name=whole.name),
        "showlegend": False,
        "line": {**whole.line, "dash": "dot"},
    }
    figure.data[-1:] = [
        Node({**whole, **more, "y": y, "legendgroup": group, **_lone(y, whole.line.color)})
        for y, more in zip(parts, ({}, dotted), strict=True)
    ]


def _lone(values: Floats, colour: str) -> dict[str, Any]:
    """Mode and marker of a line: a value between two gaps has no line to be seen by."""
    known = np.concatenate(([False], ~np.isnan(values), [False]))
    lone = known[1:-1] & ~known[:-2] & ~known[2:]
    if not lone.any():
        return {"mode": "lines", "marker": None}
    return {"mode": "lines+markers", "marker": {"size": np.where(lone, 5, 0), "color": colour, "opacity": 1}}


def add_level(figure: Figure, end: float, level: float, *, name: str, axis: str = "y") -> None:
    """Draw a dashed level from 0 to `end`."""
    figure.add(
        "scatter",
        x=[0, end],
        y=[level, level],
        name=name,
        mode="lines",
        yaxis=axis,
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )


def add_evaluations(figure: Figure, points: Sequence[EvaluationPoint]) -> None:
    """Mark each evaluation's mean return, with the range of its episodes."""
    points = [point for point in points if np.isfinite(point.mean)]
    if not points:
        return
    means = np.array([point.mean for point in points])
    lowest, highest = np.array([point.lowest for point in points]), np.array([point.highest for point in points])
    said = {"value": "%{y:.4~g}", "low": "%{customdata[0]:.4~g}", "high": "%{customdata[1]:.4~g}"}
    hover = say("{value}  ({low} to {high})", **said)
    if len({point.env for point in points}) > 1:
        hover = say("{value}  ({low} to {high}) in {env}", env="%{customdata[2]}", **said)
    _add_marks(
        figure,
        points,
        means,
        hover,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": highest - means,
            "arrayminus": means - lowest,
            "color": rgba(EVALUATION, 0.5),
            "thickness": 1,
            "width": 3,
        },
        customdata=[(point.lowest, point.highest, chart_text(point.env)) for point in points],
    )


def add_evaluated_success(figure: Figure, points: Sequence[EvaluationPoint]) -> None:
    """Mark each evaluation's success rate; nothing where none says."""
    if points := [point for point in points if np.isfinite(point.success)]:
        _add_marks(figure, points, [point.success for point in points], "%{y:.0%}")


def _add_marks(figure: Figure, points: Sequence[EvaluationPoint], y: Any, hover: str, **more: Any) -> None:
    counts = sorted({point.count for point in points})
    figure.add(
        "scatter",
        x=[point.episode for point in points],
        y=y,
        name=_("Evaluation, mean of {count}", count=counts[0]) if len(counts) == 1 else _("Evaluation, mean"),
        mode="markers",
        cliponaxis=False,  # the last evaluation is taken at the run's end, which is the plot's edge
        marker={"symbol": "diamond", "size": 10, "color": EVALUATION},
        hovertemplate=hover,
        **more,
    )


def add_areas(figure: Figure, curve: Series, load: str, *, window: int = 0) -> None:
    """Loads of the experts, `load` or `hard_load`, stacked; with a `window` of episodes, over all of their steps."""
    means = loads_over(curve, load, window).T
    # plotly would stack what is not there, before a window is full and after, as 0.
    known = np.flatnonzero(np.isfinite(means[0])) if len(means) else np.empty(0, dtype=np.int64)
    drawn = slice(known[0], known[-1] + 1) if len(known) else slice(None)
    for expert, (mean, colour) in enumerate(zip(means, expert_colours(len(means)), strict=True), start=1):
        figure.add(
            "scatter",
            x=curve.episode[drawn],
            y=mean[drawn],
            name=_("Expert {number}", number=expert),
            stackgroup="load",
            mode="lines" if len(curve) > 1 else "lines+markers",
            line={"width": 0.5, "color": colour},
            fillcolor=rgba(colour, AREA_OPACITY),
            hovertemplate="%{y:.1%}",
        )


def add_heatmap(figure: Figure, curve: Series, values: Floats, *, title: str, number: str) -> None:
    """One row per expert, for more experts than lines or areas could show; `title` is that of the colour bar.

    `values` are of each bucket and expert, shape [n, experts].
    """
    known = values[np.isfinite(values)]
    # Of a single value plotly makes a bar around it, with numbers below 0.
    of_one = {"zmax": float(known[0]) or 1.0} if known.size and (known == known[0]).all() else {}
    figure.add(
        "heatmap",
        x=curve.episode,
        y=[say("Expert {number}", number=expert + 1) for expert in range(values.shape[1])],
        # An episode is a row, as in every array of a figure: new ones are at the end.
        z=values,
        transpose=True,
        colorscale=colour_scale(),
        zmin=0,
        **of_one,
        colorbar=colour_bar(title, number),
        hovertemplate=f"%{{y}}: %{{z:{number}}}<br>{at_episode()}<extra></extra>",
    )
    figure.layout.merge({"hovermode": "closest", "yaxis": {"autorange": "reversed"}, "margin": {"l": 70, "r": 84}})


def _add_spread(
    figure: Figure, episode: Integers, minimum: Floats, maximum: Floats, *, colour: str, axis: str, group: str
) -> None:
    """A closed outline around each stretch without gaps."""
    line = {"color": rgba(colour, 0.3), "width": 0.5}
    x, y = outline(episode.astype(np.float64), minimum, maximum)
    _add_behind(figure, x, y, colour=colour, axis=axis, group=group, line=line, fill="toself")


def outline(x: Floats, minimum: Floats, maximum: Floats) -> tuple[Floats, Floats]:
    """A closed line around each stretch of extremes without gaps, with NaN between two; x and y, of the same length."""
    known = ~np.isnan(minimum)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    along: list[Floats] = []
    around: list[Floats] = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        along += [x[start:stop], x[start:stop][::-1], np.array([np.nan])]
        around += [maximum[start:stop], minimum[start:stop][::-1], np.array([np.nan])]
    return (np.concatenate(along)[:-1], np.concatenate(around)[:-1]) if along else (np.empty(0), np.empty(0))


def _add_behind(
    figure: Figure,
    x: Any,
    y: Floats,
    *,
    colour: str,
    axis: str,
    group: str,
    line: Mapping[str, Any],
    fill: str = "none",
) -> None:
    """What a mean is made of, behind it."""
    figure.add(
        "scatter",
        x=x,
        y=y,
        name=_("{metric}: lowest to highest", metric=group)
        if fill == "toself"
        else _("{metric}: every episode", metric=group),
        legendgroup=group,
        showlegend=False,
        yaxis=axis,
        mode="lines",
        fill=fill,
        fillcolor=rgba(colour, 0.22),
        line=dict(line),
        hoverinfo="skip",
    )
