"""Verdicts by interval."""

from dataclasses import replace

import numpy as np
import pytest

from tests.claims.made_study import OUTCOME, results, study
from v3core.claims.document import comparisons
from v3core.claims.findings import StudyVerdict, expectation, findings_of, sentence, too_few_seeds
from v3core.claims.results import Result
from v3core.claims.statements import verdict_over
from v3core.claims.study import Relation


def verdict(first, second, **given):
    (finding,) = findings_of(study(**given), results(first, second, given.get("outcome", OUTCOME)))
    return finding.verdict


def test_a_difference_as_large_as_what_matters_supports_the_claim():
    assert verdict([0, 1, 0, 1, 0, 0], [9, 8, 9, 7, 9, 8]) == StudyVerdict.SUPPORTED
    assert verdict([9, 8, 9, 7, 9, 8], [0, 1, 0, 1, 0, 0]) == StudyVerdict.NOT_SUPPORTED
    assert verdict([9, 8, 9, 7, 9, 8], [0, 1, 0, 1, 0, 0], expected="higher") == StudyVerdict.SUPPORTED


def test_a_difference_that_is_sure_but_too_small_to_matter_does_not():
    assert verdict([3, 3, 3, 3, 3, 3], [4, 4, 4, 4, 4, 3]) == StudyVerdict.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("given", "second", "worse"),
    [
        ({}, [1, 2, 2, 1, 2, 2], [9, 8, 9, 7, 9, 8]),  # there are no fewer than 0 dead experts
        ({"outcome": "largest_load", "matters": 0.05, "best": 0.25}, [0.29] * 6, [0.9] * 6),
        ({"outcome": "evaluation_return", "expected": "higher", "matters": 25, "best_return": 500}, [480] * 6, [9] * 6),
        ({"outcome": "evaluation_success", "expected": "higher", "matters": 0.05}, [0.96] * 6, [0.1] * 6),
    ],
)
def test_where_nothing_could_have_mattered_there_is_no_verdict(given, second, worse):
    """Unless the difference is the other way: that can be seen whatever the best value is."""
    assert verdict(second, second, **given) == StudyVerdict.NO_ROOM
    assert verdict(worse, second, **given) == StudyVerdict.NOT_SUPPORTED
    assert verdict(second, worse, **given) == StudyVerdict.SUPPORTED


def test_room_is_looked_for_on_the_side_that_is_expected():
    """Returns have no lowest value, and falls no highest."""
    assert verdict([3] * 6, [3] * 6, outcome="largest_fall", expected="higher") == StudyVerdict.NOT_SUPPORTED
    given = {"outcome": "evaluation_return", "expected": "lower", "matters": 25, "best_return": 500}
    assert verdict([480] * 6, [480] * 6, **given) == StudyVerdict.NOT_SUPPORTED
    assert verdict([480] * 6, [480] * 6, **(given | {"expected": "higher", "best_return": None})) == "not supported"


def test_what_an_interval_cannot_tell_is_undecided():
    assert verdict([0, 9, 0, 9, 0, 9], [9, 0, 9, 9, 9, 0]) == StudyVerdict.UNDECIDED
    assert verdict([0, 0, 0, 0], [9, 9, 9, 9]) == StudyVerdict.UNDECIDED  # four pairs have no interval
    assert verdict([], []) == StudyVerdict.UNDECIDED


def test_a_seed_that_one_arm_lacks_is_no_pair():
    (finding,) = findings_of(study(), results([0, float("nan"), 0, 0, 0, 0, 5], [9, 9, 9, 9, 9, 9]))
    assert (finding.measured.n, finding.planned) == (5, 6)
    assert finding.verdict == StudyVerdict.UNDECIDED, "a study is not judged before it is complete"


def test_an_interval_misses_a_difference_that_is_not_there_once_in_twenty():
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(600):
        (finding,) = findings_of(study(), results(random.normal(size=6), random.normal(size=6)))
        missed += finding.measured.excludes(0)
    assert 0.03 <= missed / 600 <= 0.07


def test_the_sentence_has_both_arms_the_difference_and_n():
    (finding,) = findings_of(study(), results([0, 1, 0, 1, 0, 0], [9, 8, 9, 7, 9, 8]))
    words = sentence(finding)
    assert words.startswith("Dead experts: ")
    assert "with with, 8.33 with without; difference −8.00 (−" in words
    assert words.endswith("6 pairs of seeds.")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((), "not tested"),
        ((StudyVerdict.UNDECIDED,), "undecided"),
        ((StudyVerdict.SUPPORTED, StudyVerdict.SUPPORTED), "supported in all 2 comparisons"),
        (
            (StudyVerdict.UNDECIDED, StudyVerdict.SUPPORTED, StudyVerdict.SUPPORTED),
            "supported in 2 of 3 comparisons, undecided in 1",
        ),
    ],
)
def test_a_claim_is_as_good_as_its_comparisons(counts, words):
    (waiting,) = findings_of(study(), [])
    (finding,) = findings_of(study(), results([0] * 6, [9] * 6))
    assert verdict_over([replace(finding, verdict=verdict) for verdict in counts]) == words
    later = f"{words}; 2 have no runs yet"
    assert verdict_over([waiting, *(replace(finding, verdict=verdict) for verdict in counts), waiting]) == later


def test_what_asks_something_beside_a_claim_is_shown_and_not_counted():
    found = results([0] * 6, [9] * 6)
    (finding,) = findings_of(study(), found)
    (beside,) = findings_of(study(counts=False, note="What it costs.", changed="Of the load at first."), found)
    assert (finding.verdict, beside.verdict) == (StudyVerdict.SUPPORTED, StudyVerdict.SUPPORTED)
    assert verdict_over([finding, beside]) == "supported"
    assert verdict_over([beside]) == "not tested"
    shown = comparisons([beside])
    assert "by 2.00 or more. What it costs. Of the load at first." in shown
    assert shown.endswith("supported (not counted) |")


def related(expected="higher"):
    relation = {"claim": "ties", "outcome": "boundary_drop", "foretold_by": "ties_before", "arms": ["with", "without"]}
    return study().model_copy(
        update={"hypotheses": (), "relations": (Relation(**relation, expected=expected, matters=0.3),)}
    )


def runs(arm, ties, drops):
    pairs = enumerate(zip(ties, drops, strict=True), start=1)
    return [
        Result(arm, seed, f"{arm} {seed}", {"ties_before": float(tie), "boundary_drop": float(drop)})
        for seed, (tie, drop) in pairs
    ]


def test_a_relation_that_holds_within_arms_supports_the_claim():
    found = [
        *runs("with", [1, 2, 3, 4, 5, 6], [2, 4, 6, 8, 9, 12]),
        *runs("without", [11, 12, 13, 15, 14, 16], [1, 3, 4, 7, 6, 9]),
    ]
    (finding,) = findings_of(related(), found)
    assert (finding.measured.n, finding.planned) == (6, 6)
    assert "correlation 0." in sentence(finding)
    assert sentence(finding).endswith("6 seeds.")
    assert expectation(finding.hypothesis).endswith("within with, without; r = 0.300 or more")
    (opposite,) = findings_of(related("lower"), found)
    assert expectation(opposite.hypothesis).endswith("within with, without; r = −0.300 or less")
    assert opposite.verdict == StudyVerdict.NOT_SUPPORTED


def test_runs_of_one_seed_that_are_the_same_count_once():
    """As those of two curricula with one first phase: twice the runs are no more certainty."""
    one = runs("with", [1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 5, 4])
    twice = [*one, *runs("without", [1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 5, 4])]
    (finding,), (doubled,) = findings_of(related(), one), findings_of(related(), twice)
    assert doubled.measured == finding.measured
    assert doubled.p == finding.p


def test_what_differs_between_arms_is_no_relation():
    """More ties and larger drops in one arm than in the other, and nothing within them."""
    random = np.random.default_rng(3)
    first, second = random.normal(size=(2, 6)), random.normal(size=(2, 6)) + 100
    (finding,) = findings_of(related(), [*runs("with", *first), *runs("without", *second)])
    assert abs(finding.measured.value) < 0.9
    assert finding.verdict != StudyVerdict.SUPPORTED


def test_a_relation_is_not_judged_before_all_its_runs_are_there():
    found = [*runs("with", [1, 2, 3, 4, 5], [1, 2, 3, 4, 5.5]), *runs("without", [1, 2, 3], [1, 2, float("nan")])]
    (finding,) = findings_of(related(), found)
    assert (finding.measured.n, finding.verdict) == (5, StudyVerdict.UNDECIDED)
    (empty,) = findings_of(related(), [])
    assert sentence(empty).endswith("no run has a result.")


def test_a_study_that_cannot_support_anything_says_how_many_seeds_it_takes():
    few = study().model_copy(update={"seeds": 5})
    assert too_few_seeds(few).endswith("It takes 6.")
    apart = [[0, 1, 0, 1, 0, 0], [9, 8, 9, 7, 9, 8]]
    (finding,) = findings_of(few, results(*(values[:5] for values in apart)))
    assert finding.verdict == StudyVerdict.UNDECIDED  # p is 0.0625
    assert too_few_seeds(study()) == ""
    assert verdict(*apart) == StudyVerdict.SUPPORTED  # six do
