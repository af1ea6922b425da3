"""The charts of the situations of an environment: the experts' loads in one of them over a run."""

from collections.abc import Sequence

import numpy as np

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.flat import MAX_NAMED, flat_frame
from v3core.charts.frame import colour_bar
from v3core.charts.palette import NEUTRAL, SYMBOLS, colour_scale, expert_colours, pattern
from v3core.messages import _, said, say, translated

HEIGHT = 300


def situation_figure(run: str, situation: str, points: Sequence[tuple[int, tuple[float, ...]]], *, last: int) -> Figure:
    """Loads of each expert in a situation over parts of a run, at the last episode of each: lines, or of many rows.

    `last` is the newest episode of the run.
    """
    experts = max((len(loads) for _episode, loads in points), default=0)
    alt = say(
        "Load of {experts} experts in the situation '{situation}' of {run}, over the run's episodes.",
        experts=experts,
        situation=situation,
        run=run,
    )
    many = experts > MAX_NAMED
    figure = flat_frame(f"situation-{situation}:{run}", alt, height=HEIGHT, legend=not many)
    figure.layout.xaxis.merge({"range": [0, max(last, 1)], "title": {"text": say("Episode"), "standoff": 8}})
    episodes = [episode for episode, _loads in points]
    loads = np.array([one for _episode, one in points], dtype=np.float64).T
    names = [_("Expert {number}", number=number) for number in range(1, experts + 1)]
    if many:
        figure.add(
            "heatmap",
            x=episodes,
            y=said(names),
            z=loads,
            colorscale=colour_scale(),
            zmin=0,
            colorbar=colour_bar(say("Load"), ".0%"),
            hovertemplate=say(
                "{expert}, {situation}, episode {episode}: {load}",
                expert="%{y}",
                situation=chart_text(situation),
                episode="%{x:,}",
                load="%{z:.1%}",
            )
            + "<extra></extra>",
        )
        figure.layout.merge({"yaxis": {"autorange": "reversed"}, "margin": {"l": 70, "r": 84}})
        return figure
    largest = float(np.nanmax(loads)) if np.isfinite(loads).any() else 1.0
    figure.layout.yaxis.merge({"range": [0, min(1.02, 1.2 * largest)], "tickformat": ".0%", "nticks": 5})
    for place, (name, colour) in enumerate(zip(names, expert_colours(experts), strict=True)):
        figure.add(
            "scatter",
            x=episodes,
            y=loads[place],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 5, "symbol": pattern(SYMBOLS, place)},
            hovertemplate=f"{translated(name)}: %{{y:.1%}}<extra></extra>",
        )
    if experts > 1:
        figure.add(
            "scatter",
            x=[0, max(last, 1)],
            y=[1 / experts, 1 / experts],
            name=_("Fair share 1/{experts}", experts=experts),
            mode="lines",
            line={"color": NEUTRAL, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    return figure
