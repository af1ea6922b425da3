"""A run and its forks in one chart: the trunk once, each fork from where it begins; and what a change did."""

from collections.abc import Sequence

import numpy as np

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import plain_frame
from v3core.charts.palette import DASHES, NEUTRAL, curriculum_colours, pattern, rgba
from v3core.charts.series import RunSeries
from v3core.insight.grids import Band, Grid
from v3core.messages import _, say, several, translated
from v3core.rollup import mean_window, trailing_mean


def branches_figure(runs: Sequence[RunSeries], begins: Sequence[int], curricula: Sequence[str]) -> Figure:
    """Mean returns of runs of one tree: a line for each, from its beginning; one colour for each curriculum.

    Args:
        runs: the tree, parents before their forks.
        begins: episodes that are another's line already; 0 for a run that is no fork, or whose parent is not drawn.
        curricula: names of theirs.
    """
    window = min((mean_window(run.end) for run in runs), default=1)
    end = max((run.end for run in runs), default=1)
    forks = sum(begin > 0 for begin in begins)
    alt = say(
        "Return, mean of last {window:,}, of {runs} runs, {forks} of them forks that begin with another's line.",
        window=window,
        runs=len(runs),
        forks=forks,
    )
    name = "branches:" + ":".join(run.name for run in runs)
    figure = plain_frame(name, alt, end=end, height=360, legend=True)
    names = list(dict.fromkeys(curricula))
    colours = curriculum_colours(names)
    shown: set[str] = set()
    for run, begin, curriculum in zip(runs, begins, curricula, strict=True):
        curve = run.shown
        y = trailing_mean(
            curve.summary("return").mean, max(1, curve.span_of(window) // curve.size), curve.summary("length").count
        )
        x = curve.episode
        from_ = int(np.searchsorted(x, begin, side="right")) - 1 if begin else 0
        own = slice(max(from_, 0), None)  # with the last point of the trunk, so that the line begins on it
        dash = pattern(DASHES, 8 * names.index(curriculum))
        figure.add(
            "scatter",
            x=x[own],
            y=y[own],
            name=chart_text(curriculum),
            legendgroup=curriculum,
            showlegend=curriculum not in shown,
            mode="lines",
            line={"color": colours[curriculum], "width": 1.5} | ({"dash": dash} if dash != "solid" else {}),
            hovertemplate=f"{chart_text(run.name)}: %{{y:.4~g}}<extra></extra>",
        )
        shown.add(curriculum)
    figure.layout.hovermode = "closest"
    figure.layout.shapes = [_mark(begin) for begin in sorted({begin for begin in begins if begin})]
    return figure


def _mark(begin: int) -> dict[str, object]:
    return {
        "type": "line",
        "x0": begin,
        "x1": begin,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": NEUTRAL, "width": 1, "dash": "dot"},
    }


def difference_figure(grid: Grid, band: Band, begin: int, base: str, change: str) -> Figure:
    """What each pair differs by since the checkpoint, thin, and their interquartile mean with its interval."""
    colour = curriculum_colours([base, change])[change]
    pairs = translated(several("{count} pair", "{count} pairs", count=len(grid.run_ids)))
    alt = say(
        "Return with {change} minus return with {base}, of {pairs} of the same seed, since episode {begin:,}.",
        change=change,
        base=base,
        pairs=pairs,
        begin=begin,
    )
    end = float(grid.x[-1]) if len(grid.x) else begin + 1
    figure = plain_frame(f"difference:{':'.join(grid.run_ids)}", alt, end=max(int(end), 1), height=260)
    figure.layout.xaxis.range = [begin, end]
    figure.layout.yaxis.merge({"zeroline": True, "title": {"text": say("Difference of return"), "standoff": 6}})
    for row in grid.y:
        line = {"color": rgba(colour, 0.35), "width": 1}
        figure.add("scatter", x=grid.x, y=row, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    if np.isfinite(band.low).any():
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        figure.add("scatter", x=band.x, y=band.low, **edge)
        figure.add("scatter", x=band.x, y=band.high, fill="tonexty", fillcolor=rgba(colour, 0.2), **edge)
    figure.add(
        "scatter",
        x=band.x,
        y=band.iqm,
        mode="lines",
        line={"color": colour, "width": 2},
        name=_("Difference"),
        hovertemplate="%{y:.4~g}",
    )
    return figure
