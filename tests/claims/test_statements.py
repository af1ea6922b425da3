"""What is known of a claim in a few words: what studies say, and before there is any, what the file says."""

from tests.claims.made_study import results, study
from v3core.claims.document import claim_text, study_text
from v3core.claims.findings import findings_of
from v3core.claims.results import Result
from v3core.claims.statements import Claim, StudyState, claims, standing
from v3core.claims.study import load_study, study_files

CLAIM = Claim(title="A claim", english="It is so.", sources="None.", measured="7 µs.", standing="measured by hand")


def test_a_claim_stands_as_its_studies_say_once_one_has_begun():
    waiting, begun = (findings_of(study(), results(values, [9] * len(values))) for values in ([], [0] * 6))
    assert standing(CLAIM, []) == standing(CLAIM, waiting) == "measured by hand"
    assert standing(CLAIM, begun) == "supported"
    assert standing(CLAIM, [*begun, *waiting]) == "supported; 1 has no runs yet"


def test_a_claim_of_which_nothing_is_known_is_not_tested():
    assert standing(CLAIM.model_copy(update={"standing": ""}), []) == "not tested"


def test_a_study_says_how_long_its_runs_took_once_one_has_ended():
    made = study()
    runs = [Result("with", seed, f"{seed}", {"seconds": seconds}) for seed, seconds in ((1, 60.0), (2, 120.0))]
    begun, waiting = (
        study_text(StudyState(made, tuple(results), 12, 0, tuple(findings_of(made, results)))) for results in (runs, [])
    )
    assert "A run took 1.5 minutes of training on average" in begun
    assert "minutes of training" not in waiting


def test_a_claim_stands_under_its_title_in_bold():
    assert claim_text(CLAIM, []).startswith("**Measured by hand.**")


def test_of_each_claim_that_no_study_tests_something_is_known():
    tested = {claim for name in study_files() for claim in load_study(name).claims()}
    assert {key for key, claim in claims().items() if claim.standing} == claims().keys() - tested
