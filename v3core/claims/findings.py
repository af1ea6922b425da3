"""What the results say of each hypothesis, by the interval of the difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import count

import numpy as np

from v3core.claims.results import Result
from v3core.claims.study import Hypothesis, Relation, Study
from v3core.claims.study_outcomes import OUTCOMES
from v3core.insight.correlation import correlation_within, deviations
from v3core.insight.estimates import ENOUGH_SEEDS, Estimate, with_interval
from v3core.insight.removals import interval
from v3core.insight.significance import LEVEL, holm, paired_permutation_test
from v3core.messages import Message, _, several, translated, with_minus
from v3core.phrases import Phrase, listed


class StudyVerdict(StrEnum):
    """What the interval of the difference says."""

    SUPPORTED = "supported"
    """All of it is on the expected side of 0, with a corrected p below 0.05, and what was seen is as large as what
    matters."""
    NOT_SUPPORTED = "not supported"
    """All of it is below the smallest expected difference that matters."""
    NO_ROOM = "no room"
    """The arm that it is compared with is so near the best value there is that no difference could have mattered, and
    the interval is not all on the other side of 0. This comes before the two above."""
    UNDECIDED = "undecided"
    """Neither, or not all pairs of seeds have a result yet, or they are fewer than 5."""

    @property
    def words(self) -> Message:
        """As people read it."""
        return _VERDICTS[self]


_VERDICTS = {
    StudyVerdict.SUPPORTED: _("supported"),
    StudyVerdict.NOT_SUPPORTED: _("not supported"),
    StudyVerdict.NO_ROOM: _("no room"),
    StudyVerdict.UNDECIDED: _("undecided"),
}


@dataclass(frozen=True)
class Finding:
    """A hypothesis with what was measured."""

    study: str
    hypothesis: Hypothesis | Relation
    measured: Estimate
    """Of two arms, the mean difference of runs of the same seed, with its interval by Student's t: over ten pairs a
    bootstrap's would miss the value twice as often as it says. Of a relation, the correlation within arms."""
    arms: tuple[float, ...]
    """Means of the outcome in the two arms, of the seeds that both have; none of a relation."""
    planned: int
    """Seeds that the study has."""
    p: float | None
    """Of the paired permutation test, or of the correlation, corrected by Holm's method for all that is expected."""
    verdict: StudyVerdict

    @property
    def verdict_words(self) -> Message:
        """The verdict, and whether it does not count for the claim."""
        words = self.verdict.words
        return words if self.hypothesis.counts else _("{verdict} (not counted)", verdict=words)

    @property
    def counted(self) -> Message:
        """As in `10 pairs of seeds`."""
        n = self.measured.n
        if isinstance(self.hypothesis, Relation):
            return several("{count} seed", "{count} seeds", count=n)
        return several("{count} pair of seeds", "{count} pairs of seeds", count=n)


def findings_of(study: Study, results: Sequence[Result]) -> list[Finding]:
    """One for each hypothesis of a study, then one for each relation, in its order."""
    measured = [_measured(results, one) for one in study.expectations]
    corrected = holm([p for _estimate, p in measured])
    return [
        _finding(study, results, one, estimate, p)
        for one, (estimate, _p), p in zip(study.expectations, measured, corrected, strict=True)
    ]


def _measured(results: Sequence[Result], expected: Hypothesis | Relation) -> tuple[Estimate, float | None]:
    """The difference or the correlation, and its p before correction."""
    if isinstance(expected, Relation):
        found = correlation_within([_by_seed(results, expected)])
        return found.estimate, found.p
    pairs = _pairs(results, expected)
    seen = interval([first - second for first, second in zip(*pairs, strict=True)])
    has = seen.count >= ENOUGH_SEEDS
    estimate = Estimate(seen.mean, seen.low if has else None, seen.high if has else None, seen.count)
    return estimate, paired_permutation_test(*pairs)


def _finding(
    study: Study, results: Sequence[Result], expected: Hypothesis | Relation, measured: Estimate, p: float | None
) -> Finding:
    of_arms: tuple[float, ...] = ()
    room = math.inf
    if isinstance(expected, Hypothesis):
        of_arms = tuple(interval(values).mean for values in _pairs(results, expected))
        room = _room(study, expected, of_arms[1])
    verdict = verdict_of(expected, measured, p, planned=study.seeds, room=room)
    return Finding(study.name, expected, measured, of_arms, study.seeds, p, verdict)


def _room(study: Study, hypothesis: Hypothesis, than: float) -> float:
    """The largest difference that could have been seen beside an arm with that mean; infinite without a bound."""
    outcome = OUTCOMES[hypothesis.outcome]
    best = hypothesis.best
    if best is None and hypothesis.expected == "lower":
        best = outcome.lowest
    elif best is None:
        best = study.best_return if outcome.is_mean_return else outcome.highest
    return math.inf if best is None or math.isnan(than) else abs(best - than)


def too_few_seeds(study: Study) -> str:
    """Why no comparison of two arms can be supported, whatever its runs come to; empty if one can.

    The smallest two-sided p of `n` pairs is 2 / 2ⁿ, and Holm's method multiplies the smallest by the number of
    comparisons; relations can have smaller ones, and then do not count.
    """
    family = len(study.hypotheses)
    needed = next(seeds for seeds in count(ENOUGH_SEEDS) if family * 2 / 2**seeds < LEVEL)
    if not study.hypotheses or study.seeds >= needed:
        return ""
    return _(
        "With {seeds} seeds none of its {comparisons} comparisons can be supported, whatever the runs come to: p would "
        "stay above {level}. It takes {needed}.",
        seeds=study.seeds,
        comparisons=len(study.hypotheses),
        level=LEVEL,
        needed=needed,
    )


def values_of(results: Sequence[Result], arm: str, outcome: str) -> dict[int, float]:
    """Seed to a finite value."""
    found = {result.seed: result.value(outcome) for result in results if result.arm == arm}
    return {seed: value for seed, value in found.items() if math.isfinite(value)}


def _by_seed(results: Sequence[Result], relation: Relation) -> tuple[list[float], list[float]]:
    """What foretells, and the outcome: of each seed the mean over arms of how far its run is from the arm's mean.

    Runs of one seed count once, because they may have begun alike: two curricula with the same first phase train the
    same network until its end.
    """
    apart: dict[int, list[tuple[float, float]]] = {}
    for arm in relation.arms:
        first, second = (values_of(results, arm, outcome) for outcome in (relation.foretold_by, relation.outcome))
        both = sorted(first.keys() & second.keys())
        of_arm = np.array([(first[seed], second[seed]) for seed in both]).reshape(-1, 2)
        for seed, (one, other) in zip(both, deviations(of_arm).tolist(), strict=True):
            apart.setdefault(seed, []).append((one, other))
    means = np.array([np.mean(pairs, axis=0) for pairs in apart.values()]).reshape(-1, 2)
    return means[:, 0].tolist(), means[:, 1].tolist()


def mean_and_range(results: Sequence[Result], arm: str, outcome: str) -> Estimate:
    """The mean over the seeds of an arm, with the lowest and the highest of them."""
    values = list(values_of(results, arm, outcome).values())
    return Estimate(interval(values).mean, min(values, default=None), max(values, default=None), len(values))


def _pairs(results: Sequence[Result], hypothesis: Hypothesis) -> tuple[list[float], list[float]]:
    first, second = (values_of(results, arm, hypothesis.outcome) for arm in (hypothesis.arm, hypothesis.than))
    seeds = sorted(first.keys() & second.keys())
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


def verdict_of(
    hypothesis: Hypothesis | Relation, measured: Estimate, p: float | None, *, planned: int, room: float = math.inf
) -> StudyVerdict:
    """Of the estimate, its interval, its corrected p and the largest difference that could have been seen.

    None before all planned seeds are there.
    """
    if measured.low is None or measured.high is None or measured.n < max(ENOUGH_SEEDS, planned):
        return StudyVerdict.UNDECIDED
    sign = 1.0 if hypothesis.expected == "higher" else -1.0
    low, high = sorted((sign * measured.low, sign * measured.high))
    if room < hypothesis.matters and high >= 0:
        return StudyVerdict.NO_ROOM
    if high < hypothesis.matters:
        return StudyVerdict.NOT_SUPPORTED
    is_sure = low > 0 and p is not None and p < LEVEL
    is_large = sign * measured.value >= hypothesis.matters
    return StudyVerdict.SUPPORTED if is_sure and is_large else StudyVerdict.UNDECIDED


def sentence(finding: Finding) -> Message:
    """As in `Dead experts: 0.3 with warmup, 4.1 with none; difference −3.8 (−4.6 to −3.0), 10 pairs of seeds.`"""
    of, outcome = finding.hypothesis, OUTCOMES[finding.hypothesis.outcome]
    said: dict[str, object] = {"outcome": outcome.title, "measured": with_interval(finding.measured, number)}
    said |= {"count": finding.counted}
    if isinstance(of, Relation):
        said |= {"other": lowered(OUTCOMES[of.foretold_by].title), "arms": _arms(of)}
        if not finding.measured.n:
            return _("{outcome} and {other}, within {arms}: no run has a result.", **said)
        return _("{outcome} and {other}, within {arms}: correlation {measured}, {count}.", **said)
    said |= {"arm": _arm(of.arm), "than": _arm(of.than)}
    if not finding.measured.n:
        return _("{outcome}, {arm} and {than}: no pair of runs has a result.", **said)
    first, second = (number(mean) for mean in finding.arms)
    return _(
        "{outcome}: {first} with {arm}, {second} with {than}; difference {measured}, {count}.",
        first=first,
        second=second,
        **said,
    )


def expectation(of: Hypothesis | Relation) -> Message:
    """What was expected, in words."""
    said: dict[str, object] = {"least": number(of.matters)}
    if isinstance(of, Relation):
        said |= {"other": lowered(OUTCOMES[of.foretold_by].title), "arms": _arms(of)}
        if of.expected == "higher":
            return _("higher where {other} is higher, within {arms}; r = {least} or more", **said)
        return _("lower where {other} is higher, within {arms}; r = −{least} or less", **said)
    said |= {"arm": _arm(of.arm), "than": _arm(of.than)}
    if of.expected == "higher":
        return _("{arm}: higher than {than}, by {least} or more", **said)
    return _("{arm}: lower than {than}, by {least} or more", **said)


def lowered(title: str) -> Message:
    """A title as it stands within a sentence."""
    return Phrase(title[0].lower() + title[1:], partial(translated, title))


def _arm(name: str) -> Message:
    """Names of the arms of our own studies are in the catalogues."""
    return Message(name, {})


def _arms(of: Relation) -> Message:
    return listed([_arm(name) for name in of.arms])


def number(value: float) -> str:
    """Three digits, with a proper minus."""
    if not np.isfinite(value):
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return with_minus(f"{value:.{digits}f}")
