"""Killing the worker of one run again and again, and measuring what each kill cost."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.faults.board import BETWEEN, CHECKPOINT, FLUSH, PHASES, ROLLOUT, UPDATE, Board, board_of, read_records
from tests.faults.checks import assert_sound, committed, newest_at
from tests.faults.scale import STATUS_SECONDS
from tests.load import time_given
from tests.processes import suspend
from tests.runs import assert_whole, tiny_config, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.jobs import control
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.history import read_checkpoints
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run

AIMS = (BETWEEN, ROLLOUT, UPDATE, FLUSH, CHECKPOINT)
"""In turn; `between` stands for any moment at all."""
MAX_LOST_SECONDS = 1.0
RANDOM_SECONDS = 1.5
"""A kill at any moment comes within so long after training began."""


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it."""

    aim: str
    """The phase it was to hit; BETWEEN if any."""
    hit: str
    """What the worker was doing when it died, by its own account."""
    before: int
    """Episodes committed right before."""
    after: int
    """Episodes committed after."""
    lost: int
    """Episodes recorded but not committed."""
    lost_ms: float
    """Age of the oldest of them at the kill, by `time_given`; 0 if none was lost."""
    status_ms: float
    """Until the run was `lost`."""
    back_to: int
    """Episode of the checkpoint that it went on from."""
    resumed_ms: float
    """From the resume until a first new episode was committed, a new process's start and imports included."""


def kill_again_and_again(db: Database, spied: Path, count: int, seed: str) -> list[Kill]:
    """Kill and resume a run `count` times, then stop it and check all that it recorded."""
    chance = random.Random(seed)
    config = tiny_config(episodes=10**6, boundary=10**6 - 1, name=f"killed {seed}", seed=chance.randrange(1000))
    run_id = enqueue(db, [config])[0]
    wait_until(db, run_id, episode=1)
    kills: list[Kill] = []
    trained: list[tuple[object, ...]] = []
    for number in range(count):
        kill, now = _kill(db, run_id, spied, AIMS[number % len(AIMS)], chance)
        # What was trained again after a kill is what it was before.
        both = min(len(now), len(trained))
        assert [row[2:] for row in now[:both]] == [row[2:] for row in trained[:both]]
        kills.append(kill)
        trained = now
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    assert_whole(db, run_id)
    return kills


def _kill(
    db: Database, run_id: str, spied: Path, aim: str, chance: random.Random
) -> tuple[Kill, list[tuple[object, ...]]]:
    """Kill the worker once; returns what that cost, and the episodes committed by then."""
    run = get_run(db, run_id)
    assert run.pid is not None
    board = Board(board_of(spied, run.pid))
    if chance.random() < 0.5:
        control.checkpoint(db, run_id)  # so that some resumes go on from the middle
    moment = time.monotonic() + chance.random() * RANDOM_SECONDS
    wait_for(lambda: time.monotonic() >= moment)
    before = committed(db, run_id)
    given = time_given(run.pid)
    if aim != BETWEEN:
        ask = partial(control.checkpoint, db, run_id) if aim == CHECKPOINT else None
        given = _suspend_in_phase(run.pid, board, aim, chance.random(), ask)
    killed_at = time.monotonic()
    os.kill(run.pid, signal.SIGKILL)
    status_ms = _until(killed_at, lambda: get_run(db, run_id).status == Status.LOST, STATUS_SECONDS, "not called lost")
    lost_run = get_run(db, run_id)
    assert "SIGKILL" in (lost_run.reason or ""), lost_run.reason

    after = committed(db, run_id)
    assert after[: len(before)] == before, "committed rows changed"
    table = assert_whole(db, run_id)
    assert_sound(db)
    recorded = read_records(spied, run.pid)
    lost = [moment for moment, episode in recorded if episode > len(table)]
    lost_ms = 1000 * (given - lost[0]) if lost else 0.0
    assert lost_ms <= 1000 * MAX_LOST_SECONDS, f"an episode of {lost_ms:.0f} ms before the kill is lost"

    back_to, resumed_ms = _resume(db, lost_run, after)
    newest = max((episode for _, episode in recorded), default=0)
    kill = Kill(
        aim=aim,
        hit=board.describe(),
        before=len(before),
        after=len(after),
        lost=max(0, newest - len(after)),
        lost_ms=lost_ms,
        status_ms=status_ms,
        back_to=back_to,
        resumed_ms=resumed_ms,
    )
    return kill, after


def _resume(db: Database, lost: RunRow, after: list[tuple[object, ...]]) -> tuple[int, float]:
    back_to = read_checkpoints(db, lost.id)[-1].episode
    resumed_at, since = time.monotonic(), datetime.now(UTC)
    control.resume(db, lost.id)
    wait_until(db, lost.id)
    ms = _until(resumed_at, lambda: newest_at(db, lost.id) > since, PATIENCE_SECONDS, "not trained again")
    kept = committed(db, lost.id)[:back_to]
    assert kept == after[:back_to], "a resume changed what the checkpoint holds"
    return back_to, ms


def _suspend_in_phase(pid: int, board: Board, phase: str, share: float, ask: Callable[[], None] | None) -> float:
    """Stop the worker where it has been in a phase for that share of what it took the last time.

    A phase that was over sooner this time is waited for again; `ask` makes it come. Returns the time of the stop, by
    `time_given`: the kill hits what it was aimed at, however late it comes.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if ask is not None:
            ask()
        wait_for(lambda: board.is_in(phase), f"the worker in {phase}", pause=0.0001)
        entries, until = board.entries(phase), time.monotonic() + share * board.seconds(phase)
        while time.monotonic() < until:
            pass
        given = time_given(pid)
        suspend(pid)
        if board.is_in(phase) and board.entries(phase) == entries:
            return given
        os.kill(pid, signal.SIGCONT)
    raise AssertionError(f"the worker was never in the middle of {phase}")


def _until(since: float, condition: Callable[[], object], seconds: float, what: str) -> float:
    wait_for(condition, what, seconds=seconds)
    return 1000 * (time.monotonic() - since)


def hits(kills: list[Kill]) -> dict[str, int]:
    """How many kills hit each phase; one may hit two."""
    return {phase: sum(phase in kill.hit for kill in kills) for phase in (*PHASES, BETWEEN)}
