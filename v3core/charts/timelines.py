"""Curricula above one another: the phases of each on one axis, of episodes or of environment steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import label, plain_frame
from v3core.charts.palette import curriculum_colours, curriculum_mark, rgba
from v3core.charts.series import PhaseBand
from v3core.messages import Message, _, say
from v3core.phrases import listed, strung

_ROW = 34
_STRENGTHS = (0.38, 0.2)
_LONGEST_NAME = 24
_PIXELS = 7
"""Of a letter, about."""
Unit = Literal["episode", "step"]


@dataclass(frozen=True)
class Timeline:
    """A curriculum in the chart."""

    name: str
    curriculum: str
    """Whose colour it has."""
    bands: Sequence[PhaseBand]
    """Its phases, with their starts and ends in the chart's unit."""
    later: Sequence[str] = ()
    """Names of further phases, which have no place on the axis before they begin."""


def timelines_figure(curricula: Sequence[Timeline], *, unit: Unit = "episode") -> Figure:
    """One row per curriculum: its name and its phases, each with its routing."""
    end = max((band.end for one in curricula for band in one.bands), default=1)
    parts = [
        _("{name}: {value}", name=one.name, value=listed([*(_ends(band, unit) for band in one.bands), *one.later]))
        for one in curricula
    ]
    names = f"timelines:{unit}:" + ":".join(one.name for one in curricula)
    figure = plain_frame(
        names, say("{parts}.", parts=strung(_("; "), parts)), end=end, height=_ROW * len(curricula) + 70
    )
    if unit == "step":
        figure.layout.xaxis.title.text = say("Environment steps")
    shown = [f"{curriculum_mark(one.curriculum)} {_shortened(one.name)}" for one in curricula]
    figure.layout.margin.l = max(150, _PIXELS * max(map(len, shown), default=0) + 12)
    figure.layout.hovermode = "closest"
    figure.layout.barmode = "overlay"
    figure.layout.yaxis.merge(
        {
            "range": [len(curricula) - 0.5, -0.5],
            "tickvals": list(range(len(curricula))),
            "ticktext": [chart_text(name) for name in shown],
            "fixedrange": True,
            "showgrid": False,
        }
    )
    named: list[dict[str, object]] = []
    colours = curriculum_colours([one.curriculum for one in curricula])
    for row, one in enumerate(curricula):
        colour, bands = colours[one.curriculum], one.bands
        figure.add(
            "bar",
            orientation="h",
            y=[row] * len(bands),
            base=[band.start for band in bands],
            x=[band.end - band.start for band in bands],
            width=0.8,
            name=chart_text(one.name),
            showlegend=False,
            marker={
                "color": [rgba(colour, _STRENGTHS[index % 2]) for index in range(len(bands))],
                "line": {"width": 1, "color": colour},
            },
            customdata=[[chart_text(_words(band, unit))] for band in bands],
            hovertemplate="%{customdata[0]}",
        )
        for number, band in enumerate(bands, start=1):
            later = one.later if number == len(bands) else ()
            called = " → ".join([band.name, *later])
            text = label("band", len(named), chart_text(called), band.start, font={"size": 12})
            figure.annotate(text | {"y": row, "yref": "y", "yanchor": "middle"})
            routing = [f"{band.name} · {band.routing}"] if band.routing and not later else []
            named.append({"start": band.start, "end": band.end, "texts": [*routing, called, band.name, str(number)]})
    figure.layout.meta = figure.layout.meta | {"bands": named}
    return figure


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _words(band: PhaseBand, unit: Unit) -> str:
    name = f"{band.name}, {band.routing}" if band.routing else band.name
    said = {"phase": name, "first": band.start + 1, "last": band.end, "until": band.until}
    if unit == "step":
        if band.until:
            return say("{phase}: steps {first:,} to {last:,}, until {until}", **said)
        return say("{phase}: steps {first:,} to {last:,}", **said)
    if band.until:
        return say("{phase}: episodes {first:,} to {last:,}, until {until}", **said)
    return say("{phase}: episodes {first:,} to {last:,}", **said)


def _ends(band: PhaseBand, unit: Unit) -> Message:
    if unit == "step":
        return _("{phase} to step {end:,}", phase=band.name, end=band.end)
    return _("{phase} to episode {end:,}", phase=band.name, end=band.end)
