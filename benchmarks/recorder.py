"""Durable episodes per second: from the first that is recorded to the end of the last commit.

Ours records every column of an episode (41 numbers, 4 texts, a time, 3 numbers for each of 4 experts); the peers record
20 metrics and 4 loads under one step. The peers have an environment of their own, `.venv-peers`: they want other
versions of what the app uses. Each turn is a process of its own with an empty folder.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TURNS = 5
EPISODES = {"ours": 60_000, "ours-bare": 60_000, "trackio": 20_000, "tensorboard": 1_500, "mlflow": 1_000}
"""As many as take a second or a few."""
METRICS = [f"metric_{number}" for number in range(20)] + [f"load_{number}" for number in range(4)]
PEERS = Path(__file__).resolve().parents[1] / ".venv-peers" / "bin" / "python"


def _ours(count: int, folder: Path, *, rollups: bool = True) -> Callable[[], None]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import _records

    db = _records.open_sqlite(folder)
    run_id = _records.new_run(db, count)
    episodes = list(_records.drawn(1, count, total=count))
    writer = _records.open_writer(db, run_id)
    if not rollups:
        writer._pyramid.record = lambda *_: []  # type: ignore[method-assign]

    def record() -> None:
        for start in range(0, count, _records.PER_ROLLOUT):
            rows = episodes[start : start + _records.PER_ROLLOUT]
            writer.record(rows, rows[-1].step)
        writer.close()

    return record


def _drawn(count: int) -> list[dict[str, float]]:
    import random

    draw = random.Random(1).random
    return [{name: draw() for name in METRICS} for _ in range(count)]


def _trackio(count: int, folder: Path) -> Callable[[], None]:
    import os

    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    values = _drawn(count)
    trackio.init(project="benchmark", name="run", embed=False)

    def record() -> None:
        for step, metrics in enumerate(values):
            trackio.log(metrics, step=step)
        trackio.finish()

    return record


def _tensorboard(count: int, folder: Path) -> Callable[[], None]:
    from torch.utils.tensorboard import SummaryWriter

    values = _drawn(count)
    writer = SummaryWriter(str(folder))

    def record() -> None:
        for step, metrics in enumerate(values):
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)
        writer.close()

    return record


def _mlflow(count: int, folder: Path) -> Callable[[], None]:
    import mlflow
    from mlflow.entities import Metric

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    values = _drawn(count)
    client = mlflow.MlflowClient()
    run_id = client.create_run(client.create_experiment("benchmark")).info.run_id
    together = 1000 // len(METRICS)  # a batch holds a thousand metrics at most

    def record() -> None:
        for start in range(0, count, together):
            now = int(time.time() * 1000)
            batch = [
                Metric(name, value, now, start + place)
                for place, metrics in enumerate(values[start : start + together])
                for name, value in metrics.items()
            ]
            client.log_batch(run_id, metrics=batch)

    return record


CONTENDERS: dict[str, Callable[[int, Path], Callable[[], None]]] = {
    "ours": _ours,
    "ours-bare": lambda count, folder: _ours(count, folder, rollups=False),
    "trackio": _trackio,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}


def turn(contender: str) -> float:
    """Episodes per second of one contender, in a process of its own."""
    python = sys.executable if contender in {"ours", "ours-bare", "tensorboard"} else str(PEERS)
    with tempfile.TemporaryDirectory() as folder:
        command = [python, __file__, "--contender", contender, "--folder", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{contender} failed:\n{result.stderr}")
    return float(result.stdout.split()[-1])


def benchmark() -> list["_bench.Result"]:
    """Ours with and without the pyramid, against each peer, by turns."""
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(TURNS):
        for name in CONTENDERS:
            rates[name].append(turn(name))
    median = {name: sorted(values)[TURNS // 2] for name, values in rates.items()}
    return [
        _bench.Result(
            f"{peer}, ours {how}",
            round(median[ours], 1),
            round(median[peer], 1),
            round(median[ours] / median[peer], 3),
            "episodes/s",
        )
        for peer in ("trackio", "tensorboard", "mlflow")
        for ours, how in (("ours", "with rollups"), ("ours-bare", "without"))
    ]


if __name__ == "__main__":
    if "--contender" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--contender", choices=CONTENDERS)
        parser.add_argument("--folder", type=Path)
        options = parser.parse_args()
        count = EPISODES[options.contender]
        record = CONTENDERS[options.contender](count, options.folder)
        start = time.perf_counter()
        record()
        print(count / (time.perf_counter() - start))
    else:
        import _bench

        _bench.main(benchmark, "Durable episodes per second, against other trackers.")
