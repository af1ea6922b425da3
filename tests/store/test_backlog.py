"""The rules of alarms see the earlier episodes of a resumed run while its writer does all else that it has to do."""

import threading
import time

import pytest

from tests.store.conftest import START
from tests.waiting import wait_for
from v3core.store import watching
from v3core.store import writer as writer_module
from v3core.store.alarms import AlarmRow, put_alarm, read_alarms
from v3core.store.database import DatabaseBusyError
from v3core.store.runs import get_run
from v3core.store.schema import runs
from v3core.store.watching import Backlog, alarms_of, computed_alarms
from v3core.store.writer import EpisodeWriter

EARLIER = 90
DEAD = {"loads": (0.5, 0.5, 0.0, 0.0), "routing_entropy": 0.6931, "length": 100, "phase_steps": 100}


@pytest.fixture
def run_id(db, new_run, episode):
    """A run with episodes in which two experts died."""
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record([episode(number, **DEAD) for number in range(1, EARLIER + 1)], EARLIER * 10)
    writer.close()
    return run_id


@pytest.fixture
def write(db, run_id):
    """Open another writer of the run."""
    opened = []

    def open_it():
        opened.append(EpisodeWriter(db, run_id, generation=0, writable_in=["running"]))
        return opened[-1]

    yield open_it
    for each in opened:
        each._closing = True
        each._thread.join(60)


@pytest.fixture
def gate(monkeypatch):
    """The rules come to no end of the earlier episodes until it is set; it is in steps, as with very many."""
    opened, advance = threading.Event(), Backlog.advance

    def held(self):
        if not opened.wait(0.01):
            return False
        return advance(self)

    monkeypatch.setattr(Backlog, "advance", held)
    monkeypatch.setattr(writer_module, "HEARTBEAT_SECONDS", 0.05)
    yield opened
    opened.set()


def facts(rows):
    return [(row.rule, row.first_episode, row.last_episode, row.state, row.detail) for row in rows]


def test_meanwhile_heartbeats_go_out_and_episodes_are_recorded(db, run_id, write, gate, episode):
    before = read_alarms(db, run_id)
    assert {alarm.rule for alarm in before} >= {"dead_expert", "shared_experts"}
    writer = write()
    first = wait_for(lambda: get_run(db, run_id).heartbeat_at)
    wait_for(lambda: get_run(db, run_id).heartbeat_at > first)
    writer.record([episode(EARLIER + 1, **DEAD)], EARLIER * 10 + 10)
    writer.flush()
    run = get_run(db, run_id)
    assert (run.episode, run.watched) == (EARLIER + 1, EARLIER)
    assert run.alarms_follow
    assert alarms_of(db, run_id) == (before, False)
    gate.set()
    wait_for(lambda: get_run(db, run_id).watched == EARLIER + 1)
    with db.read() as tx:
        assert facts(read_alarms(db, run_id)) == facts(computed_alarms(tx, run_id)) != facts(before)
    assert not get_run(db, run_id).alarms_follow
    writer.record([episode(EARLIER + 2)], EARLIER * 10 + 20)
    writer.close()
    assert get_run(db, run_id).watched == EARLIER + 2


def test_a_run_that_is_stopped_does_not_wait_for_the_end_of_many(db, run_id, write, gate, episode, monkeypatch):
    monkeypatch.setattr(writer_module, "QUICKLY_READ", 10)
    writer = write()
    writer.record([episode(EARLIER + 1, **DEAD)], EARLIER * 10 + 10)
    writer.close()
    run = get_run(db, run_id)
    assert (run.episode, run.watched, run.has_alarms_recorded) == (EARLIER + 1, None, False)
    gate.set()
    found, computed = alarms_of(db, run_id)
    assert computed
    assert {alarm.rule for alarm in found} >= {"dead_expert", "shared_experts"}
    write().close(catch_up=True)  # the next worker has the time
    assert get_run(db, run_id).has_alarms_recorded
    with db.read() as tx:
        assert facts(read_alarms(db, run_id)) == facts(computed_alarms(tx, run_id))


@pytest.mark.parametrize("catch_up", [False, True])
def test_few_are_seen_before_the_end_and_of_a_complete_run_all(db, run_id, write, monkeypatch, episode, catch_up):
    monkeypatch.setattr(watching, "_CHUNK", 7)
    if catch_up:
        monkeypatch.setattr(writer_module, "QUICKLY_READ", 0)
    wrong = AlarmRow(0, "collapse", "early", 40, 50, 1.0, 0.9, "active", "Of another length")
    with db.write() as tx:
        put_alarm(tx, run_id, wrong, actor="test", now=START, notify=False)
    writer = write()
    writer.record([episode(EARLIER + 1, **DEAD)], EARLIER * 10 + 10)
    writer.close(catch_up=catch_up)
    assert get_run(db, run_id).watched == EARLIER + 1
    with db.read() as tx:
        assert facts(read_alarms(db, run_id)) == facts(computed_alarms(tx, run_id))


def test_a_busy_database_is_asked_again_and_any_other_error_ends_the_alarms_alone(
    db, run_id, write, monkeypatch, episode
):
    advance, errors = Backlog.advance, [DatabaseBusyError("busy"), DatabaseBusyError("busy")]

    def fails(self):
        if errors:
            raise errors.pop()
        return advance(self)

    monkeypatch.setattr(Backlog, "advance", fails)
    with db.write() as tx:
        tx.execute(runs.update().values(watched=None))
    writer = write()
    writer.close(catch_up=True)
    assert get_run(db, run_id).watched == EARLIER
    errors.append(ZeroDivisionError("a mistake in a rule"))
    told = []
    writer = write()
    writer.at_alarm_failure = told.append
    wait_for(lambda: get_run(db, run_id).watched is None)
    writer.record([episode(EARLIER + 1)], EARLIER * 10 + 10)
    writer.close(catch_up=True)
    assert (get_run(db, run_id).episode, get_run(db, run_id).watched) == (EARLIER + 1, None)


def test_a_longer_run_is_read_again_without_holding_up_its_writer(db, run_id, write, gate):
    writer = write()
    gate.set()
    wait_for(lambda: writer._backlog is None)
    gate.clear()
    writer.also(lambda _: None, then=writer.count_again)
    began = time.monotonic()
    writer.flush()
    assert writer._backlog is not None
    assert time.monotonic() - began < 30
    first = get_run(db, run_id).heartbeat_at
    wait_for(lambda: get_run(db, run_id).heartbeat_at > first)
    gate.set()
    wait_for(lambda: writer._backlog is None)
