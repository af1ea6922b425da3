"""Groups of runs over one axis: the interquartile mean with its interval, the single runs as thin lines, and n."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import add_reference, plain_frame
from v3core.charts.palette import rgba
from v3core.insight.estimates import ENOUGH_SEEDS, FEW_SEEDS
from v3core.insight.grids import Axis, Band, Grid

_TITLES: dict[Axis, str] = {"step": "Environment steps", "episode": "Episode", "seconds": "Seconds of training"}
_HOVERS: dict[Axis, str] = {"step": "Step %{x:,d}", "episode": "Episode %{x:,d}", "seconds": "%{x:,.4~g} s"}
_N_ROW, _GAP = 0.14, 0.05
"""Height of the row that counts runs, and the space above it, as shares of the plot."""
MANY = 10
"""Groups of which each still has its interval filled; more would hide one another."""


@dataclass(frozen=True)
class GroupCurve:
    """One group of a chart."""

    name: str
    colour: str
    dash: str
    """Tells groups of the same colour apart."""
    grid: Grid
    """Its runs."""
    band: Band


def groups_figure(
    groups: Sequence[GroupCurve],
    *,
    name: str,
    label: str,
    axis: Axis,
    since: str | None = None,
    common: float | None = None,
    threshold: float | None = None,
) -> Figure:
    """One metric of groups in one environment.

    A group of one or two runs has their lines only; of three or four a dotted mean without an interval.

    Args:
        groups: in the order of the legend.
        name: what is shown, so that zoom is kept as long as it stays the same.
        label: of the metric, with its unit.
        axis: what x is.
        since: the phase whose beginning is 0.
        common: up to where all runs reach, if they end at different places.
        threshold: drawn as a line.
    """
    end = max((float(group.band.x[-1]) for group in groups if len(group.band.x)), default=1.0)
    parts = [f"{group.name}, {len(group.grid.run_ids)} runs{_ends_at(group.band)}" for group in groups]
    figure = plain_frame(f"groups:{name}", f"{label}: {'; '.join(parts)}.", end=1, height=460, legend=True)
    title = _TITLES[axis]
    if since:
        title = f"{'Episodes' if axis == 'episode' else title} since the start of {chart_text(since)}"
    figure.layout.xaxis.merge({"title": {"text": title}})
    figure.layout.xaxis.range = [0, end]
    number = ",.4~g" if axis == "seconds" else ",d"
    figure.layout.xaxis.tickformat = number
    since_then = f"%{{x:{number}}} {title[0].lower()}{title[1:]}"
    figure.layout.xaxis.unifiedhovertitle.text = since_then if since else _HOVERS[axis]
    figure.layout.yaxis.title = {"text": label, "standoff": 6}
    for group in groups:
        _add_runs(figure, group)
    for group in groups:
        _add_band(figure, group, filled=len(groups) <= MANY)
    if threshold is not None:
        level = {"x0": 0, "x1": 1, "xref": "paper", "y0": threshold, "y1": threshold, "yref": "y"}
        add_reference(figure, "threshold", level)
    if common is not None and common < end:
        add_reference(figure, "common", {"x0": common, "x1": common, "y0": 0, "y1": 1, "yref": "paper"})
    _add_counts(figure, groups)
    return figure


def _ends_at(band: Band) -> str:
    known = np.flatnonzero(~np.isnan(band.iqm))
    return f" ending at {band.iqm[known[-1]]:.4g}" if len(known) else ", no values"


def _add_runs(figure: Figure, group: GroupCurve) -> None:
    """All of them in one trace, with a gap between two."""
    rows, gap = group.grid.y, np.full((len(group.grid.y), 1), np.nan)
    few = len(rows) < FEW_SEEDS
    x = np.tile(np.append(group.grid.x, np.nan), len(rows))
    figure.add(
        "scatter",
        x=x,
        y=np.hstack([rows, gap]).ravel(),
        name=chart_text(group.name),
        legendgroup=group.name,
        showlegend=few,
        mode="lines",
        opacity=1.0 if few else 0.35,
        line={"color": group.colour, "width": 2 if few else 1, "dash": group.dash},
        hovertemplate="%{y:.4~g}",
        hoverinfo=None if few else "skip",
    )
    if not few:
        figure.data[-1].pop("hovertemplate")


def _add_band(figure: Figure, group: GroupCurve, *, filled: bool) -> None:
    band = group.band
    if len(group.grid.run_ids) < FEW_SEEDS:
        return
    solid = band.n >= ENOUGH_SEEDS
    if filled and solid.any():
        edge = {"legendgroup": group.name, "showlegend": False, "mode": "lines", "hoverinfo": "skip"}
        edge |= {"line": {"width": 0, "color": group.colour}, "name": chart_text(f"{group.name}, interval")}
        figure.add("scatter", x=band.x[solid], y=band.high[solid], **edge)
        figure.add(
            "scatter", x=band.x[solid], y=band.low[solid], fill="tonexty", fillcolor=rgba(group.colour, 0.18), **edge
        )
    dotted = (band.n >= FEW_SEEDS) & ~solid
    legend = True
    for part, dash, words in ((solid, group.dash, ""), (dotted, "dot", " (exploratory)")):
        if not part.any():
            continue
        figure.add(
            "scatter",
            x=band.x,
            y=np.where(_with_neighbour(part, solid), band.iqm, np.nan),
            customdata=np.column_stack([band.low, band.high, band.n]),
            name=chart_text(group.name + words) if legend else chart_text(group.name),
            legendgroup=group.name,
            showlegend=legend,
            mode="lines",
            line={"color": group.colour, "width": 2.5, "dash": dash},
            hovertemplate="%{y:.4~g} (%{customdata[0]:.4~g} to %{customdata[1]:.4~g}), n = %{customdata[2]}"
            if part is solid
            else "%{y:.4~g}, n = %{customdata[2]}",
        )
        legend = False


def _with_neighbour(part: NDArray[np.bool_], solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The dotted part touches the solid one, so that the line has no hole."""
    if part is solid:
        return part
    touching = part.copy()
    touching[:-1] |= part[1:] & solid[:-1]
    touching[1:] |= part[:-1] & solid[1:]
    return touching


def _add_counts(figure: Figure, groups: Sequence[GroupCurve]) -> None:
    """Below, how many runs each group has at each place."""
    counts = [group.band.n for group in groups]
    if not counts or (
        all(len(set(n.tolist())) <= 1 for n in counts) and len({int(n.max(initial=0)) for n in counts}) == 1
    ):
        return
    figure.layout.yaxis.domain = [_N_ROW + _GAP, 1]
    most = max(int(n.max(initial=0)) for n in counts)
    figure.layout.yaxis2 = {
        "domain": [0, _N_ROW],
        "range": [0, most * 1.15],
        "zeroline": False,
        "nticks": 3,
        "title": {"text": "n", "standoff": 6},
        "anchor": "x",
        "fixedrange": True,
    }
    figure.layout.xaxis.anchor = "y2"
    for group in groups:
        figure.add(
            "scatter",
            x=group.band.x,
            y=group.band.n,
            yaxis="y2",
            name=chart_text(f"{group.name}, runs"),
            legendgroup=group.name,
            showlegend=False,
            mode="lines",
            line={"color": group.colour, "width": 1.5, "shape": "hv", "dash": group.dash},
            hoverinfo="skip",
        )
