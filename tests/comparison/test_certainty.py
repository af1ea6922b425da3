"""How often a comparison calls a difference certain that is none, and one that there is."""

import math

import numpy as np
import pytest

from v3core.comparison.pairs import pairs_of
from v3core.insight.compared import GroupResult, RunResult
from v3core.insight.estimates import iqm_of
from v3core.insight.significance import seeds_needed

TRIES = 200
UNTIMED = np.full(9, math.nan)
ONE = np.array([1.0])


def group(name: str, values: np.ndarray, steps: np.ndarray | None = None) -> GroupResult:
    """Its steps to the threshold follow from the final values unless they are given."""
    if steps is None:
        steps = 1000 / np.maximum(values, 0.1)
    runs = [
        RunResult(f"{name}{seed}", name, seed, "completed", 10, 100, float(value), "", float(to))
        for seed, (value, to) in enumerate(zip(values, steps, strict=True))
    ]
    return GroupResult(name, "Env-v0", name, tuple(runs), iqm_of(values), None, 0, 0, 0)


@pytest.mark.parametrize(("groups", "seeds"), [(2, 5), (2, 7), (3, 5)])
def test_of_groups_that_are_alike_one_in_twenty_comparisons_at_most_is_decided(groups, seeds):
    random = np.random.default_rng(groups * 100 + seeds)
    wrong = faster = 0
    for _ in range(TRIES):
        made = [group(str(name), random.gamma(2.0, size=seeds)) for name in range(groups)]
        pairs = pairs_of(made)
        wrong += any(pair.is_decided for pair in pairs)
        faster += any(pair.is_faster_decided for pair in pairs)
    most = 0.05 + 3 * math.sqrt(0.05 * 0.95 / TRIES)
    assert wrong / TRIES <= most
    assert faster / TRIES <= most


@pytest.mark.parametrize(("groups", "seeds"), [(2, 5), (2, 7), (3, 6)])
def test_final_values_and_independent_steps_are_one_question_together(groups, seeds):
    """A comparison that asks two questions is wrong in either of them as rarely as one that asks one."""
    random = np.random.default_rng(groups * 1000 + seeds)
    tries, wrong = 2 * TRIES, 0
    for _ in range(tries):
        made = [
            group(str(name), random.gamma(2.0, size=seeds), random.gamma(2.0, size=seeds)) for name in range(groups)
        ]
        wrong += any(pair.is_decided or pair.is_faster_decided for pair in pairs_of(made))
    assert wrong / tries <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / tries)


def test_with_twenty_three_groups_of_eleven_seeds_what_is_certain_is_decided():
    """From 11 seeds each on, assignments are drawn: as many as 253 pairs need."""
    random = np.random.default_rng(3)
    pairs = pairs_of([group(str(place), 100 * place + random.normal(size=11)) for place in range(23)])
    assert len(pairs) == 253
    assert all(pair.is_decided and pair.is_faster_decided for pair in pairs)


def test_with_the_seeds_that_are_said_to_be_needed_most_comparisons_are_decided():
    random = np.random.default_rng(5)
    seen = np.array([-1.0, 1.0, -1.0, 1.0]) / math.sqrt(4 / 3)
    needed = seeds_needed(seen + 1.5, seen)
    assert needed is not None
    decided = 0
    for _ in range(TRIES):
        first, second = random.normal(1.5, 1, needed), random.normal(0, 1, needed)
        decided += pairs_of([group("a", first), group("b", second)])[0].is_decided
    assert decided / TRIES > 0.6


@pytest.mark.parametrize("seeds", [5, 6])
def test_of_ten_pairs_the_seeds_that_are_needed_decide_all_and_one_fewer_none(seeds):
    """However far apart the groups are: of 5 seeds each the smallest p is 1/126, and p is corrected."""
    pairs = pairs_of([group(str(place), 100.0 * place + np.arange(seeds)) for place in range(5)])
    assert len(pairs) == 10
    assert {pair.seeds_needed for pair in pairs} == {6}
    assert {pair.is_decided for pair in pairs} == {seeds == 6}


def test_of_one_pair_without_a_threshold_the_seeds_needed_are_for_one_test():
    from statsmodels.stats.power import TTestIndPower

    (pair,) = pairs_of([group("a", np.arange(9.0) + 2, UNTIMED), group("b", np.arange(9.0), UNTIMED)])
    effect = 2 / np.arange(9.0).std(ddof=1)
    assert pair.seeds_needed == math.ceil(TTestIndPower().solve_power(effect_size=effect, alpha=0.05, power=0.8))
    assert (pair.steps_change, pair.steps_p, pair.steps_corrected) == (None, None, None)


def test_p_of_welch_is_corrected_for_the_pairs_that_have_one():
    from statsmodels.stats.multitest import multipletests

    random = np.random.default_rng(8)
    pairs = pairs_of([group(str(place), random.normal(place / 2, 1, 6)) for place in range(3)] + [group("one", ONE)])
    found = [(pair.welch, pair.welch_corrected) for pair in pairs if pair.welch is not None]
    assert len(found) == 3
    assert [corrected for _, corrected in found] == pytest.approx(
        multipletests([p for p, _ in found], method="holm")[1]
    )
    assert {pair.welch_corrected for pair in pairs if pair.welch is None} == {None}


@pytest.mark.parametrize(("first", "second", "match"), [(1, 1, True), (2, 1, False), (3, 3, True), (0, 0, False)])
def test_groups_match_if_they_have_the_same_seeds(first, second, match):
    (pair,) = pairs_of([group("a", np.arange(float(first))), group("b", np.arange(float(second)))])
    assert pair.seeds_match is match
    paired = min(first, second)
    assert (pair.paired is None) is (pair.paired_p is None) is (paired == 0)
    assert pair.paired is None or pair.paired.n == paired


def test_a_group_without_a_run_that_counts_is_the_second_of_its_pairs():
    empty = group("none", np.array([]))
    for groups in ([empty, group("low", -ONE)], [group("low", -ONE), empty]):
        (pair,) = pairs_of(groups)
        assert (pair.first, pair.second) == ("low", "none")
        assert (pair.permutation, pair.steps_p) == (None, None)
        assert pair.difference.n == 0


@pytest.mark.parametrize(
    ("first", "second", "change"),
    [
        ([50.0, 55, 45, 52, 48], [100.0, 110, 90, 104, 96], 50),
        ([50.0, 55, 45, 52, 48], [math.inf] * 5, 100),
        ([math.inf] * 5, [math.inf] * 5, None),
        ([50.0, 55, 45, 52, 48], [math.nan] * 5, None),
        ([math.nan] * 5, [50.0, 55, 45, 52, 48], None),
    ],
)
def test_steps_are_compared_if_both_groups_have_some_and_one_reached_the_threshold(first, second, change):
    """Infinite ones are of runs that did not reach it; those that are not known are none."""
    values = np.arange(5.0)
    (pair,) = pairs_of([group("a", values + 1, np.array(first)), group("b", values, np.array(second))])
    found = None if pair.steps_change is None else pair.steps_change.value
    assert found == (None if change is None else pytest.approx(change))
    assert pair.steps_p == (None if change is None else pytest.approx(2 / math.comb(10, 5)))
