"""An environment that says at an episode's end what it came to."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Scored(gymnasium.Env[np.ndarray, np.int64]):
    """Three steps long, or at most that many, with a score and a cause of its end."""

    observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)

    def __init__(self, longest: int | None = None) -> None:
        self._longest = longest

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        self.length = 3 if self._longest is None else int(self.np_random.integers(1, self._longest + 1))
        return np.zeros(2, np.float32), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        said = {"game": {"score": self.steps, "cause": "third"}}
        return np.zeros(2, np.float32), 1.0, self.steps == self.length, False, said
