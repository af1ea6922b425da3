"""Several runs over each other, each with its own phases."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from v3core.charts.buckets import group, moving_average
from v3core.charts.frame import LEGEND_ROOM, Span, plain_frame
from v3core.charts.palette import colours, rgba
from v3core.charts.points import trailing_buckets, window_of
from v3core.charts.series import RunSeries
from v3core.charts.text import chart_text
from v3core.rollup import Floats, Integers, mean_window

_STRIP = 16
"""Height of one run's strip of phases, in pixels."""

_STRIP_TEXT = 10
_STRIPS_GAP = 8


def _entropy_share(series: RunSeries) -> Floats:
    most = np.log(series.experts) if series.experts > 1 else np.nan
    return np.asarray(_column("routing_entropy")(series) / most, dtype=np.float64)


def _effective_experts(series: RunSeries) -> Floats:
    """exp(H) of an episode's mean loads. Of buckets, the mean of what was recorded of their episodes."""
    if series.curve is not None and series.has("effective_experts"):
        return series.curve.summary("effective_experts").mean
    loads = series.loads
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(loads > 0, loads * np.log(loads), 0.0)
    known = np.isfinite(loads).all(axis=1) if loads.ndim == 2 else np.zeros(len(series), dtype=bool)
    return np.where(known, np.exp(-terms.sum(axis=1)), np.nan)


def _column(name: str) -> Callable[[RunSeries], Floats]:
    """A column; of buckets, their means."""

    def values(series: RunSeries) -> Floats:
        if series.curve is not None and name in series.curve.metrics:
            return series.curve.summary(name).mean
        return series.column(name)

    return values


EVALUATION = "evaluation"
"""The one metric that is no column of the episodes: it has a value at each evaluation."""

METRICS: dict[str, tuple[str, Callable[[RunSeries], Floats]]] = {
    "return": ("Return", _column("return")),
    "success": ("Success rate", _column("success")),
    EVALUATION: ("Evaluation, mean return", lambda series: np.array([point.mean for point in series.evaluations])),
    "routing_entropy": ("Routing entropy (nats)", _column("routing_entropy")),
    "specialisation": ("Specialisation (nats)", _column("specialisation")),
    "effective_experts": ("Effective experts of the load", _effective_experts),
    "dead_experts": ("Dead experts", _column("dead_experts")),
    "load_cv": ("Load deviation / mean", _column("load_cv")),
    "dormant_share": ("Dormant share of units", _column("dormant_share")),
    "router_shift": ("Router shift", _column("router_shift")),
    "entropy_share": ("Routing entropy / ln N", _entropy_share),
    "length": ("Episode length (steps)", _column("length")),
    "value_loss": ("Value loss", _column("value_loss")),
    "load_balance_loss": ("Load-balance loss", _column("load_balance_loss")),
    "action_entropy": ("Action entropy (nats)", _column("action_entropy")),
}
"""What runs can be compared by: a name to its axis title and its value per episode, or per evaluation."""


def metrics_of(runs: Sequence[RunSeries]) -> list[str]:
    """The metrics that at least one of the runs has a number of; all of them before the first episode."""
    if not any(len(run) for run in runs):
        return list(METRICS)
    return [name for name, (_, values) in METRICS.items() if any(np.isfinite(values(run)).any() for run in runs)]


def compare_figure(
    runs: Sequence[RunSeries],
    *,
    metric: str = "return",
    window: int | None = None,
    span: Span = "run",
    height: int = 420,
) -> go.Figure:
    """Moving averages of one metric, one line per run; above them one strip per run with its phases.

    Evaluations are few and are means already: each is a point of its run's line.

    Args:
        runs: two or more; each keeps its place's colour.
        metric: a key of `METRICS`.
        window: episodes of the moving average; 1 for none. By default what fits the shortest run, for all runs
            are smoothed alike.
        span: how much of the longest run the axis shows.
        height: pixels, strips and legend included.
    """
    title, value_of = METRICS[metric]
    window = window or min((mean_window(run.end) for run in runs), default=1)
    end = max((run.end if span == "run" else max(run.completed, 1) for run in runs), default=1)
    looked_at = [run if run.view is None else replace(run, curve=run.view) for run in runs]
    sizes = [run.curve.size for run in looked_at if run.curve is not None]
    smoothed = title
    if window > 1 and metric != EVALUATION:
        spans = sorted({window_of(size, window) for size in sizes or [1]})
        smoothed += ", mean of last " + " to ".join(f"{span:,}" for span in dict.fromkeys((spans[0], spans[-1])))
    alt = f"{smoothed}, of {len(runs)} runs: {'; '.join(map(_newest, runs))}."
    bucket = max((*sizes, *(group(run.episode).size for run in runs if run.curve is None)), default=1)
    name = "compare:" + metric + ":" + ":".join(run.name for run in runs)
    figure = plain_frame(name=name, alt=alt, height=height, end=end, legend=True, bucket=1)
    figure.layout.margin.t = LEGEND_ROOM + _STRIPS_GAP
    palette = colours(len(runs))
    for row, (run, colour) in enumerate(zip(looked_at, palette, strict=True)):
        if metric == EVALUATION:
            x, y = np.array([point.episode for point in run.evaluations]), value_of(run)
        else:
            x, y = _smoothed(run, value_of(run), window)
        figure.add_scatter(
            x=x,
            y=y,
            name=chart_text(run.name),
            legendgroup=str(row),
            mode="lines+markers" if metric == EVALUATION or len(run) == 1 else "lines",
            line={"color": colour, "width": 2},
            marker={"symbol": "diamond" if metric == EVALUATION else "circle", "size": 9},
            cliponaxis=metric != EVALUATION,
            hovertemplate="%{y:.4~g}",
        )
    _add_strips(figure, runs, palette, end)
    figure.update_layout(yaxis={"title": {"text": smoothed, "standoff": 6}})
    if bucket > 1:
        figure.layout.meta["bucket"] = bucket
    return figure


def _smoothed(run: RunSeries, values: Floats, window: int) -> tuple[Integers, Floats]:
    """Where to draw, and the moving average there; over whole buckets where the run's episodes are at hand in these."""
    if run.curve is None:
        buckets = group(run.episode)
        return buckets.x, buckets.last(moving_average(values, window))
    # A metric may be made of several columns: it counts where it is known.
    count = np.where(np.isfinite(values), run.curve.summary("length").count, 0)
    return run.curve.episode, trailing_buckets(values, count, window_of(run.curve.size, window) // run.curve.size)


def _add_strips(figure: go.Figure, runs: Sequence[RunSeries], palette: Sequence[str], end: int) -> None:
    """One thin row per run above the plot, its phases in two alternating strengths of the run's colour."""
    inside = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    share = min((_STRIP * len(runs)) / max(inside, 1), 0.5)
    figure.layout.yaxis.domain = [0, 1 - share - _STRIPS_GAP / max(inside, 1)]
    figure.layout.yaxis2 = {
        "domain": [1 - share, 1],
        "range": [len(runs) - 0.5, -0.5],
        "fixedrange": True,
        "visible": False,
        "anchor": "x",
    }
    named: list[dict[str, object]] = []
    for row, (run, colour) in enumerate(zip(runs, palette, strict=True)):
        bands = [band for band in run.bands if min(band.end, end) > band.start]
        starts = [band.start for band in bands]
        ends = [min(band.end, end) for band in bands]
        figure.add_bar(
            orientation="h",
            y=[row] * len(bands),
            base=starts,
            x=[stop - start for start, stop in zip(starts, ends, strict=True)],
            yaxis="y2",
            width=0.86,
            marker={
                "color": [
                    rgba(colour, _strength(index, band.start >= run.completed)) for index, band in enumerate(bands)
                ],
                "line": {"width": 1, "color": colour},
            },
            legendgroup=str(row),
            showlegend=False,
            name=chart_text(run.name),
            customdata=list(zip(starts, ends, strict=True)),
            hoverinfo="skip",
        )
        for number, (band, start, stop) in enumerate(zip(bands, starts, ends, strict=True), start=1):
            # The page writes what fits into the visible part of its phase.
            figure.add_annotation(
                name=f"band:{len(named)}",
                text=chart_text(band.name),
                x=start,
                xanchor="left",
                xshift=2,
                y=row,
                yref="y2",
                yanchor="middle",
                showarrow=False,
                font={"size": _STRIP_TEXT},
            )
            named.append({"start": start, "end": stop, "texts": [band.name, str(number)]})
    figure.layout.barmode = "overlay"
    figure.layout.meta = figure.layout.meta | {"bands": named}


def _strength(index: int, ahead: bool) -> float:
    return (0.08, 0.04)[index % 2] if ahead else (0.38, 0.2)[index % 2]


def _newest(run: RunSeries) -> str:
    return f"{run.name} at episode {run.completed:,}"
