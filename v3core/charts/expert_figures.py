"""The charts of the experts: how the load moved, what each expert does, where it is used, and whether it is needed.

An expert has the same colour in every chart: that of its number in `expert_colours`. Hues that come again differ in
lightness, and in the pattern of lines and points.
"""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np

from v3core import metrics
from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.flat import MAX_BARRED_ACTIONS, MAX_BARS, MAX_NAMED, add_matrix, flat_frame, name_places, turned
from v3core.charts.frame import frame, progress_words, stack_rows
from v3core.charts.palette import METRICS, NEUTRAL, SYMBOLS, expert_colours, pattern, ramp, rgba
from v3core.charts.series import RunSeries
from v3core.charts.traces import add_areas, add_heatmap, add_level, add_metric, loads_over
from v3core.environments.action_names import words_of
from v3core.insight.experts import ExpertProfile, StateMap, closest_and_farthest
from v3core.insight.removals import Interval, Removal, interval
from v3core.insight.seen_words import all_in_words
from v3core.messages import Message, _, say, translated
from v3core.metrics import of_chart
from v3core.phrases import listed, strung

MAX_PAIRS = 6
"""With more pairs than this, only the closest, the mean and the farthest are drawn over time."""

_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "pentagon")
"""Of scenarios, which are no experts: their colours are a ramp, and so many are named."""

AREA, HEATMAP = "area", "heatmap"
LOADS = {"load": _("Load"), "hard_load": _("Hard load")}
"""The metrics that `loads_figure` draws, to their titles."""


def loads_figure(series: RunSeries, *, form: str, metric: str) -> Figure:
    """Load or hard load of each expert over time: stacked areas with the fair shares, or experts × episodes."""
    experts, curve = series.experts, series.shown
    fair = (
        say("fair share 1/{experts} = {share:.1%}", experts=experts, share=1 / experts)
        if experts
        else say("no expert known yet")
    )
    alt = say(
        "{load} of {experts} experts in {name}: {progress}; {fair}.",
        load=LOADS[metric],
        experts=experts,
        name=series.name,
        progress=progress_words(series),
        fair=fair,
    )
    is_area = form == AREA
    title = (
        say("{load} (fair: {share:.0%})", load=LOADS[metric], share=1 / experts)
        if experts and is_area
        else LOADS[metric]
        if is_area
        else ""
    )
    name = f"{form}-{metric}"
    figure = frame(series, name, alt, legend=is_area and experts <= MAX_NAMED, title=title)
    if not is_area:
        figure.layout.height = max(figure.layout.height, _rows_height(experts))
        add_heatmap(figure, curve, loads_over(curve, metric, series.window), title=LOADS[metric], number=".0%")
        if experts:
            figure.data[0].colorbar.merge({"tickvals": [0, 1 / experts, 0.5, 1], "tickformat": ".0%"})
            figure.data[0].merge({"zmax": 1})
        return figure
    add_areas(figure, curve, metric, window=series.window)
    for place in range(1, experts if experts <= MAX_NAMED else 0):
        add_level(figure, series.end, place / experts, name=_("Fair share 1/{experts}", experts=experts))
        figure.data[-1].merge({"showlegend": place == 1, "legendgroup": "fair", "line": {"width": 1, "dash": "dot"}})
    figure.layout.yaxis.merge({"range": [0, 1], "tickformat": ".0%", "nticks": 5})
    return figure


def decisions_figure(series: RunSeries) -> Figure:
    """How firmly steps are routed: a row for each metric of `DECISIONS`, and one for the gates that are exactly 0."""
    shown = of_chart(metrics.DECISIONS)
    alt = say(
        "{metrics} and exact zeros of {name}: {progress}.",
        metrics=listed([metric.label for metric in shown]),
        name=series.name,
        progress=progress_words(series),
    )
    figure = frame(series, metrics.DECISIONS.name, alt, height=420)
    titles = [*(metric.label for metric in shown), say("Exact zeros among the gates (0 to 1)")]
    axes = stack_rows(figure, titles)
    looks: dict[str, Any] = {"colour": METRICS[0], "window": series.window}
    for metric, axis in zip(shown, axes, strict=False):
        add_metric(figure, series.shown, metric.name, name=metric.label, axis=axis, **looks)
    if series.experts:
        add_metric(figure, series.shown, "support", name=_("Exact zeros"), axis=axes[-1], spread=False, **looks)
        for zeros in [trace for trace in figure.data if trace.legendgroup == "Exact zeros"]:
            zeros.merge({"y": 1 - zeros.y / series.experts, "hovertemplate": "%{y:.1%}"})
            zeros.pop("customdata", None)
    for axis in axes[1:]:
        figure.layout[f"yaxis{axis[1:]}"].merge({"range": [-0.02, 1.05], "tickvals": [0, 0.5, 1], "tickformat": ".0%"})
    return figure


def actions_figure(run: str, experts: Sequence[ExpertProfile], *, used: bool) -> Figure:
    """Action distribution of each expert, over all states, or (`used`) weighted with its gates."""
    of_experts = [expert.used_actions if used else expert.actions for expert in experts]
    kind = next((actions for actions in of_experts if actions is not None), {})
    is_number = "mean" in kind
    names, values = _action_names(kind), np.array([_flat(actions, len(_action_names(kind))) for actions in of_experts])
    alt = _("Action distribution of {experts} experts of {run}, each on all states.", experts=len(experts), run=run)
    if used:
        alt = _(
            "Action distribution of {experts} experts of {run}, each where it is used.", experts=len(experts), run=run
        )
    bars = len(experts) <= MAX_BARS and len(names) <= MAX_BARRED_ACTIONS
    legend = len(experts) <= MAX_NAMED and (bars or is_number)
    height = 300 if legend else max(300, _rows_height(len(experts)))
    height += turned(names)
    figure = flat_frame(f"actions-{'used' if used else 'all'}:{run}", alt, height=height, legend=legend)
    figure.layout.xaxis.merge(name_places(names) | {"title": {"text": say("Action"), "standoff": 8}})
    if is_number:
        deviations = np.array([_flat(actions, len(names), "deviation") for actions in of_experts])
        for number, (mean, deviation, colour) in enumerate(
            zip(values, deviations, expert_colours(len(experts)), strict=True), start=1
        ):
            figure.add(
                "scatter",
                x=np.arange(len(names)) + 0.7 * (number - (len(experts) + 1) / 2) / len(experts),
                y=mean,
                name=_("Expert {number}", number=number),
                mode="markers",
                marker={"color": colour, "size": 7},
                error_y={"type": "data", "array": deviation, "color": colour, "thickness": 1.5, "width": 3},
                hovertemplate=_hover(
                    _("Expert {number}: {value}", number=number, value="%{y:.3~g} ± %{error_y.array:.3~g}")
                ),
            )
        figure.layout.yaxis.title = {"text": say("Mean ± deviation"), "standoff": 6}
    elif bars:
        for number, (shares, colour) in enumerate(zip(values, expert_colours(len(experts)), strict=True), start=1):
            figure.add(
                "bar",
                x=np.arange(len(names)),
                y=shares,
                name=_("Expert {number}", number=number),
                marker={"color": colour},
                customdata=names,
                hovertemplate=_hover(
                    _(
                        "Expert {number}, action {action}: {value}",
                        number=number,
                        action="%{customdata}",
                        value="%{y:.1%}",
                    )
                ),
            )
        figure.layout.yaxis.merge(
            {"title": {"text": say("Probability"), "standoff": 6}, "tickformat": ".0%", "range": [0, 1]}
        )
    else:
        add_matrix(figure, values, names, _numbered(len(experts)), title=say("Probability"), number=".0%", most=1)
    return figure


def distances_figure(run: str, experts: Sequence[ExpertProfile]) -> Figure:
    """Matrix of the Jensen-Shannon distances of all pairs of experts on the same states."""
    values = np.array([[math.nan if value is None else value for value in expert.distances] for expert in experts])
    least, mean, most = closest_and_farthest([expert.distances for expert in experts])
    words = (
        say(": smallest {least:.2f}, mean {mean:.2f}, largest {most:.2f}", least=least, mean=mean, most=most)
        if math.isfinite(mean)
        else ""
    )
    alt = say(
        "Jensen-Shannon distances of {experts} experts of {run}{words}.", experts=len(experts), run=run, words=words
    )
    figure = flat_frame(f"distances:{run}", alt, height=max(300, _rows_height(len(experts))))
    names = [str(number) for number in range(1, len(experts) + 1)]
    figure.layout.xaxis.merge(name_places(names) | {"title": {"text": say("Expert"), "standoff": 8}})
    highest = max(0.1, most if math.isfinite(most) else 0)
    add_matrix(figure, values, names, _numbered(len(experts)), title=say("Distance"), number=".2f", most=highest)
    figure.data[-1].hovertemplate = _hover(
        _("{expert} and expert {number}: {value}", expert="%{y}", number="%{customdata}", value="%{z:.3f}")
    )
    return figure


def distance_history_figure(series: RunSeries, history: Sequence[tuple[int, Sequence[ExpertProfile]]]) -> Figure:
    """Distances over a run's evaluations: of each pair, or the smallest, mean and largest if there are many."""
    experts = len(history[-1][1]) if history else 0
    episodes = np.array([episode for episode, _ in history], dtype=np.int64)
    pairs = [(one, other) for one in range(experts) for other in range(one + 1, experts)]
    if len(pairs) <= MAX_PAIRS:
        lines = {
            _("{first} and {second}", first=one + 1, second=other + 1): [
                _between(profiles, one, other) for _, profiles in history
            ]
            for one, other in pairs
        }
    else:
        of_all = [closest_and_farthest([expert.distances for expert in profiles]) for _, profiles in history]
        lines = {
            name: [found[place] for found in of_all]
            for place, name in enumerate((_("Closest"), _("Mean"), _("Farthest")))
        }
    alt = say("Distances of experts of {name} over {history} evaluations.", name=series.name, history=len(history))
    figure = frame(series, "distance-history", alt, legend=True, title=say("Distance"))
    for (name, values), colour in zip(lines.items(), cycle(METRICS), strict=False):
        figure.add(
            "scatter",
            x=episodes,
            y=np.array(values, dtype=np.float64),
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 1.5},
            marker={"size": 6},
            hovertemplate="%{y:.3f}",
        )
    figure.layout.yaxis.rangemode = "tozero"
    return figure


def map_figure(
    run: str, points: StateMap, experts: int, *, by_scenario: bool = False, shown: int | None = None
) -> Figure:
    """States of an evaluation on their two principal axes, coloured by the expert with the largest gate.

    Args:
        run: its name.
        points: the states.
        experts: how many there are.
        by_scenario: colour them by scenario instead, the most frequent ones.
        shown: the place of a state that is marked.
    """
    shares = [f"{share:.0%}" for share in (*points.explained, 0.0, 0.0)[:2]]
    said = {"states": len(points.x), "run": run, "first": shares[0], "second": shares[1]}
    alt = _("{states:,} states of {run} on two axes with {first} and {second} of their variance, by expert.", **said)
    if by_scenario:
        alt = _(
            "{states:,} states of {run} on two axes with {first} and {second} of their variance, by scenario.", **said
        )
    groups = _by_scenario(points) if by_scenario else _by_expert(points, experts)
    figure = flat_frame(f"map:{run}", alt, height=420, legend=by_scenario or experts <= MAX_NAMED)
    x, y = (np.array(values, dtype=np.float64) for values in (points.x, points.y))
    more = np.array([points.number, points.step, points.gate, np.add(points.expert, 1)], dtype=np.float64).T
    for name, here, marker in groups:
        if here.any():
            about = "" if not by_scenario else f"{translated(name)}<br>"
            where = _("Expert {number}, gate {gate}", number="%{customdata[3]}", gate="%{customdata[2]:.0%}")
            when = _("episode {episode}, step {step}", episode="%{customdata[0]}", step="%{customdata[1]}")
            figure.add(
                "scatter",
                x=x[here],
                y=y[here],
                customdata=more[here],
                name=name,
                mode="markers",
                marker={"size": 5, "opacity": 0.6, **marker},
                hovertemplate=f"{about}{translated(where)}<br>{_hover(when)}",
            )
    if shown is not None:
        ring = {"symbol": "circle-open", "size": 16, "color": NEUTRAL, "line": {"width": 3}}
        place = {"x": x[shown : shown + 1], "y": y[shown : shown + 1]}
        figure.add("scatter", **place, name=_("Shown"), mode="markers", marker=ring, showlegend=False, hoverinfo="skip")
    for axis, values, share, number in (("xaxis", x, shares[0], 1), ("yaxis", y, shares[1], 2)):
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        edge = 0.05 * (high - low) or 1.0
        title = {"text": say("Axis {number} ({share} of the variance)", number=number, share=share), "standoff": 8}
        figure.layout[axis].merge({"range": [low - edge, high + edge], "title": title})
    return figure


def _by_expert(points: StateMap, experts: int) -> list[tuple[str, Any, dict[str, Any]]]:
    chosen = np.array(points.expert)
    return [
        (
            _("Expert {number}", number=expert + 1),
            chosen == expert,
            {"color": colour, "symbol": pattern(SYMBOLS, expert)},
        )
        for expert, colour in enumerate(expert_colours(experts))
    ]


def _by_scenario(points: StateMap) -> list[tuple[str, Any, dict[str, Any]]]:
    """The most frequent scenarios, each with a symbol of its own; the others in one grey."""
    chosen = np.array(points.scenario)
    frequent = np.argsort(-np.bincount(chosen, minlength=len(points.scenarios)), kind="stable")
    named = frequent[: len(_SYMBOLS) - (len(frequent) > len(_SYMBOLS))]
    groups = [
        (
            chart_text(points.scenarios[place] or say("no scenario")),
            chosen == place,
            {"color": colour, "symbol": symbol, "size": 7},
        )
        for place, colour, symbol in zip(named.tolist(), ramp(len(named)), _SYMBOLS, strict=False)
    ]
    others = len(frequent) - len(named)
    return groups + [(_("{others} others", others=others), ~np.isin(chosen, named), {"color": NEUTRAL})] * bool(others)


def knockout_figure(run: str, complete: Sequence[float], removals: Sequence[Removal]) -> Figure:
    """Mean return without each expert with its 95 % interval, beside that with all experts."""
    whole, count = interval(complete), len(complete)
    verdicts = strung(
        _("; "),
        [
            _("expert {number} {verdict}", number=removal.expert + 1, verdict=removal.verdict.words)
            for removal in removals[:MAX_NAMED]
        ],
    )
    alt = say(
        "Mean return of {run} without each expert over {count} episodes, with all {mean:.4g}: {verdicts}.",
        run=run,
        count=count,
        mean=whole.mean,
        verdicts=verdicts,
    )
    figure = flat_frame(f"knockout:{run}", alt, height=320, legend=False)
    named = len(removals) <= MAX_NAMED
    names = [
        f"{removal.expert + 1}" + (f"<br>{translated(removal.verdict.words)}" if named else "") for removal in removals
    ]
    figure.layout.xaxis.merge(name_places(names) | {"title": {"text": say("Without expert"), "standoff": 8}})
    figure.layout.margin.merge({"b": 62 if named else 42, "r": 90})
    returns, of_all = (
        [removal.returns for removal in removals],
        expert_colours(max((r.expert for r in removals), default=0) + 1),
    )
    figure.add(
        "bar",
        x=np.arange(len(removals)),
        y=np.array([found.mean for found in returns]),
        marker={"color": [of_all[removal.expert] for removal in removals]},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": np.array([_above(found) for found in returns]),
            "arrayminus": np.array([_below(found) for found in returns]),
            "color": NEUTRAL,
            "thickness": 1.5,
            "width": 4,
        },
        customdata=[_words(removal) for removal in removals],
        hovertemplate="%{customdata}<extra></extra>",
        name=_("Return"),
    )
    if math.isfinite(whole.mean):
        edges = {"x0": 0, "x1": 1, "xref": "paper"}
        line = {"width": 1.5, "dash": "dash", "color": NEUTRAL}
        shapes: list[dict[str, Any]] = [{"type": "line", "y0": whole.mean, "y1": whole.mean, "line": line, **edges}]
        if math.isfinite(whole.low):
            band = {"type": "rect", "y0": whole.low, "y1": whole.high, "line": {"width": 0}, "layer": "below"}
            shapes.append({**band, "fillcolor": rgba(NEUTRAL, 0.2), **edges})
        figure.layout.merge({"shapes": shapes})
        place = {"x": 1, "xref": "paper", "xanchor": "left", "y": whole.mean, "showarrow": False, "xshift": 4}
        figure.annotate({"text": say("all: {mean:.4g}", mean=whole.mean), "font": {"size": 12}, **place})
    figure.layout.yaxis.merge({"title": {"text": say("Mean return"), "standoff": 6}})
    return figure


def _rows_height(experts: int) -> int:
    """Pixels of a chart with a row for each expert: of up to 32 each is named; more still fit on a screen."""
    return 120 + max(14 * min(experts, 32), 8 * experts)


def _numbered(experts: int) -> list[str]:
    return [_("Expert {number}", number=number) for number in range(1, experts + 1)]


def _action_names(actions: Any) -> list[str]:
    if "mean" in actions or "on" in actions:
        return [str(number) for number in range(1, len(actions.get("mean", actions.get("on"))) + 1)]
    parts = actions.get("probabilities", [])
    first = [*actions.get("first", []), *[0] * len(parts)]
    if len(parts) == 1 and len(actions.get("names", ())) == len(parts[0]):
        return all_in_words(words_of(actions["names"]))
    if len(parts) == 1:
        return [str(first[0] + value) for value in range(len(parts[0]))]
    return [f"{place}:{first[place - 1] + value}" for place, part in enumerate(parts, 1) for value in range(len(part))]


def _flat(actions: Any, length: int, name: str = "") -> Any:
    """The numbers of an action distribution side by side; NaN where it is not known."""
    if actions is None:
        return np.full(length, math.nan)
    if "probabilities" in actions:
        return np.array([value for part in actions["probabilities"] for value in part], dtype=np.float64)
    return np.array(actions[name or ("mean" if "mean" in actions else "on")], dtype=np.float64)


def _between(profiles: Sequence[ExpertProfile], one: int, other: int) -> float:
    value = profiles[one].distances[other] if one < len(profiles) and other < len(profiles) else None
    return math.nan if value is None else value


def _above(found: Interval) -> float:
    return found.high - found.mean


def _below(found: Interval) -> float:
    return found.mean - found.low


def _words(removal: Removal) -> str:
    returns, difference = removal.returns, removal.difference
    without = say(
        "Without expert {number}: {mean:.4g} over {count} episodes",
        number=removal.expert + 1,
        mean=returns.mean,
        count=returns.count,
    )
    changes = say("difference {mean:+.4g}", mean=difference.mean)
    if math.isfinite(difference.low):
        changes = say(
            "difference {mean:+.4g}, 95 % from {low:+.4g} to {high:+.4g}",
            mean=difference.mean,
            low=difference.low,
            high=difference.high,
        )
    return f"{without}<br>{changes}<br>{translated(removal.verdict.words)}"


def _hover(words: Message) -> str:
    """A hover of these words alone: plotly would add the name of the trace."""
    return f"{translated(words)}<extra></extra>"
