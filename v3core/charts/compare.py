"""Overlays of several runs, each with its own phases."""

from collections.abc import Sequence

import numpy as np

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import LEGEND_ROOM, label, plain_frame
from v3core.charts.palette import colours, rgba
from v3core.charts.series import RunSeries
from v3core.insight.loads import effective_experts
from v3core.metrics import COMPARED, ENTROPY_SHARE, EVALUATION
from v3core.rollup import Floats, Series, mean_window, trailing_mean

_STRIP = 16
"""Height of one run's strip of phases, in pixels."""

_STRIP_TEXT = 10
_STRIPS_GAP = 8
_REACHED, _AHEAD = (0.38, 0.2), (0.08, 0.04)
"""Opacities of phases, alternately."""


def values_of(run: RunSeries, metric: str, curve: Series) -> Floats:
    """A metric of a run: the mean of each bucket of one of its curves, or of each evaluation."""
    if metric == EVALUATION:
        return np.array([point.mean for point in run.evaluations])
    if metric == ENTROPY_SHARE:
        most = np.log(run.experts) if run.experts > 1 else np.nan
        return np.asarray(curve.summary("routing_entropy").mean / most, dtype=np.float64)
    recorded = curve.summary(metric)
    if metric == "effective_experts" and not recorded.count.any() and run.experts:
        # Runs of schema 1 recorded the loads alone: those of each bucket's last episode are at hand.
        return effective_experts(np.column_stack([curve.summary(load).last for load in run.of_experts("load")]))
    return recorded.mean


def metrics_of(runs: Sequence[RunSeries]) -> list[str]:
    """The metrics that at least one of the runs has a number of; all of them before the first episode."""
    if not any(len(run) for run in runs):
        return list(COMPARED)
    return [name for name in COMPARED if any(_has(run, name) for run in runs)]


def _has(run: RunSeries, metric: str) -> bool:
    values = values_of(run, metric, run.curve)
    known = values[np.isfinite(values)]
    return bool(known.any() if COMPARED[metric].optional else len(known))


def compare_figure(runs: Sequence[RunSeries], *, metric: str = "return") -> Figure:
    """Moving averages of one metric of `COMPARED`, one line per run; above them one strip per run with its phases.

    All are smoothed alike, as fits the shortest. Evaluations are few and are means already: each is a point.
    """
    smoothed = COMPARED[metric].label
    window = min((mean_window(run.end) for run in runs), default=1)
    end = max((run.end for run in runs), default=1)
    if window > 1 and metric != EVALUATION:
        spans = sorted({run.shown.span_of(window) for run in runs})
        smoothed += ", mean of last " + " to ".join(f"{span:,}" for span in dict.fromkeys((spans[0], spans[-1])))
    alt = f"{smoothed}, of {len(runs)} runs: {'; '.join(f'{run.name} at episode {run.completed:,}' for run in runs)}."
    name = "compare:" + metric + ":" + ":".join(run.name for run in runs)
    figure = plain_frame(name, alt, end=end, height=520, legend=True)
    figure.layout.margin.t = LEGEND_ROOM + _STRIPS_GAP
    palette = colours(len(runs))
    for row, (run, colour) in enumerate(zip(runs, palette, strict=True)):
        y = values_of(run, metric, run.shown)
        if metric == EVALUATION:
            x = np.array([point.episode for point in run.evaluations])
        else:
            x, curve = run.shown.episode, run.shown
            y = trailing_mean(y, curve.span_of(window) // curve.size, curve.summary("length").count)
        figure.add(
            "scatter",
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
    figure.layout.yaxis.title = {"text": smoothed, "standoff": 6}
    return figure


def _add_strips(figure: Figure, runs: Sequence[RunSeries], palette: Sequence[str], end: int) -> None:
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
        figure.add(
            "bar",
            orientation="h",
            y=[row] * len(bands),
            base=starts,
            x=[stop - start for start, stop in zip(starts, ends, strict=True)],
            yaxis="y2",
            width=0.86,
            marker={
                "color": [
                    rgba(colour, (_AHEAD if band.start >= run.completed else _REACHED)[index % 2])
                    for index, band in enumerate(bands)
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
            text = label("band", len(named), chart_text(band.name), start, font={"size": _STRIP_TEXT})
            figure.annotate(text | {"y": row, "yref": "y2", "yanchor": "middle"})
            named.append({"start": start, "end": stop, "texts": [band.name, str(number)]})
    figure.layout.barmode = "overlay"
    figure.layout.meta = figure.layout.meta | {"bands": named}
