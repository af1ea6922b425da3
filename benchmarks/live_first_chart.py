"""The first chart of a run in the browser, beside TensorBoard and trackio: seconds from the address to the chart.

Takes Chromium, and the peers' environment (`make bench` installs it). Ours has a million episodes of 70 metrics, and is
drawn; the peers have 50,000 points of one metric, and it is enough that their chart's canvas is on the page.
Servers are warm: each page is opened once before, and then by turns.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import _bench
from _live import Bench, chromium, figure, fill
from playwright.sync_api import Browser, sync_playwright

from tests.browser.support import APP, free_port, serve
from tests.pages.recorded import add_recorded_run
from tests.waiting import wait_for
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database

EPISODES, POINTS = 1_000_000, 50_000
TURNS = int(os.environ.get("V3_BENCH_TURNS", "5"))
PEERS = Path(os.environ.get("V3_BENCH_PEERS") or Path(__file__).resolve().parents[1] / ".venv-peers") / "bin"

_TENSORBOARD = f"""
import sys
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter(sys.argv[1])
for step in range({POINTS}):
    writer.add_scalar("return", step % 500, step)
writer.close()
"""
_TRACKIO = f"""
import trackio
trackio.init(project="benchmark", name="run", embed=False)
for step in range({POINTS}):
    trackio.log({{"return": step % 500}}, step=step)
trackio.finish()
"""


@contextmanager
def served(command: list[str], url: str, environment: dict[str, str]) -> Iterator[str]:
    """A peer's server, from its first answer on."""
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def answers() -> bool:
        if process.poll() is not None:
            raise SystemExit(f"{command[0]} ended.")
        try:
            with urlopen(url, timeout=2) as said:
                return bool(said.status == 200)
        except OSError:
            return False

    try:
        wait_for(answers, f"{command[0]} answers")
        yield url
    finally:
        process.terminate()
        process.wait()


def seconds(browser: Browser, url: str, selector: str) -> float:
    """From the address until such an element is on the page."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.monotonic()
    page.goto(url)
    page.wait_for_selector(selector, timeout=120_000)
    took = time.monotonic() - began
    page.close()
    return took


@contextmanager
def tensorboard(folder: Path, browser: Browser) -> Iterator[Callable[[], float]]:
    """Opens its page of time series."""
    subprocess.run([sys.executable, "-c", _TENSORBOARD, str(folder)], check=True, capture_output=True)
    port = free_port()
    command = [str(Path(sys.executable).with_name("tensorboard")), "--logdir", str(folder), "--port", str(port)]
    with served(command, f"http://127.0.0.1:{port}/", {}) as url:
        yield partial(seconds, browser, url, ".series-view canvas")


@contextmanager
def trackio(folder: Path, browser: Browser) -> Iterator[Callable[[], float]]:
    """Opens the page of its project."""
    port = free_port()
    environment = {"TRACKIO_DIR": str(folder), "GRADIO_SERVER_PORT": str(port)}
    python = [str(PEERS / "python"), "-c", _TRACKIO]
    subprocess.run(python, env=os.environ | environment, check=True, capture_output=True)
    command = [str(PEERS / "trackio"), "show", "--project", "benchmark", "--host", "127.0.0.1"]
    with served(command, f"http://127.0.0.1:{port}/?project=benchmark", environment) as url:
        yield partial(seconds, browser, url, ".vega-embed canvas")


def benchmark() -> list[_bench.Result]:
    """Ours, then each peer, by turns."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = chromium(stack.enter_context(sync_playwright()))
        server = serve(APP, folder / "ours")
        stack.callback(server.stop)
        db = open_database(f"sqlite:///{server.data / 'v3.db'}", server.data)
        stack.callback(db.close)
        run_id = add_recorded_run(db, Status.RUNNING, episodes=EPISODES, recorded=0)
        fill(db, run_id, EPISODES)
        contenders = {
            "ours": partial(Bench(server, db, browser, 0).first_chart, run_id),
            "TensorBoard": stack.enter_context(tensorboard(folder / "tensorboard", browser)),
            "trackio": stack.enter_context(trackio(folder / "trackio", browser)),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(TURNS + 1):
            for name, opened in contenders.items():
                times[name].append(opened())
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    ours = medians.pop("ours")
    return [
        figure(f"{EPISODES:,} episodes, beside the goal", ours, 1.0, "s"),
        *(
            _bench.Result(
                f"beside {name}, {POINTS:,} points", round(ours, 2), round(peer, 2), round(peer / ours, 2), "s"
            )
            for name, peer in medians.items()
        ),
    ]


if __name__ == "__main__":
    _bench.main(benchmark, "First chart in the browser: ours, the peer's, and how many times sooner ours is there")
