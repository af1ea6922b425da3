"""Exports and archives of one long run: seconds, size, and the most memory that the process held.

There is no peer. `--episodes 1000000` takes about a quarter of an hour, most of it for the run to be made up.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sqlalchemy import insert  # noqa: E402

from v3core.config import build_run_config, recipe_for  # noqa: E402
from v3core.curriculum import load_preset, scaled  # noqa: E402
from v3core.jobs.launcher import create  # noqa: E402
from v3core.store.database import Database  # noqa: E402
from v3core.store.opening import open_database  # noqa: E402
from v3core.store.run_tables import RUN_TABLES, Kind  # noqa: E402
from v3core.store.runs import update_run  # noqa: E402
from v3core.store.schema import episodes, expert_loads  # noqa: E402

CHUNK = 5000
MEASURED = """
import resource, sys, time
from v3core.cli import main
start = time.perf_counter()
code = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(code, time.perf_counter() - start, peak, file=sys.stderr)
"""


def make_run(db: Database, count: int) -> str:
    """A stopped run of random numbers, which no compression can shorten."""
    env = "CartPole-v1"
    config = build_run_config(
        name="long",
        env=env,
        seed=1,
        episodes=count,
        curriculum=scaled(load_preset("v3"), count),
        recipe=recipe_for(env),
    )
    now, draw = datetime.now(UTC), random.Random(1)
    with db.write() as tx:
        run_id = create(tx, config, now=now)
    made = {Kind.FLOAT: draw.random, Kind.INTEGER: lambda: 3, Kind.TEXT: lambda: "sparsemax", Kind.TIME: lambda: now}
    keys = {column.name: column.key for column in episodes.columns}
    fields = [(keys[field.name], field.kind) for field in RUN_TABLES["episodes"].fields]
    for first in range(1, count + 1, CHUNK):
        numbers = range(first, min(first + CHUNK, count + 1))
        rows = [
            {key: made[kind]() for key, kind in fields}
            | {"run_id": run_id, "episode": number, "step": number * 20, "at": now + timedelta(seconds=number)}
            for number in numbers
        ]
        loads = [
            {
                "run_id": run_id,
                "episode": number,
                "expert": expert,
                "load": draw.random(),
                "hard_load": draw.random(),
                "grad_norm": draw.random(),
            }
            for number in numbers
            for expert in range(config.policy.experts)
        ]
        with db.write() as tx:
            tx.execute(insert(episodes), rows)
            tx.execute(insert(expert_loads), loads)
    with db.write() as tx:
        update_run(tx, run_id, {"status": "stopped", "episode": count, "step": count * 20}, only_in=["queued"])
    return run_id


def measure(data: Path, *arguments: str) -> tuple[float, float]:
    """Seconds and peak MiB of a command in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        env={"V3_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, seconds, peak = result.stderr.split()[-3:]
    assert code == "0", result.stderr
    return float(seconds), float(peak)


def main() -> None:
    """Measure each form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", help="a JSON list in place of a table")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data", Path(folder) / "out"
        out.mkdir()
        db = open_database(f"sqlite:///{data / 'v3.db'}", data)
        run_id = make_run(db, options.episodes)
        db.close()
        for name, *arguments in (
            ("CSV", "export", run_id, "--to", str(out / "run.csv")),
            ("Parquet", "export", run_id, "--to", str(out / "run.parquet")),
            ("JSON", "export", run_id, "--to", str(out / "run.json")),
            ("TensorBoard", "export", run_id, "--to", str(out / "tensorboard"), "--format", "tensorboard"),
            ("archive", "archive", run_id, "--to", str(out / "run.v3run")),
            ("import", "import", str(out / "run.v3run"), "--as-new"),
            ("delete", "delete", run_id),
        ):
            seconds, peak = measure(data, *arguments)
            target = Path(arguments[-1]) if "--to" not in arguments else Path(arguments[arguments.index("--to") + 1])
            files = [target, *target.rglob("*")] if name not in ("import", "delete") else []
            size = sum(file.stat().st_size for file in files if file.is_file())
            results.append({"name": name, "seconds": round(seconds, 1), "peak_mib": round(peak), "bytes": size})
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(f"One run of {options.episodes:,} episodes, {time.strftime('%Y-%m-%d')}")
    for row in results:
        print(f"  {row['name']:<12} {row['seconds']:>8} s  {row['peak_mib']:>4} MiB  {row['bytes']:>14,} bytes")


main()
