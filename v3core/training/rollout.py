"""Acting: environments stepped side by side under the policy, every step kept in the order it happened."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from v3core.environments import EnvironmentBatch, EnvironmentFailureError
from v3core.environments.faults import LARGEST_REWARD, STEP, remedy_for, unusable_reward
from v3core.interruption import leave_if, never
from v3core.policy import GATMoEPolicy


@dataclass(frozen=True)
class Rollout:
    """T steps of N environments, as acted. Views into memory that the next rollout writes over.

    `ended` marks steps after which an episode was over, by itself or by a time limit.
    """

    observations: Tensor
    """What was acted on, [T, N, size]."""
    actions: Tensor
    """As the policy drew them, [T, N, components]."""
    log_probs: Tensor
    """Their log-probability, [T, N]."""
    gates: Tensor
    """Gate weights, [T, N, experts]."""
    noise: Tensor | None
    """Of the router, [T, N, columns]."""
    values: NDArray[np.float64]
    """[T, N]"""
    rewards: NDArray[np.float64]
    """As the environment gave them, [T, N]."""
    ended: NDArray[np.bool_]
    """[T, N]"""
    successes: dict[tuple[int, int], bool]
    """(step, environment) of an end to whether it was a success, where the environment says so."""
    cut_off_values: NDArray[np.float64]
    """Value of the final observation where a time limit ended the episode, else 0, [T, N]."""
    last_values: NDArray[np.float64]
    """Value of the observation after the last step, [N]."""
    masks: Tensor | None = None
    """Which actions the environments allowed, [T, N, mask size]; None if they did not say."""

    @property
    def steps(self) -> int:
        """Environment steps, T·N."""
        return self.ended.size

    def unusable(self) -> tuple[str, str] | None:
        """What the environment gave that nothing can be learned from, and what to do about it; None if all is well.

        That is what is not a finite number, and a reward too large.
        """
        bad_rewards = np.argwhere(~(np.abs(self.rewards) <= LARGEST_REWARD))
        if len(bad_rewards):
            step, env = bad_rewards[0].tolist()
            reward = float(self.rewards[step, env])
            return (
                f"{STEP} of environment {env + 1} returned a reward of {reward:g} at step {step + 1} of the rollout, "
                f"{unusable_reward(reward)}",
                remedy_for(reward),
            )
        problem = self._not_finite()
        return None if problem is None else (problem, "fix the environment")

    def _not_finite(self) -> str | None:
        if self.observations.is_floating_point():
            bad = (~torch.isfinite(self.observations)).any(2).nonzero()
            if len(bad):
                step, env = bad[0].tolist()
                return f"the observation of environment {env + 1} is not finite at step {step + 1} of the rollout"
        for values in (self.values, self.cut_off_values, self.last_values):
            if np.isfinite(values).all():
                continue
            return "the value of an observation is not finite"
        return None


class InterruptedRolloutError(Exception):
    """An environment failed in the middle of a rollout."""

    def __init__(self, failure: EnvironmentFailureError, rollout: Rollout) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.rollout = rollout
        """The steps before; may be none."""


class Collector:
    """Steps the environments. Memory for a whole rollout is made once."""

    def __init__(self, envs: EnvironmentBatch, steps: int, policy: GATMoEPolicy, generator: torch.Generator) -> None:
        """Take over environments that were just reset.

        Args:
            envs: stepped by nothing else from now on; their history is kept.
            steps: the most steps of a rollout, T.
            policy: tells the sizes.
            generator: where random actions and routing noise come from; on the policy's device.
        """
        self._envs, self._generator = envs, generator
        envs.keep_history()
        device, count = generator.device, len(envs.observations)
        experts, outputs = policy.router.out_features, policy.actions.spec.outputs
        dtype = torch.uint8 if envs.observations.dtype == np.uint8 else torch.float32
        self._observations = torch.zeros(steps, count, envs.observations.shape[1], dtype=dtype, device=device)
        self._outputs = torch.zeros(steps, count, outputs, device=device)
        self._values = torch.zeros(steps, count, device=device)
        self._gates = torch.zeros(steps, count, experts, device=device)
        self._masks: Tensor | None = None
        self._rewards = np.zeros((steps, count))
        self._ended = np.zeros((steps, count), dtype=np.bool_)

    @torch.inference_mode()
    def collect(
        self,
        policy: GATMoEPolicy,
        room: int,
        at_most: int | None = None,
        interrupted: Callable[[], bool] = never,
    ) -> Rollout:
        """One rollout, cut short after the step at which `room` episodes have ended, or after `at_most` steps.

        Args:
            policy: acts.
            room: episodes that may end; at least 1.
            at_most: steps of each environment.
            interrupted: asked before every step whether to leave at once.

        Raises:
            InterruptedRolloutError: if an environment fails; it holds what was complete before.
            LeftEarlyError: if `interrupted` said so. Random generator and environments are in the middle then; the
                environments' bookmark is where it was.
        """
        envs, count = self._envs, self._rewards.shape[1]
        longest = len(self._rewards) if at_most is None else max(1, min(at_most, len(self._rewards)))
        noise = policy.actions.noise((longest, count), self._generator)
        routing_noise = policy.routing_noise((longest, count), self._generator)
        actions: list[Tensor] = []
        cut_off: list[tuple[int, int, NDArray[np.generic]]] = []
        successes: dict[tuple[int, int], bool] = {}
        complete = steps = 0
        while steps < longest and complete < room:
            leave_if(interrupted)
            observations = self._observations[steps]
            observations.copy_(torch.from_numpy(envs.observations))
            output = policy(observations, None if routing_noise is None else routing_noise[steps])
            outputs = policy.actions.masked(output.outputs, self._masks_at(steps))
            action = policy.actions.sample(outputs, noise[steps])
            self._outputs[steps], self._values[steps], self._gates[steps] = outputs, output.values, output.gates
            actions.append(action)
            try:
                taken = envs.step(policy.actions.to_environment(action).cpu().numpy())
            except EnvironmentFailureError as failure:
                raise InterruptedRolloutError(failure, self._until_failure(steps, successes)) from failure
            self._rewards[steps] = taken.rewards
            ended = np.logical_or(taken.terminated, taken.truncated, out=self._ended[steps])
            if taken.finals:
                complete += int(ended.sum())
                for env, final in taken.finals.items():
                    if not taken.terminated[env]:
                        cut_off.append((steps, env, final))
                for env, success in taken.successes.items():
                    successes[steps, env] = success
            steps += 1
        values = self._values_of(policy, [*envs.observations, *(final for _, _, final in cut_off)])
        cut_off_values = np.zeros((steps, count))
        for (step, env, _), value in zip(cut_off, values[count:], strict=True):
            cut_off_values[step, env] = value
        drawn = torch.stack(actions)
        return Rollout(
            observations=self._observations[:steps],
            actions=drawn,
            log_probs=policy.actions.log_prob_and_entropy(self._outputs[:steps], drawn)[0],
            gates=self._gates[:steps],
            noise=None if routing_noise is None else routing_noise[:steps],
            values=self._values[:steps].double().cpu().numpy(),
            rewards=self._rewards[:steps],
            ended=self._ended[:steps],
            successes=successes,
            cut_off_values=cut_off_values,
            last_values=values[:count],
            masks=None if self._masks is None else self._masks[:steps],
        )

    def _masks_at(self, step: int) -> Tensor | None:
        """Keep which actions the environments allow at this step of the rollout, [N, mask size]."""
        masks = self._envs.masks
        if masks is None:
            return None
        if self._masks is None:  # until now they allowed everything
            shape = (len(self._rewards), *masks.shape)
            self._masks = torch.ones(shape, dtype=torch.bool, device=self._observations.device)
        return self._masks[step].copy_(torch.from_numpy(masks))

    def _until_failure(self, steps: int, successes: dict[tuple[int, int], bool]) -> Rollout:
        """The steps that were complete when an environment failed: to be recorded, not to be learned from."""
        count = self._rewards.shape[1]
        nothing = np.full((steps, count), np.nan)
        return Rollout(
            observations=self._observations[:steps],
            actions=torch.zeros(steps, count, 1),
            log_probs=torch.zeros(steps, count),
            gates=self._gates[:steps],
            noise=None,
            values=nothing,
            rewards=self._rewards[:steps],
            ended=self._ended[:steps],
            successes=successes,
            cut_off_values=nothing,
            last_values=np.full(count, np.nan),
        )

    def _values_of(self, policy: GATMoEPolicy, observations: list[NDArray[np.generic]]) -> NDArray[np.float64]:
        batch = torch.from_numpy(np.stack(observations)).to(self._observations.device)
        values: NDArray[np.float64] = policy.values(batch).double().cpu().numpy()
        return values
