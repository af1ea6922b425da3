"""A look inside of a policy: the numbers of its own forward pass, under the routing that it is set to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from v3core.environments import EnvironmentSpec
from v3core.environments.node_words import node_kinds, node_names, node_places, node_words
from v3core.insight.inside import Inside
from v3core.interruption import never, raise_if
from v3core.policy import GATMoEPolicy
from v3core.policy.gat import GraphAttention
from v3core.policy.memory import in_a_row

CHUNK = 256
"""States of one forward pass."""
MAX_BYTES = 256 << 20
"""Node features and attention of an episode, at most: of a longer one those of its first steps are kept."""


@torch.inference_mode()
def look_inside(
    policy: GATMoEPolicy,
    spec: EnvironmentSpec,
    observations: NDArray[Any],
    *,
    progress: Callable[[int], None] = lambda _: None,
    interrupted: Callable[[], bool] = never,
) -> Inside:
    """What the policy computes of flat observations [T, size] of an episode from its beginning, with T of 1 or more.

    Without routing noise, as in evaluations. `progress` is called with how many states are done.

    Raises:
        Interrupted: if `interrupted()` was true.
    """
    layers: Any = policy.gat
    heads = layers[0].conv.heads if isinstance(layers[0].conv, GraphAttention) else 0
    rank, edges = _edges(spec)
    per_state = spec.graph.nodes * policy.readout.out_features + len(layers) * heads * edges.shape[1]
    count = len(observations)
    kept = min(count, max(1, MAX_BYTES // (4 * per_state)))
    columns: list[NDArray[Any]] = []
    memory = policy.blank_memory(1)
    for first in range(0, count, CHUNK):
        raise_if(interrupted)
        chunk = observations[first : first + CHUNK]
        inner = min(max(kept - first, 0), len(chunk))
        found, memory = _of_chunk(policy, chunk, inner, edges[0], rank, memory)
        if not columns:
            rows = [kept, kept] + [count] * (len(found) - 2)
            columns = [np.empty((rows[place], *one.shape[1:]), one.dtype) for place, one in enumerate(found)]
        for column, one in zip(columns, found, strict=True):
            column[first : first + len(one)] = one
        progress(first + len(chunk))
    nodes, attention, scene, router_logits, gates, expert_outputs, shared, outputs, values = columns
    words = node_words(spec, observations)
    return Inside(
        nodes=nodes,
        attention=attention if heads else None,
        edges=edges,
        scene=scene,
        router_logits=router_logits,
        gates=gates,
        expert_outputs=expert_outputs,
        shared=shared if policy.shared is not None else None,
        outputs=outputs,
        values=values,
        numbers=words.numbers,
        said=words.said,
        places=node_places(spec),
        node_names=tuple(node_names(spec)),
        kinds=tuple(node_kinds(spec)),
        words=words.words,
        colours=words.colours,
        graph=layers[0].graph,
        heads=heads,
        layers=len(layers),
        gating=dict(vars(policy.gating)),
        bias=tuple(policy.expert_bias.tolist()) if policy.uses_bias else (),
        actions=policy.actions.facts(),
    )


def _edges(spec: EnvironmentSpec) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Which of its receiver's edges each is, [A], and receiver and sender of each, [2, A], ordered by receiver."""
    receivers, senders = np.nonzero(spec.graph.neighbours)
    firsts = np.searchsorted(receivers, np.arange(spec.graph.nodes))
    return np.arange(len(receivers)) - firsts[receivers], np.stack((receivers, senders)).astype(np.int32)


def _of_chunk(
    policy: GATMoEPolicy,
    chunk: NDArray[Any],
    inner: int,
    receivers: NDArray[np.int32],
    rank: NDArray[np.int64],
    memory: Tensor | None,
) -> tuple[tuple[NDArray[Any], ...], Tensor | None]:
    """Of some states, the first `inner` of which with nodes and attention, in the order of the fields of `Inside`.

    And what is remembered after them, given what is before, [1, size of the memory] both.
    """
    device = policy.router.weight.device
    entering: Tensor = policy.tokens(torch.from_numpy(np.array(chunk)).to(device))
    nodes = entering
    at_rank, of_receiver = (torch.from_numpy(each).long().to(device) for each in (rank, receivers))
    attention = []
    layers: Any = policy.gat
    for layer in layers:
        weights = layer.attention(nodes)
        if weights is not None:
            # [heads, degree, nodes, batch] to [inner, heads, edges]
            attention.append(_plain(weights[:, at_rank, of_receiver, :inner].permute(2, 0, 1)))
        nodes = layer(nodes)
    output = policy.of_nodes(nodes, memory=in_a_row(memory, len(chunk)))
    none = torch.zeros_like(output.outputs)
    found = (
        _plain(entering.permute(2, 1, 0)[:inner]),
        np.stack(attention, 1) if attention else np.zeros((inner, 0)),
        _plain(output.scene),
        _plain(output.router_logits),
        _plain(output.gates),
        _plain(output.expert_outputs.transpose(0, 1)),
        _plain(policy.with_shared(none, output.scene)),
        _plain(output.outputs),
        _plain(output.values),
    )
    return found, None if output.memory is None else output.memory[-1:]


def _plain(values: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.float().cpu().contiguous().numpy().copy()
    return found
