"""The crash contract of the writer: SIGKILL at any moment loses at most a second, and never tears a batch."""

import json
import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from tests.episode_table import read_episodes
from tests.load import time_given
from tests.store.reference import full_rows, stored_rows
from v3core.store.rollups import rebuild_rollups
from v3core.store.runs import get_run
from v3core.store.schema import expert_loads
from v3core.store.writer import truncate

ROOT = Path(__file__).resolve().parents[2]
KILLS = 12
SEED = int(os.environ.get("V3_FAULTS_SEED") or random.SystemRandom().randrange(10**6))
"""Decides the moments of the kills; printed, to be given again by V3_FAULTS_SEED."""

# Continues a run: records episodes in batches of a given size at a given speed, and reports each when committed.
SCRIPT = """
import itertools, json, sys, time
from tests.load import time_given
from v3core.store.opening import open_database
from v3core.store.runs import get_run
from v3core.metrics import EpisodeRecord
from v3core.store.writer import EpisodeWriter

url, run_id, row, pause, together = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), *map(float, sys.argv[4:])
print(0, time_given(), flush=True)
db = open_database(url)
run = get_run(db, run_id)
writer = EpisodeWriter(db, run_id, generation=run.generation, writable_in=["running"])
for first in itertools.count(run.episode + 1, int(together)):
    rows = [
        EpisodeRecord(**row | {"episode": episode, "step": 10 * episode, "return_": float(episode)})
        for episode in range(first, first + int(together))
    ]
    writer.record(rows, rows[-1].step)
    print(rows[-1].episode, time_given(), flush=True)
    time.sleep(pause)
"""


@pytest.fixture
def start(url, episode, tmp_path, monkeypatch):
    """Start a process that records: `start(run_id, pause, together)`."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))

    def begin(run_id, pause, together=1):
        row = json.dumps(vars(episode(1)))
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url, run_id, row, str(pause), str(together)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    return begin


def kill(process):
    """Kill it; returns when, by its own clock, and what it had said that was not yet read."""
    killed = time_given(process.pid)
    process.kill()
    lines = [line.split() for line in process.stdout.read().splitlines()]
    process.wait()
    process.stdout.close()
    return killed, lines


def assert_whole(db, run_id):
    """Nothing is torn: every episode with its loads, and the pyramid that the episodes give; returns how many."""
    table, run = read_episodes(db, run_id), get_run(db, run_id)
    count = len(table)
    assert table["episode"].tolist() == list(range(1, count + 1))
    assert run.episode == count
    assert run.step >= 10 * count  # of episodes not yet written too
    np.testing.assert_array_equal(table["return"], table["episode"])
    with db.read() as tx:
        assert tx.execute(select(func.count()).select_from(expert_loads)).scalar_one() == 4 * count
        if db.url.startswith("sqlite"):
            assert tx.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
            assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    written = stored_rows(db, run_id)
    assert set(written) == full_rows(count)
    with db.write() as tx:
        rebuild_rollups(tx, run_id)
    assert stored_rows(db, run_id) == written
    return count


def due_at(said, killed):
    """The newest episode that had been recorded for a second when the process was killed."""
    complete = (line for line in said if len(line) == 2)
    return max((int(number) for number, moment in complete if float(moment) < killed - 1), default=0)


@pytest.mark.parametrize(("pause", "lines"), [(0.0, 6), (0.0, 701), (0.0, 5002), (0.0005, 1778), (0.01, 151)])
def test_a_kill_loses_at_most_a_second_and_leaves_whole_batches(db, new_run, start, pause, lines):
    run_id = new_run(db)
    process = start(run_id, pause)
    said = [process.stdout.readline().split() for _ in range(lines)]
    killed, rest = kill(process)
    assert assert_whole(db, run_id) >= due_at(said + rest, killed)


@pytest.mark.long
def test_kills_at_random_moments_one_after_another(db, new_run, start):
    """Each next process goes on with what the one before it left, or a resume takes episodes back first."""
    print(f"\nV3_FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    run_id = new_run(db)
    count = 0
    for _ in range(KILLS):
        process = start(run_id, chance.choice([0.002, 0.005, 0.02]), chance.choice([1, 4, 16]))
        said = [process.stdout.readline().split()]
        time.sleep(chance.uniform(0.05, 1.1))  # of its life: it opens the store, restores the pyramid, records
        killed, rest = kill(process)
        before, count = count, assert_whole(db, run_id)
        assert count >= max(before, due_at(said + rest, killed))
        print(f"{count - before} episodes more")
        if chance.random() < 0.4:
            count = chance.randrange(count + 1)
            with db.write() as tx:
                truncate(tx, run_id, episode=count, step=10 * count, now=datetime.now(UTC))
