"""What the mixture and each expert alone would do at a step of a replay, beside what was done."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.flat import MAX_BARRED_ACTIONS, MAX_BARS, MAX_NAMED, add_matrix, flat_frame, name_places
from v3core.charts.palette import METRICS, NEUTRAL, expert_colours, rgba
from v3core.environments.action_names import action_names, chosen_words
from v3core.insight.actions import ActionFacts, in_units, probabilities
from v3core.insight.jumps import space_of
from v3core.insight.replays import Replay
from v3core.insight.seen_words import in_words
from v3core.messages import _, say, translated

MIXTURE = _("Mixture")
MIXTURE_COLOUR = METRICS[2]
_UNUSED = 0.35
"""Opacity of an expert whose gate is 0."""


def replay_actions(replay: Replay, step: int) -> Figure | None:
    """Action distribution of the mixture and of each expert alone at a step, from 1, with the chosen action marked.

    Probabilities are bars (a heatmap if there are many), numbers a mean with its deviation, in units of the
    environment. None if it was not recorded what the outputs mean.
    """
    facts = space_of(replay)
    if facts is None:
        return None
    at = step - 1
    gates = replay.gates[at]
    rows = [replay.outputs[at]]
    if replay.expert_outputs is not None:
        rows += list(replay.expert_outputs[at])
    values = np.array(rows, dtype=np.float64)
    experts = len(rows) - 1
    who = [MIXTURE, *(_("Expert {number}", number=expert + 1) for expert in range(experts))]
    said = [
        translated(MIXTURE),
        *(say("Expert {number}, gate {gate:.3g}", number=place + 1, gate=gates[place]) for place in range(experts)),
    ]
    names = action_names(replay.environment, facts, outputs=replay.outputs.shape[1])
    done = chosen_words(names, facts, replay.actions[at].tolist())
    alt = say("Step {step}: the action distribution of the mixture. Chosen: {action}.", step=step, action=done)
    if experts:
        alt = say(
            "Step {step}: the action distribution of the mixture and of {experts} experts alone. Chosen: {action}.",
            step=step,
            experts=experts,
            action=done,
        )
    looks = [(MIXTURE_COLOUR, 1.0)]
    looks += [
        (colour, 1.0 if gate > 0 else _UNUSED) for colour, gate in zip(expert_colours(experts), gates, strict=False)
    ]
    if facts.is_continuous:
        return _numbers(replay, at, facts, values, who, said, names, looks, alt)
    masks = None if replay.masks is None else replay.masks[at]
    shares = _shares(facts, values, masks)
    chosen = _chosen_columns(facts, replay.actions[at])
    free = _allowed(facts, masks)
    names = [chart_text(in_words(name)) for name in names]
    few = experts <= MAX_BARS and len(names) <= MAX_BARRED_ACTIONS
    figure = flat_frame(f"replay-actions:{experts}", alt, height=300 if few else max(300, 120 + 14 * len(rows)))
    figure.layout.showlegend = few
    ticks = [f"<b>{name}</b>" if column in chosen else name for column, name in enumerate(names)]
    figure.layout.xaxis.merge(name_places(ticks))
    figure.layout.margin.merge({"b": 60, "t": 54 if few else 24})
    for column in [column for column, allowed in enumerate(free) if not allowed]:
        figure.layout.shapes.append(_not_allowed(column))
        place = {"x": column, "y": 0.5, "yref": "paper", "showarrow": False, "textangle": -90, "font": {"size": 12}}
        figure.annotate({"text": say("not allowed"), **place})
    if few:
        for name, about, share, (colour, opacity) in zip(who, said, shares, looks, strict=True):
            figure.add(
                "bar",
                x=np.arange(len(names)),
                y=share,
                name=name,
                marker={"color": colour, "opacity": opacity},
                customdata=names,
                hovertemplate=f"{about}<br>%{{customdata}}: %{{y:.4f}}<extra></extra>",
            )
        _mark(figure, chosen, [1.06] * len(chosen), done, symbol="triangle-down")
        axis = {"title": {"text": say("Probability"), "standoff": 6}, "tickformat": ".0%", "range": [0, 1.12]}
        figure.layout.yaxis.merge(axis | {"tickvals": [0, 0.25, 0.5, 0.75, 1]})
    else:
        add_matrix(figure, shares, names, said, title=say("Probability"), number=".0%", most=1)
        figure.data[-1].hovertemplate = "%{y}<br>%{customdata}: %{z:.4f}<extra></extra>"
        figure.layout.yaxis.merge({"tickvals": said, "ticktext": [translated(name) for name in who]})
        outline = {"type": "rect", "y0": -0.5, "y1": len(rows) - 0.5, "line": {"width": 2, "color": MIXTURE_COLOUR}}
        figure.layout.shapes += [outline | {"x0": column - 0.5, "x1": column + 0.5} for column in chosen]
    return figure


def _numbers(
    replay: Replay,
    at: int,
    facts: ActionFacts,
    values: NDArray[np.float64],
    who: Sequence[str],
    said: Sequence[str],
    names: Sequence[str],
    looks: Sequence[tuple[str, float]],
    alt: str,
) -> Figure:
    figure = flat_frame(f"replay-actions:{len(who)}", alt, height=300, legend=len(who) <= MAX_NAMED)
    figure.layout.xaxis.merge(name_places([chart_text(in_words(name)) for name in names]))
    deviations = facts.deviation or None
    places = np.arange(len(names))
    of_rows = zip(who, said, in_units(facts, values), looks, strict=True)
    for row, (name, about, means, (colour, opacity)) in enumerate(of_rows):
        spread: dict[str, Any] = {}
        value = "%{y:.6g}"
        if deviations is not None:
            bars = {"type": "data", "array": np.array(deviations), "color": colour, "thickness": 1.5, "width": 3}
            spread, value = {"error_y": bars}, "%{y:.6g} ± %{error_y.array:.4g}"
        figure.add(
            "scatter",
            x=places + 0.7 * (row + 0.5 - len(who) / 2) / len(who),
            y=means,
            name=name,
            mode="markers",
            marker={"color": colour, "size": 8},
            opacity=opacity,
            hovertemplate=f"{about}: {value}<extra></extra>",
            **spread,
        )
    done = replay.actions[at].astype(np.float64)
    _mark(figure, places.tolist(), done.tolist(), "%{y:.6g}", symbol="line-ew-open")
    figure.data[-1].marker.merge({"size": 40})
    unit = say("Mean ± deviation") if deviations is not None else say("Mean")
    figure.layout.yaxis.merge({"title": {"text": unit, "standoff": 6}, "nticks": 6})
    return figure


def _mark(figure: Figure, x: Sequence[int], y: Sequence[float], words: str, *, symbol: str) -> None:
    figure.add(
        "scatter",
        x=list(x),
        y=list(y),
        name=_("Chosen"),
        mode="markers",
        cliponaxis=False,
        marker={"symbol": symbol, "size": 13, "color": NEUTRAL, "line": {"width": 2, "color": NEUTRAL}},
        hovertemplate=say("Chosen: {action}", action=words if words.startswith("%") else chart_text(translated(words)))
        + "<extra></extra>",
    )


def _shares(facts: ActionFacts, values: NDArray[np.float64], masks: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Probabilities of all values side by side, or that each switch is on, [rows, names]."""
    parts = probabilities(facts, values, masks)
    if facts.kind == "multi_binary":
        return np.stack([part[:, 1] for part in parts], 1)
    return np.concatenate(parts, 1)


def _chosen_columns(facts: ActionFacts, action: NDArray[Any]) -> list[int]:
    """Which of the names of an action were chosen: one for each component, or the switches that are on."""
    if facts.kind == "multi_binary":
        return [int(place) for place in np.flatnonzero(action)]
    firsts = np.cumsum((0, *facts.sizes[:-1]))
    return [int(place) for place in firsts + action]


def _allowed(facts: ActionFacts, masks: NDArray[np.bool_] | None) -> list[bool]:
    """Of each name whether it was allowed: of a switch, to be on."""
    count = len(facts.sizes) if facts.kind == "multi_binary" else sum(facts.sizes)
    if masks is None:
        return [True] * count
    flags = masks[1::2] if facts.kind == "multi_binary" else masks
    return [bool(flag) for flag in flags]


def _not_allowed(column: int) -> dict[str, Any]:
    place = {"x0": column - 0.5, "x1": column + 0.5, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", "layer": "below", "line": {"width": 0}, "fillcolor": rgba(NEUTRAL, 0.2), **place}
