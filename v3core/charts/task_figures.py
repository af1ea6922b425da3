"""The charts of a run on several environments: how each task goes."""

from collections.abc import Mapping, Sequence

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.flat import flat_frame
from v3core.charts.palette import DASHES, METRICS, SYMBOLS
from v3core.messages import say, translated


def tasks_figure(run: str, curves: Mapping[str, Sequence[tuple[int, float]]], *, title: str, share: bool) -> Figure:
    """A line per task over the episodes of the run: the mean of each of its parts, at the part's last episode.

    Args:
        run: the run's name.
        curves: task to episodes and means, oldest first.
        title: of the y axis.
        share: whether the means are from 0 to 1.
    """
    alt = say("{metric} of {tasks} tasks of {run}, over the run's episodes.", metric=title, tasks=len(curves), run=run)
    figure = flat_frame(f"tasks-{title}:{run}", alt, height=320, legend=True)
    end = max((episode for curve in curves.values() for episode, _ in curve), default=1)
    figure.layout.xaxis.merge({"range": [0, end], "title": {"text": say("Episode"), "standoff": 8}})
    figure.layout.yaxis.title = {"text": translated(title), "standoff": 6}
    if share:
        figure.layout.yaxis.merge({"range": [-0.02, 1.02], "tickformat": ".0%"})
    for place, (task, curve) in enumerate(curves.items()):
        turn = place // len(METRICS)
        figure.add(
            "scatter",
            x=[episode for episode, _ in curve],
            y=[mean for _, mean in curve],
            name=chart_text(task),
            mode="lines+markers",
            line={"color": METRICS[place % len(METRICS)], "width": 2, "dash": DASHES[turn % len(DASHES)]},
            marker={"size": 5, "symbol": SYMBOLS[turn % len(SYMBOLS)]},
            hovertemplate=f"{chart_text(task)}: %{{y:{'.0%' if share else '.3~g'}}}<extra></extra>",
        )
    return figure
