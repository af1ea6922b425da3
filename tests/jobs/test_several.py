"""One command to several runs: done for some, with the reason of each of the others."""

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.jobs.several import Outcome, for_each
from v3core.messages import Message, _
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield opened
    opened.close()


def test_some_are_done_and_each_of_the_others_has_its_reason(database):
    statuses = (Status.COMPLETED, Status.RUNNING, Status.FAILED, Status.QUEUED)
    runs = [get_run(database, add_recorded_run(database, status, name=status)) for status in statuses]
    control.delete(database, runs[2].id)
    outcome = for_each(runs, lambda run_id: control.delete(database, run_id))
    assert outcome.done == [runs[0].id, runs[3].id]
    assert [run.name for run in list_runs(database)] == ["running"]
    assert outcome.refused == {
        runs[1].id: f"Run {runs[1].id[:8]} 'running' is running; stop it before you delete it.",
        runs[2].id: f"Run {runs[2].id[:8]} 'failed' was deleted meanwhile.",
    }
    assert outcome.describe(lambda runs: _("Deleted {runs}.", runs=runs)) == " ".join(
        ["Deleted 2 runs.", "Not done for 2 runs:", *outcome.refused.values()]
    )


def test_a_refusal_by_the_command_itself_does_not_stop_the_others(database):
    runs = [get_run(database, add_recorded_run(database, Status.QUEUED)) for _ in range(3)]

    def action(run_id):
        if run_id == runs[1].id:
            raise V3Error("It cannot.")

    outcome = for_each(runs, action)
    assert (outcome.done, outcome.refused) == ([runs[0].id, runs[2].id], {runs[1].id: "It cannot."})


def test_many_refusals_are_counted():
    outcome = Outcome(refused={str(number): f"Reason {number}." for number in range(5)})
    assert outcome.describe(_done) == "Not done for 5 runs: Reason 0. Reason 1. Reason 2. And 2 more."
    assert Outcome(done=["a"]).describe(lambda runs: _("Stopping {runs}.", runs=runs)) == "Stopping 1 run."


def test_tags_are_added_and_removed_without_the_others(database):
    run_id = add_recorded_run(database, Status.COMPLETED)
    control.annotate(database, run_id, tags="old paper", notes="Kept.")
    control.retag(database, run_id, add="new, paper", remove="old gone")
    assert (get_run(database, run_id).tags, get_run(database, run_id).notes) == ("paper new", "Kept.")
    control.retag(database, run_id, remove="paper new")
    assert get_run(database, run_id).tags is None
    with pytest.raises(V3Error, match="longer than 500 characters"):
        control.retag(database, run_id, add="x" * 501)


def _done(runs: Message) -> Message:
    return _("Done {runs}.", runs=runs)
