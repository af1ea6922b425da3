"""Traces that several charts use: a mean with the band of its extremes, a plan, a level."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from v3core.charts.buckets import Buckets
from v3core.charts.palette import NEUTRAL, rgba
from v3core.charts.series import Floats


def add_column(
    figure: go.Figure,
    buckets: Buckets,
    values: Floats,
    *,
    name: str,
    colour: str,
    axis: str = "y",
    number: str = ".3g",
    hover: str | None = None,
    width: float = 1.5,
) -> None:
    """Draw a column: every value, or per bucket the mean in front of a band from the lowest to the highest.

    Args:
        figure: drawn into.
        buckets: how to group the rows.
        values: the column, shape [rows].
        name: in the legend and the hover.
        colour: `#rrggbb`.
        axis: the y axis, as in `y2`.
        number: d3 format of a value in the hover.
        hover: plotly's hover template, in place of value and extremes.
        width: of the line, in pixels.
    """
    summary = buckets.summary(values)
    text = f"%{{y:{number}}}"
    lone = _lone(summary.mean)
    spread = None
    if buckets.size > 1:
        _add_spread(figure, buckets, summary.minimum, summary.maximum, colour=colour, axis=axis, group=name)
        spread = np.column_stack((summary.minimum, summary.maximum))
        text += f"  (%{{customdata[0]:{number}}} to %{{customdata[1]:{number}}})"
    figure.add_scatter(
        x=buckets.x,
        y=summary.mean,
        customdata=spread,
        name=name,
        legendgroup=name,
        yaxis=axis,
        # A lone value between two gaps has no line to be seen by.
        mode="lines+markers" if lone.any() else "lines",
        marker={"size": np.where(lone, 5, 0), "color": colour, "opacity": 1} if lone.any() else None,
        line={"color": colour, "width": width},
        hovertemplate=hover or text,
    )


def add_level(figure: go.Figure, end: float, level: float, *, name: str, axis: str = "y") -> None:
    """Draw a dashed level from 0 to `end`."""
    figure.add_scatter(
        x=[0, end],
        y=[level, level],
        name=name,
        mode="lines",
        yaxis=axis,
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )


def _add_spread(
    figure: go.Figure, buckets: Buckets, minimum: Floats, maximum: Floats, *, colour: str, axis: str, group: str
) -> None:
    """A closed outline around each stretch without gaps."""
    known = ~np.isnan(minimum)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    x: list[Floats] = []
    y: list[Floats] = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        along = buckets.x[start:stop].astype(np.float64)
        x += [along, along[::-1], np.array([np.nan])]
        y += [maximum[start:stop], minimum[start:stop][::-1], np.array([np.nan])]
    figure.add_scatter(
        x=np.concatenate(x)[:-1] if x else [],
        y=np.concatenate(y)[:-1] if y else [],
        name=f"{group}: lowest to highest",
        legendgroup=group,
        showlegend=False,
        yaxis=axis,
        mode="lines",
        fill="toself",
        fillcolor=rgba(colour, 0.22),
        line={"color": rgba(colour, 0.3), "width": 0.5},
        hoverinfo="skip",
    )


def _lone(values: Floats) -> NDArray[np.bool_]:
    known = np.concatenate(([False], ~np.isnan(values), [False]))
    return known[1:-1] & ~known[:-2] & ~known[2:]
