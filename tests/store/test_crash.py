"""The crash contract of the writer: SIGKILL at any moment loses at most a second, and never tears a batch."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from v3core.store.readers import read_episodes
from v3core.store.runs import get_run
from v3core.store.schema import expert_loads

ROOT = Path(__file__).resolve().parents[2]

# Records episodes as fast as it is told to, and says which when.
SCRIPT = """
import itertools, json, sys, time
from v3core.store.database import Database
from v3core.episode import EpisodeRecord
from v3core.store.writer import EpisodeWriter

url, run_id, row, pause = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4])
writer = EpisodeWriter(Database.open(url), run_id, generation=0, writable_in=["running"])
for episode in itertools.count(1):
    writer.record([EpisodeRecord(**row | {"episode": episode, "step": episode})], episode)
    print(episode, time.monotonic(), flush=True)
    time.sleep(pause)
"""


@pytest.mark.parametrize(("pause", "lines"), [(0.0, 5), (0.0, 700), (0.0, 5001), (0.0005, 1777), (0.01, 150)])
def test_a_kill_loses_at_most_a_second_and_leaves_whole_batches(
    db, url, new_run, episode, tmp_path, monkeypatch, pause, lines
):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    run_id = new_run(db)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, run_id, json.dumps(vars(episode(1))), str(pause)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = [process.stdout.readline().split() for _ in range(lines)]
    process.kill()
    killed = time.monotonic()
    said += [line.split() for line in process.stdout.read().splitlines()]
    process.wait()
    process.stdout.close()

    table, run = read_episodes(db, run_id), get_run(db, run_id)
    assert table["episode"].tolist() == list(range(1, len(table) + 1))
    assert run.episode == len(table)
    with db.read() as tx:
        assert tx.execute(select(func.count()).select_from(expert_loads)).scalar_one() == 4 * len(table)
        if db.url.startswith("sqlite"):
            assert tx.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    due = [int(number) for number, moment in (line for line in said if len(line) == 2) if float(moment) < killed - 1]
    assert len(table) >= max(due, default=0)
