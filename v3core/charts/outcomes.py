"""What groups of runs came to: final values, phases, and swept settings; each run is a point."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import add_reference, colour_bar
from v3core.charts.palette import NEUTRAL, colour_scale, ramp, rgba
from v3core.insight.compared import GroupResult
from v3core.insight.estimates import ENOUGH_SEEDS, Estimate
from v3core.insight.profiles import Profile
from v3core.messages import _, say, translated, with_minus
from v3core.phrases import listed, strung

_ROW = 44
_LONGEST_NAME = 34
_BESIDE = 0.22
"""Room beside the outermost axes of parallel coordinates for their values, per distance between two axes."""
_DECADES = 2.0
"""A swept setting that spans more is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class GroupStyle:
    """How a group is drawn."""

    colour: str
    dash: str = "solid"


def _plain(name: str, alt: str, *, height: int, left: int = 60) -> Figure:
    return Figure(
        layout={
            "template": {},
            "height": height,
            "margin": {"l": left, "r": 24, "t": 12, "b": 44},
            "uirevision": name,
            "meta": {"alt": alt, "bands": [], "boundaries": []},
            "hovermode": "closest",
            "showlegend": False,
            "xaxis": {"zeroline": False, "automargin": True},
            "yaxis": {"zeroline": False, "automargin": True},
        }
    )


def _put_legend_above(figure: Figure) -> None:
    figure.layout.margin.t = 40
    figure.layout.showlegend = True
    figure.layout.legend = {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"}


def interval_words(estimate: Estimate) -> str:
    """As in `475 (95 % interval 460 to 490), n = 5`."""
    if not estimate.n:
        return say("no value")
    if estimate.low is not None and estimate.high is not None:
        return say(
            "{value:.4g} (95 % interval {low:.4g} to {high:.4g}), n = {count}",
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            count=estimate.n,
        )
    if estimate.confidence == "exploratory":
        return say("{value:.4g} (exploratory), n = {count}", value=estimate.value, count=estimate.n)
    return with_minus(f"{estimate.value:.4g}, n = {estimate.n}")


def final_figure(
    groups: Sequence[GroupResult],
    looks: Sequence[GroupStyle],
    *,
    label: str,
    threshold: float | None = None,
) -> Figure:
    """The final value of each run as a point, of each group its interquartile mean with the interval.

    Groups of one or two runs have points only; the mean of three or four has no interval.
    """
    ends = strung(_("; "), [strung(" ", [group.name, interval_words(group.final)]) for group in groups])
    alt = say("{metric} at the end: {groups}.", metric=label, groups=ends)
    figure = _plain(f"finals:{label}", alt, height=_ROW * max(len(groups), 2) + 70, left=120)
    figure.layout.xaxis.merge({"title": {"text": translated(label), "standoff": 8}})
    figure.layout.yaxis.merge(
        {
            "tickvals": list(range(len(groups))),
            "ticktext": [chart_text(_shortened(translated(group.name))) for group in groups],
            "range": [len(groups) - 0.4, -0.6],
            "showgrid": False,
        }
    )
    for row, (group, look) in enumerate(zip(groups, looks, strict=True)):
        counted = [run for run in group.runs if not run.left_out]
        spread = _spread(len(counted))
        figure.add(
            "scatter",
            x=np.array([run.final for run in counted]),
            y=row + 0.12 + spread,
            name=chart_text(group.name),
            mode="markers",
            marker={"color": rgba(look.colour, 0.55), "size": 7, "line": {"width": 0}},
            customdata=[[run.seed] for run in counted],
            hovertemplate=say("{value}, seed {seed}", value="%{x:.4~g}", seed="%{customdata[0]}"),
        )
        final = group.final
        if final.n < 3 or not math.isfinite(final.value):
            continue
        error = {}
        if final.low is not None and final.high is not None:
            error = {
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [final.high - final.value],
                    "arrayminus": [final.value - final.low],
                    "color": look.colour,
                    "thickness": 2.5,
                    "width": 6,
                }
            }
        figure.add(
            "scatter",
            x=[final.value],
            y=[row - 0.16],
            name=chart_text(group.name),
            mode="markers",
            marker={
                "color": look.colour,
                "size": 11,
                "symbol": "diamond" if final.n >= ENOUGH_SEEDS else "diamond-open",
            },
            hovertemplate=chart_text(interval_words(final)),
            **error,
        )
    if threshold is not None:
        add_reference(figure, "threshold", {"x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "yref": "paper"})
    return figure


def _spread(count: int) -> np.ndarray:
    """Points of one row a little apart, so that equal ones are seen."""
    return 0.18 * ((np.arange(count) * 0.618) % 1.0)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def phases_figure(
    phases: Sequence[str],
    values: Sequence[Mapping[str, Sequence[float]]],
    names: Sequence[str],
    looks: Sequence[GroupStyle],
    *,
    label: str,
) -> Figure:
    """One box per phase and group, of the means of its runs; under 5 runs their points only.

    Args:
        phases: in their order, the first phase first.
        values: of each group: phase to the mean of each of its runs in it.
        names: of the groups.
        looks: of the groups.
        label: of the metric.
    """
    parts = [
        say("{group} in {phase} {median:.4g}", group=name, phase=phase, median=np.nanmedian(found))
        for name, of_group in zip(names, values, strict=True)
        for phase in phases
        if len(found := [one for one in of_group.get(phase, ()) if not math.isnan(one)])
    ]
    figure = _plain(
        f"phases:{label}",
        say("{metric} per phase, medians of runs: {groups}.", metric=label, groups=strung(_("; "), parts)),
        height=340,
    )
    _put_legend_above(figure)
    figure.layout.boxmode = "group"
    figure.layout.xaxis.merge(
        {"type": "category", "categoryarray": [chart_text(translated(phase)) for phase in phases]}
    )
    figure.layout.xaxis.categoryorder = "array"
    figure.layout.yaxis.title = {"text": translated(label), "standoff": 6}
    for name, of_group, look in zip(names, values, looks, strict=True):
        x = [phase for phase in phases for _ in of_group.get(phase, ())]
        y = [one for phase in phases for one in of_group.get(phase, ())]
        enough = max((len(found) for found in of_group.values()), default=0) >= ENOUGH_SEEDS
        figure.add(
            "box",
            x=[chart_text(translated(phase)) for phase in x],
            y=np.array(y, dtype=np.float64),
            name=chart_text(name),
            offsetgroup=name,
            boxpoints="all",
            pointpos=0,
            jitter=0.4,
            marker={"color": look.colour, "size": 5, "opacity": 0.7},
            line={"color": look.colour if enough else "rgba(0,0,0,0)", "width": 1.5},
            fillcolor=rgba(look.colour, 0.15) if enough else "rgba(0,0,0,0)",
            hovertemplate="%{y:.4~g}",
            hoveron="points" if not enough else "boxes+points",
        )
    return figure


def sweep_figure(
    lines: Sequence[tuple[str, GroupStyle, Sequence[tuple[float, GroupResult]]]], *, setting: str, label: str
) -> Figure:
    """Final values over the values of one setting, a line per group of what else differs; runs as points.

    `lines` are name, look, and for each value of the setting, ascending, the group of runs.
    """
    parts = [
        _(
            "{name}: {value}",
            name=name,
            value=listed(
                [_("{value:g} to {result}", value=value, result=interval_words(group.final)) for value, group in points]
            ),
        )
        for name, _style, points in lines
    ]
    figure = _plain(
        f"sweep:{setting}:{label}",
        say("{metric} over {setting}. {groups}.", metric=label, setting=setting, groups=strung(_("; "), parts)),
        height=340,
    )
    places = [value for _, _, points in lines for value, _ in points]
    figure.layout.xaxis.merge({"title": {"text": chart_text(setting), "standoff": 8}})
    if places and min(places) > 0 and max(places) / min(places) > 10**_DECADES / 5:
        figure.layout.xaxis.type = "log"
    figure.layout.xaxis.tickvals = sorted(set(places))
    figure.layout.xaxis.tickformat = "~g"
    figure.layout.yaxis.title = {"text": translated(label), "standoff": 6}
    figure.layout.showlegend = len(lines) > 1
    for name, look, points in lines:
        finals = [(value, final) for value, group in points for final in group.finals.values()]
        figure.add(
            "scatter",
            x=[value for value, _ in finals],
            y=np.array([final for _, final in finals]),
            name=chart_text(name),
            legendgroup=name,
            showlegend=False,
            mode="markers",
            marker={"color": rgba(look.colour, 0.4), "size": 5, "line": {"width": 0}},
            hovertemplate="%{y:.4~g}",
        )
        has = [(value, group.final) for value, group in points if math.isfinite(group.final.value)]
        above = [0.0 if final.high is None else final.high - final.value for _, final in has]
        below = [0.0 if final.low is None else final.value - final.low for _, final in has]
        figure.add(
            "scatter",
            x=[value for value, _ in has],
            y=[final.value for _, final in has],
            error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": look.colour},
            name=chart_text(name),
            legendgroup=name,
            mode="lines+markers",
            line={"color": look.colour, "width": 2, "dash": look.dash},
            marker={"size": 8, "symbol": ["circle" if final.n >= ENOUGH_SEEDS else "circle-open" for _, final in has]},
            customdata=[[chart_text(interval_words(final))] for _, final in has],
            hovertemplate="%{customdata[0]}",
        )
    return figure


def parallel_figure(
    axes: Sequence[tuple[str, Sequence[str]]], runs: Sequence[tuple[Sequence[int], float, str]], *, label: str
) -> Figure:
    """Each run as a line through the values of its settings, coloured by its final value.

    `axes` are the title and the ordered values of each setting; `runs` the place on each axis, the final value and
    the name.
    """
    known = [final for _, final, _ in runs if math.isfinite(final)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    titles = listed([title for title, _values in axes])
    beside = _BESIDE * max(len(axes) - 1, 1)
    figure = _plain(
        f"parallel:{titles}",
        say("{runs} runs by {settings}, coloured by {metric}.", runs=len(runs), settings=titles, metric=label),
        height=380,
    )
    figure.layout.xaxis.merge(
        {
            "tickvals": list(range(len(axes))),
            "ticktext": [chart_text(translated(title)) for title, _values in axes],
            "range": [-beside, len(axes) - 1 + beside],
            "side": "top",
        }
    )
    figure.layout.margin.t = 40
    figure.layout.margin.b = 16
    figure.layout.yaxis.merge({"visible": False, "range": [-0.08, 1.12]})
    colours = ramp(64)
    for places, final, name in sorted(runs, key=lambda run: -math.inf if math.isnan(run[1]) else run[1]):
        share = (final - low) / (high - low) if high > low else 0.5
        has = math.isfinite(final)
        figure.add(
            "scatter",
            x=list(range(len(axes))),
            y=[_height(place, len(values)) for place, (_, values) in zip(places, axes, strict=True)],
            mode="lines",
            name=chart_text(name),
            opacity=0.8,
            line={"color": colours[round(63 * share)] if has else rgba(NEUTRAL, 0.6), "width": 2},
            hovertemplate=chart_text(f"{name}: {final:.4g}" if has else say("{run}: no final value", run=name)),
        )
    for place, (_title, values) in enumerate(axes):
        for rank, value in enumerate(values):
            where = {"x": place, "y": _height(rank, len(values)), "showarrow": False}
            figure.annotate({"text": chart_text(value), "font": {"size": 12}, **where, **_clear_of_lines(place, axes)})
    bar = colour_bar(chart_text(translated(label)), ".3~g")
    figure.add(
        "scatter",
        x=[None],
        y=[None],
        mode="markers",
        hoverinfo="skip",
        marker={
            "colorscale": colour_scale(),
            "cmin": low,
            "cmax": high,
            "color": [low],
            "showscale": True,
            "colorbar": bar,
        },
    )
    return figure


def _clear_of_lines(place: int, axes: Sequence[object]) -> dict[str, object]:
    """Values of the outer axes are beside the lines, others above the points where these meet."""
    if place == 0:
        return {"xanchor": "right", "xshift": -6}
    return {"xanchor": "left", "xshift": 6} if place == len(axes) - 1 else {"xanchor": "center", "yshift": 10}


def _height(place: int, count: int) -> float:
    return place / (count - 1) if count > 1 else 0.5


def profile_figure(profiles: Sequence[tuple[str, GroupStyle, Profile]]) -> Figure:
    """The share of runs above each normalised score, over all environments; a name, look and profile per group."""
    parts = [
        say("{group}: {share:.0%} of runs above 0.5", group=name, share=float(np.interp(0.5, one.scores, one.share)))
        for name, _, one in profiles
    ]
    figure = _plain("profiles", say("Performance profiles. {groups}.", groups=strung(_("; "), parts)), height=340)
    _put_legend_above(figure)
    figure.layout.hovermode = "x unified"
    figure.layout.xaxis.merge({"title": {"text": say("Normalised score"), "standoff": 8}, "tickformat": ".2~f"})
    figure.layout.yaxis.merge(
        {"title": {"text": say("Share of runs above")}, "range": [-0.02, 1.02], "tickformat": ".0%"}
    )
    for name, look, one in profiles:
        known = ~np.isnan(one.low)
        if known.any():
            edge = {"legendgroup": name, "showlegend": False, "mode": "lines", "hoverinfo": "skip"}
            edge |= {"line": {"width": 0, "color": look.colour}, "name": _("{group}, interval", group=chart_text(name))}
            figure.add("scatter", x=one.scores, y=one.high, **edge)
            figure.add("scatter", x=one.scores, y=one.low, fill="tonexty", fillcolor=rgba(look.colour, 0.18), **edge)
        figure.add(
            "scatter",
            x=one.scores,
            y=one.share,
            name=chart_text(name),
            legendgroup=name,
            mode="lines",
            line={"color": look.colour, "width": 2.5, "dash": look.dash},
            hovertemplate="%{y:.0%}",
        )
    return figure
