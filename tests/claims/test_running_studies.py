"""Studies are run by real workers, and can be interrupted and called again."""

import json
from contextlib import closing

import pyarrow.parquet as pq
import pytest
import yaml

from tests.processes import kill_all
from v3core.claims.running import _queue, _runs
from v3core.claims.study import load_study, runs_of
from v3core.cli import main
from v3core.jobs import control
from v3core.jobs.housekeeping import delete
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.runs import list_runs, update_run

STUDY = {
    "question": "Is one better?",
    "environment": "CartPole-v1",
    "steps": 1024,
    "seeds": 2,
    "settings": [
        "policy.width=4",
        "policy.heads=1",
        "policy.layers=1",
        "evaluation.episodes=2",
        "evaluation.knockout=2",
    ],
    "arms": [
        {"name": "one", "curriculum": "v3"},
        {"name": "two", "curriculum": {"phases": [{"name": "all", "routing": "random"}]}},
    ],
    "hypotheses": [
        {"claim": "collapse", "outcome": "dead_experts", "arm": "one", "than": "two", "expected": "lower", "matters": 1}
    ],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "made.yaml").write_text(yaml.safe_dump(STUDY))
    yield tmp_path
    kill_all(tmp_path)


def said(capsys, *arguments, code=0):
    assert main(["claims", *arguments]) == code
    return capsys.readouterr()


def test_a_study_runs_what_is_missing_and_nothing_twice(folder, capsys):
    said(capsys, "made", "--run", "--seeds", "1")
    file = folder / "experiments" / "made.parquet"
    first = pq.read_table(file).to_pylist()
    assert [(row["arm"], row["seed"]) for row in first] == [("one", 1), ("two", 1)]
    for row in first:
        assert row["steps"] == 1024
        assert 0 <= row["dead_experts"] <= 4
        assert row["evaluation_return"] > 0
        assert row["knockout_drop"] == pytest.approx(row["knockout_drop"])  # a number
        assert row["seconds"] > 0
    assert all(row["largest_load"] == pytest.approx(1 / 4, abs=0.1) for row in first if row["arm"] == "two")
    with closing(open_database()) as database:
        for run in list_runs(database):
            delete(database, run.id)
    out, err = said(capsys, "made", "--run")
    assert "made: 2 of 4 runs are complete." in err
    second = pq.read_table(file).to_pylist()
    assert str([row for row in second if row["seed"] == 1]) == str(first)  # NaN is not equal to itself
    assert [(row["arm"], row["seed"]) for row in second] == [("one", 1), ("one", 2), ("two", 1), ("two", 2)]
    with closing(open_database()) as database:
        assert len(list_runs(database)) == 2
    assert "4 of 4 runs have a result" in out
    assert "undecided: Dead experts" in out
    (plain,) = json.loads(said(capsys, "made", "--json").out)
    assert (plain["runs"], plain["results"], plain["outdated"]) == (4, 4, 0)
    assert plain["findings"][0]["pairs"] == 2


def test_what_is_expected_otherwise_once_results_are_known_says_so(folder, capsys):
    said(capsys, "made", "--run", "--seeds", "1")
    file = folder / "experiments" / "made.yaml"
    (as_fixed,) = STUDY["hypotheses"]
    more = {**as_fixed, "outcome": "largest_load", "note": "To see."}
    open_about_it = {**more, "matters": 0.5, "changed": "Asked for later."}
    remarks = ["It was a short run."]

    def findings():
        return [line for line in said(capsys, "made").out.splitlines() if line.startswith("  undecided")]

    def written(hypotheses):
        file.write_text(yaml.safe_dump({**STUDY, "hypotheses": hypotheses, "remarks": remarks}))

    written([as_fixed, {**as_fixed, "note": "A note."}, more, open_about_it])
    late = "Added or changed when results were known."
    first, noted, added, explained = findings()
    assert late not in first + noted + explained
    assert noted.endswith("A note.")
    assert "Expected with the first results" not in said(capsys, "made").out
    assert added.endswith(f"To see. {late}")
    assert explained.endswith("Asked for later.")
    assert "  It was a short run." in said(capsys, "made").out
    (plain,) = json.loads(said(capsys, "made", "--json").out)
    assert [one["changed"] for one in plain["findings"]] == ["", "", late, "Asked for later."]
    assert plain["remarks"] == remarks

    said(capsys, "made", "--run")  # further results do not make it older
    assert [one.endswith(late) for one in findings()] == [False, False, True, False]
    gone = "  Expected with the first results, and no longer so: dead experts, one: lower than two, by 1.00 or more."
    changes = [
        {"matters": 2},
        {"expected": "higher"},
        {"claim": "balance"},
        {"arm": "two", "than": "one"},
        {"counts": False},
    ]
    for change in changes:
        written([{**as_fixed, **change}])
        (changed,) = findings()
        assert changed.endswith(late), change
        assert gone in said(capsys, "made").out.splitlines()
    written([open_about_it])
    assert gone in said(capsys, "made").out.splitlines(), "what is left out is named"


def test_of_several_environments_each_one_is_kept_and_shown(folder, capsys):
    several = {**STUDY, "environment": "CartPole-v1(max_episode_steps=30) + CartPole-v1", "seeds": 1}
    (folder / "experiments" / "made.yaml").write_text(yaml.safe_dump(several))
    said(capsys, "made", "--run")
    row, _other = pq.read_table(folder / "experiments" / "made.parquet").to_pylist()
    assert len(row["tasks"]) == 2
    assert all(sum(task["loads"]) == pytest.approx(1, abs=1e-5) for task in row["tasks"])
    assert row["task_specialisation"] >= 0


def test_results_of_other_settings_do_not_count(folder, capsys):
    said(capsys, "made", "--run", "--seeds", "1")
    (folder / "experiments" / "made.yaml").write_text(yaml.safe_dump({**STUDY, "steps": 2048}))
    out = said(capsys, "made").out
    assert "0 of 4 runs have a result" in out
    assert "2 results are of earlier settings and do not count" in out


def test_an_environment_that_cannot_be_made_is_said_before_anything_is_queued(folder, capsys):
    (folder / "experiments" / "made.yaml").write_text(yaml.safe_dump({**STUDY, "environment": "CartPol-v1"}))
    assert main(["claims", "made", "--run"]) == 1
    assert "CartPol-v1" in capsys.readouterr().err
    with closing(open_database()) as database:
        assert list_runs(database) == []


def test_results_that_cannot_be_read_are_named(folder, capsys):
    (folder / "experiments" / "made.parquet").write_bytes(b"no parquet")
    assert main(["claims", "made"]) == 1
    assert "made.parquet cannot be read" in capsys.readouterr().err


@pytest.fixture
def queued(folder, monkeypatch):
    """The first seed of each arm, which no worker starts; the open store and the ids."""
    for module in ("launcher", "control", "supervisor"):
        monkeypatch.setattr(f"v3core.jobs.{module}.drain", lambda *_, **__: [])
    study = load_study("made")
    with closing(open_database()) as database:
        configs = [run.config for run in runs_of(study, [1])]
        yield database, enqueue(database, configs, study.experiment)


def test_a_run_that_somebody_stopped_stays_stopped(queued, capsys):
    database, ids = queued
    for run_id in ids:
        control.stop(database, run_id)
    err = said(capsys, "made", "--run", "--seeds", "1", code=1).err  # so that `make claims` stops
    assert err.count("was stopped; resume it on its page.") == 2
    assert "made: 2 of its runs have no result." in err
    assert {run.status for run in list_runs(database)} == {Status.STOPPED}
    assert len(list_runs(database)) == 2


def test_a_fork_in_the_experiment_is_no_evidence(queued):
    database, ids = queued
    assert len(_runs(database, load_study("made"))) == 2
    with database.write() as tx:
        update_run(tx, ids[0], {"parent": ids[1], "parent_episode": 3}, only_in=[Status.QUEUED])
    assert {row.id for row in _runs(database, load_study("made")).values()} == {ids[1]}


def test_two_calls_at_the_same_time_queue_each_run_once(folder, monkeypatch):
    for module in ("launcher", "control", "supervisor"):
        monkeypatch.setattr(f"v3core.jobs.{module}.drain", lambda *_, **__: [])
    study = load_study("made")
    with closing(open_database()) as database:
        monkeypatch.setattr("v3core.claims.running._runs", lambda *_: {})  # both looked before either queued
        for _ in range(2):
            _queue(database, study, runs_of(study))
        assert len(list_runs(database)) == 4
