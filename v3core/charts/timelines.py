"""Curricula above one another: the phases of each on one axis of episodes."""

from collections.abc import Sequence

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.frame import label, plain_frame
from v3core.charts.palette import curriculum_colour, curriculum_mark, rgba
from v3core.charts.series import PhaseBand

_ROW = 34
_STRENGTHS = (0.38, 0.2)


def timelines_figure(curricula: Sequence[tuple[str, Sequence[PhaseBand]]]) -> Figure:
    """One row per curriculum: its name and its phases, each with its routing."""
    end = max((band.end for _, bands in curricula for band in bands), default=1)
    parts = [
        f"{name}: " + ", ".join(f"{band.name} to episode {band.end:,}" for band in bands) for name, bands in curricula
    ]
    names = "timelines:" + ":".join(name for name, _ in curricula)
    figure = plain_frame(names, "; ".join(parts) + ".", end=end, height=_ROW * len(curricula) + 70)
    figure.layout.margin.l = 150
    figure.layout.hovermode = "closest"
    figure.layout.barmode = "overlay"
    figure.layout.yaxis.merge(
        {
            "range": [len(curricula) - 0.5, -0.5],
            "tickvals": list(range(len(curricula))),
            "ticktext": [chart_text(f"{curriculum_mark(name)} {name}") for name, _ in curricula],
            "fixedrange": True,
            "showgrid": False,
        }
    )
    named: list[dict[str, object]] = []
    for row, (name, bands) in enumerate(curricula):
        colour = curriculum_colour(name)
        figure.add(
            "bar",
            orientation="h",
            y=[row] * len(bands),
            base=[band.start for band in bands],
            x=[band.end - band.start for band in bands],
            width=0.8,
            name=chart_text(name),
            showlegend=False,
            marker={
                "color": [rgba(colour, _STRENGTHS[index % 2]) for index in range(len(bands))],
                "line": {"width": 1, "color": colour},
            },
            customdata=[[chart_text(_words(band))] for band in bands],
            hovertemplate="%{customdata[0]}",
        )
        for number, band in enumerate(bands, start=1):
            text = label("band", len(named), chart_text(band.name), band.start, font={"size": 12})
            figure.annotate(text | {"y": row, "yref": "y", "yanchor": "middle"})
            routing = [f"{band.name} · {band.routing}"] if band.routing else []
            named.append({"start": band.start, "end": band.end, "texts": [*routing, band.name, str(number)]})
    figure.layout.meta = figure.layout.meta | {"bands": named}
    return figure


def _words(band: PhaseBand) -> str:
    how = f", {band.routing}" if band.routing else ""
    until = f", until {band.until}" if band.until else ""
    return f"{band.name}{how}: episodes {band.start + 1:,} to {band.end:,}{until}"
