"""A run is made longer: one that is complete, one that was stopped, one that trains."""

import re

import pytest

from tests.jobs.conftest import assert_whole
from tests.same_tables import assert_same_tables
from tests.training.conftest import assert_same_checkpoint
from tests.waiting import PATIENCE_SECONDS
from v3core.cli import main
from v3core.errors import V3Error
from v3core.jobs import control, recorder
from v3core.jobs.control import extend
from v3core.jobs.lifecycle import Status
from v3core.store.commands import read_commands, read_revisions
from v3core.store.history import read_checkpoints, read_evaluations, read_events
from v3core.store.runs import get_run

pytestmark = pytest.mark.long_on_postgresql

RAMP = "{name: ramp, phases: [{name: one, until: {episode: 12}}, {name: two, temperature: {from: 2.0, to: 0.5}}]}"


@pytest.fixture
def long(make, train):
    """A run of 110 episodes from the start."""

    def made(**options):
        run_id = make(episodes=110, **options)
        assert train(run_id) is Status.COMPLETED
        return run_id

    return made


def assert_same(db, run_id, other):
    """Every table; but in the history it stays that the run had ended once, and was evaluated then."""
    assert_same_tables(db, run_id, other, but=lambda table, _: table == "events")
    assert_same_checkpoint(*(db.data_dir / read_checkpoints(db, run)[-1].path for run in (run_id, other)))


def test_a_completed_run_made_longer_is_what_a_run_of_that_length_is(db, make, train, long):
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    control.resume(db, run_id, episodes=110)
    run = get_run(db, run_id)
    assert (run.status, run.episodes, run.config.episodes, run.episode) == ("queued", 110, 110, 60)
    assert train(run_id) is Status.COMPLETED
    assert len(assert_whole(db, run_id)) == 110
    assert_same(db, run_id, long())
    assert "Length changed from 60 to 110 episodes." in [event.message for event in read_events(db, run_id)]


def test_twice_and_with_a_death_in_between_and_no_evaluation_of_an_end_that_is_none(db, make, train, long):
    run_id = make(episodes=30, every=None)
    assert train(run_id) is Status.COMPLETED
    assert {row.episode for row in read_evaluations(db, run_id)} == {30}
    control.resume(db, run_id, episodes=60)
    assert train(run_id, 2) is Status.FAILED
    control.resume(db, run_id)
    assert train(run_id) is Status.COMPLETED
    control.resume(db, run_id, episodes=110)
    assert train(run_id) is Status.COMPLETED
    assert_same(db, run_id, long(every=None))


@pytest.mark.parametrize("rollouts", [1, 6])
def test_a_run_that_trains_is_made_longer_between_two_rollouts(db, make, train, long, monkeypatch, rollouts):
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.0)
    run_id, asked = make(), []

    def ask():
        if not asked:
            asked.append(True)
            extend(db, run_id, 110, "command line")
            extend(db, run_id, 110, "command line")  # a double click

    assert train(run_id, rollouts, then=ask) is Status.COMPLETED
    (command,) = read_commands(db, run_id)
    assert (command.kind, command.value, command.actor) == ("extend", "110", "command line")
    assert command.applied_episode is not None
    assert_same(db, run_id, long())


def test_a_shorter_one_that_arrives_too_late_is_rejected_with_its_reason(db, make, train, monkeypatch):
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.0)
    run_id, asked = make(), []

    def ask():
        if not asked:
            asked.append(True)
            for episodes in (110, 80):
                extend(db, run_id, episodes)

    assert train(run_id, 2, then=ask) is Status.COMPLETED
    first, second = read_commands(db, run_id)
    assert (first.rejected_reason, second.rejected_reason) == (
        None,
        "The run is planned for 110 episodes; choose more: a run can be extended, not shortened.",
    )
    assert get_run(db, run_id).episode == 110


def test_a_run_that_died_and_one_that_waits_are_made_longer(db, make, train, long):
    whole = long()
    died = make()
    assert train(died, 5) is Status.FAILED
    control.resume(db, died, episodes=110)
    assert train(died) is Status.COMPLETED
    waits = make()
    extend(db, waits, 110)
    assert read_commands(db, waits)[0].applied_episode == 0
    assert train(waits) is Status.COMPLETED
    for run_id in (died, waits):
        assert_same(db, run_id, whole)


def test_without_the_checkpoint_before_its_last_rollout_it_continues_from_its_end(db, make, train, monkeypatch):
    monkeypatch.setenv("V3_KEEP_CHECKPOINTS", "1")
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    control.resume(db, run_id, episodes=110)
    assert train(run_id) is Status.COMPLETED
    assert len(assert_whole(db, run_id)) == 110
    assert "Training from the checkpoint at episode 60." in [event.message for event in read_events(db, run_id)]


def test_a_ramp_that_reached_its_end_stays_there(db, make, train):
    run_id = make(curriculum=RAMP)
    assert train(run_id) is Status.COMPLETED
    control.resume(db, run_id, episodes=110)
    assert train(run_id) is Status.COMPLETED
    table = assert_whole(db, run_id)
    temperatures = table["temperature"][table["phase"] == "two"]
    assert (temperatures[0], temperatures[-1]) == (2.0, 0.5)
    assert (temperatures[1:] <= temperatures[:-1]).all()
    assert set(table["temperature"][64:].tolist()) == {0.5}  # four environments: a few belong to the rollout before
    assert [row.revision for row in read_revisions(db, run_id)] == [1, 2]


def test_a_length_that_is_none_is_refused_and_nothing_changes(db, run_in, status_of):
    done = run_in(Status.COMPLETED, episode=60)
    for ask, sentence in (
        (
            lambda: control.resume(db, done),
            r"is already completed; train it longer on Live, or with: .* --episodes 120",
        ),
        (lambda: control.resume(db, done, episodes=60), r"has already trained 60 episodes; choose more"),
        (lambda: control.resume(db, done, episodes=-1), r"has already trained 60 episodes; choose more"),
        (lambda: control.resume(db, done, episodes=10**12), r"too many; choose at most 100,000,000"),
        (lambda: extend(db, done, 90), r"is already completed; train it longer on Live, or with: .* --episodes 120"),
    ):
        with pytest.raises(V3Error, match=sentence):
            ask()
    trains = run_in(Status.RUNNING, episode=20)
    with pytest.raises(V3Error, match="planned for 60 episodes; choose more"):
        extend(db, trains, 50)
    assert status_of(done) == Status.COMPLETED
    assert get_run(db, done).episodes == 60
    assert read_commands(db, trains) == []


def test_the_shell_makes_runs_longer(db, start, wait_until, capsys):
    run_id = start(episodes=20)
    wait_until(run_id, status=Status.COMPLETED)
    assert main(["resume", run_id[:8]]) == 1
    assert re.search(r"resume \w+ --episodes 40", capsys.readouterr().err)
    assert main(["resume", run_id[:8], "--episodes", "10000000"]) == 0
    wait_until(run_id, episode=30)
    assert main(["extend", run_id[:8], "--episodes", "20000000"]) == 0
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    assert_whole(db, run_id)
