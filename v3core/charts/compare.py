"""Overlays of several runs, each with its own phases."""

import math
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import LEGEND_ROOM, label, plain_frame
from v3core.charts.look import AS_TRAINED, Look, dress, places, start_of
from v3core.charts.palette import DASHES, curriculum_colours, curriculum_mark, pattern, rgba, run_colours
from v3core.charts.series import RunSeries
from v3core.charts.traces import add_partial
from v3core.insight.measures import measured, trailing
from v3core.messages import _, say, translated
from v3core.metrics import (
    AT_EVALUATIONS,
    COMPARED,
    ENTROPY_SHARE,
    EVALUATION,
    EVALUATION_SUCCESS,
    KNOCKOUT,
    POOLED,
    WINDOWED,
)
from v3core.phrases import listed, strung
from v3core.rollup import Floats, Series

_STRIP = 16
"""Height of one run's strip of phases, in pixels."""

_STRIP_TEXT = 10
_STRIPS_GAP = 8
_REACHED, _AHEAD = (0.38, 0.2), (0.08, 0.04)
"""Opacities of phases, alternately."""


def values_of(run: RunSeries, metric: str, curve: Series) -> Floats:
    """A metric of a run: as `measured` of each bucket of one of its curves, or the mean of each evaluation."""
    if metric in AT_EVALUATIONS:
        field = {EVALUATION: "mean", EVALUATION_SUCCESS: "success", KNOCKOUT: "knockout"}[metric]
        return np.array([getattr(point, field) for point in run.evaluations], dtype=np.float64)
    return measured(curve, metric)[0]


def metrics_of(runs: Sequence[RunSeries]) -> list[str]:
    """The metrics that at least one of the runs has a number of; all of them before the first episode."""
    if not any(len(run) for run in runs):
        return list(COMPARED)
    return [name for name in COMPARED if any(_has(run, name) for run in runs)]


def _has(run: RunSeries, metric: str) -> bool:
    values = values_of(run, metric, run.curve)
    known = values[np.isfinite(values)]
    return bool(known.any() if COMPARED[metric].optional else len(known))


def compare_figure(
    runs: Sequence[RunSeries],
    *,
    metric: str = "return",
    look: Look = AS_TRAINED,
    unit: float = 1.0,
    environments: Sequence[str] = (),
    curricula: Sequence[str] = (),
) -> Figure:
    """Moving averages of one metric of `COMPARED`, one line per run; above them one strip per run with its phases.

    All are smoothed alike, by default as fits the shortest; metrics of `WINDOWED` are not. Evaluations are few and are
    means already: each is a point.
    Runs that have not begun the phase of the `look` are omitted. `unit` is that of `unit_of`; `environments` are those
    of the runs: if there are several, the caption says so. `curricula` are the names of theirs.
    """
    caption = [environment_words([run.name for run in runs], environments)]
    palette = run_colours(len(runs))
    begun = [start_of(run, look) is not None for run in runs]
    if missing := [run.name for run, has_begun in zip(runs, begun, strict=True) if not has_begun]:
        caption.append(
            say(
                "Not shown, because the phase {phase} has not begun: {missing}.",
                phase=look.phase,
                missing=listed(missing),
            )
        )
    # A run keeps its colour and pattern, whoever is missing.
    order = list(compress(range(len(runs)), begun))
    palette, runs = [palette[row] for row in order], [runs[row] for row in order]
    smoothed = translated(COMPARED[metric].label)
    window = 1 if metric in WINDOWED else look.window or min((run.mean_over for run in runs), default=1)
    place = [places(run, look, unit) for run in runs]
    to_now = look.so_far or look.x != "episode"
    end = max((float(at(run.completed if to_now else run.end)) for at, run in zip(place, runs, strict=True)), default=1)
    if window > 1 and metric not in AT_EVALUATIONS:
        spans = sorted({run.shown.span_of(window) for run in runs})
        span = say("{least:,} to {most:,}", least=spans[0], most=spans[-1]) if len(spans) > 1 else f"{spans[0]:,}"
        words = _("{metric}, steps of last {span}") if metric in POOLED else _("{metric}, mean of last {span}")
        smoothed = say(words, metric=smoothed, span=span)
    alt = say(
        "{metric}, of {runs} runs: {each}.",
        metric=smoothed,
        runs=len(runs),
        each=strung(
            _("; "), [_("{name} at episode {completed:,}", name=run.name, completed=run.completed) for run in runs]
        ),
    )
    name = "compare:" + metric + ":" + ":".join(run.name for run in runs)
    figure = plain_frame(name, alt, end=max(math.ceil(end), 1), height=520, legend=True)
    if look.x != "episode":
        dress(figure, look, unit, end=end)
    elif look.phase:
        title = say("Episodes since the start of {phase}", phase=chart_text(look.phase))
        figure.layout.xaxis.merge({"title": {"text": title}})
        figure.layout.xaxis.unifiedhovertitle.text = say(
            "{number} episodes since the start of {phase}", number="%{x:,d}", phase=chart_text(look.phase)
        )
    figure.layout.margin.t = LEGEND_ROOM + _STRIPS_GAP
    for row, (run, colour, at) in enumerate(zip(runs, palette, place, strict=True)):
        dash = pattern(DASHES, order[row])
        if metric in AT_EVALUATIONS:
            x, y = np.array([point.episode for point in run.evaluations]), values_of(run, metric, run.shown)
        else:
            x, curve = run.shown.episode, run.shown
            y = trailing(curve, metric, window)
            reached = curve.spans(window)
            if reached.any():
                y = np.where(reached | (window == 1), y, np.nan)
            elif len(curve):
                dash = "dot"
                caption.append(
                    say(
                        "{name} has {completed:,} episodes, fewer than {window:,}: dotted.",
                        name=run.name,
                        completed=run.completed,
                        window=window,
                    )
                )
        figure.add(
            "scatter",
            x=at(x),
            y=y,
            name=chart_text(run.name),
            legendgroup=str(row),
            mode="lines+markers" if metric in AT_EVALUATIONS or len(run) == 1 else "lines",
            line={"color": colour, "width": 2} | ({"dash": dash} if dash != "solid" else {}),
            marker={"symbol": "diamond" if metric in AT_EVALUATIONS else "circle", "size": 9},
            cliponaxis=metric not in AT_EVALUATIONS,
            hovertemplate="%{y:.4~g}",
        )
        if metric not in AT_EVALUATIONS and window > 1:
            add_partial(figure, _is_full(run.shown, metric, window))
    colours = curriculum_colours(curricula or ())
    strips = [colours[curricula[row]] for row in order] if curricula else palette
    marks = [f"{curriculum_mark(curricula[row])} " if curricula else "" for row in order]
    _add_strips(figure, runs, palette, strips, marks, place, plan=not to_now)
    figure.layout.meta.caption = " ".join(filter(None, caption))
    figure.layout.yaxis.title = {"text": smoothed, "standoff": 6}
    return figure


def _is_full(curve: Series, metric: str, window: int) -> NDArray[np.bool_]:
    """Whether each mean is of episodes that all have a number."""
    name = "routing_entropy" if metric == ENTROPY_SHARE else metric
    is_recorded = name in curve.metrics and curve.summary(name).count.any()
    return curve.spans(window) & curve.has_all(name if is_recorded else "length", window)


def environment_words(names: Sequence[str], environments: Sequence[str]) -> str:
    """A sentence if runs of several environments share the axes; empty if not."""
    if len(set(environments)) < 2:
        return ""
    of_each = {
        env: listed([name for name, own in zip(names, environments, strict=True) if own == env])
        for env in dict.fromkeys(environments)
    }
    parts = strung(_("; "), [_("{name} ({value})", name=env, value=runs) for env, runs in of_each.items()])
    return say(
        "These runs train in different environments, so their numbers have different scales: {parts}.", parts=parts
    )


def _add_strips(
    figure: Figure,
    runs: Sequence[RunSeries],
    palette: Sequence[str],
    strips: Sequence[str],
    marks: Sequence[str],
    place: Sequence[Callable[[Any], Any]],
    *,
    plan: bool,
) -> None:
    """One thin row per run above the plot, its phases in two alternating strengths of the curriculum's colour.

    The first begins with the curriculum's mark, as on Runs. At its left edge is the run's own.
    """
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
    for row, (run, own, colour, mark, at) in enumerate(zip(runs, palette, strips, marks, place, strict=True)):
        last = run.end if plan else run.completed
        bands = [band for band in run.bands if min(band.end, last) > band.start]
        starts = [float(at(band.start)) for band in bands]
        ends = [float(at(min(band.end, last))) for band in bands]
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
        edge = {"type": "line", "name": "run", "xref": "paper", "x0": 0, "x1": 0, "yref": "y2"}
        edge |= {"y0": row - 0.43, "y1": row + 0.43, "line": {"width": 6, "color": own}}
        figure.layout.shapes = [*figure.layout.shapes, edge]
        for number, (band, start, stop) in enumerate(zip(bands, starts, ends, strict=True), start=1):
            # The page writes what fits into the visible part of its phase.
            before = mark if number == 1 else ""
            text = label("band", len(named), before + chart_text(band.name), start, font={"size": _STRIP_TEXT})
            figure.annotate(text | {"y": row, "yref": "y2", "yanchor": "middle"})
            named.append({"start": start, "end": stop, "texts": [before + band.name, f"{before}{number}"]})
    figure.layout.barmode = "overlay"
    figure.layout.meta = figure.layout.meta | {"bands": named}
