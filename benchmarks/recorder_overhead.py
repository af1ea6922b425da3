"""What recording costs training on CartPole-v1: the same training, seed by seed, recorded to SQLite and kept nowhere.

Two measures: the wall time of both by turns, and a count that noise cannot hide: the time that the training thread
spends in the recorder, and the processor time of the writer's thread, as shares of the wall time. The second is an
upper bound: where a core is free, the writer runs beside the training but for the interpreter's lock.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import _bench  # noqa: F401  it puts the project on the path
import _records
import torch

from v3core.jobs.recorder import Recorder
from v3core.jobs.sampler import SHORTEST_SECONDS, ProcessSampler
from v3core.jobs.signals import StopRequest
from v3core.store.database import Database
from v3core.store.runs import get_run
from v3core.training import trainer
from v3core.training.hooks import Orders, Spent

ROLLOUTS = 12
"""Timed rollouts and updates of a turn, after one that is not."""
SAMPLES = 30


class _Hooks:
    """Stops after the timed rollouts; keeps nothing unless there is a recorder."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.recorder = recorder
        self.ends: list[float] = []
        self.inside = 0.0
        """Seconds in the recorder, on the training thread, since the first rollout ended."""
        self.processor = self.sampling = 0.0
        """The same of the processor, and what of that was for samples of the process."""
        self.threads: list[float] = []
        """Processor time of the training thread at the ends of rollouts."""

    def orders(self) -> Orders:
        if self.recorder is not None:
            self._timed(self.recorder.orders)
        return Orders(stop=len(self.ends) > ROLLOUTS)

    def record(self, episodes: Any, step: int) -> None:
        if self.recorder is not None:
            self._timed(self.recorder.record, episodes, step)
        self.ends.append(time.perf_counter())
        self.threads.append(time.thread_time())

    def spent(self, spent: Spent, steps: int) -> None:
        if self.recorder is not None:
            before = self.processor
            self._timed(self.recorder.spent, spent, steps)
            self.sampling += self.processor - before

    def urgent(self) -> Orders:
        return Orders() if self.recorder is None else self._timed(self.recorder.urgent)

    def phase_changed(self, change: Any) -> None:
        if self.recorder is not None:
            self._timed(self.recorder.phase_changed, change)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def _timed(self, call: Any, *arguments: Any) -> Any:
        start, used = time.perf_counter(), time.thread_time()
        result = call(*arguments)
        if self.ends:
            self.inside += time.perf_counter() - start
            self.processor += time.thread_time() - used
        return result


def plain(db: Database, seed: int) -> float:
    """Seconds of training that nobody records."""
    hooks = _Hooks()
    _train(db, seed, hooks)
    return hooks.ends[-1] - hooks.ends[0]


def recorded(db: Database, seed: int) -> tuple[float, dict[str, float]]:
    """Seconds of training that is recorded, and shares of recording."""
    run_id = _records.new_run(db, 1_000_000)
    writer = _records.open_writer(db, run_id)
    clock = time.pthread_getcpuclockid(writer._thread.ident or 0)
    hooks = _Hooks(Recorder(db, get_run(db, run_id), writer, signalled=StopRequest()))
    before = time.clock_gettime(clock)
    _train(db, seed, hooks)
    spent = time.clock_gettime(clock) - before
    writer.close()
    wall, processor = hooks.ends[-1] - hooks.ends[0], hooks.threads[-1] - hooks.threads[0]
    return wall, {
        "training thread in the recorder": hooks.inside / wall,
        "the same, of its processor time": hooks.processor / processor,
        "of it, adding up for samples": hooks.sampling / processor,
        "processor time of the writer": spent / wall,
    }


def of_a_sample() -> float:
    """Processor time of the training thread that a sample of the process takes; one is due each 15 s, later less often.

    The trainer is imported by now, and this process has as many threads and children as a worker.
    """
    taken = []
    sampler = ProcessSampler()
    for _ in range(SAMPLES):
        sampler._before.clock -= SHORTEST_SECONDS
        start = time.thread_time()
        assert sampler.take() is not None
        taken.append(time.thread_time() - start)
    return statistics.median(taken)


def _train(db: Database, seed: int, hooks: _Hooks) -> None:
    config = get_run(db, _records.new_run(db, 1_000_000)).config.model_copy(update={"seed": seed})
    trainer.train(config, curriculum=config.curriculum, hooks=hooks)


def main() -> None:
    """Both by turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="JSON in place of a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    trainer.Trainer.save = lambda *_, **__: None  # a checkpoint is not part of recording
    ratios, shares = [], []
    with tempfile.TemporaryDirectory() as folder:
        db = _records.open_sqlite(Path(folder))
        for turn in range(options.turns):
            # Each second pair begins with the other, so that a load that grows or falls favours neither.
            first = plain(db, turn) if turn % 2 else None
            wall, of_recording = recorded(db, turn)
            other = plain(db, turn) if first is None else first
            ratios.append(wall / other)
            shares.append(of_recording)
        db.close()
    result = {
        "wall, recorded over plain": round(statistics.median(ratios), 4),
        "wall, lowest and highest": [round(min(ratios), 3), round(max(ratios), 3)],
        **{name: round(statistics.median(each[name] for each in shares), 5) for name in shares[0]},
        "beside it, a sample each 15 s": round(of_a_sample() / SHORTEST_SECONDS, 5),
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print("Share of recording in the wall time of training, CartPole-v1")
    for name, value in result.items():
        print(f"  {name:<34} {value}")


if __name__ == "__main__":
    main()
