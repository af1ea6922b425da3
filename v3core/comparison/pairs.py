"""Every pair of groups in one environment: differences, tests, and their correction for the number of pairs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from v3core.insight.compared import GroupResult, Pair
from v3core.insight.estimates import (
    Estimate,
    change_in_percent,
    difference_of,
    paired_difference,
    probability_of_improvement,
)
from v3core.insight.significance import LEVEL, holm, paired_permutation_test, permutation_test, seeds_needed, welch
from v3core.rollup import Floats


def pairs_of(groups: Sequence[GroupResult]) -> list[Pair]:
    """All pairs within each environment, the group that ends higher first.

    P values of final values and of steps to the threshold are corrected as one family: either makes a pair certain.
    """
    chosen = [
        (first, second) if _order(first) >= _order(second) else (second, first)
        for first, second in combinations(groups, 2)
        if first.env == second.env
    ]
    tests = sum(_tests(first, second) for first, second in chosen)
    pairs = [_pair(first, second, tests) for first, second in chosen]
    decisive = holm([p for pair in pairs for p in (pair.permutation, pair.steps_p)])
    return [
        replace(pair, welch_corrected=of_welch, permutation_corrected=of_finals, steps_corrected=of_steps)
        for pair, of_welch, of_finals, of_steps in zip(
            pairs, holm([pair.welch for pair in pairs]), decisive[::2], decisive[1::2], strict=True
        )
    ]


def _tests(first: GroupResult, second: GroupResult) -> int:
    """How many questions a pair has an answer to, of the final values and the steps to the threshold."""
    return bool(first.finals and second.finals) + _is_timed(_steps_of(first), _steps_of(second))


def _order(group: GroupResult) -> float:
    return -math.inf if math.isnan(group.final.value) else group.final.value


def _pair(first: GroupResult, second: GroupResult, tests: int) -> Pair:
    a, b = (np.array(list(group.finals.values())) for group in (first, second))
    by_seed = [_by_seed(group) for group in (first, second)]
    matched = sorted(by_seed[0].keys() & by_seed[1].keys())
    paired = [np.array([of_group[seed] for seed in matched]) for of_group in by_seed]
    all_match = len(matched) == len(a) == len(b) and len(matched) > 0
    change, steps_p = _steps(first, second, tests)
    return Pair(
        first=first.name,
        second=second.name,
        env=first.env,
        difference=difference_of(a, b),
        paired=paired_difference(*paired) if matched else None,
        seeds_match=all_match,
        improvement=probability_of_improvement([a], [b]),
        welch=welch(a, b),
        welch_corrected=None,
        paired_p=paired_permutation_test(*paired) if matched else None,
        permutation=permutation_test(a, b, tests=tests),
        permutation_corrected=None,
        steps_change=change,
        steps_p=steps_p,
        steps_corrected=None,
        seeds_needed=seeds_needed(a, b, level=LEVEL / max(tests, 1)),
    )


def _by_seed(group: GroupResult) -> dict[int, float]:
    """Seed to final value; without seeds that several runs have, which cannot be paired."""
    counted = [run for run in group.runs if not run.left_out]
    seeds = [run.seed for run in counted]
    return {run.seed: run.final for run in counted if seeds.count(run.seed) == 1}


def _steps(first: GroupResult, second: GroupResult, tests: int) -> tuple[Estimate | None, float | None]:
    """How much sooner the first reaches the threshold, and the p value of that; None if neither group did."""
    a, b = (_steps_of(group) for group in (first, second))
    return (change_in_percent(a, b), permutation_test(a, b, tests=tests)) if _is_timed(a, b) else (None, None)


def _is_timed(first: Floats, second: Floats) -> bool:
    """Whether both groups have runs that count, and one of them reached the threshold."""
    return bool(len(first) and len(second) and (np.isfinite(first).any() or np.isfinite(second).any()))


def _steps_of(group: GroupResult) -> Floats:
    steps = [math.nan if run.steps_to is None else run.steps_to for run in group.runs]
    values = np.array(steps, dtype=np.float64)
    return values[~np.isnan(values)]
