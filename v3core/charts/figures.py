"""The charts of one run: return, success, losses, loads, routing entropy, schedule. Data in, figure out."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go

from v3core.charts.frame import Span, frame, name_routing, progress_words, stack_rows
from v3core.charts.knobs import KNOB_TITLES, add_plan
from v3core.charts.palette import CATEGORICAL, NEUTRAL, colours, rgba
from v3core.charts.series import RunSeries
from v3core.charts.traces import add_evaluated_success, add_evaluations, add_heatmap, add_level, add_metric
from v3core.curriculum import BaseValues, Curriculum
from v3core.rollup import mean_window

MAX_AREAS = 12
"""With more experts than this, loads are drawn as a heatmap: areas would be slivers."""

SUCCESS_BUCKETS = 50
"""At most: a rate wants more episodes per point than a return does."""

_BEHIND = CATEGORICAL[4]
"""Colour of the episodes behind their moving average."""

LOSSES = {
    "policy_loss": "Policy loss",
    "value_loss": "Value loss",
    "load_balance_loss": "Load-balance loss",
    "action_entropy": "Action entropy (nats)",
}


def return_figure(
    series: RunSeries,
    *,
    threshold: float | None = None,
    window: int | None = None,
    span: Span = "run",
    height: int = 320,
) -> go.Figure:
    """Return of each episode, its moving average, and the evaluations apart from training.

    Args:
        series: the run; reads column `return`, and the evaluations.
        threshold: the environment's own reward threshold, drawn as a level.
        window: episodes of the moving average; by default what fits the run's length.
        span: how much of the run the axis shows.
        height: pixels.
    """
    window = window or mean_window(series.end)
    curve, average = series.shown, series.curve.trailing("return", window)
    newest = f", mean of the last {window}: {average[-1]:.1f}" if len(series) and math.isfinite(average[-1]) else ""
    alt = f"Return per episode of {series.name}: {progress_words(series)}{newest}{_evaluated(series)}."
    figure = frame(series, name="return", alt=alt, height=height, span=span, legend=True, bucket=curve.size)
    colour = CATEGORICAL[0]
    if curve.size == 1:
        figure.add_scatter(
            x=curve.episode,
            y=curve.summary("return").last,
            name="Episode",
            mode="markers",
            marker={"size": 5, "color": colour, "opacity": 0.45},
            hovertemplate="%{y:.4~g}",
        )
    else:
        add_metric(
            figure, curve, "return", name=f"Mean of {curve.size:,} episodes", colour=_BEHIND,
            width=1, number=".4~g",
        )  # fmt: skip
    figure.add_scatter(
        x=curve.episode,
        y=curve.trailing("return", window),
        name=f"Mean of last {window}",
        mode="lines+markers" if len(series) == 1 else "lines",
        line={"color": colour, "width": 2.5},
        hovertemplate="%{y:.4~g}",
    )
    if threshold is not None:
        add_level(figure, series.end, threshold, name=f"Reward threshold {threshold:g}")
    add_evaluations(figure, series.evaluations)
    figure.update_yaxes(title={"text": "Return", "standoff": 6}, rangemode="tozero")
    return figure


def success_figure(series: RunSeries, *, window: int | None = None, span: Span = "run", height: int = 220) -> go.Figure:
    """Share of episodes that solved the task: of each bucket, of the last episodes, and in evaluations.

    Args:
        series: the run; reads column `success` (0 or 1), and the evaluations.
        window: episodes of the moving average; by default what fits the run's length.
        span: how much of the run the axis shows.
        height: pixels.
    """
    window = window or mean_window(series.end)
    curve, wide = series.shown, series.shown.in_at_most(SUCCESS_BUCKETS)
    average = series.curve.trailing("success", window)
    newest = f", of the last {window}: {average[-1]:.0%}" if len(series) and math.isfinite(average[-1]) else ""
    alt = f"Success rate of {series.name}: {progress_words(series)}{newest}."
    figure = frame(series, name="success", alt=alt, height=height, span=span, legend=True, bucket=curve.size)
    if wide.size > 1:
        figure.add_scatter(
            x=wide.episode,
            y=wide.summary("success").mean,
            name=f"Rate in {wide.size:,} episodes",
            mode="lines",
            line={"color": _BEHIND, "width": 1, "shape": "vh"},
            hovertemplate="%{y:.0%}",
        )
    figure.add_scatter(
        x=curve.episode,
        y=curve.trailing("success", window),
        name=f"Rate in last {window}",
        mode="lines+markers" if len(series) == 1 else "lines",
        line={"color": CATEGORICAL[0], "width": 2.5},
        hovertemplate="%{y:.0%}",
    )
    add_evaluated_success(figure, series.evaluations)
    figure.update_yaxes(
        title={"text": "Success rate", "standoff": 6}, range=[-0.02, 1.05], tickformat=".0%", tickvals=[0, 0.5, 1]
    )
    return figure


def losses_figure(series: RunSeries, *, span: Span = "run", height: int = 480) -> go.Figure:
    """Policy, value and load-balance loss and action entropy of the updates, one row each with its own scale."""
    curve = series.shown
    alt = f"Losses of {series.name}, by episode: {progress_words(series)}."
    figure = frame(series, name="losses", alt=alt, height=height, span=span, bucket=curve.size)
    axes = stack_rows(figure, list(LOSSES.values()))
    for (column, title), axis, colour in zip(LOSSES.items(), axes, CATEGORICAL, strict=False):
        add_metric(figure, curve, column, name=title, colour=colour, axis=axis)
    return figure


def expert_loads_figure(series: RunSeries, *, span: Span = "run", height: int = 300) -> go.Figure:
    """Mean gate weight of each expert; the weights of an episode sum to 1."""
    experts = series.experts
    curve = series.shown
    even = f"; an even share is {1 / experts:.1%}" if experts else ""
    alt = f"Load of {experts} experts in {series.name}: {progress_words(series)}{_heaviest(series)}{even}."
    areas = experts <= MAX_AREAS
    figure = frame(series, name="loads", alt=alt, height=height, span=span, legend=areas, bucket=curve.size)
    figure.layout.meta["experts"] = experts
    loads = series.of_experts("load")
    if not areas:
        add_heatmap(figure, curve, loads, title="Load", number=".0%")
        return figure
    for expert, (load, colour) in enumerate(zip(loads, colours(experts), strict=True), start=1):
        figure.add_scatter(
            x=curve.episode,
            y=curve.summary(load).mean,
            name=f"Expert {expert}",
            stackgroup="load",
            mode="lines" if len(curve) > 1 else "lines+markers",
            line={"width": 0.5, "color": colour},
            fillcolor=rgba(colour, 0.75),
            hovertemplate="%{y:.1%}",
        )
    title = f"Load (even: {1 / experts:.0%})" if experts else "Load"
    figure.update_yaxes(title={"text": title, "standoff": 6}, range=[0, 1], tickformat=".0%", nticks=5)
    return figure


def routing_entropy_figure(series: RunSeries, *, span: Span = "run", height: int = 300) -> go.Figure:
    """Entropy of the gates and of the load, and their difference, against ln N: is a step's choice sharp, and whose.

    E[H(α)] falls when each step is routed sharply, H(E[α]) when few experts do all the work. The difference is the
    mutual information of step and expert: high only if sharp choices differ from step to step.

    Args:
        series: the run; reads columns `routing_entropy`, `load_entropy`, `specialisation`; those that were not
            recorded are left out.
        span: how much of the run the axis shows.
        height: pixels.
    """
    curve = series.shown
    most = math.log(series.experts) if series.experts else 0.0
    label = f"ln {series.experts} = {most:.3f}"
    specialisation = series.newest("specialisation")
    newest = f", newest specialisation {specialisation:.3f}" if math.isfinite(specialisation) else ""
    alt = f"Routing entropy of {series.name} in nats, at most {label}: {progress_words(series)}{newest}."
    figure = frame(series, name="routing-entropy", alt=alt, height=height, span=span, legend=True, bucket=curve.size)
    shared = series.has("load_entropy", "specialisation")
    if shared:
        add_metric(
            figure, curve, "load_entropy", name="H(E[α]), load", colour=CATEGORICAL[0],
            number=".3f", spread=False,
        )  # fmt: skip
    add_metric(
        figure, curve, "routing_entropy", name="E[H(α)], steps", colour=CATEGORICAL[2],
        number=".3f", spread=not shared,
    )  # fmt: skip
    if shared:
        colour = CATEGORICAL[3]
        add_metric(
            figure, curve, "specialisation", name="Specialisation", colour=colour,
            number=".3f", spread=False,
        )  # fmt: skip
        figure.data[-1].update(fill="tozeroy", fillcolor=rgba(colour, 0.18))
    add_level(figure, series.end, most, name=label)
    top = most * 1.08 if most > 0 else 0.1
    figure.update_yaxes(title={"text": "Entropy (nats)", "standoff": 6}, range=[0, top])
    return figure


def schedule_figure(
    series: RunSeries,
    curriculum: Curriculum,
    base: BaseValues,
    *,
    knobs: Sequence[str] = ("temperature", "lr"),
    span: Span = "run",
    height: int = 320,
) -> go.Figure:
    """What the curriculum plans against what the router and the optimiser really used; routing in the bands' names.

    Args:
        series: the run; reads a column by each knob's name: effective values.
        curriculum: the revision in force.
        base: the run's base values.
        knobs: which settings to draw, one row each.
        span: how much of the run the axis shows.
        height: pixels.
    """
    curve = series.shown
    alt = f"Schedule of {series.name}, planned and in effect: {progress_words(series)}."
    figure = frame(series, name="schedule", alt=alt, height=height, span=span, legend=True, bucket=curve.size)
    name_routing(figure, series.bands)
    axes = stack_rows(figure, [KNOB_TITLES[knob] for knob in knobs])
    for row, (knob, axis) in enumerate(zip(knobs, axes, strict=True)):
        title, colour = KNOB_TITLES[knob], CATEGORICAL[0]
        planned, effective = (f"{title}, {what}: %{{y:.4~g}}<extra></extra>" for what in ("planned", "in effect"))
        add_plan(
            figure, curriculum, series.end, base, knob, name="Planned", colour=NEUTRAL, axis=axis, dash="dash",
            hover=planned, starts=series.starts, steps_at=_steps_at(series),
        )  # fmt: skip
        add_metric(figure, curve, knob, name="In effect", colour=colour, axis=axis, width=2, hover=effective)
        if row:
            figure.for_each_trace(lambda trace: trace.update(showlegend=False), selector={"yaxis": axis})
        figure.layout[f"yaxis{axis[1:]}"].rangemode = "tozero"
    return figure


def _steps_at(series: RunSeries) -> Callable[[float], float]:
    """Environment steps by completed episodes, as recorded; NaN ahead of the newest episode."""
    episode = np.concatenate(([0.0], series.curve.episode))
    step = np.concatenate(([0.0], series.curve.summary("step").last))
    return lambda complete: float(np.interp(complete, episode, step, right=np.nan))


def _heaviest(series: RunSeries) -> str:
    loads = [series.newest(load) for load in series.of_experts("load")]
    if not np.isfinite(loads).any():
        return ""
    expert = int(np.nanargmax(loads))
    return f", in the newest expert {expert + 1} carries most, {loads[expert]:.0%}"


def _evaluated(series: RunSeries) -> str:
    if not series.evaluations:
        return ""
    newest = series.evaluations[-1]
    return f"; evaluated at episode {newest.episode:,}: {newest.mean:.1f} over {newest.count} episodes"
