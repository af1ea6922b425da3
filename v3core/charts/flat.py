"""What figures share that are not over episodes: their frame, axes of names, and a matrix of experts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from v3core.charts.figure import Figure
from v3core.charts.frame import colour_bar, plain_frame
from v3core.charts.palette import colour_scale
from v3core.messages import say, translated

MAX_BARS = 8
"""With more experts than this their actions are a heatmap: the bars of one action would be slivers."""
MAX_BARRED_ACTIONS = 12
MAX_NAMED = 12
"""With more experts than this only their numbers are on an axis, and there is no legend."""


def flat_frame(name: str, alt: str, *, height: int, legend: bool = False) -> Figure:
    """An empty figure that is not over episodes: its zoom is its own, along both axes."""
    figure = plain_frame(name, alt, end=1, height=height, legend=legend)
    figure.layout.merge({"hovermode": "closest", "margin": {"b": 48}})
    figure.layout.meta.merge({"own_zoom": True})
    figure.layout.xaxis = {"range": [0, 1], "zeroline": False, "showgrid": False}
    return figure


def name_places(names: Sequence[str]) -> dict[str, Any]:
    """An axis with a name at 0, 1, 2 …; not every name if there are many.

    Of numbers, which follow from each other, there are as many as fit on a phone.
    """
    most = 12 if all(name.isdecimal() for name in names) else 24
    every = max(1, -(-len(names) // most))
    ticks = {"tickvals": list(range(0, len(names), every)), "ticktext": list(names[::every])}
    # Names that are turned, because they are many, would be cut off.
    return {"range": [-0.5, max(len(names), 1) - 0.5], "tickmode": "array", "automargin": turned(names) > 0, **ticks}


def turned(names: Sequence[str]) -> int:
    """Pixels that the names of an axis take below it, beyond a line, where they are turned because they are many."""
    return max(0, 6 * max(map(len, names), default=0) - 20) if len(names) > MAX_BARS else 0


def add_matrix(
    figure: Figure, values: Any, columns: Sequence[str], rows: Sequence[str], *, title: str, number: str, most: float
) -> None:
    """Experts, named by `rows`, from top to bottom, columns from left to right."""
    figure.add(
        "heatmap",
        x=np.arange(len(columns)),
        y=[translated(row) for row in rows],
        z=values,
        customdata=[list(columns)] * len(rows),
        colorscale=colour_scale(),
        zmin=0,
        zmax=most,
        texttemplate=f"%{{z:{number}}}" if max(len(rows), len(columns)) <= MAX_BARS else "",
        colorbar=colour_bar(title, number),
        hovertemplate=say(
            "{expert}, action {action}: {value}", expert="%{y}", action="%{customdata}", value=f"%{{z:{number}}}"
        )
        + "<extra></extra>",
    )
    figure.layout.merge({"yaxis": {"autorange": "reversed"}, "margin": {"l": 70, "r": 84}})
    figure.layout.yaxis.pop("nticks", None)
