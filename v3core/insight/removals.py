"""What a knock-out says of each expert: intervals over its episodes, and whether the expert is needed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from v3core.messages import Message, _

ALL_EXPERTS = -1
"""Stands for an expert where none is removed."""
IDLE_SHARE = 0.05
"""An expert is idle if its removal changes the mean return by less than this share, over the whole interval."""

_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""Two-sided 95 % quantiles of Student's t with 1, 2 … degrees of freedom."""


class Verdict(StrEnum):
    """What the episodes show of an expert."""

    NEEDED = "needed"
    """Without it the mean return is lower: the interval of the difference lies below 0."""
    IDLE = "idle"
    """Without it the mean return is the same: the interval lies within 5 % of the complete policy's mean return."""
    HARMFUL = "better without"
    """Without it the mean return is higher: the interval lies above 0."""
    UNCLEAR = "not clear"
    """The interval allows more than one of these."""

    @property
    def words(self) -> Message:
        """As people read it."""
        return _WORDS[self]


_WORDS = {
    Verdict.NEEDED: _("needed"),
    Verdict.IDLE: _("idle"),
    Verdict.HARMFUL: _("better without"),
    Verdict.UNCLEAR: _("not clear"),
}


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; the bounds are NaN with fewer than two episodes."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Removal:
    """One expert removed."""

    expert: int
    """From 0."""
    returns: Interval
    difference: Interval
    """Return without the expert minus return with all, of pairs of episodes that begin alike."""
    verdict: Verdict


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % interval by Student's t, of the finite values."""
    known = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    if not len(known):
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(known.mean())
    if len(known) < 2:
        return Interval(mean, math.nan, math.nan, 1)
    half = _t(len(known) - 1) * float(known.std(ddof=1)) / math.sqrt(len(known))
    return Interval(mean, mean - half, mean + half, len(known))


def removals(complete: Sequence[float], without: Mapping[int, Sequence[float]]) -> list[Removal]:
    """Returns of the same episodes with all experts and without each, by expert; one removal for each, in order."""
    level = abs(interval(complete).mean)
    found = []
    for expert in sorted(without):
        difference = interval([less - all_ for less, all_ in zip(without[expert], complete, strict=True)])
        found.append(Removal(expert, interval(without[expert]), difference, _verdict(difference, IDLE_SHARE * level)))
    return found


def _verdict(difference: Interval, margin: float) -> Verdict:
    if not math.isfinite(difference.low):
        return Verdict.UNCLEAR
    if -margin <= difference.low and difference.high <= margin:
        return Verdict.IDLE
    if difference.high < 0:
        return Verdict.NEEDED
    return Verdict.HARMFUL if difference.low > 0 else Verdict.UNCLEAR


def _t(degrees: int) -> float:
    """Quantile of Student's t; beyond the table by its expansion in 1/ν (Abramowitz and Stegun, 26.7.5)."""
    if degrees <= len(_T):
        return _T[degrees - 1]
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / degrees + second / degrees**2


def largest_loss(complete: Sequence[float], without: Mapping[int, Sequence[float]]) -> float:
    """Mean return with all experts, minus the lowest mean without one of them; NaN if nothing was removed."""
    means = [interval(returns).mean for returns in without.values()]
    known = [mean for mean in means if not math.isnan(mean)]
    return interval(complete).mean - min(known) if known else math.nan
