"""The chart below a replay: gates, the expert with the largest one, reward, value and action of each step."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from v3core.charts.figure import Figure
from v3core.charts.frame import plain_frame, stack_rows
from v3core.charts.palette import METRICS, expert_colours, rgba
from v3core.charts.traces import AREA_OPACITY
from v3core.insight.replays import Replay
from v3core.messages import _, say

MOST_POINTS = 2000
"""Steps of a longer replay are drawn in buckets, so that no more points than this are."""
MAX_COMPONENTS = 4
"""Components of an action that are drawn, from the first on."""
MAX_TICKS = 4
"""Actions of which each has a tick; of more, some have."""
HEIGHT = 460
_ROWS = {
    _("Gates (stacked)"): 3.0,
    _("Expert with the largest gate"): 0.5,
    _("Reward"): 1.2,
    _("State value"): 1.2,
    _("Action"): 1.2,
}
"""Titles of the rows, to their heights in relation to one another."""


def timeline_figure(name: str, replay: Replay, actions: Sequence[str] = ()) -> Figure:
    """All steps of a replay on one axis of steps, from 1.

    Args:
        name: of what is shown, for its description.
        replay: with at least one step.
        actions: names of the choices of a single discrete action, if they are known.
    """
    steps, experts = replay.gates.shape
    size = -(-steps // MOST_POINTS)
    firsts = np.arange(0, steps, size)
    alt = say(
        "Gates of {experts} experts, reward, value and action at each of {steps:,} steps of {name}; return "
        "{total:.4g}.",
        experts=experts,
        steps=steps,
        name=name,
        total=replay.return_,
    )
    figure = plain_frame(f"replay:{name}", alt, end=steps + 1, height=HEIGHT)
    of_hover = say("Step {number}", number="%{x:,d}")
    if size > 1:
        of_hover = say("Steps from {number}, {count} together", number="%{x:,d}", count=size)
    figure.layout.xaxis.merge({"title": {"text": say("Step")}, "range": [0.5, steps + 1.5]})
    figure.layout.xaxis.unifiedhovertitle.text = of_hover
    figure.layout.meta = figure.layout.meta | {"own_zoom": True, "caption": _caption(steps, size)}
    gates, strip, reward, value, action = stack_rows(figure, list(_ROWS), list(_ROWS.values()))
    x, colours = firsts + 1, expert_colours(experts)
    for expert, colour in enumerate(colours):
        figure.add(
            "scatter",
            x=x,
            y=_means(replay.gates[:, expert], firsts),
            name=_("Gate of expert {number}", number=expert + 1),
            yaxis=gates,
            stackgroup="gates",
            mode="lines",
            line={"width": 0.5, "color": colour, "shape": "hvh"},
            fillcolor=rgba(colour, AREA_OPACITY),
            hovertemplate="%{y:.1%}",
        )
    figure.layout.yaxis.merge({"range": [0, max(1.0, float(replay.gates.sum(1).max()))], "tickformat": ".0%"})
    figure.add(
        "heatmap",
        x=x,
        y=[say("Expert")],
        z=_most_frequent(replay.experts, firsts, experts)[:, None],
        transpose=True,
        yaxis=strip,
        zmin=-0.5,
        zmax=experts - 0.5,
        colorscale=_steps_of(colours),
        showscale=False,
        customdata=(_most_frequent(replay.experts, firsts, experts) + 1)[:, None],
        hovertemplate=say("Expert {number}", number="%{customdata}") + "<extra></extra>",
        name=_("Largest gate"),
    )
    figure.layout[f"yaxis{strip[1:]}"].merge({"showticklabels": False, "showgrid": False})
    for row, numbers, title in ((reward, replay.rewards, _("Reward")), (value, replay.values, _("State value"))):
        _line(figure, x, _means(numbers, firsts), name=title, axis=row, colour=METRICS[0])
    for component in range(min(replay.actions.shape[1], MAX_COMPONENTS)):
        several = replay.actions.shape[1] > 1
        name = _("Action {number}", number=component + 1) if several else _("Action")
        taken = replay.actions[firsts, component]
        _line(figure, x, taken, name=name, axis=action, colour=METRICS[component], shape="hvh")
        if not several and actions:
            figure.data[-1].merge(
                {
                    "customdata": [actions[int(one)] if int(one) < len(actions) else str(one) for one in taken],
                    "hovertemplate": "%{customdata}",
                }
            )
    if replay.actions.dtype.kind in "iu":
        low, high = int(replay.actions.min()), int(replay.actions.max())
        ticks = {"tickvals": list(range(low, high + 1))} if high - low < MAX_TICKS else {"tickformat": "d"}
        figure.layout[f"yaxis{action[1:]}"].merge({"range": [low - 0.5, high + 0.5], **ticks})
    return figure


def _caption(steps: int, size: int) -> str:
    return (
        ""
        if size == 1
        else say(
            "Drawn: {buckets:,} buckets of {size} steps, {steps:,} steps",
            buckets=-(-steps // size),
            size=size,
            steps=steps,
        )
    )


def _means(numbers: NDArray[np.floating], firsts: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.diff(np.append(firsts, len(numbers)))
    sums: NDArray[np.float64] = np.add.reduceat(numbers.astype(np.float64), firsts)
    return sums / counts


def _most_frequent(experts: NDArray[np.int64], firsts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if len(firsts) == len(experts):
        return experts
    parts = np.split(experts, firsts[1:])
    return np.array([int(np.bincount(part, minlength=count).argmax()) for part in parts])


def _steps_of(colours: Sequence[str]) -> list[tuple[float, str]]:
    """A colour scale in which each expert has one colour of its own."""
    edges = np.linspace(0, 1, len(colours) + 1)
    return [(float(edge), colour) for place, colour in enumerate(colours) for edge in (edges[place], edges[place + 1])]


def _line(
    figure: Figure,
    x: NDArray[np.int64],
    y: NDArray[np.floating] | NDArray[np.integer],
    *,
    name: str,
    axis: str,
    colour: str,
    shape: str = "linear",
) -> None:
    figure.add(
        "scatter",
        x=x,
        y=y,
        name=name,
        yaxis=axis,
        mode="lines" if len(x) > 1 else "markers",
        line={"color": colour, "width": 1.2, "shape": shape},
        marker={"color": colour, "size": 6},
        hovertemplate="%{y:.4~g}",
    )
