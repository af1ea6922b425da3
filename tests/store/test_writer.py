"""Episodes are committed soon, in order and whole; training never waits; an old worker cannot write."""

import math
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from tests.episode_table import read_episodes
from tests.load import time_given
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.store import writer as writer_module
from v3core.store.database import Database, DatabaseUnreachableError
from v3core.store.rollups import LEVELS, TOGETHER
from v3core.store.runs import get_run, update_run
from v3core.store.schema import HIDDEN, episodes, expert_loads, rollups, runs
from v3core.store.writer import PROMISE_SECONDS, EpisodeWriter, RunTakenOverError


@pytest.fixture
def run_id(db, new_run):
    return new_run(db)


@pytest.fixture
def open_writer(db, run_id):
    """Open a writer of the run; whatever it ends with, its thread ends with the test."""
    opened = []

    def make(**changes):
        opened.append(EpisodeWriter(db, run_id, **{"generation": 0, "writable_in": ["running"], **changes}))
        return opened[-1]

    yield make
    for each in opened:
        each._closing = True
        with each._changed:
            each._changed.notify_all()
        each._thread.join(PATIENCE_SECONDS)
        assert not each._thread.is_alive()


def recorded(db):
    with db.read() as tx:
        return tx.execute(select(func.count()).select_from(episodes)).scalar_one()


def test_closing_commits_every_column(db, run_id, open_writer, episode):
    writer = open_writer()
    rows = [episode(number) for number in range(1, 4)]
    writer.record(rows, 35)
    writer.close()
    table = read_episodes(db, run_id)
    for place, row in enumerate(rows):
        values = dict(vars(row))
        assert tuple(table.loads[place]) == values.pop("loads")
        assert tuple(table.hard_loads[place]) == values.pop("hard_loads")
        assert tuple(table.expert_grad_norms[place]) == values.pop("expert_grad_norms")
        values["return"] = values.pop("return_")
        numbers = {name for name, value in values.items() if value is None and table[name].dtype.kind == "f"}
        assert numbers == {"success", "alpha", "top_k"}
        assert all(np.isnan(table[name][place]) for name in numbers)
        assert {name: table[name][place] for name in values.keys() - numbers} == {
            name: value for name, value in values.items() if name not in numbers
        }


def test_the_run_row_goes_with_its_episodes(db, run_id, open_writer, episode):
    writer = open_writer()
    writer.record([episode(number) for number in range(1, 151)], 1504)
    writer.flush()
    run = get_run(db, run_id)
    assert (run.episode, run.step, run.phase, run.latest_return) == (150, 1504, "late", 150.0)
    assert run.mean_return == sum(range(121, 151)) / 30  # a tenth of the 300 that are planned


def test_a_flush_writes_the_step_of_a_rollout_without_an_episode(db, run_id, open_writer, episode, monkeypatch):
    monkeypatch.setattr(writer_module, "HEARTBEAT_SECONDS", 60)  # which would write it, too
    writer = open_writer()
    writer.record([episode(1)], 10)
    writer.flush()
    writer.record([], 30)
    writer.flush()
    assert get_run(db, run_id).step == 30


def test_a_writer_that_goes_on_takes_up_the_mean(db, run_id, open_writer, episode):
    first = open_writer()
    first.record([episode(number) for number in range(1, 99)], 980)
    first.close()
    second = open_writer()
    second.record([episode(99), episode(100)], 1000)
    second.flush()
    assert get_run(db, run_id).mean_return == sum(range(71, 101)) / 30
    second.record([episode(101)], 1010)  # of the next phase
    second.close()
    assert get_run(db, run_id).mean_return == 101


@pytest.fixture
def waits(monkeypatch):
    """For how many seconds a writer has asked to sleep each time: its pace, however late the machine wakes it."""
    asked = []

    class Noted(threading.Condition):
        def wait(self, timeout=None):
            if timeout is not None:
                asked.append(timeout)
            return super().wait(timeout)

    monkeypatch.setattr(writer_module, "threading", SimpleNamespace(Condition=Noted, Thread=threading.Thread))
    return asked


def test_an_episode_is_committed_within_half_a_second(db, open_writer, episode, waits, monkeypatch):
    monkeypatch.setattr(writer_module, "HEARTBEAT_SECONDS", 60)  # which commits, too
    writer = open_writer()
    writer.record([episode(1)], 10)
    writer.flush()
    started = time.monotonic()
    writer.record([episode(2)], 20)
    wait_for(lambda: recorded(db) == 2)
    assert time.monotonic() - started > 0.4  # in a batch, but soon
    assert [seconds for seconds in waits if 0.5 < seconds < 50] == []


def test_the_first_episodes_and_many_are_committed_at_once(db, open_writer, episode, monkeypatch):
    """Somebody waits for the first point of the chart."""
    monkeypatch.setattr(writer_module, "COMMIT_SECONDS", 60)
    monkeypatch.setattr(writer_module, "HEARTBEAT_SECONDS", 60)
    writer = open_writer()
    writer.flush()
    writer.record([], 5)
    writer.record([episode(1)], 10)
    wait_for(lambda: recorded(db) == 1)
    writer.record([episode(number) for number in range(2, 257)], 2560)
    assert recorded(db) == 1
    writer.record([episode(257)], 2570)
    wait_for(lambda: recorded(db) == 257)


def test_recording_does_not_wait_for_a_busy_database(db, run_id, open_writer, episode):
    writer = open_writer()
    writer.flush()
    with db.write() as tx:
        update_run(tx, run_id, {"name": "busy"}, only_in=["running"])  # holds the row, and on SQLite the whole file
        slowest = 0.0
        for number in range(1, 600):
            started = time_given()
            writer.record([episode(number)], number)
            slowest = max(slowest, time_given() - started)
        assert recorded(db) == 0
    writer.close()
    assert slowest < 5, "to wait would take until the lock is free, or 30 seconds"
    assert recorded(db) == 599


def test_heartbeats_go_on_without_episodes(db, run_id, open_writer, waits):
    started = time.monotonic()
    open_writer()
    heard = set()
    wait_for(lambda: heard.add(get_run(db, run_id).heartbeat_at) or len(heard - {None}) > 2)
    assert time.monotonic() - started > 1.9  # the first at once, two more a second after the one before each
    assert [seconds for seconds in waits if seconds > 1] == []
    run = get_run(db, run_id)
    assert run.heartbeat_due_at - run.heartbeat_at == timedelta(seconds=PROMISE_SECONDS)


def test_a_number_that_is_none_is_recorded_as_missing(db, run_id, open_writer, episode):
    writer = open_writer()
    writer.record([episode(1, policy_loss=math.nan, return_=math.nan, grad_norm=math.inf)], 10)
    writer.close()
    table = read_episodes(db, run_id)
    assert math.isnan(table["policy_loss"][0])
    assert math.isnan(table["return"][0])
    assert table["grad_norm"][0] == math.inf


def test_an_operation_runs_after_the_episodes_before_it(open_writer, episode):
    writer = open_writer()
    seen = []
    count = select(func.count()).select_from(episodes)
    writer.record([episode(1), episode(2)], 20)
    writer.also(lambda tx: seen.append(tx.execute(count).scalar_one()))
    writer.flush()
    assert seen == [2]


def test_a_failing_operation_undoes_its_batch_and_surfaces(db, open_writer, episode):
    writer = open_writer()
    writer.flush()

    def fail(_tx):
        raise ZeroDivisionError

    writer.record([episode(1)], 10)
    writer.also(fail)
    with pytest.raises(ZeroDivisionError):
        writer.flush()
    with pytest.raises(ZeroDivisionError):
        writer.record([episode(2)], 20)
    with pytest.raises(ZeroDivisionError):
        writer.close()
    assert recorded(db) == 0


def test_an_episode_cannot_be_recorded_twice(db, open_writer, episode):
    writer = open_writer()
    writer.record([episode(1)], 10)
    writer.flush()
    writer.record([episode(1)], 20)
    with pytest.raises(IntegrityError):
        writer.flush()
    assert recorded(db) == 1


@pytest.mark.parametrize("change", [{"generation": 1}, {"status": "lost"}])
def test_a_worker_whose_run_was_taken_over_writes_nothing(db, run_id, open_writer, episode, change, monkeypatch):
    monkeypatch.setattr(writer_module, "HEARTBEAT_SECONDS", 60)  # else it may find out before it is asked
    writer = open_writer()
    wait_for(lambda: get_run(db, run_id).heartbeat_at)
    with db.write() as tx:
        update_run(tx, run_id, change, only_in=["running"])
    writer.record([episode(1)], 10)
    with pytest.raises(RunTakenOverError, match="no longer belongs to this worker"):
        writer.flush()
    assert recorded(db) == 0


def test_loads_of_an_episode_sum_to_one_in_plain_sql(db, run_id, open_writer, episode):
    writer = open_writer()
    writer.record([episode(number) for number in range(1, 11)], 100)
    writer.close()
    query = select(func.sum(expert_loads.c.load), func.count()).where(expert_loads.c.run_id == run_id)
    with db.read() as tx:
        rows = tx.execute(query.group_by(expert_loads.c.episode)).all()
    assert [(round(total, 9), count) for total, count in rows] == [(1.0, 4)] * 10


@pytest.fixture
def unanswered(monkeypatch):
    """Whether commits succeed without an answer: the connection is lost before it comes."""
    monkeypatch.setattr(writer_module, "HEARTBEAT_SECONDS", 0.1)
    switch, original = SimpleNamespace(on=False, then=lambda: None), Database.write

    @contextmanager
    def write(self):
        with original(self) as tx:
            yield tx
        if switch.on and threading.current_thread() is not threading.main_thread():
            switch.then()
            raise DatabaseUnreachableError("The connection was lost.")

    monkeypatch.setattr(Database, "write", write)
    yield switch
    switch.on = False


def test_buckets_of_a_commit_that_was_not_answered_after_a_resume_stay(db, run_id, open_writer, episode, unanswered):
    size = LEVELS[0] * TOGETHER

    def rows(first, last):
        return [episode(number) for number in range(first, last + 1)]

    before = open_writer()
    before.record(rows(1, size), 10)
    before.close()
    unanswered.on = True
    resumed = open_writer()
    resumed.record(rows(size + 1, 3 * size), 20)
    resumed.flush()
    unanswered.on = False
    resumed.record(rows(3 * size + 1, 4 * size), 30)
    resumed.close()
    with db.read() as tx:
        numbers = select(rollups.c.number).where(rollups.c.size == LEVELS[0]).order_by(rollups.c.number)
        assert tx.execute(numbers).scalars().all() == [0, 1, 2, 3]


def test_a_run_that_was_deleted_while_a_commit_was_not_answered_is_taken_over(db, run_id, open_writer, unanswered):
    writer = open_writer()
    writer.flush()

    def delete_it():
        unanswered.on = False
        with db.write() as tx:
            tx.execute(update(runs).values(status=HIDDEN))

    unanswered.then, unanswered.on = delete_it, True
    writer.also(lambda tx: None)
    with pytest.raises(RunTakenOverError, match="no longer belongs to this worker"):
        writer.flush()
