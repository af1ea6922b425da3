"""What there is room for on the nodes of a cluster, where somebody else chooses the node: pure functions."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from v3core.jobs.launchers.interface import Node, Offer
from v3core.jobs.lifecycle import ACTIVE
from v3core.store.run_row import RunRow

GPU_SHARE = 0.25
"""The part of a GPU of a run with the device `cuda` that names none: its network is small."""


def gpus_of(run: RunRow) -> float:
    """The GPUs that a run needs on a cluster."""
    if run.needs_gpus is not None:
        return run.needs_gpus
    return GPU_SHARE if '"device":"cuda"' in run.config_json else 0.0


def has_label(node: Node, run: RunRow) -> bool:
    """Whether a run may train on a node."""
    if not run.needs_label:
        return True
    key, _, value = run.needs_label.partition("=")
    return node.labels.get(key) == value


def held(offer: Offer, names: Collection[str], active: Iterable[RunRow]) -> list[RunRow]:
    """Of the active runs those that a cluster has been given, whatever the dashboard calls it that started them.

    Args:
        offer: the nodes of the cluster.
        names: what its launcher starts by the column `launcher` of `runs`.
        active: the runs that have not ended, of all launchers.
    """
    here = {node.id for node in offer.nodes}
    return [run for run in active if run.launcher in names or run.node in here]


def by_address(nodes: Iterable[Node]) -> list[Node]:
    """Nodes in the order of the numbers in their addresses."""
    return sorted(nodes, key=lambda node: [int(part) for part in re.findall("[0-9]+", node.address)])


def used_slots(runs: Iterable[RunRow]) -> Counter[str | None]:
    """Node id to the number of runs that train there."""
    return Counter(run.node for run in runs if run.status in ACTIVE)


def free_slots(node: Node, used: int) -> int:
    """Slots that nothing takes. Where the cluster does not say so of single nodes: those that its runs do not take."""
    left = max(0, node.slots - used)
    return left if node.free is None else min(left, node.free)


@dataclass(frozen=True)
class _Kind:
    """Runs without a node yet that the cluster may place on the same nodes."""

    nodes: frozenset[str]
    gpus: float


def startable(offer: Offer, active: Iterable[RunRow], queued: Iterable[RunRow]) -> list[RunRow]:
    """Those of the waiting runs, in their order, that find a slot whatever node the cluster chooses for the others.

    A run that is claimed and finds none would wait, be given back, and be claimed again. So of the runs that may be
    placed on the nodes of one, itself included, there are never more than those nodes have slots; and one of its nodes
    has GPUs for it even if all the others take theirs there.

    Args:
        offer: the nodes of the cluster, as of the last second.
        active: the runs that the cluster has been given and that have not ended.
        queued: the waiting runs.
    """
    nodes = offer.nodes
    used, used_gpus, placing = Counter[str](), defaultdict[str, float](float), Counter[_Kind]()
    for run in active:
        if run.node:
            used[run.node] += 1
            used_gpus[run.node] += gpus_of(run)
        elif (kind := _kind(nodes, run)).nodes:  # else it takes the slot of none: it may be of another cluster
            placing[kind] += 1
    # What others use is not free, nor what a run that has just ended still holds.
    room = {
        node.id: max(0, min(node.slots - used[node.id], node.slots if node.free is None else node.free))
        for node in nodes
    }
    others = offer.busy if any(node.free is None for node in nodes) else 0
    gpus = {node.id: node.gpus - used_gpus[node.id] for node in nodes}
    chosen: list[RunRow] = []
    for run in queued:
        if placing.total() >= sum(room.values()) - others:
            break
        kind = _kind(nodes, run)
        if not kind.nodes:
            continue
        placing[kind] += 1
        if all(_fits(one, placing, room, gpus) for one in placing if one.nodes & kind.nodes):
            chosen.append(run)
        else:
            placing[kind] -= 1
            placing += Counter[_Kind]()  # which leaves out those of which there are none
    return chosen


def _kind(nodes: Sequence[Node], run: RunRow) -> _Kind:
    gpus = gpus_of(run)
    return _Kind(frozenset(node.id for node in nodes if has_label(node, run) and node.gpus >= gpus), gpus)


def _fits(one: _Kind, placing: Mapping[_Kind, int], room: Mapping[str, int], gpus: Mapping[str, float]) -> bool:
    """Whether each run of a kind finds a slot and its GPUs wherever all the others are placed."""
    rivals = {other: number for other, number in placing.items() if other.nodes & one.nodes}
    if sum(rivals.values()) > sum(room[node] for node in one.nodes):
        return False
    return not one.gpus or any(
        room[node] >= sum(number for other, number in rivals.items() if node in other.nodes)
        and gpus[node] >= sum(other.gpus * number for other, number in rivals.items() if node in other.nodes)
        for node in one.nodes
    )
