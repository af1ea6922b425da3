"""Environments stepped one after another, as one batch of flat observations; their trouble told in one sentence."""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from v3core.environments.encode import encode
from v3core.environments.make import is_minigrid, make_environment
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error


class EnvironmentFailureError(V3Error):
    """An environment raised, or gave what is not of its spaces, while it was being trained on."""


@dataclass(frozen=True)
class Steps:
    """What came of one step of every environment, [count] each."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    finals: dict[int, NDArray[Any]]
    """Environment to the flat last observation of an episode that this step ended."""
    successes: dict[int, bool]
    """Environment to whether that episode was a success, where the environment says so."""


class EnvironmentBatch:
    """N environments of one kind. The step that ends an episode already begins the next one.

    Arrays that `step` returns, and `observations`, are written over by the next step.
    """

    def __init__(self, spec: EnvironmentSpec, count: int, *seeds: int) -> None:
        """Make the environments and reset each with a seed of its own.

        Args:
            spec: from `check_environment`.
            count: how many.
            seeds: all randomness is decided by them; batches of neighbouring seeds share no environment's seed.

        Raises:
            EnvironmentFailureError: if one cannot be reset.
        """
        self._spec = spec
        self._envs: list[gymnasium.Env[Any, Any]] = []
        self.observations = np.zeros((count, spec.graph.size), dtype=spec.graph.dtype)
        """What the next actions are for, [count, size]."""
        self._rewards = np.zeros(count)
        self._terminated = np.zeros(count, dtype=np.bool_)
        self._truncated = np.zeros(count, dtype=np.bool_)
        self._steps = 0
        states = np.random.SeedSequence(seeds).generate_state(count)
        for number, state in enumerate(states.tolist()):
            env = make_environment(spec.env_id)
            self._envs.append(env)
            self._reset(number, state)
        self._says_success = is_minigrid(self._envs[0])

    def step(self, actions: NDArray[Any]) -> Steps:
        """Step every environment with its own action, [count, components].

        Rewards and observations that are not finite are passed on: whoever learns must look.

        Raises:
            EnvironmentFailureError: if one raises, or gives what is not of its spaces.
        """
        self._steps += 1
        finals: dict[int, NDArray[Any]] = {}
        successes: dict[int, bool] = {}
        for number, (env, action) in enumerate(
            zip(self._envs, self._spec.actions.to_environment(actions), strict=True)
        ):
            try:
                observation, reward, terminated, truncated, info = env.step(action)
                self._rewards[number] = float(reward)  # None would become NaN
                self._terminated[number], self._truncated[number] = bool(terminated), bool(truncated)
                encode(self._spec.graph, observation, self.observations[number])
            except KeyboardInterrupt:
                raise
            except BaseException as problem:  # an environment's own code may raise anything, SystemExit too
                raise self._failure(number, f"step {self._steps}", problem) from problem
            if terminated or truncated:
                finals[number] = self.observations[number].copy()
                success = self._success(info, bool(terminated), float(self._rewards[number]))
                if success is not None:
                    successes[number] = success
                self._reset(number)
        return Steps(self._rewards, self._terminated, self._truncated, finals, successes)

    def close(self) -> None:
        """Release what the environments hold."""
        for env in self._envs:
            env.close()

    def _reset(self, number: int, seed: int | None = None) -> None:
        try:
            observation, _ = self._envs[number].reset(seed=seed)
            encode(self._spec.graph, observation, self.observations[number])
        except KeyboardInterrupt:
            raise
        except BaseException as problem:
            where = f"reset after step {self._steps}" if self._steps else "its first reset"
            raise self._failure(number, where, problem) from problem

    def _success(self, info: dict[str, Any], terminated: bool, reward: float) -> bool | None:
        """What the environment says; MiniGrid rewards success alone, and says nothing else."""
        for key in ("is_success", "success"):
            if key in info:
                return bool(info[key])
        if self._says_success:
            return terminated and reward > 0 and math.isfinite(reward)
        return None

    def _failure(self, number: int, where: str, problem: BaseException) -> EnvironmentFailureError:
        text = " ".join(str(problem).split())[:200].rstrip(".")
        what = text if type(problem) is ValueError and text else f"{type(problem).__name__}{': ' if text else ''}{text}"
        return EnvironmentFailureError(
            f"Environment {self._spec.env_id}, copy {number + 1}, failed at {where}: {what}; mend the environment."
        )
