"""What it takes to play the unfinished episodes of a batch again: how each began, and the actions since."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

LONGEST_EPISODE = 100_000
"""Steps of one unfinished episode that are kept at least: a few MB, and seconds to play again. A longer one is lost."""

Origin = int | dict[str, Any] | None
"""How an episode began: from a seed, from the state of the environment's generator just before its reset, or nobody
knows, because the environment's generator is not one of numpy's."""


@dataclass(frozen=True)
class UnfinishedEpisode:
    """An episode under way in one environment. Numbers, lists and arrays only: it goes into checkpoints."""

    origin: Origin
    actions: NDArray[Any] | None
    """Since its beginning, as the policy gave them, [steps, components]; None if they were too many to keep."""
    observation: NDArray[Any]
    """What it shows now, flat, [size]."""
    reward: float
    """Of the last step."""
    generator: dict[str, Any] | None
    """State of the environment's generator now."""
    mask: NDArray[np.bool_] | None = None
    """Which actions it allows now, [mask size]; None if it does not say, and in checkpoints before there were masks."""


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
    """Actions of the unfinished episodes of N environments, and a bookmark: the moment that can be gone back to.

    Steps are counted from the beginning of the history. Memory is bounded by `LONGEST_EPISODE`.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        """Begin with environments that were just reset with `seeds`."""
        self._origins: list[Origin] = list(seeds)
        self._began = [0] * len(seeds)
        self._steps = 0
        self._first = 0  # the step that the first row of the log holds
        self._log: NDArray[Any] = np.empty((0, len(seeds)))
        self._bookmark: _Bookmark | None = None

    @classmethod
    def going_on(cls, episodes: Sequence[UnfinishedEpisode]) -> "History":
        """A history at whose end `episodes` are under way, all of them with their actions."""
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
        """One step of every environment, [count, components]; copied, for the memory may be used again."""
        row = self._steps - self._first
        if row == len(self._log):
            row = self._make_room(actions)
        self._log[row] = actions
        self._steps += 1

    def begin(self, number: int, origin: Origin) -> None:
        """Environment `number` begins an episode with the next step."""
        self._origins[number] = origin
        self._began[number] = self._steps

    def bookmark(
        self,
        observations: NDArray[Any],
        rewards: NDArray[np.float64],
        generators: list[dict[str, Any] | None],
        masks: NDArray[np.bool_] | None = None,
    ) -> None:
        """Keep this moment, in place of the one before."""
        self._bookmark = _Bookmark(
            self._steps,
            self._began.copy(),
            self._origins.copy(),
            observations.copy(),
            rewards.copy(),
            generators,
            None if masks is None else masks.copy(),
        )

    def unfinished(self) -> list[UnfinishedEpisode]:
        """The episodes that were under way at the bookmark, one of each environment."""
        then = self._bookmark
        assert then is not None
        return [
            UnfinishedEpisode(
                origin=plain(then.origins[number]),  # rather here than after every episode
                actions=self._log[began - self._first : then.steps - self._first, number].copy()
                if self._first <= began and then.steps - began <= LONGEST_EPISODE
                else None,
                observation=then.observations[number],
                reward=float(then.rewards[number]),
                generator=plain(then.generators[number]),
                mask=None if then.masks is None else then.masks[number],
            )
            for number, began in enumerate(then.began)
        ]

    def _make_room(self, actions: NDArray[Any]) -> int:
        """Let go of rows that no unfinished episode needs, and double the log if few did; returns the next row."""
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
    """State of an unwrapped environment's generator, as numpy gives it; None if it is not one of numpy's."""
    try:
        state: Any = env.np_random.bit_generator.state
    except Exception:  # an environment may have put anything in its place
        return None
    return state if isinstance(state, dict) else None


def plain(state: Any) -> Any:
    """A generator's state with its arrays as lists."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
