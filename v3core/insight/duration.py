"""Estimates of how long runs will take, from the measured times of earlier ones."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v3core.curriculum import Length
from v3core.messages import Message, _
from v3core.phrases import with_unit

CHUNKS = 8
"""Parts of equal steps that a run's speed is measured in; a pause or a resume spoils one of them, not the median."""
REACH = 3
"""A run can be used to estimate another one that is at most this many times as long."""
ALIKE = 1.25
"""Times whose ratio is below this are shown as one."""
_LATE = 0.25
"""The part at the end of a run from which the steps per later episode are estimated."""


@dataclass(frozen=True)
class Pace:
    """How a run advanced: some of its episodes, its environment steps up to their ends, and these on any clock."""

    episodes: Sequence[int]
    steps: Sequence[int]
    seconds: Sequence[float]


@dataclass(frozen=True)
class Duration:
    """How long something takes, in seconds; a range where what was measured differs."""

    low: float
    high: float

    def describe(self) -> str:
        """As in `about 40 s`, `about 2.5 min` or `1.5 to 4 h`."""
        if self.high < ALIKE * self.low:
            return _("about {duration}", duration=_in_words((self.low + self.high) / 2))
        (amount, unit), (_most, last) = _amount(self.low), _amount(self.high)
        return _("{low} to {high}", low=amount if unit == last else with_unit(amount, unit), high=_in_words(self.high))


def steps_for(pace: Pace, length: Length | int) -> float | None:
    """Environment steps of a run of this length (a number: of episodes) if it advances like this one.

    None if this one is too short to say. Later episodes are as long as the newest of this one.
    """
    length = Length(length) if isinstance(length, int) else length
    if len(pace.episodes) < 2 or pace.steps[-1] <= pace.steps[0]:
        return None
    by_episodes = None if length.is_by_steps else _steps_of_episodes(pace, length.episodes)
    known = [] if by_episodes is None else [by_episodes]
    if length.steps is not None and pace.steps[-1] * REACH >= length.steps:
        known.append(float(length.steps))
    return min(known, default=None)


def _steps_of_episodes(pace: Pace, episodes: int) -> float | None:
    if pace.episodes[-1] * REACH < episodes:
        return None
    steps = np.concatenate([[0.0], np.asarray(pace.steps, dtype=np.float64)])
    numbers = np.concatenate([[0.0], np.asarray(pace.episodes, dtype=np.float64)])
    last = numbers[-1]
    if episodes <= last:
        return float(np.interp(episodes, numbers, steps))
    late = last * (1 - _LATE)
    per_episode = (steps[-1] - np.interp(late, numbers, steps)) / (last - late)
    return float(steps[-1] + (episodes - last) * per_episode)


def seconds_for(pace: Pace, length: Length | int) -> float | None:
    """How long a run of this length takes if it advances like this one, as `steps_for`; None if unknown.

    Seconds per step are the median over parts of equal steps.
    """
    steps = steps_for(pace, length)
    if steps is None:
        return None
    edges = np.linspace(pace.steps[0], pace.steps[-1], CHUNKS + 1)
    per_step = statistics.median(np.diff(np.interp(edges, pace.steps, pace.seconds)) / np.diff(edges))
    return float(per_step * steps) if per_step > 0 else None


def total_time(groups: Sequence[tuple[int, float, float]], slots: int) -> Duration:
    """How long runs take together on `slots` slots; of each group its number, and least and most seconds of a run."""
    free = max(1, slots)
    if len(groups) == 1:
        ((runs, low, high),) = groups
        turns = math.ceil(runs / free)
        return Duration(turns * low, turns * high)
    lows = max(sum(runs * low for runs, low, _ in groups) / free, *(low for _, low, _ in groups))
    highs = max(sum(runs * high for runs, _, high in groups) / free, *(high for _, _, high in groups))
    return Duration(lows, highs)


def time_left(seconds: float) -> str:
    """How long a run trains on, as in `about 4.2 min left`."""
    return _("about {duration} left", duration=_in_words(seconds))


def _in_words(seconds: float) -> Message:
    return with_unit(*_amount(seconds))


def _amount(seconds: float) -> tuple[str, str]:
    """How many of the largest unit that fits, and that unit."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size * (2 if unit == "days" else 1):
            amount = seconds / size
            return f"{amount:.0f}" if amount >= 10 else f"{amount:.1f}".removesuffix(".0"), unit
    return str(max(1, round(seconds))), "s"
