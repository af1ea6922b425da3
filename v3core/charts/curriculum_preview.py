"""What a curriculum will do to a run, before it is launched."""

import plotly.graph_objects as go

from v3core.charts.frame import draw_phases, name_routing, plain_frame, stack_rows
from v3core.charts.knobs import KNOB_TITLES, add_plan
from v3core.charts.palette import CATEGORICAL
from v3core.charts.series import boundaries_ahead, phase_bands
from v3core.curriculum import BaseValues, Curriculum


def curriculum_preview(curriculum: Curriculum, episodes: int, base: BaseValues, *, height: int = 420) -> go.Figure:
    """Every setting over a run of `episodes`, one row each; the routing stands in the phases' names."""
    bands = phase_bands(curriculum, episodes=episodes)
    phases = ", ".join(f"{band.name} ({band.routing}) to episode {band.end:,}" for band in bands)
    figure = plain_frame(
        name=f"preview:{curriculum.name}:{episodes}",
        alt=f"Settings of curriculum {curriculum.name} over {episodes:,} episodes: {phases}.",
        height=height,
        end=episodes,
    )
    boundaries = boundaries_ahead(curriculum, completed=0, episodes=episodes)
    draw_phases(figure, bands, boundaries, now=None, end=episodes)
    name_routing(figure, bands)
    axes = stack_rows(figure, list(KNOB_TITLES.values()))
    for (knob, title), axis, colour in zip(KNOB_TITLES.items(), axes, CATEGORICAL, strict=False):
        add_plan(figure, curriculum, episodes, base, knob, name=title, colour=colour, axis=axis)
        figure.layout[f"yaxis{axis[1:]}"].rangemode = "tozero"
    return figure
