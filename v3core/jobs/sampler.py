"""Samples of a worker's process, each over a stretch of time that grows with the run."""

import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import psutil

from v3core.insight.slowness import ProcessSample
from v3core.training.hooks import Spent

SHORTEST_SECONDS = 15.0
SAMPLES_PER_DOUBLING = 350
"""From some hours on a stretch is such a part of the run so far that as many samples double its length: two weeks of
training have fewer than 4,000."""
LARGEST_SHARE = 0.001
"""What samples may take of the training thread's processor time: children are slow to find among thousands."""


@dataclass
class _Counters:
    """What only grows, as of one moment."""

    clock: float
    cpu: float
    waited: float | None


class ProcessSampler:
    """Adds up what the training thread does, and makes samples of it. Called on that thread, after each rollout."""

    def __init__(self, sampled_seconds: float = 0.0) -> None:
        """`sampled_seconds`: how much of the run's time earlier samples cover."""
        self._process = psutil.Process()
        self._sampled, self._took = sampled_seconds, 0.0
        self._spent, self._steps, self._updates = Spent(), 0, 0
        self._before = self._counters(self._family())
        psutil.cpu_percent()  # the next call gives the share since this one

    def add(self, spent: Spent, steps: int) -> None:
        """After a rollout and its update: what they took, and how many environment steps they were."""
        self._spent, self._steps, self._updates = self._spent + spent, self._steps + steps, self._updates + 1

    def take(self) -> ProcessSample | None:
        """The stretch since the last sample, if it is long enough by now."""
        stretch = max(SHORTEST_SECONDS, self._sampled / SAMPLES_PER_DOUBLING, self._took / LARGEST_SHARE)
        if time.monotonic() - self._before.clock < stretch:
            return None
        began = time.thread_time()
        from v3core.training.gpu import gpu_memory, gpu_use  # torch, which the trainer has imported by now

        spent, steps, updates = self._spent, self._steps, self._updates
        self._spent, self._steps, self._updates = Spent(), 0, 0
        family = self._family()  # asked once: it looks at all processes of the machine
        before, now = self._before, self._counters(family)
        self._before = now
        seconds = now.clock - before.clock
        self._sampled += seconds
        sample = ProcessSample(
            at=datetime.now(UTC),
            seconds=seconds,
            steps=steps,
            updates=updates,
            **{part.name: getattr(spent, part.name) for part in fields(spent)},
            cpu=max(0.0, now.cpu - before.cpu),
            waited=None if before.waited is None or now.waited is None else max(0.0, now.waited - before.waited),
            machine=psutil.cpu_percent() / 100,
            memory=sum(_memory(process) for process in family),
            threads=self._process.num_threads(),
            gpu_memory=gpu_memory(),
            gpu=gpu_use(),
        )
        self._took = time.thread_time() - began
        return sample

    def _counters(self, family: list[psutil.Process]) -> _Counters:
        cpu = sum(_cpu(process) for process in family)
        return _Counters(time.monotonic(), cpu, _waited(self._process.pid))

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))  # of itself, and of children that have ended
    except psutil.Error:
        return 0.0


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _waited(pid: int) -> float | None:
    """Seconds that the main thread of a process has waited for a processor, which Linux counts; None elsewhere."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return None
