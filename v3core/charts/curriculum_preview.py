"""What a curriculum will do to a run, before it is launched."""

from itertools import cycle

import plotly.graph_objects as go

from v3core.charts.frame import draw_phases, name_routing, plain_frame, stack_rows
from v3core.charts.knobs import KNOB_TITLES, add_plan, knobs_in_use
from v3core.charts.palette import CATEGORICAL
from v3core.charts.series import PhaseBand, boundaries_ahead, phase_bands
from v3core.curriculum import BaseValues, Curriculum

_ROW_HEIGHT = 90
_FRAME_HEIGHT = 60


def curriculum_preview(curriculum: Curriculum, episodes: int, base: BaseValues) -> go.Figure:
    """Every setting in use over a run of `episodes`, one row each; the routing stands in the phases' names."""
    knobs = knobs_in_use(curriculum, base)
    bands = phase_bands(curriculum, episodes=episodes)
    phases = ", ".join(f"{band.name} ({band.routing}) {_end(band)}" for band in bands)
    figure = plain_frame(
        name=f"preview:{curriculum.name}:{episodes}",
        alt=f"Settings of curriculum {curriculum.name} over {episodes:,} episodes: {phases}.",
        height=_FRAME_HEIGHT + _ROW_HEIGHT * len(knobs),
        end=episodes,
    )
    boundaries = boundaries_ahead(curriculum, completed=0, episodes=episodes)
    draw_phases(figure, bands, boundaries, now=None, end=episodes)
    name_routing(figure, bands)
    axes = stack_rows(figure, [KNOB_TITLES[knob] for knob in knobs])
    for knob, axis, colour in zip(knobs, axes, cycle(CATEGORICAL), strict=False):
        add_plan(figure, curriculum, episodes, base, knob, name=KNOB_TITLES[knob], colour=colour, axis=axis)
        figure.layout[f"yaxis{axis[1:]}"].rangemode = "tozero"
    return figure


def _end(band: PhaseBand) -> str:
    return f"until {band.until}" if band.until else f"to episode {band.end:,}"
