"""A forest plot: what comparisons came to, each a row with its interval, on an axis that all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import add_reference
from v3core.charts.palette import METRICS, NEUTRAL, rgba
from v3core.messages import _, say, translated
from v3core.output import width

_LINE, _BAND, _AROUND = 16, 38, 118
"""Pixels of a line of a label, of the interval below it, and around all rows."""
LINE_WIDTH = 48
"""Columns of a label's line that a phone has room for; Chinese characters take two each."""
_SYMBOLS = ("circle", "x", "diamond", "square")
_ROOM = 0.06
"""Beside the longest interval, as a share of the axis."""


@dataclass(frozen=True)
class Comparison:
    """A difference and its 95 % interval, as multiples of the one that matters; above 0 it is as expected."""

    value: float
    low: float
    high: float
    label: tuple[str, ...]
    """What is compared: lines, each of which may be broken."""
    hover: tuple[str, ...]
    """Its numbers, line by line."""
    verdict: str
    counts: bool = True
    """Whether the verdict counts; one that does not is drawn open and faint."""


def forest_figure(name: str, comparisons: Sequence[Comparison], verdicts: Sequence[str], *, alt: str) -> Figure:
    """A row for each comparison, the first on top, with lines at 0 and at what matters.

    Args:
        name: of what it shows; zoom and hidden verdicts stay as long as it does.
        comparisons: at least one.
        verdicts: all that there are, so that each looks the same in every figure.
        alt: read out in its place.
    """
    low = min(-0.5, *(one.low for one in comparisons))
    high = max(1.5, *(one.high for one in comparisons))
    room = _ROOM * (high - low)
    labels = [[part for line in one.label for part in _wrapped(line)] for one in comparisons]
    tops = [0, *accumulate(_LINE * len(label) + _BAND for label in labels)]
    figure = Figure(
        layout={
            "template": {},
            "height": tops[-1] + _AROUND,
            "margin": {"l": 16, "r": 16, "t": _AROUND - 58, "b": 58},
            "uirevision": name,
            "meta": {"alt": translated(alt), "bands": [], "boundaries": []},
            "hovermode": "closest",
            "showlegend": True,
            "legend": {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
            "xaxis": {
                "title": {"text": say("Multiples of the difference that matters"), "standoff": 8},
                "range": [low - room, high + room],
                "zeroline": False,
                "showgrid": False,
            },
            "yaxis": {"visible": False, "range": [tops[-1], 0], "fixedrange": True},
        }
    )
    top = {"y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 12}}
    figure.annotate({"text": say("matters"), "x": 1, "xanchor": "center", **top})
    zero = {"type": "line", "name": "zero", "line": {"width": 1, "color": rgba(NEUTRAL, 0.9)}}
    for start, end, label in zip(tops, tops[1:], labels, strict=False):
        # The lines leave out the labels, which would be hard to read across them.
        ends = {"y0": end - _BAND + 4, "y1": end - 4}
        figure.layout.shapes = [*figure.layout.shapes, {**zero, "x0": 0, "x1": 0, **ends}]
        add_reference(figure, "matters", {"x0": 1, "x1": 1, **ends})
        text = "<br>".join(map(chart_text, label))
        place = {"x": 0, "xref": "paper", "xanchor": "left", "y": start, "yanchor": "top", "align": "left"}
        figure.annotate({"text": text, "showarrow": False, "font": {"size": 12}, **place})
    rows = [(end - _BAND / 2, one) for end, one in zip(tops[1:], comparisons, strict=True)]
    for verdict, look in zip(verdicts, zip(METRICS, _SYMBOLS, strict=True), strict=False):
        for counts in (True, False):
            alike = [(y, one) for y, one in rows if one.verdict == verdict and one.counts is counts]
            if alike:
                _add(figure, alike, verdict, look, counts=counts)
    return figure


def _add(
    figure: Figure,
    rows: Sequence[tuple[float, Comparison]],
    verdict: str,
    look: tuple[str, str],
    *,
    counts: bool,
) -> None:
    colour, symbol = look
    figure.add(
        "scatter",
        x=[one.value for _y, one in rows],
        y=[y for y, _one in rows],
        name=verdict if counts else _("{verdict} (not counted)", verdict=verdict),
        mode="markers",
        marker={"color": colour, "size": 11, "symbol": symbol if counts else f"{symbol}-open"},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.value for _y, one in rows],
            "arrayminus": [one.value - one.low for _y, one in rows],
            "color": colour if counts else rgba(colour, 0.55),
            "thickness": 2.5 if counts else 1.5,
            "width": 6,
        },
        customdata=[["<br>".join(map(chart_text, one.hover))] for _y, one in rows],
        hoverlabel={"align": "left"},
        hovertemplate="%{customdata[0]}<extra></extra>",
    )


def _wrapped(line: str) -> list[str]:
    """A line in parts that a phone has room for, between words where there are any."""
    parts: list[str] = []
    while width(line) > LINE_WIDTH:
        room = sum(columns <= LINE_WIDTH for columns in accumulate(map(width, line)))
        space = line.rfind(" ", 0, room + 1)
        end = space if space > 0 else room
        parts.append(line[:end])
        line = line[end:].lstrip()
    return [*parts, line]
