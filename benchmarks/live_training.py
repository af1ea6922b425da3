"""What an open Live page takes from training: CartPole trains while the page is open and closed, by turns.

Takes Chromium. Turns are in the order open, closed, closed, open, so that what changes with training itself does not
count. The steps a second include what the browser takes on the same machine; the worker's processor time of a step
does not.
"""

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import _bench
import psutil
from _live import chromium, look
from playwright.sync_api import sync_playwright

from tests.browser.support import APP, ROOT, serve
from tests.waiting import wait_for
from v3core.config import build_run_config, recipe_for
from v3core.curriculum.presets import load_preset
from v3core.jobs import control
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ENDED
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import get_run

TURNS = int(os.environ.get("V3_BENCH_TURNS", "6"))
"""Each of them four times a window."""
SECONDS = float(os.environ.get("V3_BENCH_SECONDS", "8"))
SETTLE_SECONDS = 2.0
ENV = "CartPole-v1"


@dataclass(frozen=True)
class Speed:
    """Of one window."""

    rate: float
    """Environment steps a second."""
    cost: float
    """Microseconds of the worker's processor time for each of them."""


def measured(db: Database, run_id: str) -> Speed:
    """From the end of one rollout to that of another, about a window later."""
    worker = psutil.Process(get_run(db, run_id).pid or 0)

    def now() -> tuple[int, float, float]:
        step = get_run(db, run_id).step
        while (then := get_run(db, run_id).step) == step:
            time.sleep(0.002)
        times = worker.cpu_times()
        return then, time.perf_counter(), times.user + times.system

    (step, at, used), _ = now(), time.sleep(SECONDS)
    after, ended, then = now()
    return Speed((after - step) / (ended - at), 1e6 * (then - used) / (after - step))


def benchmark() -> list[_bench.Result]:
    """Ours is with the page open, the peer without."""
    ratios: dict[str, list[tuple[float, float]]] = {"rate": [], "cost": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = serve(APP, Path(folder))
        url = f"sqlite:///{server.data / 'v3.db'}"
        os.environ |= {"V3_DATA_DIR": str(server.data), "V3_DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
        db = open_database(url, server.data)
        page = chromium(playwright).new_page(viewport={"width": 1280, "height": 900})
        recipe, curriculum = recipe_for(ENV), load_preset("v3")
        config = build_run_config(name="live", env=ENV, seed=1, episodes=100_000, curriculum=curriculum, recipe=recipe)
        (run_id,) = enqueue(db, [config])
        try:
            wait_for(lambda: get_run(db, run_id).episode > 200, "the first episodes")

            def window(is_open: bool) -> Speed:
                if is_open:
                    look(page, server, run_id)
                else:
                    page.goto("about:blank")
                page.wait_for_timeout(1000 * SETTLE_SECONDS)
                return measured(db, run_id)

            window(True)  # what the server reads once
            for _ in range(TURNS):
                speeds = [(is_open, window(is_open)) for is_open in (True, False, False, True)]
                for name, pairs in ratios.items():
                    pairs.append(
                        tuple(
                            statistics.fmean(getattr(speed, name) for was, speed in speeds if was is is_open)
                            for is_open in (True, False)
                        )
                    )
        finally:
            control.stop(db, run_id)
            wait_for(lambda: get_run(db, run_id).status in ENDED, "the end of the run")
            db.close()
            server.stop()
    return [
        _result("steps a second", ratios["rate"], "/s", [ours / peer for ours, peer in ratios["rate"]]),
        _result("processor time of a step", ratios["cost"], "µs", [peer / ours for ours, peer in ratios["cost"]]),
    ]


def _result(name: str, pairs: list[tuple[float, float]], unit: str, better: list[float]) -> _bench.Result:
    ours, peer = (statistics.median(values) for values in zip(*pairs, strict=True))
    return _bench.Result(name, round(ours, 1), round(peer, 1), round(statistics.median(better), 4), unit)


if __name__ == "__main__":
    _bench.main(benchmark, "Training with Live open, and closed; above 1: faster with it open")
