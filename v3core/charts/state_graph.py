"""The state graph at a step of a replay: who attended to whom in a layer, and who was attended to most."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from v3core.charts.chart_text import chart_text
from v3core.charts.figure import Figure
from v3core.charts.flat import flat_frame
from v3core.charts.palette import NEUTRAL, colour_scale, rgba
from v3core.insight.actions import exact
from v3core.insight.inside import Inside
from v3core.insight.seen_words import all_in_words
from v3core.messages import _, say, translated

MAX_EDGES = 150
"""Edges that are drawn, the strongest: more would hide each other."""
_CLASSES = ((0.75, 5.0, 0.9), (0.5, 3.0, 0.7), (0.25, 1.75, 0.5), (0.0, 0.75, 0.3))
"""Share of the strongest edge from which an edge belongs to a class; its width and opacity."""
_MAX_NAMED = 24
"""With more nodes than this that are no cells, their names are only in the hover."""
_SMALLEST, _LARGEST = 10.0, 34.0
_HEIGHT = 460
_LINE = 12
"""Letters of a line of a name."""

RULE = _(
    "An arrow leads from the node that is attended to, to the node that attends; its width is its weight α relative "
    "to the strongest arrow of the step. The weights into a node, its own among them, sum to 1 in each layer and "
    "head. The size and colour of a node are the attention it receives: the mean over all nodes, itself included, "
    "of their weight for it. Nodes are where the grid has them, or on a circle."
)
"""What is drawn, for people."""


def attention_of(inside: Inside, step: int, layer: int, head: int | None) -> NDArray[np.float64] | None:
    """Weight of each edge at a step, a layer and a head, all from 1, [edges]; of all heads their mean if head is None.

    None if there is none: without a graph, or beyond the steps that it was kept of.
    """
    if inside.attention is None or step > len(inside.attention):
        return None
    of_layer = np.asarray(inside.attention[step - 1, layer - 1], dtype=np.float64)
    weights: NDArray[np.float64] = of_layer.mean(0) if head is None else of_layer[head - 1]
    return weights


def received(inside: Inside, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The attention that each node receives, [nodes]: the mean over all receivers of their weight for it."""
    count = len(inside.node_names)
    return np.bincount(inside.edges[1], weights, count) / count


def state_graph(inside: Inside, step: int, layer: int, head: int | None) -> Figure | None:
    """The graph at a step, for a layer and a head, all from 1, or the mean of heads; None without attention."""
    weights = attention_of(inside, step, layer, head)
    if weights is None:
        return None
    receivers, senders = inside.edges
    others = np.flatnonzero(receivers != senders)
    order = others[np.argsort(-weights[others], kind="stable")]
    drawn = order[:MAX_EDGES]
    strongest = float(weights[drawn[0]]) if len(drawn) else 0.0
    share = received(inside, weights)
    most = int(share.argmax())
    names = [chart_text(name) for name in all_in_words(inside.node_names)]
    name = names[most]
    said = {"step": step, "layer": layer, "node": name, "share": share[most]}
    alt = _(
        "Step {step}, layer {layer}, head {head}: {node} receives the most attention, {share:.3f}.", head=head, **said
    )
    if head is None:
        alt = _(
            "Step {step}, layer {layer}, the mean of all heads: {node} receives the most attention, {share:.3f}.",
            **said,
        )
    figure = flat_frame("state-graph", alt, height=_HEIGHT)
    caption = _("Arrows: all {count}, the strongest {strongest:.3f}.", count=len(others), strongest=strongest)
    if len(drawn) < len(others):
        caption = _(
            "Arrows: the {drawn} strongest of {count}, the strongest {strongest:.3f}.",
            drawn=len(drawn),
            count=len(others),
            strongest=strongest,
        )
    figure.layout.meta.caption = translated(caption)
    _axes(figure, inside.places)
    _edges(figure, inside, names, drawn, weights, strongest)
    _nodes(figure, inside, names, step, weights, share)
    return figure


def _axes(figure: Figure, places: NDArray[np.float32]) -> None:
    low, high = places.min(0).astype(float), places.max(0).astype(float)
    edge = np.maximum(0.1 * (high - low), np.array((0.55, 0.35)) if len(places) > 1 else 1.0)
    for axis, at in (("xaxis", 0), ("yaxis", 1)):
        figure.layout[axis] = {
            "range": [low[at] - edge[at], high[at] + edge[at]],
            "visible": False,
            "fixedrange": True,
        }
    figure.layout.yaxis.merge({"scaleanchor": "x", "scaleratio": 1})
    figure.layout.margin = {"l": 8, "r": 8, "t": 8, "b": 58}


def _edges(
    figure: Figure,
    inside: Inside,
    names: Sequence[str],
    drawn: NDArray[np.int64],
    weights: NDArray[np.float64],
    strongest: float,
) -> None:
    """A line trace for each class of widths, and an arrowhead for each edge, which has the exact number."""
    receivers, senders = inside.edges[:, drawn]
    places = np.asarray(inside.places, dtype=np.float64)
    start, end = places[senders], places[receivers]
    along = end - start
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    # A step to the right of its direction, so that an edge and the one back are apart.
    aside = np.stack((along[:, 1], -along[:, 0]), 1) / length * 0.04 * _unit(places)
    start, end = start + aside, end + aside
    shares = weights[drawn] / strongest if strongest > 0 else weights[drawn]
    classes = np.select([shares >= least for least, _, _ in _CLASSES], range(len(_CLASSES)), len(_CLASSES) - 1)
    for number in reversed(range(len(_CLASSES))):
        of_class = classes == number
        _, width, opacity = _CLASSES[number]
        lines = np.full((int(of_class.sum()), 3, 2), np.nan)
        lines[:, 0], lines[:, 1] = start[of_class], end[of_class]
        figure.add(
            "scatter",
            x=lines[..., 0].ravel().round(3),
            y=lines[..., 1].ravel().round(3),
            mode="lines",
            line={"width": width, "color": rgba(NEUTRAL, opacity)},
            hoverinfo="skip",
            showlegend=False,
        )
    heads = start + 0.62 * (end - start)
    texts = [
        say(
            "{receiver} attends to {sender}: {weight}",
            receiver=names[receiver],
            sender=names[sender],
            weight=exact(weight),
        )
        for receiver, sender, weight in zip(receivers.tolist(), senders.tolist(), weights[drawn].tolist(), strict=True)
    ]
    sizes = np.array([6 + 1.2 * width for _, width, _ in _CLASSES])[classes]
    opacities = np.array([min(1.0, opacity + 0.1) for _, _, opacity in _CLASSES])[classes]
    figure.add(
        "scatter",
        x=heads[:, 0].round(3),
        y=heads[:, 1].round(3),
        mode="markers",
        marker={
            "symbol": "triangle-up",
            "size": sizes,
            "opacity": opacities,
            "color": NEUTRAL,
            "line": {"width": 0},
            "angle": np.degrees(np.arctan2(along[:, 0], along[:, 1])).round(1),
        },
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
    )


def _nodes(
    figure: Figure,
    inside: Inside,
    names: Sequence[str],
    step: int,
    weights: NDArray[np.float64],
    share: NDArray[np.float64],
) -> None:
    receivers, senders = inside.edges
    own = np.full(len(share), np.nan)
    selves = receivers == senders
    own[receivers[selves]] = weights[selves]
    cells = np.array(inside.cells)
    named = (~cells).sum() <= _MAX_NAMED
    largest = float(share.max()) if share.max() > 0 else 1.0  # not if it is no number
    texts, hovers, rims = [], [], []
    observed = [inside.observed(step - 1, node) for node in range(len(names))]
    for node, (plain, recorded, said) in enumerate(zip(names, observed, all_in_words(observed), strict=True)):
        seen = chart_text(said)
        place = int(inside.said[step - 1, node])
        colour = inside.colours[place] if place >= 0 else ""
        rims.append(colour or rgba(NEUTRAL, 0.8))
        if cells[node]:
            thing = "agent" if recorded.startswith("agent") else recorded.rsplit(" ", 1)[-1] if colour else ""
            texts.append(thing)
        else:
            texts.append(_wrapped(plain) if named else "")
        lines = [
            f"<b>{plain}</b>",
            say("observes {seen}", seen=seen) if seen else "",
            say("receives {share} of the attention", share=exact(share[node])),
            say("its own weight for itself: {weight}", weight=exact(own[node])) if np.isfinite(own[node]) else "",
        ]
        hovers.append("<br>".join(filter(None, lines)))
    texts = all_in_words(texts)
    sizes = _SMALLEST + (_LARGEST - _SMALLEST) * np.sqrt(share / largest)
    walls = np.array([recorded in {"wall", "unseen"} for recorded in observed])
    figure.add(
        "scatter",
        x=inside.places[:, 0].round(3),
        y=inside.places[:, 1].round(3),
        mode="markers+text",
        text=texts,
        textposition=_text_positions(inside),
        textfont={"size": 11},
        marker={
            "symbol": ["square" if cell else "circle" for cell in inside.cells],
            "size": sizes.round(1),
            "color": share,
            "colorscale": colour_scale(),
            "cmin": 0,
            "cmax": largest,
            "opacity": np.where(walls, 0.55, 1.0),
            "line": {"color": rims, "width": [3 if rim.startswith("#") else 1 for rim in rims]},
            "colorbar": {
                "title": {"text": say("Attention received"), "font": {"size": 12}, "side": "bottom"},
                "tickfont": {"size": 12},
                "tickformat": ".2~g",
                "orientation": "h",  # a narrow page has no room at the side
                "y": 0,
                "yanchor": "top",
                "ypad": 4,
                "thickness": 8,
                "nticks": 5,
                "outlinewidth": 0,
            },
        },
        customdata=hovers,
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
        showlegend=False,
    )


def _text_positions(inside: Inside) -> list[str]:
    """Texts are below cells, above what is beside them, and outside of a circle."""
    beside = any(inside.cells)
    return [
        "bottom center" if cell or (not beside and y < -0.1) else "top center"
        for cell, y in zip(inside.cells, inside.places[:, 1].tolist(), strict=True)
    ]


def _wrapped(name: str) -> str:
    """A name in lines of few letters, for narrow screens."""
    return "<br>".join(wrap(name, _LINE, break_long_words=False))


def _unit(places: NDArray[np.float64]) -> float:
    """The distance of two neighbouring nodes, about."""
    extent = float(np.ptp(places, axis=0).max()) if len(places) > 1 else 1.0
    return 1.0 if extent > 2.5 else 0.6
