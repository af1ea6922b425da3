"""What each expert does: measured on a sample of the states that an evaluation visited."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from v3core.environments import EnvironmentSpec
from v3core.environments.state_words import described_states
from v3core.insight.experts import ExpertProfile, ExpertReport, StateMap, principal_axes, rounded
from v3core.policy import GATMoEPolicy
from v3core.training.losses import normalised_gates

MAX_STATES = 1000
"""States of a sample, at most."""
MAX_SAMPLE_BYTES = 32 << 20
"""Fewer states are kept of environments with large observations."""
MAX_COMPARED_NUMBERS = 1 << 20
"""Outputs of pairs of experts that are compared, at most: with many experts distances are measured on fewer states."""
MIN_COMPARED_STATES = 32
MAX_GATES = 8
"""Gates of a state that are kept, the largest."""
LEAST_GATE = 0.0005
_CHUNK = 256


class StateSample:
    """A uniform sample of the states of an evaluation, without replacement.

    Every state gets a random number, and those with the smallest are kept. The numbers come from a generator of its
    own, so that training and the evaluation itself are the same with and without it.
    """

    def __init__(self, seed: int, most: int = MAX_STATES) -> None:
        self._random = np.random.default_rng(seed)
        self._most = most
        self._below = 1.0
        self._keys: NDArray[np.float64] = np.empty(0)
        self._places: NDArray[np.int64] = np.empty((0, 2), dtype=np.int64)
        self._observations: NDArray[np.generic] | None = None
        self._masks: NDArray[np.bool_] | None = None
        self._memory: NDArray[np.float32] | None = None
        self._count = 0
        self._scenarios: dict[int, str] = {}

    def name(self, scenarios: Sequence[str], *, first: int) -> None:
        """The scenario of each of the episodes that begin now, number `first` + 1 and so on; empty if it has none."""
        self._scenarios |= {number: name for number, name in enumerate(scenarios, first + 1) if name}

    def scenario(self, number: int) -> str:
        """That of an episode, by its number from 1; empty if it has none."""
        return self._scenarios.get(number, "")

    def offer(
        self,
        observations: NDArray[np.generic],
        masks: NDArray[np.bool_] | None,
        memory: Tensor | None = None,
        *,
        first: int,
        step: int,
        over: Collection[int] = (),
    ) -> None:
        """Consider the states [N, size] in which environments act, before their step.

        Environment i plays episode number `first` + i + 1, of which this is step `step`, from 0; those in `over` have
        ended. `masks` [N, mask size] are the allowed actions, None if the environments do not say. `memory` [N, size]
        is what the policy remembers there, None of one without memory.
        """
        keys = self._random.random(len(observations))
        taken = [env for env in np.flatnonzero(keys < self._below) if env not in over]
        if not taken:
            return
        if self._observations is None:
            self._most = max(1, min(self._most, MAX_SAMPLE_BYTES // (2 * max(observations[0].nbytes, 1))))
            room = 2 * self._most + len(observations)
            self._observations = np.empty((room, observations.shape[1]), dtype=observations.dtype)
            self._keys, self._places = np.empty(room), np.empty((room, 2), dtype=np.int64)
            if memory is not None:
                self._memory = np.empty((room, memory.shape[1]), dtype=np.float32)
        if masks is not None and self._masks is None:  # until now everything was allowed
            self._masks = np.ones((len(self._keys), masks.shape[1]), dtype=np.bool_)
        rows = slice(self._count, self._count + len(taken))
        self._observations[rows], self._keys[rows] = observations[taken], keys[taken]
        self._places[rows, 0], self._places[rows, 1] = np.add(taken, first + 1), step
        if self._masks is not None:
            self._masks[rows] = True if masks is None else masks[taken]
        if self._memory is not None and memory is not None:
            self._memory[rows] = memory.cpu().numpy()[taken]
        self._count += len(taken)
        if self._count >= 2 * self._most:
            self._shrink()

    def _shrink(self) -> None:
        if self._count <= self._most:
            return
        kept = np.argpartition(self._keys[: self._count], self._most)[: self._most]
        self._below = float(self._keys[kept].max())
        for rows in (self._observations, self._keys, self._places, self._masks, self._memory):
            if rows is not None:
                rows[: self._most] = rows[kept]
        self._count = self._most

    def states(self) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None, NDArray[np.int64]]:
        """Observations [S, size], masks, and (number, step) of each [S, 2], in the order of the episodes."""
        self._shrink()
        if self._observations is None:
            return np.empty((0, 0)), None, np.empty((0, 2), dtype=np.int64)
        order = self._order()
        masks = None if self._masks is None else self._masks[order]
        return self._observations[order], masks, self._places[order]

    def memory(self) -> NDArray[np.float32] | None:
        """What the policy remembered in these states, [S, size]; None of one without memory."""
        self._shrink()
        return None if self._memory is None else self._memory[self._order()]

    def _order(self) -> NDArray[np.int64]:
        return np.lexsort((self._places[: self._count, 1], self._places[: self._count, 0]))


@torch.inference_mode()
def expert_report(policy: GATMoEPolicy, sample: StateSample, spec: EnvironmentSpec) -> ExpertReport | None:
    """What each expert does on the states of a sample, in the routing in force without noise; None without states.

    An expert acts as it would with a gate of 1: with the shared experts, and under the masks of the states. `spec` is
    the environment that the states are of.
    """
    observations, masks, places = sample.states()
    memory = sample.memory()
    device = policy.router.weight.device
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for first in range(0, len(observations), _CHUNK):
        rows = slice(first, first + _CHUNK)
        remembered = None if memory is None else torch.from_numpy(memory[rows]).to(device)
        output = policy(torch.from_numpy(observations[rows]).to(device), memory=remembered)
        outputs = policy.with_shared(output.expert_outputs, output.scene)
        allowed = None if masks is None else torch.from_numpy(masks[rows]).to(device)
        parts.append((output.scene, normalised_gates(output.gates), policy.actions.masked(outputs, allowed)))
    if not parts:
        return None
    scene, gates, outputs = (
        torch.cat(each, 1 if place == 2 else 0).double() for place, each in enumerate(zip(*parts, strict=True))
    )
    # Of an observation that is not a number nothing is known.
    known = torch.isfinite(scene).all(1) & torch.isfinite(gates).all(1) & torch.isfinite(outputs).all(2).all(0)
    kept = known.cpu().numpy()
    scene, gates, outputs, places = scene[known], gates[known], outputs[:, known], places[kept]
    if not len(gates):
        return None
    distances, compared = _distances(policy, outputs)
    hard = torch.nn.functional.one_hot(gates.argmax(1), gates.shape[1]).double().mean(0)
    even = torch.full((len(gates),), 1 / len(gates), dtype=torch.float64, device=device)
    profiles = []
    for expert, (used, load) in enumerate(zip(gates.unbind(1), gates.mean(0).tolist(), strict=True)):
        total = used.sum()
        profiles.append(
            ExpertProfile(
                load=rounded(load, 6),
                hard_load=rounded(float(hard[expert]), 6),
                actions=policy.actions.described(outputs[expert], even),
                used_actions=policy.actions.described(outputs[expert], used / total) if total > 0 else None,
                distances=tuple(rounded(value) for value in distances[expert].tolist()),
            )
        )
    features, values = described_states(spec, observations[kept])
    states = replace(_map(scene, gates, places), features=features, values=values)
    named = [sample.scenario(number) for number in states.number]
    if any(named):
        scenarios = tuple(dict.fromkeys(named))
        states = replace(states, scenarios=scenarios, scenario=tuple(map(scenarios.index, named)))
    return ExpertReport(len(gates), compared, tuple(profiles), states)


def _distances(policy: GATMoEPolicy, outputs: Tensor) -> tuple[Tensor, int]:
    """Mean distance of each pair of experts, [experts, experts], and the number of states it is a mean over."""
    experts, states, size = outputs.shape
    pairs = max(experts * (experts - 1) // 2, 1)
    compared = min(states, max(MIN_COMPARED_STATES, MAX_COMPARED_NUMBERS // (pairs * size)))
    outputs = outputs[:, torch.linspace(0, states - 1, compared).round().long().to(outputs.device)]
    found = outputs.new_zeros(experts, experts)
    for one in range(experts - 1):
        divergence = policy.actions.jensen_shannon(outputs[one], outputs[one + 1 :])
        found[one, one + 1 :] = found[one + 1 :, one] = divergence.sqrt().mean(-1)
    return found, compared


def _map(scene: Tensor, gates: Tensor, places: NDArray[np.int64]) -> StateMap:
    points, explained = principal_axes(scene.cpu().numpy())
    largest, experts = gates.max(1)
    shown, which = gates.topk(min(MAX_GATES, gates.shape[1]), 1)
    of_states = zip(which.tolist(), shown.tolist(), strict=True)
    return StateMap(
        x=tuple(points[:, 0].round(3).tolist()),
        y=tuple(points[:, 1].round(3).tolist()),
        expert=tuple(experts.tolist()),
        gate=tuple(round(gate, 3) for gate in largest.tolist()),
        number=tuple(places[:, 0].tolist()),
        step=tuple(places[:, 1].tolist()),
        explained=tuple(round(share, 4) for share in explained),
        gates=tuple(
            tuple((number, round(gate, 3)) for number, gate in zip(*state, strict=True) if gate >= LEAST_GATE)
            for state in of_states
        ),
    )
