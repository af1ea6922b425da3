"""The chart of a number that an environment gives at the end of each episode."""

from collections.abc import Sequence

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.flat import flat_frame
from v3core.charts.palette import METRICS
from v3core.messages import say


def fact_figure(run: str, name: str, points: Sequence[tuple[int, float]]) -> Figure:
    """Means of a fact over parts of a run, at the last episode of each part, oldest first."""
    figure = flat_frame(
        f"fact-{name}:{run}", say("{name} of {run}, over the run's episodes.", name=name, run=run), height=240
    )
    end = max((episode for episode, _ in points), default=1)
    figure.layout.xaxis.merge({"range": [0, end], "title": {"text": say("Episode"), "standoff": 8}})
    figure.layout.yaxis.title = {"text": chart_text(name), "standoff": 6}
    figure.add(
        "scatter",
        x=[episode for episode, _ in points],
        y=[mean for _, mean in points],
        name=chart_text(name),
        mode="lines+markers",
        line={"color": METRICS[0], "width": 2},
        marker={"size": 5},
        hovertemplate=f"{chart_text(name)}: %{{y:.4~g}}<extra></extra>",
    )
    return figure
