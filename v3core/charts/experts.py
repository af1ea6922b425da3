"""Charts of the experts beside their loads: how many share the work, and how much each of them learns."""

import plotly.graph_objects as go

from v3core.charts.figures import MAX_AREAS
from v3core.charts.frame import Span, frame, progress_words
from v3core.charts.palette import CATEGORICAL, colours
from v3core.charts.series import RunSeries
from v3core.charts.traces import add_heatmap, add_level, add_metric


def effective_experts_figure(series: RunSeries, *, span: Span = "run", height: int = 300) -> go.Figure:
    """How many experts share the load, and how many a step uses, of N.

    Args:
        series: the run; reads columns `effective_experts` and `support`.
        span: how much of the run the axis shows.
        height: pixels.
    """
    curve = series.shown
    alt = f"Effective experts and support of {series.name}, of {series.experts}: {progress_words(series)}."
    figure = frame(series, name="effective", alt=alt, height=height, span=span, legend=True, bucket=curve.size)
    for column, name, colour in (
        ("effective_experts", "Effective experts", CATEGORICAL[0]),
        ("support", "Support", CATEGORICAL[7]),
    ):
        add_metric(figure, curve, column, name=name, colour=colour, number=".2f", width=2)
    if series.experts:
        add_level(figure, series.end, series.experts, name=f"N = {series.experts}")
    figure.update_yaxes(title={"text": "Experts", "standoff": 6}, range=[0, max(series.experts, 1) * 1.08])
    return figure


def expert_gradients_figure(series: RunSeries, *, span: Span = "run", height: int = 300) -> go.Figure:
    """Norm of the gradient of each expert's parameters, one line per expert; rows of a heatmap where they are many.

    Args:
        series: the run; reads `expert_grad_norm` of each expert.
        span: how much of the run the axis shows.
        height: pixels.
    """
    experts, norms = series.experts, series.of_experts("expert_grad_norm")
    curve = series.shown
    alt = f"Gradient norm of each of {experts} experts in {series.name}: {progress_words(series)}."
    lines = experts <= MAX_AREAS
    figure = frame(series, name="gradients", alt=alt, height=height, span=span, legend=lines, bucket=curve.size)
    if not lines:
        add_heatmap(figure, curve, norms, title="Norm", number=".2~g")
        return figure
    for expert, (norm, colour) in enumerate(zip(norms, colours(experts), strict=True), start=1):
        add_metric(figure, curve, norm, name=f"Expert {expert}", colour=colour, spread=False)
    figure.update_yaxes(title={"text": "Gradient norm", "standoff": 6}, rangemode="tozero")
    return figure
