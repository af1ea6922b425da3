"""A step in words and numbers: from the observation to the action, each number as it flowed through the network."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.insight.actions import ActionFacts, exact, in_units, probabilities
from v3core.insight.inside import Inside
from v3core.insight.jumps import return_that_followed
from v3core.insight.replays import Replay
from v3core.insight.seen_words import all_in_words, in_words
from v3core.messages import Message, _, translated, with_minus
from v3core.phrases import listed, sentences

MAX_ROWS = 24
"""Rows of a part that are listed."""
STRONGEST = 5
"""Edges of each layer, nodes and components of the scene that are listed."""
MAX_EXPERTS = 8
"""Experts that are listed, those with the largest gates."""
ANOTHER_NETWORK = 1e-3
"""Recomputed gates that differ by more are those of another network."""

OBSERVATION = _("Observation")
"""Title of a part that a page shows in the place of a missing frame."""
NO_EXPERTS = _("They were not recorded: like what is inside of the network, they are computed from the checkpoint.")

_SILENT = {
    "image": _("Nodes that see a part of an image, not listed: {count}."),
    "group": _("Nodes that see several numbers, not listed: {count}."),
    "hub": _("Hubs, which observe nothing and gather what others send them: {count}."),
}
"""Of kinds of nodes that have no words."""

Part = dict[str, Any]


def explained(
    replay: Replay,
    inside: Inside | None,
    step: int,
    *,
    facts: ActionFacts | None,
    names: Sequence[str],
    done: str,
    head: int | None = None,
    no_inside: str = "",
) -> list[Part]:
    """The parts from observation to action of a step, from 1: each with a `title`, a `text` and `rows` of two texts.

    Args:
        replay: of which the step is.
        inside: what the network computed; None if that is not known, for the reason `no_inside`.
        step: which one.
        facts: what outputs mean; None if that was not recorded.
        names: of the actions, as `action_names`.
        done: the chosen action in words.
        head: whose attention is listed, from 1; the mean of all heads if None.
        no_inside: a sentence.
    """
    at = step - 1
    parts: list[Part] = []
    if inside is None:
        why = no_inside or _(
            "What is inside of the network is not known here: that needs a checkpoint of this evaluation."
        )
        text = sentences(why, _("The numbers below were recorded when the policy acted."))
        parts.append(_part(_("Inside the network"), text))
    else:
        parts += [_observation(inside, at), _features(inside, at), *_attention(inside, at, head), _scene(inside, at)]
        parts += [_logits(inside, at), _routing(inside, at)]
    parts += [_gates(replay, inside, at), *_experts(replay, inside, at, names)]
    parts.append(_mixture(replay, inside, at, names))
    if facts is not None:
        parts.append(_distribution(replay, at, facts, names))
    parts += [_action(replay, at, facts, done), _value(replay, at)]
    return parts


def _part(title: str, text: str = "", rows: Sequence[tuple[str, str]] = ()) -> Part:
    return {
        "title": translated(title),
        "text": translated(text),
        "rows": [[translated(cell) for cell in row] for row in rows],
    }


def _some(rows: Sequence[tuple[str, str]], most: int = MAX_ROWS) -> list[tuple[str, str]]:
    left = len(rows) - most
    return list(rows) if left <= 0 else [*rows[:most], (_("{count} more", count=left), _("not listed"))]


def _observation(inside: Inside, at: int) -> Part:
    rows, plain, silent = [], Counter[str](), Counter[str]()
    for node, (name, kind) in enumerate(zip(inside.node_names, inside.kinds, strict=True)):
        seen = inside.observed(at, node)
        if not seen:
            silent[kind] += 1
        elif kind == "grid" and seen in {"unseen", "empty", "wall", "floor"}:
            plain[seen] += 1
        else:
            rows.append((name, seen))
    cells = [_("{count} {things}", count=count, things=in_words(word)) for word, count in plain.most_common()]
    more = [_(words, count=silent[kind]) for kind, words in _SILENT.items() if silent[kind]]
    text = sentences(_("Cells: {cells}.", cells=listed(cells)) if cells else "", *more)
    return _part(OBSERVATION, text, [(in_words(name), in_words(seen)) for name, seen in _some(rows)])


def _features(inside: Inside, at: int) -> Part:
    count, width = inside.nodes.shape[1:]
    text = _("{count} nodes of {width} numbers each enter the first layer.", count=count, width=width)
    if at >= len(inside.nodes):
        kept = _("They were kept of the first {count:,} steps of this long episode.", count=len(inside.nodes))
        return _part(_("Node features"), sentences(text, kept))
    norms = np.linalg.norm(np.asarray(inside.nodes[at], dtype=np.float64), axis=1)
    order = np.argsort(-norms, kind="stable")[:STRONGEST]
    rows = [(in_words(inside.node_names[node]), _("norm {value:.6g}", value=norms[node])) for node in order]
    return _part(_("Node features"), sentences(text, _("The largest:")), rows)


def _attention(inside: Inside, at: int, head: int | None) -> list[Part]:
    if inside.attention is None:
        return [_part(_("Attention"), _("None: with graph=mlp the nodes send each other no messages."))]
    if at >= len(inside.attention):
        kept = _("It was kept of the first {count:,} steps of this long episode.", count=len(inside.nodes))
        return [_part(_("Attention"), kept)]
    parts = []
    for layer in range(inside.layers):
        of_layer = np.asarray(inside.attention[at, layer])
        weights = of_layer.mean(0) if head is None else of_layer[head - 1]
        order = np.argsort(-weights, kind="stable")[:STRONGEST]
        rows = []
        for edge in order:
            receiver, sender = inside.edges[:, edge]
            of_edge = all_in_words(inside.node_names[node] for node in (receiver, sender))
            words = _("{receiver} attends to {sender}", receiver=of_edge[0], sender=of_edge[1])
            if sender == receiver:
                words = _("{receiver} attends to itself", receiver=of_edge[0])
            rows.append((words, exact(weights[edge])))
        title = _("Attention, layer {layer} (head {head})", layer=layer + 1, head=head)
        if head is None:
            title = _("Attention, layer {layer} (mean of the heads)", layer=layer + 1)
        parts.append(_part(title, _("The strongest edges:"), rows))
    return parts


def _scene(inside: Inside, at: int) -> Part:
    scene = np.asarray(inside.scene[at])
    order = np.argsort(-np.abs(scene), kind="stable")[:STRONGEST]
    norm = float(np.linalg.norm(scene.astype(np.float64)))
    text = _("{count} numbers from −1 to 1, with norm {norm:.6g}. The largest:", count=len(scene), norm=norm)
    return _part(
        _("Scene"), text, [(_("Component {number}", number=place + 1), exact(scene[place])) for place in order]
    )


def _logits(inside: Inside, at: int) -> Part:
    logits = inside.router_logits[at]
    rows = [
        (_("Expert {number}", number=expert + 1), exact(logits[expert])) for expert in _order(inside.gates[at], logits)
    ]
    return _part(_("Router logits"), "", _some(rows, MAX_EXPERTS))


def _routing(inside: Inside, at: int) -> Part:
    gating, logits = inside.gating, inside.router_logits[at]
    routing, temperature = gating["routing"], gating["temperature"]
    scaled = np.asarray(logits) / np.float32(temperature)
    order = _order(inside.gates[at], logits)
    values = [exact(scaled[expert]) for expert in order]
    if routing == "topk" and inside.bias:
        values = [
            _("{value}, bias {bias}", value=value, bias=exact(inside.bias[expert]))
            for expert, value in zip(order, values, strict=True)
        ]
    rows = [(_("Expert {number}", number=expert + 1), value) for expert, value in zip(order, values, strict=True)]
    return _part(_("Temperature and routing"), _routing_words(inside), _some(rows, MAX_EXPERTS))


def _routing_words(inside: Inside) -> Message:
    gating = inside.gating
    said = {**gating, "name": gating["routing"]}
    match gating["routing"]:
        case "uniform" | "random":
            return _(
                "Without noise every expert has the same weight, whatever the logits are; divided by the temperature:"
            )
        case "gumbel":
            return _(
                "gumbel (softmax, as there is no noise) of the logits divided by the temperature {temperature:g}:",
                **said,
            )
        case "entmax":
            return _("{name} of the logits divided by the temperature {temperature:g}, with α = {alpha:g}:", **said)
        case "topk" if inside.bias:
            return _(
                "{name} of the logits divided by the temperature {temperature:g}, for the {top_k} largest, weights "
                "{top_k_weights}, chosen after adding the balancing bias to their affinities:",
                **said,
            )
        case "topk":
            return _(
                "{name} of the logits divided by the temperature {temperature:g}, for the {top_k} largest, weights "
                "{top_k_weights}:",
                **said,
            )
    return _("{name} of the logits divided by the temperature {temperature:g}:", **said)


def _gates(replay: Replay, inside: Inside | None, at: int) -> Part:
    gates = replay.gates[at]
    rows = [(_("Expert {number}", number=expert + 1), exact(gates[expert])) for expert in _order(gates, gates)]
    return _part(
        _("Gates"), "" if inside is None else _difference(replay.gates[at], inside.gates[at]), _some(rows, MAX_EXPERTS)
    )


def _difference(recorded: NDArray[Any], computed: NDArray[Any]) -> str:
    """How far what was computed again is from what acted."""
    apart = np.abs(recorded.astype(np.float64) - computed)
    most = float(np.where(np.isnan(recorded) & np.isnan(computed), 0, apart).max())
    if most == 0:
        return ""
    if not most <= ANOTHER_NETWORK:
        return _(
            "As recorded. Computed again they differ by up to {most:.3g}: the checkpoint is of another network than "
            "the one that acted.",
            most=most,
        )
    return _(
        "As recorded. Computed again they differ by at most {most:.2g}: sums of another batch are rounded differently.",
        most=most,
    )


def _experts(replay: Replay, inside: Inside | None, at: int, names: Sequence[str]) -> list[Part]:
    gates = replay.gates[at]
    if inside is not None:
        outputs, text = inside.expert_outputs[at], _("What each expert puts out:")
        if inside.shared is not None:
            text = _("What each expert puts out, without the shared experts:")
    elif replay.expert_outputs is not None:
        outputs, text = replay.expert_outputs[at], _("What each expert would put out alone:")
    else:
        return [_part(_("Experts' outputs"), NO_EXPERTS)]
    rows: list[tuple[str, str]] = [
        (_("Expert {number}", number=expert + 1), _listed(outputs[expert], names)) for expert in _order(gates, gates)
    ]
    rows = _some(rows, MAX_EXPERTS)
    if inside is not None and inside.shared is not None:
        rows.append((_("Shared experts"), _listed(inside.shared[at], names)))
    return [_part(_("Experts' outputs"), text, rows)]


def _mixture(replay: Replay, inside: Inside | None, at: int, names: Sequence[str]) -> Part:
    outputs = replay.outputs[at]
    text = _("Gates times outputs of the experts.")
    if inside is not None and inside.shared is not None:
        text = _("Gates times outputs of the experts, plus those of the shared experts.")
    if inside is not None:
        text = sentences(text, _difference(outputs, inside.outputs[at]))
    labels = (
        names
        if len(names) == len(outputs)
        else [_("Output {number}", number=place) for place in range(1, len(outputs) + 1)]
    )
    return _part(
        _("Mixture"), text, _some([(in_words(label), exact(one)) for label, one in zip(labels, outputs, strict=True)])
    )


def _distribution(replay: Replay, at: int, facts: ActionFacts, names: Sequence[str]) -> Part:
    outputs = replay.outputs[at]
    if facts.is_continuous:
        means = in_units(facts, outputs)
        spread = facts.deviation or (math.nan,) * len(means)
        rows = [
            (in_words(name), with_minus(f"{mean:.7g}" if math.isnan(one) else f"{mean:.7g} ± {one:.7g}"))
            for name, mean, one in zip(names, means.tolist(), spread, strict=True)
        ]
        return _part(_("Action distribution"), _("Mean ± deviation, in units of the environment."), _some(rows))
    masks = None if replay.masks is None else replay.masks[at]
    parts = probabilities(facts, outputs, masks)
    is_switch = facts.kind == "multi_binary"
    shares = np.concatenate([part[1:] if is_switch else part for part in parts])
    flags = np.ones(len(shares), dtype=np.bool_) if masks is None else masks[1::2] if is_switch else masks
    rows = [
        (in_words(name), f"{share:.7g}" if free else _("not allowed"))
        for name, share, free in zip(names, shares.tolist(), flags, strict=True)
    ]
    text = _("Softmax of the mixture, of each component.") if len(parts) > 1 else _("Softmax of the mixture.")
    if is_switch:
        text = _("That each is on; σ of the mixture.")
    return _part(_("Action probabilities"), text, _some(rows))


def _action(replay: Replay, at: int, facts: ActionFacts | None, done: str) -> Part:
    action = replay.actions[at]
    if facts is None:
        return _part(_("Action"), "", [(_("Chosen"), ", ".join(with_minus(f"{one:g}") for one in action.tolist()))])
    rows = [(_("Chosen"), done)]
    if facts.is_continuous:
        is_mean = np.allclose(action, in_units(facts, replay.outputs[at]), rtol=1e-5, atol=1e-6)
        text = _("The mean.") if is_mean else _("Sampled around the mean.")
        beyond = bool(facts.low) and bool((action < np.array(facts.low)).any() or (action > np.array(facts.high)).any())
        return _part(
            _("Action"), sentences(text, _("It is clipped to the environment's bounds.")) if beyond else text, rows
        )
    masks = None if replay.masks is None else replay.masks[at]
    parts = probabilities(facts, replay.outputs[at], masks)
    chance = math.prod(float(part[int(value)]) for part, value in zip(parts, action, strict=True))
    likely = all(part[int(value)] == part.max() for part, value in zip(parts, action, strict=True))
    if not math.isfinite(chance):
        return _part(_("Action"), _("The outputs of the policy are not numbers."), rows)
    rows.append((_("Its probability"), f"{chance:.7g}"))
    return _part(
        _("Action"), _("The most probable one.") if likely else _("Sampled: it is not the most probable one."), rows
    )


def _value(replay: Replay, at: int) -> Part:
    rows = [
        (_("Expected return"), exact(replay.values[at])),
        (_("Reward of this step"), with_minus(f"{replay.rewards[at]:.7g}")),
    ]
    followed = return_that_followed(replay, at)
    if math.isfinite(followed):
        rows.insert(1, (_("Return that followed"), with_minus(f"{followed:.7g}")))
    return _part(
        _("State value"),
        _("Discounted returns, in units of the reward scale; the reward in those of the environment."),
        rows,
    )


def _order(gates: NDArray[Any], logits: NDArray[Any]) -> list[int]:
    """Experts in their order; of many, those with the largest gates first."""
    if len(gates) <= MAX_EXPERTS:
        return list(range(len(gates)))
    return [int(expert) for expert in np.lexsort((-np.asarray(logits), -np.asarray(gates)))]


def _listed(outputs: NDArray[Any], names: Sequence[str]) -> str:
    """Outputs side by side, with their names if they are few."""
    shown = [exact(one) for one in outputs[:MAX_EXPERTS]]
    if len(names) == len(outputs) <= MAX_EXPERTS:
        shown = [f"{in_words(name)} {one}" for name, one in zip(names, shown, strict=True)]
    left = len(outputs) - len(shown)
    return _("{names} and {count} more", names=listed(shown), count=left) if left > 0 else listed(shown)
