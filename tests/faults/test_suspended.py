"""SIGSTOP of a worker, as a suspended laptop or a debugger does it."""

import os
import signal
import time

from tests.faults.board import FLUSH, Board, board_of, newest_recorded
from tests.faults.checks import assert_sound, holds_lock
from tests.faults.scale import STATUS_SECONDS, WHOLE
from tests.processes import suspend
from tests.runs import assert_whole, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.history import read_events
from v3core.store.runs import get_run

SUSPENDED_SECONDS = 35 if WHOLE else 3
"""In full: longer than SQLite itself waits for the lock."""


def test_a_suspended_worker_is_stalled_and_then_goes_on_with_nothing_lost(db, spied, start):
    run_id = start(episodes=10**6)
    run = wait_until(db, run_id, episode=50)
    board = Board(board_of(spied, run.pid))
    wait_for(lambda: _suspended(run.pid, board, in_flush=False), "suspended outside of a flush")
    wait_for(lambda: get_run(db, run_id).status == Status.STALLED, "stalled", seconds=STATUS_SECONDS)
    episode = get_run(db, run_id).episode
    os.kill(run.pid, signal.SIGCONT)
    wait_for(lambda: get_run(db, run_id).status == Status.RUNNING, "running again", seconds=STATUS_SECONDS)
    wait_until(db, run_id, episode=episode + 50)
    _assert_nothing_lost(db, spied, [run_id])
    reported = [event.kind for event in read_events(db, run_id)]
    assert reported[reported.index("stalled") :][:2] == ["stalled", "running"]


def test_one_that_is_suspended_while_it_holds_the_database_only_delays_the_others(db, spied, start):
    runs = [start(episodes=10**6, seed=seed) for seed in (1, 2)]
    held = wait_until(db, runs[0], episode=50)
    other = wait_until(db, runs[1], episode=50)
    board = Board(board_of(spied, held.pid))
    wait_for(lambda: _suspended(held.pid, board, in_flush=True) and _holds(db, held.pid), "suspended in a flush")
    before, recorded = get_run(db, runs[1]).episode, newest_recorded(spied, other.pid)
    until = time.monotonic() + SUSPENDED_SECONDS
    wait_for(
        lambda: time.monotonic() > until and newest_recorded(spied, other.pid) > recorded,
        seconds=SUSPENDED_SECONDS + PATIENCE_SECONDS,
    )
    assert get_run(db, runs[1]).episode == before  # it waits for the database, and trains on
    os.kill(held.pid, signal.SIGCONT)
    wait_until(db, runs[1], episode=recorded + 1)
    _assert_nothing_lost(db, spied, runs)


def _suspended(pid, board, *, in_flush):
    """Stop the process; whether that hit it in a flush, or outside of one, as is wanted. It goes on if not."""
    if in_flush:
        wait_for(lambda: board.is_in(FLUSH), "a flush", pause=0.0001)
    suspend(pid)
    if board.is_in(FLUSH) == in_flush:
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def _holds(db, pid):
    """Whether the suspended process holds the database: a flush is in the middle of its transaction mostly."""
    if holds_lock(db, pid):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def _assert_nothing_lost(db, spied, runs):
    for run_id in runs:
        control.stop(db, run_id)
    for run_id in runs:
        assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
        run = get_run(db, run_id)
        assert run.episode == len(assert_whole(db, run_id)) == newest_recorded(spied, run.pid)
    assert_sound(db)
