"""What is needed to replay the unfinished episodes of a batch: how each started, and the actions since."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

LONGEST_EPISODE = 100_000
"""Longest unfinished episode that can be replayed, in steps: a few MB, and seconds to replay. Longer ones are lost."""

Origin = int | dict[str, Any] | None
"""How an episode started: from a seed, or from the state of the environment's generator just before its reset; None if
unknown, because the environment's generator is not one of numpy's."""


@dataclass(frozen=True)
class UnfinishedEpisode:
    """An episode in progress in one environment. Numbers, lists and arrays only: it is saved in checkpoints."""

    origin: Origin
    actions: NDArray[Any] | None
    """All its actions, as returned by the policy, [steps, components]; None if there were too many to keep."""
    observation: NDArray[Any]
    """The current observation, flat, [size]."""
    reward: float
    """Reward of the last step."""
    generator: dict[str, Any] | None
    """Current state of the environment's generator."""
    mask: NDArray[np.bool_] | None = None
    """The currently allowed actions, [mask size]; None without a mask, and in checkpoints from before masks."""


@dataclass(frozen=True)
class _Bookmark:
    steps: int
    began: list[int]
    origins: list[Origin]
    observations: NDArray[Any]
    rewards: NDArray[np.float64]
    generators: list[dict[str, Any] | None]
    masks: NDArray[np.bool_] | None


class History:
    """Actions of the unfinished episodes of N environments, and a bookmark of the moment to return to.

    Steps are counted from the start of the history. Memory is bounded by `LONGEST_EPISODE`.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        """Start with environments that were just reset with `seeds`."""
        self._origins: list[Origin] = list(seeds)
        self._began = [0] * len(seeds)
        self._steps = 0
        self._first = 0  # the step that the first row of the log holds
        self._log: NDArray[Any] = np.empty((0, len(seeds)))
        self._bookmark: _Bookmark | None = None

    @classmethod
    def in_progress(cls, episodes: Sequence[UnfinishedEpisode]) -> "History":
        """A history that ends with `episodes` in progress, all of them with their actions."""
        actions = [np.empty(0) if episode.actions is None else episode.actions for episode in episodes]
        longest = max(actions, key=len)
        history = cls([0] * len(episodes))
        history._origins = [episode.origin for episode in episodes]
        history._steps = len(longest)
        history._began = [len(longest) - len(taken) for taken in actions]
        if len(longest):
            history._log = np.zeros((len(longest), len(episodes), *longest.shape[1:]), longest.dtype)
            for number, taken in enumerate(actions):
                if len(taken):
                    history._log[-len(taken) :, number] = taken
        return history

    def add(self, actions: NDArray[Any]) -> None:
        """Record one step of every environment, [count, components]; copied, because the memory may be reused."""
        row = self._steps - self._first
        if row == len(self._log):
            row = self._make_space(actions)
        self._log[row] = actions
        self._steps += 1

    def begin(self, number: int, origin: Origin) -> None:
        """Environment `number` starts an episode with the next step."""
        self._origins[number] = origin
        self._began[number] = self._steps

    def bookmark(
        self,
        observations: NDArray[Any],
        rewards: NDArray[np.float64],
        generators: list[dict[str, Any] | None],
        masks: NDArray[np.bool_] | None = None,
    ) -> None:
        """Bookmark the current moment, replacing the previous bookmark."""
        began, origins, masks = self._began.copy(), self._origins.copy(), None if masks is None else masks.copy()
        self._bookmark = _Bookmark(self._steps, began, origins, observations.copy(), rewards.copy(), generators, masks)

    def unfinished(self) -> list[UnfinishedEpisode]:
        """The episodes in progress at the bookmark, one per environment."""
        then = self._bookmark
        assert then is not None
        episodes = []
        for number, began in enumerate(then.began):
            # `plain` is cheaper here than after every episode.
            origin, generator = plain(then.origins[number]), plain(then.generators[number])
            kept = self._first <= began and then.steps - began <= LONGEST_EPISODE
            actions = self._log[began - self._first : then.steps - self._first, number].copy() if kept else None
            mask = None if then.masks is None else then.masks[number]
            observation, reward = then.observations[number], float(then.rewards[number])
            episodes.append(UnfinishedEpisode(origin, actions, observation, reward, generator, mask))
        return episodes

    def _make_space(self, actions: NDArray[Any]) -> int:
        """Drop rows that no unfinished episode needs, and double the log if most are needed; returns the next row."""
        needed = min(self._began + (self._bookmark.began if self._bookmark else []))
        needed = max(needed, self._steps - LONGEST_EPISODE, self._first)
        kept = self._log[needed - self._first :]
        size = len(self._log) if len(kept) <= len(self._log) // 2 else 2 * len(self._log)
        log = np.empty((max(size, 256), *actions.shape), actions.dtype)
        if len(kept):
            log[: len(kept)] = kept
        self._log, self._first = log, needed
        return len(kept)


def generator_state(env: gymnasium.Env[Any, Any]) -> dict[str, Any] | None:
    """State of an unwrapped environment's generator, as returned by numpy; None if it is not one of numpy's."""
    try:
        state: Any = env.np_random.bit_generator.state
    except Exception:  # an environment may have replaced it with anything
        return None
    return state if isinstance(state, dict) else None


def plain(state: Any) -> Any:
    """A generator's state with arrays converted to lists."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
