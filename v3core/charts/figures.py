"""The charts of one run except its schedule. Data in, figure out."""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np

from v3core import metrics
from v3core.charts.figure import Figure
from v3core.charts.frame import frame, progress_words, stack_rows
from v3core.charts.palette import DASHES, expert_colours, pattern, rgba
from v3core.charts.palette import METRICS as METRIC_COLOURS
from v3core.charts.series import RunSeries
from v3core.charts.traces import (
    add_areas,
    add_evaluated_success,
    add_evaluations,
    add_heatmap,
    add_level,
    add_metric,
    add_partial,
    is_short,
    loads_over,
    mean_of,
    trailing_mean_of,
)
from v3core.messages import _, say, translated, with_minus
from v3core.metrics import METRICS, Chart, Metric, of_chart
from v3core.phrases import listed
from v3core.rollup import LONGEST_WINDOW

MAX_AREAS = 12
"""With more experts than this, loads are drawn as a heatmap: areas would be slivers."""

SUCCESS_BUCKETS = 50
"""At most: a rate wants more episodes per point than a return does."""

_BEHIND, _AVERAGE = METRIC_COLOURS[:2]
"""Colours of episodes and of their moving average in front of them."""

_ROWS_HEIGHT, _FRAME_HEIGHT, _ROW_HEIGHT = 480, 66, 103
"""Heights in pixels of a chart of rows: the minimum, the margin and one row."""


def return_figure(series: RunSeries, *, threshold: float | None = None) -> Figure:
    """Return of each episode, its moving average, evaluations, and the environment's own reward threshold."""
    curve, window = series.shown, series.mean_over
    newest = _newest_average(series, "return", _(", mean of {span}: {mean:.1f}"))
    for point in series.evaluations[-1:]:
        newest += say(
            "; evaluated at episode {episode:,}: {mean:.1f} over {count} episodes",
            episode=point.episode,
            mean=point.mean,
            count=point.count,
        )
    alt = say(
        "Return per episode of {name}: {progress}{newest}.",
        name=series.name,
        progress=progress_words(series),
        newest=newest,
    )
    figure = frame(series, metrics.RETURN.name, alt, height=320, legend=True, title=say("Return"))
    if curve.size == 1:
        figure.add(
            "scatter",
            x=curve.episode,
            y=curve.summary("return").last,
            name=_("Episode"),
            mode="markers",
            marker={"size": 5, "color": _BEHIND, "opacity": 0.7},
            hovertemplate="%{y:.4~g}",
        )
    else:
        name = _("Mean of {size:,} episodes", size=curve.size)
        add_metric(figure, curve, "return", name=name, colour=_BEHIND, width=1, number=".4~g")
    if window > 1:
        _add_average(figure, series, "return", name=series.mean_words(exact=window == LONGEST_WINDOW), number=".4~g")
    if threshold is not None:
        add_level(figure, series.end, threshold, name=_("Reward threshold {threshold:g}", threshold=threshold))
    add_evaluations(figure, series.evaluations)
    figure.layout.yaxis.rangemode = "tozero"
    return figure


def success_figure(series: RunSeries) -> Figure:
    """Share of episodes that solved the task: of each bucket, of the last episodes, and in evaluations."""
    wide = series.shown.in_at_most(SUCCESS_BUCKETS)
    newest = _newest_average(series, "success", _(", of {span}: {mean:.0%}"))
    alt = say(
        "Success rate of {name}: {progress}{newest}.", name=series.name, progress=progress_words(series), newest=newest
    )
    figure = frame(series, metrics.SUCCESS.name, alt, height=220, legend=True, title=say("Success rate"))
    if wide.size > 1:
        figure.add(
            "scatter",
            x=wide.episode,
            y=wide.summary("success").mean,
            name=_("Rate in {size:,} episodes", size=wide.size),
            mode="lines",
            line={"color": _BEHIND, "width": 1, "shape": "vh"},
            hovertemplate="%{y:.0%}",
        )
    _add_average(figure, series, "success", name=series.mean_words(rate=True), number=".0%")
    add_evaluated_success(figure, series.evaluations)
    figure.layout.yaxis.merge({"range": [-0.02, 1.05], "tickformat": ".0%", "tickvals": [0, 0.5, 1]})
    return figure


def expert_loads_figure(series: RunSeries) -> Figure:
    """Mean gate weight of each expert; the weights of an episode sum to 1."""
    experts, curve = series.experts, series.shown
    even = say("; an even share is {share:.1%}", share=1 / experts) if experts else ""
    alt = say(
        "Load of {experts} experts in {name}: {progress}{heaviest}{even}.",
        experts=experts,
        name=series.name,
        progress=progress_words(series),
        heaviest=_heaviest(series),
        even=even,
    )
    title = say("Load (even: {share:.0%})", share=1 / experts) if experts else say("Load")
    figure = frame(series, metrics.LOADS.name, alt, legend=experts <= MAX_AREAS, title=title)
    if experts > MAX_AREAS:
        add_heatmap(figure, curve, loads_over(curve, "load", series.window), title=say("Load"), number=".0%")
        return figure
    add_areas(figure, curve, "load", window=series.window)
    figure.layout.yaxis.merge({"range": [0, 1], "tickformat": ".0%", "nticks": 5})
    return figure


def expert_gradients_figure(series: RunSeries) -> Figure:
    """Norm of the gradient of each expert's parameters, one line per expert, or a heatmap if there are many."""
    experts, curve, norms = series.experts, series.shown, series.of_experts("expert_grad_norm")
    alt = say(
        "Gradient norm of each of {experts} experts in {name}: {progress}.",
        experts=experts,
        name=series.name,
        progress=progress_words(series),
    )
    figure = frame(series, metrics.GRADIENTS.name, alt, legend=experts <= MAX_AREAS, title=say("Gradient norm"))
    if experts > MAX_AREAS:
        of_each = np.array([mean_of(curve, norm, series.window) for norm in norms])
        add_heatmap(figure, curve, of_each.T, title=say("Norm"), number=".2~g")
        return figure
    for expert, (norm, colour) in enumerate(zip(norms, expert_colours(experts), strict=True), start=1):
        looks: dict[str, Any] = {
            "colour": colour,
            "dash": pattern(DASHES, expert - 1),
            "spread": False,
            "window": series.window,
        }
        add_metric(figure, curve, norm, name=_("Expert {number}", number=expert), **looks)
    figure.layout.yaxis.rangemode = "tozero"
    return figure


def entropy_figure(series: RunSeries) -> Figure:
    """The entropies against ln N, each a line: is a step's choice sharp, and do the experts share the work.

    E[H(α)] falls when each step is routed sharply, H(E[α]) when few experts do all the work. The difference is the
    mutual information of step and expert: high only if sharp choices differ from step to step.
    """
    most = math.log(series.experts) if series.experts else 0.0
    label = f"ln {series.experts} = {most:.3f}"
    specialisation = series.newest("specialisation")
    newest = (
        say(", latest specialisation {specialisation:.3f}", specialisation=specialisation)
        if math.isfinite(specialisation)
        else ""
    )
    alt = say(
        "Routing entropy of {name} in nats, at most {label}: {progress}{newest}.",
        name=series.name,
        label=label,
        progress=progress_words(series),
        newest=newest,
    )
    figure = _lines(series, metrics.ENTROPY, alt, title=say("Entropy (nats)"), number=".3f", width=1.5, spread=False)
    area = next((trace for trace in figure.data if trace.name == translated(METRICS["specialisation"].legend)), None)
    if area:
        area.update(fill="tozeroy", fillcolor=rgba(area.line.color, 0.18))
    add_level(figure, series.end, most, name=label)
    figure.layout.yaxis.range = [0, most * 1.08 if most > 0 else 0.1]
    return figure


def effective_experts_figure(series: RunSeries) -> Figure:
    """How many experts share the load, and how many a step uses, of N; each a line."""
    alt = say(
        "Effective experts and support of {name}, of {experts}: {progress}.",
        name=series.name,
        experts=series.experts,
        progress=progress_words(series),
    )
    figure = _lines(series, metrics.EFFECTIVE, alt, title=say("Experts"), number=".2f", width=2, spread=True)
    if series.experts:
        add_level(figure, series.end, series.experts, name=f"N = {series.experts}")
    figure.layout.yaxis.range = [0, max(series.experts, 1) * 1.08]
    return figure


def rows_figure(series: RunSeries, chart: Chart) -> Figure:
    """The metrics of `LOSSES`, `UPDATES` or `NETWORK`, one row each with its own scale, without the unrecorded."""
    curve, shown = series.shown, _recorded(series, chart)
    alt = say(
        "{metrics} of {name}: {progress}.",
        metrics=listed([metric.label for metric in shown]),
        name=series.name,
        progress=progress_words(series),
    )
    figure = frame(series, chart.name, alt, height=max(_ROWS_HEIGHT, _FRAME_HEIGHT + _ROW_HEIGHT * len(shown)))
    cut = [bool((series.curve.summary(metric.name).minimum < metric.lowest_drawn).any()) for metric in shown]
    titles = [
        say("{metric} (shown from {least})", metric=metric.label, least=with_minus(f"{metric.lowest_drawn:g}"))
        if is_cut
        else metric.label
        for metric, is_cut in zip(shown, cut, strict=True)
    ]
    for metric, is_cut, axis in zip(shown, cut, stack_rows(figure, titles), strict=True):
        looks: dict[str, Any] = {"colour": METRIC_COLOURS[0], "window": series.window}
        add_metric(figure, curve, metric.name, name=metric.label, axis=axis, **looks)
        layout = figure.layout[f"yaxis{axis[1:]}"]
        if is_cut:
            highest = float(np.nanmax(series.curve.summary(metric.name).maximum))
            layout.range = [metric.lowest_drawn, max(1.05, highest)]
        elif chart.from_zero and math.isinf(metric.lowest_drawn):
            layout.rangemode = "tozero"
    return figure


def _recorded(series: RunSeries, chart: Chart) -> Sequence[Metric]:
    """The metrics of a chart that the run has; all of them if it has none.

    Without those that others are drawn instead of, unless a part of the run did not record these.
    """
    recorded = [metric for metric in of_chart(chart) if series.has(metric.name)] or of_chart(chart)
    counts = {metric.name: int(series.curve.summary(metric.name).count.sum()) for metric in recorded}
    replaced = {metric.instead_of for metric in recorded if counts[metric.name] >= counts.get(metric.instead_of, 0)}
    return [metric for metric in recorded if metric.name not in replaced]


def _lines(series: RunSeries, chart: Chart, alt: str, *, title: str, number: str, width: float, spread: bool) -> Figure:
    """The metrics of a chart over one scale, each with its colour whichever others were recorded."""
    shown = _recorded(series, chart)
    looks: dict[str, Any] = {"number": number, "width": width, "spread": spread or len(shown) == 1}
    looks["window"] = series.window
    figure = frame(series, chart.name, alt, legend=True, title=title)
    for metric, colour in zip(of_chart(chart), cycle(METRIC_COLOURS), strict=False):
        if metric in shown:
            add_metric(figure, series.shown, metric.name, name=metric.legend or metric.title, colour=colour, **looks)
    return figure


def _newest_average(series: RunSeries, metric: str, words: str) -> str:
    """The newest mean that is of as many episodes as it says."""
    averages = trailing_mean_of(series.curve, metric, series.mean_over)
    known = averages[np.isfinite(averages)]
    if not len(known):
        return ""
    span = say("the last {count}", count=series.curve.spanned(metric, series.mean_over))
    if series.completed < series.mean_over:
        span = say("the {count} so far", count=series.completed)
    return say(words, span=span, mean=known[-1])


def _add_average(figure: Figure, series: RunSeries, metric: str, *, name: str, number: str) -> None:
    figure.add(
        "scatter",
        x=series.shown.episode,
        y=trailing_mean_of(series.shown, metric, series.mean_over),
        name=name,
        mode="lines+markers" if len(series) == 1 else "lines",
        line={"color": _AVERAGE, "width": 2.5}
        | ({"dash": "dot"} if is_short(series.curve, metric, series.mean_over) else {}),
        hovertemplate=f"%{{y:{number}}}",
    )
    add_partial(figure, series.shown.is_full(metric, series.mean_over))


def _heaviest(series: RunSeries) -> str:
    loads = [series.newest(load) for load in series.of_experts("load")]
    if not np.isfinite(loads).any():
        return ""
    expert = int(np.nanargmax(loads))
    return say(", latest highest load: expert {number} with {load:.0%}", number=expert + 1, load=loads[expert])
