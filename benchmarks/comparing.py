"""What Compare needs: 100 runs of 100,000 episodes on one grid, and the bands of ten groups, beside rliable.

One run is recorded whole; the others are copies of it, with all their buckets and their newest episodes: what is read
of a run. The peer in reading is a GROUP BY of the database over the raw rows of the whole one, times the runs. The peer
in bootstrapping is rliable, for one group and a few repetitions, times the groups and repetitions: all would
take minutes.
"""

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from sqlite3 import connect

import _bench
import _records
import numpy as np

from tests.rliable_oracle import library, metrics
from v3core.comparison import band, grouped, on_grid, run_traces
from v3core.comparison.groups import settings_that_differ
from v3core.insight.bootstrap import REPETITIONS
from v3core.insight.grids import Grid
from v3core.rollup import LAST, MAXIMUM, MEAN, MINIMUM, STATISTICS
from v3core.store.bulk import metric_names
from v3core.store.database import Database
from v3core.store.rollups import TOGETHER
from v3core.store.runs import list_runs

GROUPS, SEEDS, POINTS = 10, 10, 200
EXPERIMENT = "benchmark"
TURNS = 5
PEER_REPETITIONS = 4
NEWEST = 2048
"""Episodes that each copy has: more than the finest level leaves to be read one by one."""


def median_of(call: Callable[[int], object], turns: int = TURNS) -> float:
    """Seconds of processor time a call, which is given its turn's number: others use this machine too."""
    times = []
    for turn in range(turns):
        start = time.process_time()
        call(turn)
        times.append(time.process_time() - start)
    return statistics.median(times)


def copies(folder: Path, run_id: str, runs: int, episodes: int) -> None:
    """Runs like this one, in ten curricula with different seeds; the number of epochs differs between seeds."""
    with closing(connect(folder / "v3.db")) as raw:
        row = dict(zip(*_row(raw, run_id), strict=True))
        for number in range(runs):
            copy, group, seed = (run_id if number == 0 else str(uuid.uuid4())), number // SEEDS, number % SEEDS + 1
            config = json.loads(row["config"])
            config |= {"seed": seed, "name": f"run {number}"}
            config["curriculum"]["name"] = f"curriculum {group}"
            config["ppo"]["epochs"] = (5, 10)[seed > SEEDS // 2]
            changed = row | {"id": copy, "seed": seed, "curriculum": f"curriculum {group}", "status": "completed"}
            changed |= {"experiment": EXPERIMENT, "ended_at": row["created_at"]}
            changed |= {"name": f"run {number}", "config": json.dumps(config)}
            names = ", ".join(f'"{name}"' for name in changed)
            places = ", ".join("?" * len(changed))
            raw.execute(f"INSERT OR REPLACE INTO runs ({names}) VALUES ({places})", tuple(changed.values()))
            if number:
                for table in ("episodes", "expert_loads"):
                    _copy(raw, table, run_id, copy, episodes - NEWEST)
                for table in ("rollups", "phase_changes", "curriculum_revisions", "evaluations"):
                    _copy(raw, table, run_id, copy, 0)
                _change_returns(raw, copy, 1 + number / runs)
        raw.commit()


def _change_returns(raw, run_id: str, factor: float) -> None:
    """So that no two runs have equal numbers, of which intervals would be computed once."""
    place = metric_names(_records.EXPERTS).index("return")

    def changed(blob: bytes) -> bytes:
        stats = np.frombuffer(blob, dtype="<f8").reshape(TOGETHER, STATISTICS, -1).copy()
        stats[:, [MINIMUM, MAXIMUM, MEAN, LAST], place] *= factor
        return stats.tobytes()

    raw.create_function("changed", 1, changed, deterministic=True)
    raw.execute("UPDATE rollups SET stats = changed(stats) WHERE run_id = ?", (run_id,))
    for table in ("episodes", "evaluations"):
        raw.execute(f'UPDATE {table} SET "return" = "return" * ? WHERE run_id = ?', (factor, run_id))


def _row(raw, run_id):
    found = raw.execute("SELECT * FROM runs WHERE id = ?", (run_id,))
    return [column[0] for column in found.description], found.fetchone()


def _copy(raw, table: str, run_id: str, copy: str, after: int) -> None:
    columns = [column[1] for column in raw.execute(f"PRAGMA table_info({table})") if column[1] not in ("run_id", "id")]
    names = ", ".join(f'"{column}"' for column in columns)
    newest = f" AND episode > {after}" if after else ""
    query = f"INSERT INTO {table} (run_id, {names}) SELECT ?, {names} FROM {table} WHERE run_id = ?{newest}"
    raw.execute(query, (copy, run_id))


def reading(folder: Path, runs: int, episodes: int) -> list[_bench.Result]:
    """The first grid, the same again as after a change of grouping, and the raw rows by the database itself."""
    db = _records.open_sqlite(folder)
    run_id = _records.new_run(db, episodes)
    _records.fill(db, run_id, episodes)
    db.close()
    copies(folder, run_id, runs, episodes)
    db = _records.open_sqlite(folder)

    def first(_: int) -> Grid:
        run_traces.forget()
        return on_grid(db, list_runs(db), "return")

    first(0)
    size = episodes // POINTS
    query = f'SELECT (episode - 1) / {size}, avg("return"), max(step) FROM episodes WHERE run_id = ? GROUP BY 1'
    with closing(connect(folder / "v3.db")) as raw:
        peer = runs * median_of(lambda _: raw.execute(query, (run_id,)).fetchall())
    what = f"{runs} runs × {episodes:,} episodes"
    results = [
        _result(f"first grid of {what}, beside GROUP BY", median_of(first), peer),
        _result(f"grouping of {what} changed, with bands", median_of(partial(_grouping, db)), peer),
    ]
    db.close()
    return results


def _grouping(db: Database, turn: int) -> None:
    """Other numbers in each turn and run, because what was computed before is kept."""
    runs = list_runs(db)
    settings_that_differ(runs)
    grid = on_grid(db, runs, "return")
    grid = replace(grid, y=grid.y * np.random.default_rng(turn).uniform(0.5, 1.5, (len(runs), 1)))
    for group in grouped(runs):
        band(grid.only({run.id for run in group.runs}))


def bootstrapping() -> list[_bench.Result]:
    """Bands of ten groups, by both."""
    values = np.random.default_rng(1).gamma(2.0, size=(TURNS, GROUPS, SEEDS, POINTS))
    x = np.arange(POINTS, dtype=np.float64)
    ids = tuple(map(str, range(SEEDS)))

    def ours(turn: int) -> None:
        for group in values[turn]:
            band(Grid("return", "step", None, x, group, ids))

    def peer(turn: int) -> None:
        def curve(scores: np.ndarray) -> np.ndarray:
            return np.array([metrics.aggregate_iqm(scores[..., place]) for place in range(POINTS)])

        library.get_interval_estimates({"group": values[turn, 0][:, None, :]}, curve, reps=PEER_REPETITIONS)

    share = GROUPS * REPETITIONS / PEER_REPETITIONS
    name = f"bands of {GROUPS} groups × {SEEDS} seeds × {POINTS} points × {REPETITIONS:,} repetitions, beside rliable"
    return [_result(name, median_of(ours), share * median_of(peer, 3))]


def _result(name: str, ours: float, peer: float) -> _bench.Result:
    return _bench.Result(name, round(ours, 3), round(peer, 3), round(peer / ours, 1), "s of processor time")


def main() -> None:
    """Both, as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list in place of a table")
    parser.add_argument("--runs", type=int, default=GROUPS * SEEDS)
    parser.add_argument("--episodes", type=int, default=100_000)
    options = parser.parse_args()
    results = bootstrapping()
    with tempfile.TemporaryDirectory() as folder:
        results += reading(Path(folder), options.runs, options.episodes)
    if options.json:
        print(json.dumps([asdict(result) for result in results], ensure_ascii=False, indent=2))
        return
    for result in results:
        print(f"  {result.name:<78} {result.ours:>10.3f} {result.peer:>10.3f} {result.unit}  ×{result.ratio:.1f}")


if __name__ == "__main__":
    main()
