"""What all charts over episodes share: axis, phase bands, boundaries, the present, hover texts and descriptions.

Figures leave text, grid and paper without a colour: the browser fills them from the page's theme
(`v3core/ui/live_chart.js`). `layout.meta` carries what plotly has no place for: `alt`, `bands`, `boundaries`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.palette import NEUTRAL, PHASES, rgba
from v3core.charts.series import Boundary, PhaseBand, RunSeries
from v3core.messages import say, translated

MARGIN = {"l": 60, "r": 24, "t": 24, "b": 42}
LEGEND_ROOM = 30
ROW_TITLE_ROOM = 24
_REACHED, _AHEAD = 0.18, 0.08


def frame(
    series: RunSeries,
    name: str,
    alt: str,
    *,
    height: int = 300,
    legend: bool = False,
    title: str = "",
    routing: bool = False,
) -> Figure:
    """An empty figure of one run over episodes, with its phases drawn.

    Args:
        series: the run.
        name: which chart this is; with the run's name it decides whether zoom and legend clicks are kept.
        alt: what to read out instead of the picture.
        height: pixels.
        legend: reserve space for a legend above the plot.
        title: of the y axis, if any.
        routing: name the routing of each phase as well.
    """
    figure = plain_frame(f"{name}:{series.name}", alt, end=series.end, height=height, legend=legend)
    figure.layout.xaxis.unifiedhovertitle.text = hover_title(series.shown.size)
    if title:
        figure.layout.yaxis.title = {"text": translated(title), "standoff": 6}
    draw_phases(figure, series.bands, series.boundaries, now=series.completed, end=series.end, routing=routing)
    return figure


def at_episode() -> str:
    """Where a point is, in hovers; on another axis `charts/look.py` puts its own words there."""
    return say("Episode {number}", number="%{x:,d}")


def hover_title(size: int) -> str:
    """What the hover of points of `size` episodes each begins with."""
    return at_episode() if size == 1 else say("{episode} (last of {size})", episode=at_episode(), size=size)


def plain_frame(name: str, alt: str, *, end: int, height: int, legend: bool = False) -> Figure:
    """An empty figure over episodes 0 to `end`, without phases."""
    margin = MARGIN | {"t": MARGIN["t"] + (LEGEND_ROOM if legend else 0)}
    return Figure(
        layout={
            "template": {},  # without it, plotly uses its own
            "height": height,
            "margin": margin,
            "uirevision": name,
            "meta": {"alt": translated(alt), "bands": [], "boundaries": []},
            "hovermode": "x unified",
            "hoversubplots": "axis",
            "showlegend": legend,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xref": "paper",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "traceorder": "normal",
            },
            "xaxis": {
                "title": {"text": say("Episode"), "standoff": 8},
                "range": [0, end],
                "showgrid": False,
                "zeroline": False,
                "tickformat": ",d",
                "unifiedhovertitle": {"text": hover_title(1)},
            },
            "yaxis": {"zeroline": False, "nticks": 6, "automargin": False},
        }
    )


def colour_bar(title: str, number: str) -> dict[str, Any]:
    """The bar beside a heatmap; `number` is the d3 format of its ticks."""
    text = {"size": 12}
    return {
        "title": {"text": translated(title), "font": text},
        "tickfont": text,
        "tickformat": number,
        "thickness": 12,
        "outlinewidth": 0,
    }


def progress_words(series: RunSeries) -> str:
    """How far the run is, for the words read out instead of the picture."""
    if not len(series):
        return say("no episodes yet")
    return say("{completed:,} of {all:,} episodes", completed=series.completed, all=series.end)


def drawn_words(series: RunSeries, newest_age: str = "") -> str:
    """What a chart draws of what there is, as in `Drawn: 500 buckets of 2 episodes, 1,000 episodes; newest 2 s old`."""
    if not len(series):
        return say("No episodes yet")
    points, size, episodes = len(series.shown), series.shown.size, series.completed
    drawn = say("all {episodes:,} episodes", episodes=episodes) if episodes > 1 else say("1 episode")
    if size > 1:
        drawn = say(
            "{points:,} buckets of {size:,} episodes, {episodes:,} episodes",
            points=points,
            size=size,
            episodes=episodes,
        )
    elif points < episodes:
        drawn = say("{points:,} of {episodes:,} episodes", points=points, episodes=episodes)
    if newest_age:
        return say("Drawn: {drawn}; newest {age} old", drawn=drawn, age=newest_age)
    return say("Drawn: {drawn}", drawn=drawn)


def label(kind: str, index: int, text: str, x: float, **more: Any) -> dict[str, Any]:
    """A text that begins at `x`; the browser finds it by its name, `KIND:INDEX`."""
    return {
        "name": f"{kind}:{index}",
        "text": translated(text),
        "x": x,
        "xanchor": "left",
        "xshift": 3,
        "showarrow": False,
        **more,
    }


def draw_phases(
    figure: Figure,
    bands: Sequence[PhaseBand],
    boundaries: Sequence[Boundary],
    *,
    now: int | None,
    end: int,
    routing: bool = False,
) -> None:
    """Draw phases as soft bands with their names above, fainter if they start after `now` (None: none are fainter)."""
    reached = end if now is None else now
    shapes: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    drawn: set[int] = set()
    for index, band in enumerate(bands):
        colour = PHASES[index % len(PHASES)]
        middle = band.start if band.planned and now is not None else min(max(reached, band.start), band.end)
        for start, stop, opacity in ((band.start, middle, _REACHED), (middle, band.end, _AHEAD)):
            if stop > start:
                shapes.append(_rectangle(start, stop, rgba(colour, opacity)))
        if index and band.start < end:
            ahead = next((item for item in boundaries if item.episode == band.start), None)
            # An end that training decides is drawn at the latest that is known: dotted, for it may come sooner.
            dash = "dash" if ahead else "dot" if band.planned and bands[index - 1].until else "solid"
            shapes.append(_line(band.start, f"boundary:{ahead.index}" if ahead else "boundary", dash=dash))
            drawn.add(band.start)
        texts = [*([f"{band.name} · {band.routing}"] if routing and band.routing else []), band.name, str(index + 1)]
        named.append({"start": band.start, "end": band.end, "texts": texts})
        opacity = 1 if band.start < reached or not band.start else 0.65
        text = label("band", index, chart_text(texts[0]), band.start, font={"size": 12}, opacity=opacity)
        annotations.append(text | {"y": 1, "yref": "paper", "yanchor": "bottom"})
    for item in boundaries:
        if item.episode not in drawn:
            shapes.append(_line(item.episode, f"boundary:{item.index}", dash="dash"))
    if now is not None and 0 < now < end:
        shapes.append(_line(now, "now", dash="solid"))
    figure.layout.merge({"shapes": shapes, "annotations": annotations})
    figure.layout.meta = figure.layout.meta | {"bands": named, "boundaries": [asdict(item) for item in boundaries]}


def stack_rows(figure: Figure, titles: Sequence[str], shares: Sequence[float] = ()) -> list[str]:
    """Split the plot into one row per title, all over the same x axis.

    `shares` are the rows' heights in relation to one another; by default they are equal.

    Returns:
        The rows' y axes as traces name them, top row first.
    """
    margin = figure.layout.margin
    gap = ROW_TITLE_ROOM / max(figure.layout.height - margin.t - margin.b, 1)
    shares = shares or [1.0] * len(titles)
    axes: list[str] = []
    bottom = 1.0
    for row, (title, share) in enumerate(zip(titles, shares, strict=True)):
        top = bottom - gap
        bottom = top - (1 - gap * len(titles)) * share / sum(shares)
        suffix = str(row + 1) if row else ""
        figure.layout[f"yaxis{suffix}"] = {
            "domain": [max(bottom, 0), top],
            "zeroline": False,
            "nticks": 4,
            "anchor": "x",
            "exponentformat": "e",
            "minexponent": 3,
        }
        place = {"xref": "paper", "y": top, "yref": "paper", "yanchor": "bottom"}
        figure.annotate(label("row", row, title, 0, font={"size": 12, "weight": 600}, **place))
        axes.append(f"y{suffix}")
    figure.layout.xaxis.anchor = axes[-1]
    return axes


def add_reference(figure: Figure, name: str, place: dict[str, Any]) -> None:
    """A thin dotted line at something that is no data, such as a threshold; `place` is that of its shape."""
    line = {"width": 1, "dash": "dot", "color": rgba(NEUTRAL, 0.9)}
    figure.layout.shapes = [*figure.layout.shapes, {"type": "line", "name": name, "line": line, **place}]


def _rectangle(start: float, end: float, colour: str) -> dict[str, Any]:
    place = {"x0": start, "x1": end, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", "layer": "below", "line": {"width": 0}, "fillcolor": colour, **place}


def _line(x: float, name: str, *, dash: str) -> dict[str, Any]:
    ahead = dash != "solid"
    line = {"width": 1, "dash": dash, "color": rgba(NEUTRAL, 0.9 if ahead else 0.55)}
    place = {"x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "line", "name": name, "layer": "above" if ahead else "below", "line": line, **place}
