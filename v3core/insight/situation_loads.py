"""How the experts share the situations of an environment; pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v3core.insight.task_loads import task_distances
from v3core.messages import _

OTHER = _("none of these")
"""The steps that no situation holds at."""


@dataclass(frozen=True)
class InSituations:
    """One episode: its number and steps, and by situation the steps in it with the mean gate of each expert."""

    episode: int
    steps: int
    situations: dict[str, tuple[int, tuple[float, ...]]]


@dataclass(frozen=True)
class SituationResult:
    """One situation in some episodes."""

    name: str
    steps: int
    share: float
    """Of all steps of these episodes; shares add up to more than 1 where several situations hold at once."""
    loads: tuple[float, ...]
    """Mean gate of each expert over the steps in it; NaN where it is not known."""
    distance: float
    """Jensen-Shannon distance of these loads and those in none of the situations: 0 if alike, 1 if no expert is shared.
    NaN without such steps."""


def situation_results(episodes: Sequence[InSituations]) -> list[SituationResult]:
    """Each situation over all of these episodes, pooled by steps: the most frequent first, `OTHER` last."""
    steps: dict[str, int] = {}
    sums: dict[str, NDArray[np.float64]] = {}
    for episode in episodes:
        for name, (count, loads) in episode.situations.items():
            of_episode = np.array(loads, dtype=np.float64) * count
            if name not in sums:
                steps[name], sums[name] = count, of_episode
            elif len(loads) == len(sums[name]):
                steps[name] += count
                sums[name] += of_episode
    total = sum(episode.steps for episode in episodes)
    loads_of = {name: sums[name] / steps[name] for name in sums}
    order = sorted(steps, key=lambda name: (name == OTHER, -steps[name], name))
    return [
        SituationResult(
            name,
            steps[name],
            steps[name] / total if total else math.nan,
            tuple(loads_of[name].tolist()),
            _distance(loads_of[name], loads_of.get(OTHER)),
        )
        for name in order
    ]


def situation_points(
    episodes: Sequence[InSituations], *, last: int, parts: int
) -> dict[str, list[tuple[int, tuple[float, ...]]]]:
    """Loads in each situation over equal parts of the first `last` episodes: the last episode of each part, and loads.

    Pooled by steps within a part, and none of a part without a step in the situation.
    """
    size = -(-last // parts) or 1
    by_part: dict[int, list[InSituations]] = {}
    for episode in episodes:
        by_part.setdefault((episode.episode - 1) // size, []).append(episode)
    found: dict[str, list[tuple[int, tuple[float, ...]]]] = {}
    for part, within in sorted(by_part.items()):
        for result in situation_results(within):
            found.setdefault(result.name, []).append((min((part + 1) * size, last), result.loads))
    return found


def _distance(loads: NDArray[np.float64], other: object) -> float:
    if not isinstance(other, np.ndarray) or other.shape != loads.shape:
        return math.nan
    return float(task_distances(np.stack((loads, other)))[0, 1])
