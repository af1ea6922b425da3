"""SIGSTOP of a worker, as a suspended laptop or a debugger does it."""

import os
import signal
import time

from tests.faults.board import FLUSH, Board, board_of, newest_recorded
from tests.faults.checks import assert_sound
from tests.runs import assert_whole, wait_until
from tests.waiting import wait_for
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.readers import read_events
from v3core.store.runs import get_run

STATUS_SECONDS = 10


def test_a_suspended_worker_is_stalled_and_then_goes_on_with_nothing_lost(db, spied, start):
    run_id = start(episodes=10**6)
    run = wait_until(db, run_id, episode=50)
    board = Board(board_of(spied, run.pid))
    wait_for(lambda: _suspended(run.pid, board, in_flush=False), 20, "suspended outside of a flush")
    wait_for(lambda: get_run(db, run_id).status == Status.STALLED, STATUS_SECONDS, "stalled")
    episode = get_run(db, run_id).episode
    os.kill(run.pid, signal.SIGCONT)
    wait_for(lambda: get_run(db, run_id).status == Status.RUNNING, STATUS_SECONDS, "running again")
    wait_until(db, run_id, episode=episode + 50)
    _assert_nothing_lost(db, spied, [run_id])
    told = [event.kind for event in read_events(db, run_id)]
    assert told[told.index("stalled") :][:2] == ["stalled", "running"]


def test_one_that_is_suspended_while_it_holds_the_database_only_delays_the_others(db, spied, start):
    runs = [start(episodes=10**6, seed=seed) for seed in (1, 2)]
    held = wait_until(db, runs[0], episode=50)
    other = wait_until(db, runs[1], episode=50)
    board = Board(board_of(spied, held.pid))
    wait_for(lambda: _suspended(held.pid, board, in_flush=True), 60, "suspended within a flush")
    recorded = newest_recorded(spied, other.pid)
    waited = time.monotonic() + 3
    wait_for(lambda: time.monotonic() > waited and newest_recorded(spied, other.pid) > recorded, 10, "trains on")
    os.kill(held.pid, signal.SIGCONT)
    wait_until(db, runs[1], episode=recorded + 1)
    _assert_nothing_lost(db, spied, runs)


def _suspended(pid, board, *, in_flush):
    """Stop the process; whether that hit it in a flush, or outside of one, as is wanted. It goes on if not."""
    if in_flush:
        wait_for(lambda: board.is_in(FLUSH), 10, "a flush", pause=0.0001)
    os.kill(pid, signal.SIGSTOP)
    if board.is_in(FLUSH) == in_flush:
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def _assert_nothing_lost(db, spied, runs):
    for run_id in runs:
        control.stop(db, run_id)
    for run_id in runs:
        assert control.wait_stopped(db, run_id, 60) == Status.STOPPED
        run = get_run(db, run_id)
        assert run.episode == len(assert_whole(db, run_id)) == newest_recorded(spied, run.pid)
    assert_sound(db)
