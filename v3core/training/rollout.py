"""Acting: environments stepped side by side under the policy, every step kept in the order it happened."""

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray
from torch import Tensor

from v3core.policy import GATMoEPolicy


@dataclass(frozen=True)
class Rollout:
    """T steps of N environments, as acted. Views into memory that the next rollout writes over.

    `ended` marks steps after which an episode was over, by itself or by a time limit.
    """

    observations: Tensor
    """What was acted on, [T, N, *observation shape]."""
    actions: Tensor
    """Index of the action taken, [T, N]."""
    log_probs: Tensor
    """Its log-probability, [T, N]."""
    values: NDArray[np.float64]
    """[T, N]"""
    gates: NDArray[np.float64]
    """Gate weights, [T, N, experts]."""
    rewards: NDArray[np.float64]
    """As the environment gave them, [T, N]."""
    ended: NDArray[np.bool_]
    """[T, N]"""
    cut_off_values: NDArray[np.float64]
    """Value of the final observation where a time limit ended the episode, else 0, [T, N]."""
    last_values: NDArray[np.float64]
    """Value of the observation after the last step, [N]."""

    @property
    def steps(self) -> int:
        """Environment steps, T·N."""
        return self.ended.size


class Collector:
    """Steps the environments. Memory for a whole rollout is made once."""

    def __init__(self, envs: SyncVectorEnv, steps: int, experts: int, generator: torch.Generator) -> None:
        """Reset the environments, which were seeded when they were made.

        Args:
            envs: in SAME_STEP autoreset mode.
            steps: the most steps of a rollout, T.
            experts: experts of the policy.
            generator: where sampled actions come from.
        """
        space = envs.single_observation_space
        actions = envs.single_action_space
        assert isinstance(actions, Discrete)
        count = envs.num_envs
        dtype = np.uint8 if space.dtype == np.uint8 else np.float32
        self._envs, self._generator, self._first_action = envs, generator, int(actions.start)
        self._observation, _ = envs.reset()
        self._observations = np.zeros((steps, count, *(space.shape or ())), dtype=dtype)
        self._rewards = np.zeros((steps, count))
        self._ended = np.zeros((steps, count), dtype=np.bool_)
        self._actions = torch.zeros(steps, count, dtype=torch.int64)
        self._logits = torch.zeros(steps, count, int(actions.n))
        self._values = torch.zeros(steps, count)
        self._gates = torch.zeros(steps, count, experts)

    @torch.inference_mode()
    def collect(self, policy: GATMoEPolicy, room: int) -> Rollout:
        """One rollout, cut short after the step at which `room` episodes have ended."""
        observations = torch.from_numpy(self._observations)
        # argmax(logits + Gumbel noise) is a sample of softmax(logits); the noise of a rollout is drawn at once.
        noise = torch.empty_like(self._logits).exponential_(generator=self._generator).log_().neg_()
        cut_off: list[tuple[int, int, NDArray[np.generic]]] = []
        complete = steps = 0
        while steps < len(self._actions) and complete < room:
            self._observations[steps] = self._observation
            output = policy(observations[steps])
            action = (output.logits + noise[steps]).argmax(1)
            self._logits[steps], self._values[steps], self._gates[steps] = output.logits, output.values, output.gates
            self._actions[steps] = action
            self._observation, self._rewards[steps], terminated, truncated, infos = self._envs.step(
                action.numpy() + self._first_action
            )
            ended = terminated | truncated
            self._ended[steps] = ended
            if ended.any():
                complete += int(ended.sum())
                for env in np.flatnonzero(truncated & ~terminated).tolist():
                    cut_off.append((steps, env, infos["final_obs"][env]))
            steps += 1
        values = self._values_of(policy, [*self._observation, *(observation for _, _, observation in cut_off)])
        count = self._envs.num_envs
        cut_off_values = np.zeros((steps, count))
        for (step, env, _), value in zip(cut_off, values[count:], strict=True):
            cut_off_values[step, env] = value
        actions = self._actions[:steps]
        return Rollout(
            observations=observations[:steps],
            actions=actions,
            log_probs=self._logits[:steps].log_softmax(2).gather(2, actions.unsqueeze(2)).squeeze(2),
            values=self._values[:steps].double().numpy(),
            gates=self._gates[:steps].double().numpy(),
            rewards=self._rewards[:steps],
            ended=self._ended[:steps],
            cut_off_values=cut_off_values,
            last_values=values[:count],
        )

    def _values_of(self, policy: GATMoEPolicy, observations: list[NDArray[np.generic]]) -> NDArray[np.float64]:
        batch = np.stack(observations).astype(self._observations.dtype)
        values: NDArray[np.float64] = policy(torch.from_numpy(batch)).values.double().numpy()
        return values
