"""Acting: environments stepped side by side under the policy, every step kept in the order it happened."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from v3core.environments import EnvironmentBatch, EnvironmentFailureError
from v3core.environments.batch import Steps
from v3core.environments.episode_facts import Fact
from v3core.environments.faults import LARGEST_REWARD, remedy_for, unusable_reward
from v3core.interruption import never, raise_if
from v3core.messages import _
from v3core.policy.memory import kept
from v3core.training.eager import EagerBackend
from v3core.training.losses import at


@dataclass(frozen=True, kw_only=True)
class Played:
    """T steps of N environments, as far as episodes are recorded from them. Views into memory that is used again."""

    observations: Tensor  # what was acted on, [T, N, size]
    gates: Tensor  # [T, N, experts]
    rewards: NDArray[np.float64]  # as the environment gave them, [T, N]
    ended: NDArray[np.bool_]  # whether an episode was over after the step, by itself or by a time limit, [T, N]
    successes: dict[tuple[int, int], bool]
    """(step, environment) of an end to whether it was a success, if the environment says so."""
    tasks: dict[tuple[int, int], str] = field(default_factory=dict)
    """(step, environment) of an end to the task of the episode, where it is one of several."""
    facts: dict[tuple[int, int], dict[str, Fact]] = field(default_factory=dict)
    """(step, environment) of an end to the facts of the episode, where there are any."""

    @property
    def steps(self) -> int:
        """Environment steps, T·N."""
        return self.ended.size


@dataclass
class _Ends:
    """What the environments said of episodes that ended, by (step, environment), as far as they said it."""

    successes: dict[tuple[int, int], bool] = field(default_factory=dict)
    tasks: dict[tuple[int, int], str] = field(default_factory=dict)
    facts: dict[tuple[int, int], dict[str, Fact]] = field(default_factory=dict)

    def add(self, step: int, taken: Steps) -> None:
        """Of the episodes that this step ended."""
        self.successes |= {(step, env): success for env, success in taken.successes.items()}
        self.tasks |= {(step, env): task for env, task in taken.tasks.items()}
        self.facts |= {(step, env): facts for env, facts in taken.facts.items()}


@dataclass(frozen=True, kw_only=True)
class Rollout(Played):
    """T steps of N environments, as acted. Views into memory that the next rollout writes over."""

    actions: Tensor  # as the policy drew them, [T, N, components]
    log_probs: Tensor  # of the actions, [T, N]
    noise: Tensor | None  # of the router, [T, N, columns]
    values: NDArray[np.float64]  # [T, N]
    cut_off_values: NDArray[np.float64]  # of the final observation if a time limit ended the episode, else 0, [T, N]
    last_values: NDArray[np.float64]  # of the observation after the last step, [N]
    masks: Tensor | None = None  # which actions the environments allowed, [T, N, mask size]; None if they did not say
    memory: Tensor | None = None  # of the policy before each step, [T, N, size of it]; None without one

    def unusable(self) -> tuple[str, str] | None:
        """What the environment gave that nothing can be learned from, and what to do about it; None if all is well.

        That is what is not a finite number, and a reward too large.
        """
        bad_rewards = np.argwhere(~(np.abs(self.rewards) <= LARGEST_REWARD))
        if len(bad_rewards):
            step, env = bad_rewards[0].tolist()
            reward = float(self.rewards[step, env])
            return (
                _(
                    "step(action) of environment {env} returned a reward of {reward} at step {step} of the rollout, "
                    "{why}",
                    env=env + 1,
                    reward=f"{reward:g}",  # with a hyphen
                    step=step + 1,
                    why=unusable_reward(reward),
                ),
                remedy_for(reward),
            )
        if self.observations.is_floating_point():
            bad = (~torch.isfinite(self.observations)).any(2).nonzero()
            if len(bad):
                step, env = bad[0].tolist()
                problem = _(
                    "the observation of environment {env} is not finite at step {step} of the rollout",
                    env=env + 1,
                    step=step + 1,
                )
                return problem, _("fix the environment")
        if all(np.isfinite(values).all() for values in (self.values, self.cut_off_values, self.last_values)):
            return None
        return _("the value of an observation is not finite"), _("fix the environment")


class InterruptedRolloutError(Exception):
    """An environment failed in the middle of a rollout."""

    def __init__(self, failure: EnvironmentFailureError, played: Played) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.played = played
        """The steps before, which may be none: to be recorded, not to be learned from."""


class Collector:
    """Steps the environments. Memory for a whole rollout is allocated once."""

    def __init__(self, envs: EnvironmentBatch, steps: int, backend: EagerBackend, generator: torch.Generator) -> None:
        """Take over environments that were just reset: nothing else steps them from now on, and their history is kept.

        T is at most `steps`. Random actions and routing noise come from the generator, on the policy's device.
        """
        self._envs, self._backend, self._generator = envs, backend, generator
        envs.keep_history()
        policy, device, count = backend.policy, generator.device, len(envs.observations)
        experts, outputs = policy.router.out_features, policy.actions.spec.outputs
        dtype = torch.uint8 if envs.observations.dtype == np.uint8 else torch.float32
        self._observations = torch.zeros(steps, count, envs.observations.shape[1], dtype=dtype, device=device)
        self._outputs = torch.zeros(steps, count, outputs, device=device)
        self._values = torch.zeros(steps, count, device=device)
        self._gates = torch.zeros(steps, count, experts, device=device)
        self._masks: Tensor | None = None
        self._memory = self._bookmarked = policy.blank_memory(count)
        self._memories: Tensor | None = (
            None if self._memory is None else torch.zeros(steps, *self._memory.shape, device=device)
        )
        self.acting_seconds = self.environment_seconds = 0.0
        """Of the newest rollout; what `interrupted` takes belongs to neither."""
        self._rewards = np.zeros((steps, count))
        self._ended = np.zeros((steps, count), dtype=np.bool_)

    @torch.inference_mode()
    def collect(
        self, max_episodes: int, max_steps: int | None = None, interrupted: Callable[[], bool] = never
    ) -> Rollout:
        """One rollout, cut short once `max_episodes` (at least 1) have ended, or after `max_steps` of each environment.

        More episodes may end if several end on the same step.

        Raises:
            InterruptedRolloutError: if an environment fails; it contains the episodes completed before.
            Interrupted: if `interrupted()` is true before a step. Random generator and environments are then in the
                middle; the environments' bookmark is unchanged.
        """
        envs, policy, (longest, count) = self._envs, self._backend.policy, self._rewards.shape
        if max_steps is not None:
            longest = max(1, min(max_steps, longest))
        self._backend.prepare()
        noise = policy.actions.noise((longest, count), self._generator)
        routing_noise = policy.routing_noise((longest, count), self._generator)
        actions: list[Tensor] = []
        cut_off: list[tuple[int, int, NDArray[np.generic]]] = []
        remembered: list[Tensor] = []  # at these ends
        ends = _Ends()
        complete = steps = 0
        self.acting_seconds = self.environment_seconds = 0.0
        while steps < longest and complete < max_episodes:
            raise_if(interrupted)
            began = perf_counter()
            observations = self._observations[steps]
            observations.copy_(torch.from_numpy(envs.observations))
            memory = self._memory_at(steps)
            output = self._backend.act(observations, at(routing_noise, steps), memory)
            outputs = policy.actions.masked(output.outputs, self._masks_at(steps))
            action = policy.actions.sample(outputs, noise[steps])
            self._outputs[steps], self._values[steps], self._gates[steps] = outputs, output.values, output.gates
            actions.append(action)
            chosen = policy.actions.to_environment(action).cpu().numpy()
            acted = perf_counter()
            try:
                taken = envs.step(chosen)
            except EnvironmentFailureError as failure:
                raise InterruptedRolloutError(failure, self._played(steps, ends)) from failure
            self.acting_seconds += acted - began
            self.environment_seconds += perf_counter() - acted
            self._rewards[steps] = taken.rewards
            ended = np.logical_or(taken.terminated, taken.truncated, out=self._ended[steps])
            if taken.finals:
                complete += int(ended.sum())
                for env, final in taken.finals.items():
                    if not taken.terminated[env]:
                        cut_off.append((steps, env, final))
                        if output.memory is not None:
                            remembered.append(output.memory[env])
                ends.add(steps, taken)
            self._memory = kept(output.memory, torch.from_numpy(ended).to(self._gates.device))
            steps += 1
        seen = torch.from_numpy(np.stack([*envs.observations, *(final for _, _, final in cut_off)]))
        memory = None if self._memory is None else torch.cat((self._memory, *(each[None] for each in remembered)))
        values = self._backend.values(seen.to(self._observations.device), memory).double().cpu().numpy()
        cut_off_values = np.zeros((steps, count))
        for (step, env, _final), value in zip(cut_off, values[count:], strict=True):
            cut_off_values[step, env] = value
        drawn = torch.stack(actions)
        return Rollout(
            **vars(self._played(steps, ends)),
            actions=drawn,
            log_probs=policy.actions.log_prob_and_entropy(self._outputs[:steps], drawn)[0],
            noise=at(routing_noise, slice(steps)),
            values=self._values[:steps].double().cpu().numpy(),
            cut_off_values=cut_off_values,
            last_values=values[:count],
            masks=at(self._masks, slice(steps)),
            memory=at(self._memories, slice(steps)),
        )

    def bookmark(self) -> None:
        """What the policy remembers now is what `memory` and a checkpoint have, until the next bookmark."""
        self._bookmarked = self._memory

    @property
    def memory(self) -> Tensor | None:
        """What the policy remembered at the bookmark, [N, size]; None without memory."""
        return self._bookmarked

    def remember(self, memory: Tensor) -> None:
        """Continue with what was remembered of the episodes in progress, [N, size]."""
        assert self._memory is not None
        self._memory = self._bookmarked = memory.to(self._memory.device)

    def _played(self, steps: int, ends: "_Ends") -> Played:
        rewards, ended = self._rewards[:steps], self._ended[:steps]
        observations, gates = self._observations[:steps], self._gates[:steps]
        return Played(observations=observations, gates=gates, rewards=rewards, ended=ended, **vars(ends))

    def _memory_at(self, step: int) -> Tensor | None:
        """Keep what the policy remembers at this step of the rollout, [N, size]."""
        if self._memories is None:
            return None
        assert self._memory is not None
        return self._memories[step].copy_(self._memory)

    def _masks_at(self, step: int) -> Tensor | None:
        """Keep which actions the environments allow at this step of the rollout, [N, mask size]."""
        masks = self._envs.masks
        if masks is None:
            return None
        if self._masks is None:  # until now they allowed everything
            shape = (len(self._rewards), *masks.shape)
            self._masks = torch.ones(shape, dtype=torch.bool, device=self._observations.device)
        return self._masks[step].copy_(torch.from_numpy(masks))
