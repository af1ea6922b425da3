"""Is the optimisation sound: how far updates move the policy, how well the critic predicts, what lies idle."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from v3core.charts.frame import Span, frame, progress_words, stack_rows
from v3core.charts.palette import CATEGORICAL
from v3core.charts.series import RunSeries
from v3core.charts.traces import add_metric

UPDATES = {
    "approx_kl": "Approximate KL (nats)",
    "router_shift": "Router shift (0 to 1)",
    "clip_fraction": "Clip fraction (0 to 1)",
    "grad_norm": "Gradient norm before clipping",
}
"""How far updates move the policy: column to title."""

NETWORK = {
    "explained_variance": "Explained variance of the value head",
    "dormant_share": "Dormant units (0 to 1)",
    "load_cv": "Load deviation / mean (0 is balance)",
}
"""What the network makes of it."""

LOWEST_VARIANCE = -1.0
"""An untrained value head explains less by orders of magnitude; drawn in full, it would flatten all that follows."""


def health_figure(
    series: RunSeries, columns: Mapping[str, str], *, name: str, span: Span = "run", height: int = 480
) -> go.Figure:
    """One row per column, each with its own scale.

    Args:
        series: the run.
        columns: `UPDATES` or `NETWORK`; those that were not recorded are left out, if others were.
        name: tells the two charts apart.
        span: how much of the run the axis shows.
        height: pixels.
    """
    curve = series.shown
    shown = {column: title for column, title in columns.items() if series.has(column)} or columns
    alt = f"{', '.join(shown.values())} of {series.name}: {progress_words(series)}."
    figure = frame(series, name=f"health-{name}", alt=alt, height=height, span=span, bucket=curve.size)
    titles = dict(shown)
    variance = series.curve.summary("explained_variance")
    cut = "explained_variance" in shown and bool((variance.minimum < LOWEST_VARIANCE).any())
    if cut:
        titles["explained_variance"] += f" (shown from {LOWEST_VARIANCE:g})".replace("-", "−")
    axes = stack_rows(figure, list(titles.values()))
    for (column, title), axis, colour in zip(shown.items(), axes, CATEGORICAL, strict=False):
        add_metric(figure, curve, column, name=title, colour=colour, axis=axis)
        layout = figure.layout[f"yaxis{axis[1:]}"]
        if column != "explained_variance":
            layout.rangemode = "tozero"
        elif cut:
            layout.range = [LOWEST_VARIANCE, max(1.05, float(np.nanmax(variance.maximum)))]
    return figure
