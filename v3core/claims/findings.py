"""What the results say of each hypothesis, by the interval of the difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from v3core.claims.results import Result
from v3core.claims.study import Hypothesis, Study
from v3core.claims.study_outcomes import OUTCOMES
from v3core.insight.estimates import ENOUGH_SEEDS, Estimate, iqm_of
from v3core.insight.removals import interval
from v3core.insight.significance import LEVEL, holm, paired_permutation_test


class StudyVerdict(StrEnum):
    """What the interval of the difference says."""

    SUPPORTED = "supported"
    """All of it is on the expected side of 0, with a corrected p below 0.05, and what was seen is as large as what
    matters."""
    NOT_SUPPORTED = "not supported"
    """All of it is below the smallest expected difference that matters."""
    UNDECIDED = "undecided"
    """Neither, or not all pairs of seeds have a result yet, or they are fewer than 5."""


@dataclass(frozen=True)
class Finding:
    """A hypothesis with what was measured."""

    study: str
    hypothesis: Hypothesis
    arm: Estimate
    """Interquartile mean of the outcome in the arm."""
    than: Estimate
    difference: Estimate
    """Mean of arm minus than, of runs of the same seed, with its interval by Student's t: over ten pairs a bootstrap's
    would miss the value twice as often as it says."""
    planned: int
    """Pairs that the study has."""
    p: float | None
    """Of the paired permutation test, corrected by Holm's method for the hypotheses of the study."""
    verdict: StudyVerdict


def findings_of(study: Study, results: Sequence[Result]) -> list[Finding]:
    """One for each hypothesis of a study, in its order."""
    pairs = [_pairs(results, hypothesis) for hypothesis in study.hypotheses]
    corrected = holm([paired_permutation_test(*pair) for pair in pairs])
    return [
        _finding(study, results, hypothesis, pair, p)
        for hypothesis, pair, p in zip(study.hypotheses, pairs, corrected, strict=True)
    ]


def values_of(results: Sequence[Result], arm: str, outcome: str) -> dict[int, float]:
    """Seed to a finite value."""
    found = {result.seed: result.value(outcome) for result in results if result.arm == arm}
    return {seed: value for seed, value in found.items() if math.isfinite(value)}


def estimate_of(results: Sequence[Result], arm: str, outcome: str) -> Estimate:
    """Interquartile mean over the seeds of an arm, with its interval."""
    return iqm_of(list(values_of(results, arm, outcome).values()))


def _pairs(results: Sequence[Result], hypothesis: Hypothesis) -> tuple[list[float], list[float]]:
    first, second = (values_of(results, arm, hypothesis.outcome) for arm in (hypothesis.arm, hypothesis.than))
    seeds = sorted(first.keys() & second.keys())
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


def _finding(
    study: Study,
    results: Sequence[Result],
    hypothesis: Hypothesis,
    pairs: tuple[list[float], list[float]],
    p: float | None,
) -> Finding:
    arm, than = (estimate_of(results, name, hypothesis.outcome) for name in (hypothesis.arm, hypothesis.than))
    found = interval([first - second for first, second in zip(*pairs, strict=True)])
    has = found.count >= ENOUGH_SEEDS
    difference = Estimate(found.mean, found.low if has else None, found.high if has else None, found.count)
    verdict = verdict_of(hypothesis, difference, p, planned=study.seeds)
    return Finding(study.name, hypothesis, arm, than, difference, study.seeds, p, verdict)


def verdict_of(hypothesis: Hypothesis, difference: Estimate, p: float | None, *, planned: int) -> StudyVerdict:
    """Of the mean difference, its interval and its corrected p; none before all planned pairs are there."""
    if difference.low is None or difference.high is None or difference.n < max(ENOUGH_SEEDS, planned):
        return StudyVerdict.UNDECIDED
    sign = 1.0 if hypothesis.expected == "higher" else -1.0
    low, high = sorted((sign * difference.low, sign * difference.high))
    if high < hypothesis.matters:
        return StudyVerdict.NOT_SUPPORTED
    is_sure = low > 0 and p is not None and p < LEVEL
    is_large = sign * difference.value >= hypothesis.matters
    return StudyVerdict.SUPPORTED if is_sure and is_large else StudyVerdict.UNDECIDED


def sentence(finding: Finding) -> str:
    """As in `Dead experts: 0.3 with warmup, 4.1 with none; difference −3.8 (−4.6 to −3.0, 10 pairs of seeds).`"""
    of, outcome = finding.hypothesis, OUTCOMES[finding.hypothesis.outcome]
    if not finding.difference.n:
        return f"{outcome.title}, {of.arm} and {of.than}: no pair of runs has a result."
    pairs = "1 pair of seeds" if finding.difference.n == 1 else f"{finding.difference.n} pairs of seeds"
    return (
        f"{outcome.title}: {number(finding.arm.value)} with {of.arm}, {number(finding.than.value)} with {of.than}; "
        f"difference {with_interval(finding.difference)}, {pairs}."
    )


def with_interval(estimate: Estimate) -> str:
    """As in `−3.80 (−4.60 to −3.00)`; without the interval where there is none."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.value)
    return f"{number(estimate.value)} ({number(estimate.low)} to {number(estimate.high)})"


def number(value: float) -> str:
    """Three digits, with a proper minus."""
    if not np.isfinite(value):
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}".replace("-", "−")
