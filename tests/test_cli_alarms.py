"""The commands about alarms: listed, as JSON, computed for older runs, muted; and what is refused in one sentence."""

import json

import pytest
from sqlalchemy import delete

from tests.pages.recorded import add_recorded_run
from v3core.cli import main
from v3core.jobs.lifecycle import Status
from v3core.store.schema import alarms, runs
from v3core.store.watching import BEHIND, COMPUTED


@pytest.fixture
def run(db):
    """A complete run of four experts of which two are dead."""
    return add_recorded_run(db, Status.COMPLETED, recorded=40, loads=(0.5, 0.5, 0.0, 0.0))


def v3(capsys, *arguments):
    """Run a command; returns its exit code, output and errors."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_alarms_are_listed_and_muted(capsys, run):
    code, out, _ = v3(capsys, "alarms", run[:8], "--json")
    assert code == 0
    dead, shared = json.loads(out)
    assert (dead["rule"], dead["state"], dead["phase"], dead["value"], dead["threshold"]) == (
        "dead_expert",
        "active",
        "warmup",
        2,
        1,
    )
    assert (dead["first_episode"], dead["last_episode"], dead["computed"]) == (10, 40, False)
    assert shared["rule"] == "shared_experts"
    assert v3(capsys, "mute", run[:8], dead["number"], "--reason", "as wanted") == (0, "Muted.\n", "")
    code, out, _ = v3(capsys, "alarms", run[:8])
    first, second = out.splitlines()  # those that call for attention come first
    assert "shared_experts" in first
    assert "muted    dead_expert" in second
    assert second.endswith("2 of 4 experts dead, never used; raise load balance. (muted: as wanted)")
    assert v3(capsys, "mute", run[:8], dead["number"], "--undo")[0] == 0
    assert json.loads(v3(capsys, "alarms", run, "--json")[1])[0]["state"] == "active"


@pytest.mark.parametrize("is_stored", [True, False])
def test_what_cannot_help_is_not_advised(capsys, db, is_stored):
    """Balance losses of the gates reach no dead expert under sparsemax, in force from episode 10 on."""
    loads = (0.5, 0.5, 0.0, 0.0)
    run = add_recorded_run(db, Status.COMPLETED, recorded=40, loads=loads, balance_on="gates")
    if not is_stored:
        with db.write() as tx:
            tx.execute(delete(alarms))
            tx.execute(runs.update().values(watched=None))
    out = v3(capsys, "alarms", run)[1]
    assert "raise load balance" not in out
    assert out.count("dead, never used; fork it with ppo.balance_on=softmax, or raise the temperature") == 1
    history = v3(capsys, "show", run)[1]
    assert "Alarm 'Dead experts'" in history
    assert "raise load balance" not in history


def test_those_of_an_older_run_are_computed_and_said_so(capsys, db, run):
    with db.write() as tx:
        tx.execute(delete(alarms))
        tx.execute(runs.update().values(watched=None))
    code, out, _ = v3(capsys, "alarms", run)
    assert code == 0
    assert out.startswith(f"{COMPUTED}\n")
    assert {alarm["computed"] for alarm in json.loads(v3(capsys, "alarms", run, "--json")[1])} == {True}


def test_of_a_run_whose_worker_is_behind_it_is_said_that_more_follow(capsys, db):
    run_id = add_recorded_run(db, Status.RUNNING, recorded=40, loads=(0.5, 0.5, 0.0, 0.0))
    with db.write() as tx:
        tx.execute(runs.update().values(watched=39))
    out = v3(capsys, "alarms", run_id)[1]
    assert out.startswith(f"{BEHIND}\n")
    assert "dead_expert" in out
    assert {alarm["computed"] for alarm in json.loads(v3(capsys, "alarms", run_id, "--json")[1])} == {False}


def test_a_run_without_alarms_says_so(capsys, db):
    run_id = add_recorded_run(db, Status.COMPLETED, recorded=40)
    assert v3(capsys, "alarms", run_id) == (0, "No alarms in 40 episodes.\n", "")
    assert v3(capsys, "alarms", run_id, "--json") == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alarms", "nowhere"], "There is no run 'nowhere'"),
        (["alarms", "nowhere", "--json"], "There is no run 'nowhere'"),
        (["mute", "RUN", "99", "--reason", "x"], "has no alarm 99"),
        (["mute", "RUN", "1"], "Give either --reason or --undo."),
        (["mute", "RUN", "1", "--reason", " "], "Say why the alarm is muted"),
    ],
)
def test_what_cannot_be_is_one_sentence(capsys, run, arguments, message):
    code, out, err = v3(capsys, *[run if argument == "RUN" else argument for argument in arguments])
    assert code != 0
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1
