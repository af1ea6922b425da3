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
from v3core.messages import _, say, translated
from v3core.phrases import strung

_TITLES: dict[Axis, str] = {
    "step": _("Environment steps"),
    "episode": _("Episode"),
    "seconds": _("Seconds of training"),
}
_SINCE: dict[Axis, str] = {
    "step": _("Environment steps since the start of {phase}"),
    "episode": _("Episodes since the start of {phase}"),
    "seconds": _("Seconds of training since the start of {phase}"),
}
_HOVERS: dict[Axis, str] = {"step": _("Step {number}"), "episode": _("Episode {number}"), "seconds": "{number} s"}
_HOVERS_SINCE: dict[Axis, str] = {
    "step": _("{number} environment steps since the start of {phase}"),
    "episode": _("{number} episodes since the start of {phase}"),
    "seconds": _("{number} seconds of training since the start of {phase}"),
}
_HOVER_OF_BAND = _(
    "{value} ({low} to {high}), n = {count}",
    value="%{y:.4~g}",
    low="%{customdata[0]:.4~g}",
    high="%{customdata[1]:.4~g}",
    count="%{customdata[2]}",
)
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
    parts = [_described(group) for group in groups]
    figure = plain_frame(
        f"groups:{name}",
        say("{metric}: {groups}.", metric=label, groups=strung(_("; "), parts)),
        end=1,
        height=460,
        legend=True,
    )
    number = ",.4~g" if axis == "seconds" else ",d"
    title, hover = (_SINCE[axis], _HOVERS_SINCE[axis]) if since else (_TITLES[axis], _HOVERS[axis])
    words = {"phase": chart_text(since or ""), "number": f"%{{x:{number}}}"}
    figure.layout.xaxis.merge({"title": {"text": say(title, **words)}})
    figure.layout.xaxis.range = [0, end]
    figure.layout.xaxis.tickformat = number
    figure.layout.xaxis.unifiedhovertitle.text = say(hover, **words)
    figure.layout.yaxis.title = {"text": translated(label), "standoff": 6}
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


def _described(group: GroupCurve) -> str:
    known, said = np.flatnonzero(~np.isnan(group.band.iqm)), {"group": group.name, "runs": len(group.grid.run_ids)}
    if not len(known):
        return say("{group}, {runs} runs, no values", **said)
    return say("{group}, {runs} runs ending at {value:.4g}", value=group.band.iqm[known[-1]], **said)


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
        edge |= {
            "line": {"width": 0, "color": group.colour},
            "name": _("{group}, interval", group=chart_text(group.name)),
        }
        figure.add("scatter", x=band.x[solid], y=band.high[solid], **edge)
        figure.add(
            "scatter", x=band.x[solid], y=band.low[solid], fill="tonexty", fillcolor=rgba(group.colour, 0.18), **edge
        )
    dotted = (band.n >= FEW_SEEDS) & ~solid
    legend = True
    name = chart_text(group.name)
    for part, dash, named in ((solid, group.dash, name), (dotted, "dot", _("{group} (exploratory)", group=name))):
        if not part.any():
            continue
        figure.add(
            "scatter",
            x=band.x,
            y=np.where(_with_neighbour(part, solid), band.iqm, np.nan),
            customdata=np.column_stack([band.low, band.high, band.n]),
            name=named if legend else name,
            legendgroup=group.name,
            showlegend=legend,
            mode="lines",
            line={"color": group.colour, "width": 2.5, "dash": dash},
            hovertemplate=translated(_HOVER_OF_BAND) if part is solid else "%{y:.4~g}, n = %{customdata[2]}",
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
            name=_("{group}, runs", group=chart_text(group.name)),
            legendgroup=group.name,
            showlegend=False,
            mode="lines",
            line={"color": group.colour, "width": 1.5, "shape": "hv", "dash": group.dash},
            hoverinfo="skip",
        )
