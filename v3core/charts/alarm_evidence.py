"""The evidence of an alarm: the metrics that its rule reads, around the episodes at which it held."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from v3core.charts.figure import Figure
from v3core.charts.frame import draw_phases, plain_frame, stack_rows
from v3core.charts.palette import ALARM, DASHES, expert_colours, pattern, rgba
from v3core.charts.palette import METRICS as METRIC_COLOURS
from v3core.charts.series import RunSeries
from v3core.charts.traces import add_metric
from v3core.insight.alarms import Rule
from v3core.messages import _, say
from v3core.metrics import METRICS
from v3core.phrases import listed, strung, within

_FOOT = 0.012
"""Height of the mark at the foot of a chart, as a share of the plot."""
_ROW_HEIGHT, _FRAME_HEIGHT = 130, 70
_AROUND = 0.25
"""Of the span, shown on either side; at least a tenth of the run."""


def evidence_figure(series: RunSeries, rule: Rule, first: int, last: int) -> Figure:
    """One row per metric of the rule, with the episodes from `first` to `last` marked."""
    names = [name for name in rule.draws if series.has(*(_of(series, name)))]
    alt = say(
        "Evidence of the alarm '{title}': {names} of {name}, episodes {first:,} to {last:,}.",
        title=rule.title,
        names=listed([within(METRICS[name].title) for name in names]),
        name=series.name,
        first=first,
        last=last,
    )
    height = _FRAME_HEIGHT + _ROW_HEIGHT * max(1, len(names))
    figure = plain_frame(f"evidence-{rule.name}:{series.name}", alt, end=series.end, height=height, legend=False)
    draw_phases(figure, series.bands, series.boundaries, now=series.completed, end=series.end)
    axes = stack_rows(figure, [METRICS[name].label for name in names]) if names else []
    for name, axis in zip(names, axes, strict=True):
        of_metric = _of(series, name)
        is_of_experts = METRICS[name].per_expert
        palette = expert_colours(len(of_metric)) if is_of_experts else [METRIC_COLOURS[0]]
        for place, (one, colour) in enumerate(zip(of_metric, palette, strict=True)):
            looks: dict[str, Any] = {"name": METRICS[name].title}
            if is_of_experts:
                looks = {"name": _("Expert {number}", number=place + 1), "dash": pattern(DASHES, place)}
            add_metric(figure, series.shown, one, colour=colour, axis=axis, width=2, number=".4~g", **looks)
    around = max(_AROUND * (last - first), 0.1 * series.end)
    figure.layout.xaxis.range = [float(np.clip(first - around, 0, None)), float(min(last + around, series.end))]
    figure.layout.shapes = [*figure.layout.shapes, span_mark(first, last)]
    return figure


def mark_alarms(figure: Figure, spans: Sequence[tuple[str, int, int]]) -> None:
    """Mark on a chart over episodes when alarms held: a red strip at its foot per (title, first, last episode).

    Who cannot see it reads them in the chart's description.
    """
    if not spans:
        return
    foot = {"y1": _FOOT, "fillcolor": rgba(ALARM, 0.8), "layer": "above"}
    figure.layout.shapes = [*figure.layout.shapes, *(span_mark(first, last) | foot for _, first, last in spans)]
    words = strung(
        _("; "),
        [
            _("{title}, episodes {first:,} to {last:,}", title=title, first=first, last=last)
            for title, first, last in spans
        ],
    )
    figure.layout.meta.alt = say("{description} Alarms: {words}.", description=figure.layout.meta.alt, words=words)


def span_mark(first: int, last: int) -> dict[str, object]:
    """A soft red band over the episodes at which a rule held."""
    place = {"x0": first - 1, "x1": max(last, first), "y0": 0, "y1": 1, "yref": "paper"}
    return {
        "type": "rect",
        "name": "alarm",
        "layer": "below",
        "line": {"width": 0},
        "fillcolor": rgba(ALARM, 0.14),
        **place,
    }


def _of(series: RunSeries, name: str) -> list[str]:
    return series.of_experts(name) if METRICS[name].per_expert else [name]
