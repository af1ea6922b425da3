"""What an evaluation records of its episodes, step by step: `v3core.insight.replays` keeps the ones worth watching."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from v3core.environment_setup import EnvironmentSetup
from v3core.environments.replaying import goes_again
from v3core.environments.types import EnvironmentSpec
from v3core.insight.replays import Digest, Replay, roles
from v3core.policy import GATMoEPolicy
from v3core.policy.memory import in_a_row
from v3core.training.eager import Acted
from v3core.training.hooks import EvaluationEpisode

MAX_OBSERVED_BYTES = 64 << 20
"""Observations that are held for the outputs of the experts, twice; episodes beyond it are kept without these."""
_CHUNK = 256


class Tape:
    """Records every episode of an evaluation; the numbers are those that acted, not computed again."""

    def __init__(
        self, environment: EnvironmentSetup, *, discount: float | None = None, reward_scale: float | None = None
    ) -> None:
        """`environment` is the one that they are played in; the others are those of `Replay`."""
        self._environment = environment
        self._discount, self._reward_scale = discount, reward_scale
        self._masks: list[NDArray[np.bool_]] = []
        self._replays: dict[int, Replay] = {}
        self._observed: dict[int, NDArray[np.generic]] = {}
        self._bytes = 0
        self._seeds: Sequence[int] = ()
        self._first = 0
        self._steps: list[tuple[NDArray[np.generic], ...]] = []
        self._seen: list[NDArray[np.generic]] | None = []
        self._rewards: list[NDArray[np.float64]] = []
        self._digests: list[Digest] = []
        self._over: set[int] = set()

    def begin(self, seeds: Sequence[int], *, first: int) -> None:
        """Some environments begin side by side: episodes `first` + 1 and on, each from its seed."""
        self._seeds, self._first = seeds, first
        self._steps, self._seen, self._rewards, self._over, self._masks = [], [], [], set(), []
        self._digests = [Digest() for _ in seeds]

    def act(
        self,
        observations: NDArray[np.generic],
        acted: Acted,
        actions: NDArray[np.generic],
        masks: NDArray[np.bool_] | None = None,
    ) -> None:
        """Before a step: what is seen [N, size], what the policy says of it, and the actions [N, components].

        `masks` [N, mask size] are the allowed actions, None if the environments have not said so far.
        """
        if masks is not None:
            self._masks += [np.ones_like(masks)] * (len(self._steps) - len(self._masks))
            self._masks.append(masks.copy())
        said = (acted.outputs, acted.values, acted.gates)
        self._steps.append((actions.copy(), *(each.cpu().numpy().copy() for each in said)))
        if self._seen is not None:
            self._seen.append(observations.copy())
            if len(self._seen) * observations.nbytes > MAX_OBSERVED_BYTES:
                self._seen = None
        for env, digest in enumerate(self._digests):
            if env not in self._over:
                digest.add(observations[env])

    def reward(self, rewards: NDArray[np.float64]) -> None:
        """After it, [N]."""
        self._rewards.append(rewards.copy())

    def end(self, env: int, episode: EvaluationEpisode, last: NDArray[np.generic], ended: str) -> None:
        """The episode of an environment is over; `last` is what it showed at last."""
        self._over.add(env)
        digest = self._digests[env]
        digest.add(last)
        columns = zip(*self._steps, strict=True)
        actions, outputs, values, gates = (np.stack([row[env] for row in column]) for column in columns)
        place = self._first + env
        if self._seen is not None:
            observed = np.stack([row[env] for row in self._seen])
            self._bytes += observed.nbytes
            if self._bytes <= MAX_OBSERVED_BYTES:
                self._observed[place] = observed
        self._replays[place] = Replay(
            environment=self._environment,
            number=episode.number,
            seed=self._seeds[env],
            return_=episode.return_,
            success=episode.success,
            ended=ended,
            seen=digest.text(),
            actions=actions,
            rewards=np.array([row[env] for row in self._rewards]),
            values=values,
            gates=gates,
            outputs=outputs,
            masks=np.stack([row[env] for row in self._masks]) if self._masks else None,
            discount=self._discount,
            reward_scale=self._reward_scale,
        )

    def chosen(self, policy: GATMoEPolicy, *, kept_in: EnvironmentSpec | None = None) -> dict[str, Replay]:
        """The episodes worth watching, by their role, with what each expert says of their states.

        That is more than half of them. Of a policy that is `kept_in` a checkpoint, with the environment given, it is
        left out where it can be computed again: if the shortest episode goes the same when it is played again.
        """
        places = roles([self._replays[place].return_ for place in range(len(self._replays))])
        kept = {place: replace(self._replays[place], space=policy.actions.facts()) for place in set(places.values())}
        if kept_in is None or not goes_again(kept_in, min(kept.values(), key=len)):
            kept = {place: self._with_experts(place, replay, policy) for place, replay in kept.items()}
        return {role: kept[place] for role, place in places.items()}

    def _with_experts(self, place: int, replay: Replay, policy: GATMoEPolicy) -> Replay:
        observed = self._observed.get(place)
        return replay if observed is None else replace(replay, expert_outputs=expert_outputs(policy, observed))


@torch.inference_mode()
def expert_outputs(policy: GATMoEPolicy, observations: NDArray[np.generic]) -> NDArray[np.float32]:
    """What each expert would put out alone, [T, experts, outputs], for observations [T, size] of a whole episode.

    With the shared experts, as it would with a gate of 1.
    """
    device = policy.router.weight.device
    parts = []
    memory = policy.blank_memory(1)
    for first in range(0, len(observations), _CHUNK):
        chunk = torch.from_numpy(observations[first : first + _CHUNK]).to(device)
        output = policy(chunk, memory=in_a_row(memory, len(chunk)))
        memory = None if output.memory is None else output.memory[-1:]
        outputs = policy.with_shared(output.expert_outputs, output.scene)
        parts.append(outputs.transpose(0, 1).float().cpu().numpy())
    return np.concatenate(parts)
