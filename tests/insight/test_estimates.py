"""The statistics of comparisons against rliable and scipy, on random and on degenerate numbers."""

import math

import numpy as np
import pytest
import scipy.stats

from tests.rliable_oracle import library, metrics
from v3core.insight.bootstrap import REPETITIONS, generator, iqm, iqm_weights, resampled_counts, resampled_iqm, weighted
from v3core.insight.estimates import (
    Estimate,
    change_in_percent,
    difference_of,
    iqm_of,
    paired_difference,
    probability_of_improvement,
    steps_to_threshold,
    with_interval,
)
from v3core.insight.profiles import Bounds, aggregates, performance_profile
from v3core.insight.significance import (
    EXACT,
    holm,
    paired_permutation_test,
    permutation_test,
    power_of,
    seeds_needed,
    welch,
)

SEEDS = [0, 1, 2]


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores(seed: int, runs: int = 10, tasks: int = 1) -> np.ndarray:
    return random(seed).gamma(2.0, size=(runs, tasks)) * random(seed + 100).uniform(0.5, 2, tasks)


def strata(matrix: np.ndarray) -> list[np.ndarray]:
    return list(matrix.T)


def interval_of_rliable(values: dict[str, object], function, repetitions: int = 4000) -> tuple[float, float]:
    np.random.seed(7)  # what rliable draws from
    _, ends = library.get_interval_estimates(values, function, reps=repetitions)
    return tuple(float(end) for end in next(iter(ends.values()))[:, 0])


def close(ours: Estimate, theirs: tuple[float, float]) -> None:
    """Two bootstraps of one distribution: their ends differ by chance, by a small part of the interval's width."""
    width = theirs[1] - theirs[0]
    assert ours.low is not None
    assert ours.low == pytest.approx(theirs[0], abs=0.06 * width)
    assert ours.high == pytest.approx(theirs[1], abs=0.06 * width)


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5, 7, 10, 23])
def test_the_iqm_is_that_of_scipy_and_rliable(runs):
    values = scores(runs, runs, 6)
    assert iqm(values) == pytest.approx([scipy.stats.trim_mean(column, 0.25) for column in values.T])
    assert iqm(values[:, :1])[0] == pytest.approx(metrics.aggregate_iqm(values[:, :1]))


@pytest.mark.parametrize("runs", [2, 5, 8, 11])
def test_weights_of_counts_are_the_iqm_of_the_resample_that_was_counted(runs):
    values = np.sort(scores(runs, runs)[:, 0])
    counts = resampled_counts(generator("test", runs), runs, 50)
    assert (counts.sum(axis=1) == runs).all()
    resamples = [np.repeat(values, row.astype(int)) for row in counts]
    assert weighted(iqm_weights(counts), values) == pytest.approx([scipy.stats.trim_mean(r, 0.25) for r in resamples])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_interval_of_the_iqm_is_that_of_rliable(seed):
    values = scores(seed)
    theirs = interval_of_rliable({"ours": values}, lambda x: np.array([metrics.aggregate_iqm(x)]))
    ours = iqm_of(values[:, 0])
    assert ours.value == pytest.approx(metrics.aggregate_iqm(values))
    close(ours, theirs)


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_the_probability_of_improvement_is_that_of_rliable(seed):
    first, second = scores(seed, 10, 3), scores(seed + 10, 8, 3) * 0.8
    ours = probability_of_improvement(strata(first), strata(second))
    assert ours.value == pytest.approx(metrics.probability_of_improvement(first, second))
    theirs = interval_of_rliable(
        {"pair": (first, second)}, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), 1000
    )
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.02)
    assert ours.n == 8


@pytest.mark.parametrize("seed", SEEDS)
def test_aggregates_over_environments_are_those_of_rliable(seed):
    values = scores(seed, 8, 5) / 3
    ours = aggregates(strata(values))
    functions = {
        "iqm": metrics.aggregate_iqm,
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
        "optimality_gap": metrics.aggregate_optimality_gap,
    }
    for name, function in functions.items():
        assert ours[name].value == pytest.approx(function(values)), name
        close(ours[name], interval_of_rliable({"x": values}, lambda x, f=function: np.array([f(x)]), 2000))


def test_performance_profiles_are_those_of_rliable():
    values, at = scores(3, 10, 4), np.linspace(0, 3, 13)
    theirs, ends = library.create_performance_profile({"x": values}, at, reps=2000)
    ours = performance_profile(strata(values), at)
    assert ours.share == pytest.approx(theirs["x"])
    assert np.abs(ours.low - ends["x"][0]).max() <= 0.051  # shares are multiples of 1/40
    assert np.abs(ours.high - ends["x"][1]).max() <= 0.051
    few = performance_profile(strata(values[:4]), at)
    assert np.isnan(few.low).all()
    assert few.n == 4


def test_scores_are_normalised_by_stated_bounds():
    assert Bounds(-10, 90).normalise([-10.0, 40.0, math.nan, 190.0]).tolist() == [0.0, 0.5, 2.0]


@pytest.mark.parametrize("seed", SEEDS)
def test_welch_is_that_of_scipy(seed):
    a, b = scores(seed, 9)[:, 0], scores(seed + 1, 6)[:, 0] + 1
    assert welch(a, b) == pytest.approx(scipy.stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_welch_takes_two_numbers_of_each_group_and_all_of_them_finite():
    a, b = [1.0, 2.0], [5.0, 7.0]
    assert welch(a, b) == pytest.approx(scipy.stats.ttest_ind(a, b, equal_var=False).pvalue)
    for few in ([1.0], [1.0, math.nan], [1.0, math.inf]):
        assert welch(few, b) is welch(b, few) is None
        assert seeds_needed(few, b) is seeds_needed(b, few) is None
    assert paired_permutation_test([math.inf, 1.0], [1.0, 2.0]) is None


@pytest.mark.parametrize(("first", "second"), [(4, 5), (6, 6), (8, 3)])
def test_the_permutation_test_is_that_of_scipy_where_it_is_exact(first, second):
    a, b = scores(first, first)[:, 0], scores(second + 20, second)[:, 0] + 0.7

    def difference(x, y, axis):
        return x.mean(axis=axis) - y.mean(axis=axis)

    theirs = scipy.stats.permutation_test((a, b), difference, vectorized=True, n_resamples=np.inf)
    assert permutation_test(a, b) == pytest.approx(theirs.pvalue)


def test_a_permutation_test_of_many_runs_is_drawn_and_still_near_that_of_scipy():
    a, b = scores(1, 15)[:, 0], scores(2, 15)[:, 0] + 0.6
    found = permutation_test(a, b)
    assert found == permutation_test(a, b)
    assert found == pytest.approx(welch(a, b), abs=0.03)


def test_of_more_pairs_than_17_signs_are_drawn_and_p_is_still_near_that_of_scipy():
    assert 2**17 <= EXACT < 2**18
    second = scores(6, 18)[:, 0]
    first = second + random(6).normal(0.4, 1, 18)
    found = paired_permutation_test(first, second)
    assert found == paired_permutation_test(first, second)
    assert found == pytest.approx(scipy.stats.ttest_rel(first, second).pvalue, abs=0.02)


def test_a_p_that_is_drawn_is_never_0():
    """The assignment that was seen is one of those that count: one of 10,000 at each end."""
    low = np.arange(40.0)
    for p in (permutation_test(low, low + 1000), paired_permutation_test(low, low + 1000)):
        assert p == pytest.approx(2 / 10_000)


@pytest.mark.parametrize("unit", [0.1, 1e-9, 7e-14, 1e9, 3e19])
def test_p_does_not_depend_on_the_unit_though_sums_are_rounded(unit):
    """Whole numbers with many ties have exact sums; in another unit equal sums differ by rounding."""
    a, b = np.array([1.0, 2, 3, 7]), np.array([4.0, 2, 6, 5])
    for test in (permutation_test, paired_permutation_test):
        assert test(a * unit, b * unit) == test(a, b)
    assert permutation_test(a * unit, b[:3] * unit) == permutation_test(a, b[:3])


@pytest.mark.parametrize("pairs", [3, 6, 10])
def test_the_paired_permutation_test_is_that_of_scipy(pairs):
    a, b = scores(pairs, pairs)[:, 0] + 0.4, scores(pairs + 9, pairs)[:, 0]

    def difference(x, y, axis):
        return (x - y).mean(axis=axis)

    theirs = scipy.stats.permutation_test(
        (a, b), difference, vectorized=True, n_resamples=np.inf, permutation_type="samples"
    )
    assert paired_permutation_test(a, b) == pytest.approx(theirs.pvalue)


def test_holm_is_that_of_statsmodels_and_leaves_out_what_is_not_defined():
    from statsmodels.stats.multitest import multipletests

    values = [0.04, 0.001, 0.03, 0.5, 0.012]
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert holm([0.04, None, 0.03]) == [pytest.approx(0.06), None, pytest.approx(0.06)]
    assert holm([]) == []


@pytest.mark.parametrize("effect", [0.15, 0.5, 0.8, 1.5])
def test_seeds_needed_are_the_fewest_with_the_power(effect):
    from statsmodels.stats.power import TTestIndPower

    wanted = math.ceil(TTestIndPower().solve_power(effect_size=effect, alpha=0.05, power=0.8))
    a = np.array([-1.0, 1.0, -1.0, 1.0]) / math.sqrt(4 / 3)
    assert seeds_needed(a + effect, a) == wanted
    assert power_of(effect, wanted) >= 0.8 > power_of(effect, wanted - 1)
    # Of groups that differ in variance the effect is in deviations of both together.
    assert seeds_needed(7 * a + 5 * effect, a) == wanted


def test_no_number_of_seeds_decides_what_is_equal_without_variance_or_tiny():
    assert seeds_needed([1.0, 2.0], [1.0, 2.0]) is None
    assert seeds_needed([1.0, 1.0], [2.0, 2.0]) is None
    assert seeds_needed([1.0], [2.0, 3.0]) is None
    assert seeds_needed([0.0, 1.0, 0.5], [0.001, 1.001, 0.501]) == math.inf


@pytest.mark.parametrize(("tests", "fewest"), [(1, 5), (6, 5), (7, 6), (253, 8)])
def test_seeds_needed_are_never_fewer_than_can_be_decided(tests, fewest):
    """However large the difference: of 5 seeds each the smallest p is 1/126, of 7 it is 1/1716."""
    found = seeds_needed([100.0, 101, 102], [0.0, 1, 2], level=0.05 / tests)
    assert found == fewest
    assert (
        fewest == 5
        or 2 / math.comb(2 * fewest - 2, fewest - 1) * tests >= 0.05 > 2 / math.comb(2 * fewest, fewest) * tests
    )


@pytest.mark.parametrize("seeds", [11, 40])
def test_a_drawn_permutation_test_can_be_certain_in_a_family_of_many(seeds):
    low, high = np.arange(seeds, dtype=float), np.arange(seeds, dtype=float) + 1000
    for tests in (1, 253, 506):
        assert permutation_test(low, high, tests=tests) * tests < 0.05 / 2


def test_an_estimate_is_said_with_its_interval_where_there_is_one():
    assert with_interval(Estimate(12.0, 3.0, 20.0, 5), "{:g}".format, " %") == "12 % (3 to 20)"
    assert with_interval(Estimate(12.0, None, None, 4), "{:g}".format, " %") == "12 %"


@pytest.mark.parametrize(
    ("n", "confidence"), [(0, "points"), (2, "points"), (3, "exploratory"), (4, "exploratory"), (5, "interval")]
)
def test_few_seeds_have_no_interval(n, confidence):
    found = iqm_of(np.arange(n, dtype=float))
    assert (found.n, found.confidence) == (n, confidence)
    assert (found.low is None) is (found.high is None) is (n < 5)
    assert math.isnan(found.value) is (n == 0)


def test_equal_numbers_and_nan():
    same = [3.0] * 6
    assert iqm_of(same) == Estimate(3.0, 3.0, 3.0, 6)
    assert difference_of(same, same) == Estimate(0.0, 0.0, 0.0, 6)
    assert probability_of_improvement([np.array(same)], [np.array(same)]) == Estimate(0.5, 0.5, 0.5, 6)
    assert welch(same, same) is None
    assert permutation_test(same, same) == 1.0
    assert paired_permutation_test(same, same) == 1.0
    assert permutation_test([1.0] * 5, [2.0] * 5) == pytest.approx(2 / math.comb(10, 5))
    assert iqm_of([1.0, math.nan, 2.0]).n == 2
    assert difference_of([math.nan], [1.0]).n == 0
    assert permutation_test([], [1.0]) is None
    assert paired_difference([math.nan], [1.0]).n == 0
    assert probability_of_improvement([np.array([math.nan])], [np.array([1.0])]).n == 0


def test_equal_groups_are_resampled_independently():
    values = scores(5)[:, 0]
    found = difference_of(values, values)
    assert found.value == 0
    assert found.low < -0.01
    assert found.high > 0.01


def test_columns_with_different_numbers_of_runs_are_each_resampled_from_their_own():
    values = scores(1, 8, 3)
    values[:3, 1], values[:, 2] = np.nan, np.nan
    found = resampled_iqm(values, generator("x"))
    assert found.shape == (REPETITIONS, 3)
    assert found[:, 1].min() >= np.nanmin(values[:, 1])
    assert np.isnan(found[:, 2]).all()
    assert iqm(values)[1] == pytest.approx(scipy.stats.trim_mean(values[3:, 1], 0.25))


def test_the_same_numbers_give_the_same_intervals_and_others_others():
    values = scores(4)[:, 0]
    assert iqm_of(values) == iqm_of(values.copy())
    assert generator("a", values).random() == generator("a", values).random()
    assert generator("a", values).random() != generator("b", values).random()
    assert generator("a", values).random() != generator("a", values[::-1]).random()


def test_a_run_that_never_reached_the_threshold_is_infinite_not_left_out():
    steps, values = np.array([10.0, 20, 30]), np.array([np.nan, 0.5, 0.9])
    assert steps_to_threshold(steps, values, 0.5) == 20
    assert steps_to_threshold(steps, values, 0.95) == math.inf
    assert math.isnan(steps_to_threshold(steps, np.full(3, np.nan), 0.5))
    assert iqm_of([10.0, 20, 30, 40, 50, 60, 70, math.inf]).value == pytest.approx(45)
    assert iqm_of([10.0, 20, math.inf, math.inf]).value == math.inf
    assert iqm_of([10.0, 20, -math.inf, -math.inf]).value == -math.inf


def test_a_change_in_steps_is_in_per_cent_of_the_second():
    slow, fast = np.array([100.0, 110, 90, 105, 95]), np.array([50.0, 55, 45, 52.5, 47.5])
    found = change_in_percent(fast, slow)
    assert found.value == pytest.approx(50)
    assert 40 < found.low < 50 < found.high < 60
    never = np.full(5, math.inf)
    assert change_in_percent(fast, never).value == 100
    assert math.isnan(change_in_percent(never, never).value)
    assert change_in_percent(never, never).low is None
    # In a sixth of the resamples both are infinite: an interval of the others would leave that out.
    often = change_in_percent([10.0, 20, 30, math.inf, math.inf], [15.0, 20, 25, 30, math.inf])
    assert (often.low, often.high) == (None, None)
    for first, second in (([], fast), (fast, [math.nan])):
        nothing = change_in_percent(first, second)
        assert math.isnan(nothing.value)
        assert nothing.n == 0
    assert permutation_test(fast, never) == pytest.approx(2 / math.comb(10, 5))


def test_the_exact_tests_are_of_ten_seeds_against_ten():
    assert math.comb(20, 10) <= EXACT < math.comb(22, 11)


def test_a_group_without_spread_is_compared_with_one_that_has_some():
    constant, spread = [3.0, 3.0, 3.0], [1.0, 2.0, 4.0]
    assert welch(constant, spread) == pytest.approx(scipy.stats.ttest_ind(constant, spread, equal_var=False).pvalue)
    assert welch(spread, constant) == welch(constant, spread)
    assert seeds_needed([0.0, 1.0], [5.0, 6.0]) is not None
