"""From a click on Start to the first recorded episode of CartPole; the peer is `python -c "import torch"`.

As in a server whose Launch page was opened, whose warm process is ready, and as in a shell, which has none. What
Streamlit takes from the click to the call, some tens of milliseconds, is left out.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import _bench

from v3core.config import build_run_config, recipe_for
from v3core.curriculum.presets import load_preset
from v3core.jobs import control, warm
from v3core.jobs.launcher import enqueue
from v3core.jobs.launchers.processes import keep_warm
from v3core.jobs.lifecycle import ENDED
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import get_run

TURNS = int(os.environ.get("V3_BENCH_TURNS", "7"))
ENV = "CartPole-v1"


def first_episode(database: Database, seed: int) -> float:
    """Seconds until the first episode of a new run is in the database."""
    config = build_run_config(
        name="start", env=ENV, seed=seed, episodes=100_000, curriculum=load_preset("v3"), recipe=recipe_for(ENV)
    )
    began = time.perf_counter()
    (run_id,) = enqueue(database, [config])
    while not get_run(database, run_id).episode:
        time.sleep(0.01)
    took = time.perf_counter() - began
    control.stop(database, run_id)
    while get_run(database, run_id).status not in ENDED:
        time.sleep(0.05)
    return took


def import_torch() -> float:
    """Seconds of a Python that imports torch."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


@contextmanager
def warm_process(database: Database) -> Iterator[None]:
    """As beside a server."""
    warm.allow()
    keep_warm(database)
    while not warm.is_ready():
        time.sleep(0.1)
    yield
    warm.end()


def benchmark() -> list[_bench.Result]:
    """With the warm process and without."""
    with tempfile.TemporaryDirectory() as folder:
        root = str(Path(__file__).resolve().parents[1])
        os.environ |= {"V3_DATA_DIR": folder, "V3_DATABASE_URL": f"sqlite:///{folder}/v3.db", "PYTHONPATH": root}
        database = open_database()

        def compared(name: str) -> _bench.Result:
            return _bench.durations(
                name, lambda seed: first_episode(database, seed + 1), lambda _: import_torch(), TURNS
            )

        with warm_process(database):
            results = [compared("beside a server")]
        results.append(compared("from a shell"))
        database.close()
    return results


if __name__ == "__main__":
    _bench.main(
        benchmark, "Click to first recorded episode, and `import torch`; above 1: the episode is recorded sooner"
    )
