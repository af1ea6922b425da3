"""The result of a comparison: groups, pairs of groups, and what follows, as plain data for pages, reports and JSON."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from v3core.insight.estimates import Estimate
from v3core.insight.profiles import Aggregate, Profile
from v3core.insight.significance import LEVEL


@dataclass(frozen=True)
class RunResult:
    """One run of a group."""

    run_id: str
    name: str
    seed: int
    status: str
    episode: int
    """Complete episodes."""
    step: int
    """Environment steps so far."""
    final: float
    """Its final value; NaN if it has none, or is not counted."""
    left_out: str
    """Why it has no final value that counts; empty if it has one."""
    steps_to: float | None
    """Steps to the threshold: infinite if it was not reached, NaN if unknown; None without a threshold."""
    is_copy: bool = False
    """Whether it is left out because a run with the same settings and seed counts already."""
    mean_of: int | None = None
    """Episodes of the phase in force that its final value is over; None if it is not over a number of episodes."""


@dataclass(frozen=True)
class GroupResult:
    """The runs of a group, and what they say together."""

    name: str
    env: str
    curriculum: str | None
    """Name of their curriculum if it is one."""
    runs: tuple[RunResult, ...]
    """By seed."""
    final: Estimate
    """Interquartile mean of the final values that count."""
    steps_to: Estimate | None
    """Interquartile mean of the steps to the threshold; infinite if too few runs reached it."""
    reached: int
    """Runs that reached the threshold."""
    failed: int
    """Runs that ended by an error, or were lost."""
    unfinished: int
    """Runs that are queued, train, or were stopped before their end."""
    worst: float | None = None
    """The final value of the run that matters by itself, NaN if none counts; None of a metric without a `worst`."""

    @property
    def finals(self) -> dict[str, float]:
        """Run id to its final value, of those that count."""
        return {run.run_id: run.final for run in self.runs if not run.left_out}


@dataclass(frozen=True)
class Pair:
    """Two groups in one environment: the first minus the second, or over the second."""

    first: str
    second: str
    env: str
    difference: Estimate
    """Difference of the interquartile means of the final values; both groups are resampled."""
    paired: Estimate | None
    """Mean difference of runs of the same seed; None if no seeds match."""
    seeds_match: bool
    """Whether both groups have the same seeds, each once."""
    paired_p: float | None
    """Two-sided p of a permutation test of the signs of the paired differences; not corrected, and decides nothing."""
    improvement: Estimate
    """The chance that a run of the first ends above one of the second."""
    welch: float | None
    """Two-sided p of Welch's t-test; None where it is not defined."""
    welch_corrected: float | None
    """By Holm's method for all pairs of the comparison."""
    permutation: float | None
    permutation_corrected: float | None
    """By Holm's method for the tests of final values and of steps of all pairs, together."""
    steps_change: Estimate | None
    """How many per cent fewer steps the first needs to reach the threshold; None without one."""
    steps_p: float | None
    """Two-sided p of a permutation test of the steps to the threshold."""
    steps_corrected: float | None
    seeds_needed: float | None
    """Seeds per group at which a t-test finds the difference seen in 80 % of cases; infinite if over 1,000, None if
    unknown."""

    @property
    def is_decided(self) -> bool:
        """Whether the final values differ: by the interval, and by the corrected permutation test."""
        return self.difference.excludes(0) and _is_small(self.permutation_corrected)

    @property
    def is_faster_decided(self) -> bool:
        """Whether the steps to the threshold differ, by the same rule."""
        return self.steps_change is not None and self.steps_change.excludes(0) and _is_small(self.steps_corrected)


def _is_small(p: float | None) -> bool:
    return p is not None and p < LEVEL


@dataclass(frozen=True)
class Window:
    """What all runs of an environment have reached."""

    env: str
    step: int
    """Environment steps."""
    longest: int
    """Steps of the longest run."""


@dataclass(frozen=True)
class AcrossGroup:
    """A group in several environments together."""

    name: str
    aggregates: dict[Aggregate, Estimate]
    """Of normalised scores: interquartile mean, mean, median and optimality gap."""
    profile: Profile


@dataclass(frozen=True)
class Across:
    """Groups in several environments together, by scores that stated bounds normalise to 0 and 1."""

    environments: tuple[str, ...]
    """Those that count."""
    groups: tuple[AcrossGroup, ...]
    improvement: dict[str, Estimate]
    """`first > second` to the chance that a run of the first exceeds one of the second, mean over environments."""
    notes: tuple[str, ...]
    """Sentences about environments that are left out."""


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, compared by one metric."""

    metric: str
    label: str
    """The metric's title and unit."""
    by: tuple[str, ...]
    """Paths of the settings by which the runs are grouped."""
    until: int | None
    """Steps at which final values are taken; None for the end of each run."""
    groups: tuple[GroupResult, ...]
    pairs: tuple[Pair, ...]
    """Of groups in the same environment, the one that ends higher first."""
    thresholds: dict[str, float]
    """Environment to the value that is to be reached."""
    verdict: tuple[str, ...]
    """Sentences; the first is the headline."""
    notes: tuple[str, ...]
    """Sentences about everything that is unequal, missing or left out."""
    common: tuple[Window, ...]
    """Per environment in which runs reached different numbers of steps: the window that all have."""
    mean_over: dict[str, int]
    """Environment to the newest episodes of the phase in force that a final value is over, at most; empty where final
    values are not over a number of episodes."""
    across: Across | None = None
    """The environments together; None without bounds."""

    @property
    def copies(self) -> set[str]:
        """Ids of the runs that are left out as copies: they have the numbers of another one."""
        return {run.run_id for group in self.groups for run in group.runs if run.is_copy}

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has neither NaN, so that it is null, nor infinity, which is the text "Infinity".

        Each estimate has its `confidence`, each pair whether it `is_decided`.
        """
        return dict(_plain(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return _plain(asdict(value)) | {"confidence": value.confidence}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if hasattr(value, "__dataclass_fields__"):
        found = {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
        if isinstance(value, Pair):
            found |= {"is_decided": value.is_decided, "is_faster_decided": value.is_faster_decided}
        return found
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
