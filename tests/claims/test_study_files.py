"""The studies that come with V3 Lab, and files that are not valid."""

import pytest
import yaml

from v3core.claims.results import expected_at_first, outdated, read_results
from v3core.claims.statements import claims
from v3core.claims.study import keys_of, load_study, runs_of, study_files
from v3core.errors import V3Error
from v3core.paths import shipped

SHIPPED = sorted(file.stem for file in shipped("data", "experiments").glob("*.yaml"))
GOOD = {
    "question": "Does it?",
    "environment": "CartPole-v1",
    "steps": 1024,
    "seeds": 2,
    "arms": [{"name": "one", "curriculum": "v3"}, {"name": "two", "curriculum": "direct-sparsemax"}],
    "hypotheses": [
        {"claim": "collapse", "outcome": "dead_experts", "arm": "one", "than": "two", "expected": "lower", "matters": 1}
    ],
}
RELATION = {
    "claim": "ties",
    "outcome": "boundary_drop",
    "foretold_by": "ties_before",
    "arms": ["one", "two"],
    "expected": "higher",
    "matters": 0.3,
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_study_can_be_run_and_tests_claims_that_are_stated(name):
    study = load_study(name)
    runs = runs_of(study)
    assert len(runs) == len(study.arms) * study.seeds
    assert {run.key: run.arm for run in runs} == keys_of(study)
    assert len(keys_of(study)) == len(runs)
    assert {run.config.steps for run in runs} == {runs[0].config.steps}  # compared at equal steps
    assert set(study.claims()) <= set(claims())
    assert study.hypotheses


def test_phases_take_the_same_part_of_the_steps_in_each_arm(folder):
    (folder / "made.yaml").write_text(yaml.safe_dump(GOOD))
    curriculum = runs_of(load_study("made"))[0].config.curriculum
    assert [phase.until.step for phase in curriculum.phases if phase.until] == [256, 768]


def test_the_key_of_a_run_changes_with_its_settings_and_not_with_its_name(folder):
    (folder / "made.yaml").write_text(yaml.safe_dump(GOOD))
    before = [run.key for run in runs_of(load_study("made"))]
    inline = {"phases": [{"name": "all", "routing": "softmax"}]}
    keys = []
    for name in ("one", "other"):  # a curriculum that stands in the file has the arm's name
        arms = [{"name": name, "curriculum": "v3"}, {"name": f"{name} two", "curriculum": inline}]
        (folder / "made.yaml").write_text(yaml.safe_dump({**GOOD, "arms": arms, "hypotheses": []}))
        keys.append([run.key for run in runs_of(load_study("made"))])
    assert keys[0] == keys[1]
    assert keys[0][::2] == before[::2]
    for setting in ("policy.experts=5", "policy.memory=gru", "ppo.sequence_steps=8"):
        (folder / "made.yaml").write_text(yaml.safe_dump({**GOOD, "settings": [setting]}))
        assert not set(before) & {run.key for run in runs_of(load_study("made"))}


def test_results_of_studies_are_still_those_of_their_runs():
    """A setting that is added since, at the value that changes nothing, does not make them outdated."""
    for name in study_files():
        study = load_study(name)
        assert not outdated(read_results(study), keys_of(study)), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": None}, "'steps' is None"),
        ({"arms": []}, "'arms' is empty"),
        ({"sedes": 3}, "'sedes' is not a known key"),
        ({"arms": [GOOD["arms"][0], GOOD["arms"][0]]}, "there are two arms 'one'"),
        ({"hypotheses": [{**GOOD["hypotheses"][0], "than": "tow"}]}, "Did you mean two?"),
        ({"hypotheses": [{**GOOD["hypotheses"][0], "than": "one"}]}, "names 'one' twice"),
        ({"relations": [{**RELATION, "arms": ["one", "one"]}]}, "names 'one' twice"),
        ({"relations": [{**RELATION, "foretold_by": "boundary_drop"}]}, "names 'boundary_drop' twice"),
        ({"relations": [{**RELATION, "arms": ["three"]}]}, "names arm 'three'"),
        ({"relations": [{**RELATION, "matters": 1}]}, "'relations.0.matters'"),
        ({"hypotheses": [{**GOOD["hypotheses"][0], "outcome": "dead_expert"}]}, "Did you mean dead_experts"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(folder, change, words):
    (folder / "made.yaml").write_text(yaml.safe_dump({**GOOD, **change}))
    with pytest.raises(V3Error, match=words.replace("?", r"\?")) as error:
        load_study("made")
    assert "\n" not in str(error.value)
    assert "made.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": ["policy.expert=4"]}, "policy.experts"),
        ({"settings": ["policy.experts=4,8"]}, "'4,8'"),
        ({"settings": ["policy.experts"]}, "write PATH=VALUE"),
        (
            {"arms": [{"name": name, "curriculum": "v3"} for name in ("one", "two")]},
            "arms 'one' and 'two' have the same",
        ),
        ({"arms": [{"name": "one", "curriculum": "v33"}], "hypotheses": []}, "Did you mean v3"),
        ({"arms": [{"name": "one", "curriculum": {"phases": []}}], "hypotheses": []}, "arm 'one'"),
    ],
)
def test_arms_that_cannot_be_trained_are_refused(folder, change, words):
    (folder / "made.yaml").write_text(yaml.safe_dump({**GOOD, **change}))
    with pytest.raises(V3Error, match=words):
        runs_of(load_study("made"))


def test_a_study_that_does_not_exist_names_near_ones():
    name = SHIPPED[0]
    assert name in study_files()
    with pytest.raises(V3Error, match=f"Did you mean {name}"):
        load_study(name[:-1])


@pytest.mark.parametrize("name", [name for name in SHIPPED if read_results(load_study(name))])
def test_what_was_added_or_changed_since_the_first_results_says_so_in_the_file(name):
    study = load_study(name)
    expected = expected_at_first(study)
    assert expected
    assert study.marked(expected) == study
