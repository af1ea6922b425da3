"""A clock that jumps back: nothing alive is called lost or stalled, what died is still found, nothing is negative."""

import dataclasses
import itertools
import signal
from datetime import UTC, datetime, timedelta

import pytest

from tests.episode_table import read_episodes
from v3core.jobs import identity, supervisor
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.jobs.supervisor import reconcile
from v3core.metrics import EpisodeRecord
from v3core.store import writer as writer_module
from v3core.store.commands import STOP, add_command, apply_commands, open_stop, read_commands
from v3core.store.curve import read_series
from v3core.store.history import DUE, add_event, claim_notice, notices_due, read_events
from v3core.store.runs import get_run, update_run
from v3core.store.writer import EpisodeWriter

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
BEFORE = NOON - timedelta(hours=1)
"""What the clock shows after the jump."""
SECOND = timedelta(seconds=1)


@pytest.fixture
def dead():
    """The identity of a process that is no more."""
    return dataclasses.replace(identity.current(), pid_started=1.0)


@pytest.mark.parametrize("status", sorted(ACTIVE - {Status.STALLED}))
def test_a_live_run_is_left_alone(db, run_in, status):
    run_id = run_in(status, now=NOON)
    assert reconcile(db, BEFORE) == reconcile(db, BEFORE + SECOND) == []
    assert get_run(db, run_id).status == status


def test_a_promise_of_before_the_jump_is_kept_to_after_it(db, run_in):
    run_id = run_in(Status.RUNNING, now=NOON)
    promise = get_run(db, run_id).heartbeat_due_at - NOON
    reconcile(db, BEFORE)
    run = get_run(db, run_id)
    assert (run.heartbeat_at, run.heartbeat_due_at) == (BEFORE, BEFORE + promise)
    assert reconcile(db, BEFORE + promise) == []
    reconcile(db, BEFORE + promise + SECOND)
    assert get_run(db, run_id).status == Status.STALLED
    assert read_events(db, run_id)[-1].message.startswith(f"No heartbeat for {promise.seconds + 1} seconds;")


def test_a_heartbeat_that_comes_meanwhile_stands(db, run_in):
    run_id = run_in(Status.RUNNING, now=NOON)
    seen = get_run(db, run_id)
    with db.write() as tx:
        update_run(tx, run_id, {"heartbeat_at": BEFORE + SECOND}, only_in=ACTIVE)
        supervisor.redate_heartbeat(tx, seen, BEFORE)
    assert get_run(db, run_id).heartbeat_at == BEFORE + SECOND


@pytest.mark.parametrize("status", [Status.STARTING, Status.RUNNING, Status.STOPPING])
def test_a_death_is_found_at_once_and_not_an_hour_later(db, run_in, dead, status):
    run_id = run_in(status, process=dead, now=NOON)
    reconcile(db, BEFORE)
    assert reconcile(db, BEFORE + timedelta(seconds=supervisor.MONITOR_SECONDS + 0.1)) == [run_id]
    assert get_run(db, run_id).status == (Status.STOPPED if status == Status.STOPPING else Status.LOST)


def test_a_run_whose_launcher_died_is_queued_again(db, run_in):
    run_id = run_in(Status.STARTING, now=NOON)
    with db.write() as tx:
        update_run(tx, run_id, {"pid": None, "pid_started": None}, only_in=ACTIVE)
    promise = get_run(db, run_id).heartbeat_due_at - NOON
    reconcile(db, BEFORE)
    reconcile(db, BEFORE + promise + SECOND, lambda run_id: ["true"])
    assert (
        "the run is queued again" in [event for event in read_events(db, run_id) if event.kind == "queued"][-1].message
    )


def test_a_stop_goes_on_to_signals(db, run_in, monkeypatch):
    sent = []
    monkeypatch.setattr(identity, "send_signal", lambda process, number, **_: sent.append(number))
    run_id = run_in(Status.STOPPING, now=NOON)
    with db.write() as tx:
        add_command(tx, run_id, STOP, actor="user", now=NOON)
    reconcile(db, BEFORE)  # redates the heartbeat …
    reconcile(db, BEFORE)  # … and the stop
    with db.read() as tx:
        assert open_stop(tx, run_id).requested_at == BEFORE
    assert sent == []
    reconcile(db, BEFORE + timedelta(seconds=11))
    assert sent == [signal.SIGTERM]


def test_a_notice_whose_process_died_is_taken_over(db, run_in):
    run_id = run_in(Status.COMPLETED, now=NOON)
    with db.write() as tx:
        update_run(tx, run_id, {"webhook": DUE}, only_in=[Status.COMPLETED])
        assert claim_notice(tx, run_id, [Status.COMPLETED], message="m", now=NOON)
    with db.read() as tx:
        assert notices_due(tx, [Status.COMPLETED], now=NOON + SECOND) == []
        assert notices_due(tx, [Status.COMPLETED], now=BEFORE) == [run_id]


def test_an_answer_took_no_negative_time(db, run_in):
    run_id = run_in(Status.RUNNING, now=NOON)
    with db.write() as tx:
        add_command(tx, run_id, STOP, actor="user", now=NOON)
        apply_commands(tx, run_id, episode=3, now=BEFORE)
    assert [command.describe() for command in read_commands(db, run_id)] == [
        "applied at episode 3, 0.0 s after the request"
    ]


def test_history_keeps_the_order_in_which_it_happened(db, run_in):
    run_id = run_in(Status.RUNNING, now=NOON)
    with db.write() as tx:
        add_event(tx, run_id, actor="user", kind="k", message="later", now=BEFORE)
    assert [event.message for event in read_events(db, run_id)][-1] == "later"


def test_episodes_keep_their_order_and_every_reader_gets_all(db, run_in, monkeypatch):
    """The clock jumps back between two batches; cursors are episode numbers, speeds go by a steady clock."""
    run_id = run_in(Status.RUNNING)
    times = itertools.chain([NOON] * 4, itertools.repeat(BEFORE))

    class Clock(datetime):
        @classmethod
        def now(cls, zone=None):
            return next(times)

    monkeypatch.setattr(writer_module, "datetime", Clock)
    writer = EpisodeWriter(db, run_id, generation=get_run(db, run_id).generation, writable_in=ACTIVE)
    read, series = [], None
    for number in range(1, 11):
        writer.record([row(number)], number)
        writer.flush()
        series = read_series(db, run_id, after=series)
        read.append(series.newest)
    writer.close()
    table, run = read_episodes(db, run_id), get_run(db, run_id)
    assert read == table["episode"].tolist() == list(range(1, 11))
    assert table["at"][-1] < table["at"][0]  # it did jump
    assert (run.heartbeat_at, run.episode) == (BEFORE, 10)
    assert run.episodes_per_second is None or run.episodes_per_second >= 0
    assert reconcile(db, BEFORE + SECOND) == []


def row(number):
    """An episode of a policy with two experts."""
    words = {"phase": "late", "env": "CartPole-v1", "routing": "softmax", "top_k_weights": None, "task": None}
    shares = dict.fromkeys(("loads", "hard_loads", "expert_grad_norms"), (0.5, 0.5))
    ones = {field.name: 1 for field in dataclasses.fields(EpisodeRecord)}
    return EpisodeRecord(**ones | words | shares | {"episode": number, "step": number})
