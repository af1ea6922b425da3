"""What the benchmarks share: the two contenders by turns in one process, on one thread, and the median of each."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

# A benchmark is run as a file, and the package is not installed.
sys.path.insert(0, str(Path(__file__).parent.parent))

TURN_SECONDS = 0.02


@dataclass(frozen=True)
class Result:
    """One comparison."""

    name: str
    ours: float
    """Median of ours, in `unit`."""
    peer: float
    """Median of the peer, in `unit`."""
    ratio: float
    """Above 1: ours is better."""
    unit: str


def compare(name: str, ours: Callable[[], object], peer: Callable[[], object], *, seconds: float = 2.0) -> Result:
    """Time `ours` and `peer` by turns for about `seconds`, so that both see the same load; in microseconds a call."""
    repeats = {}
    for contender in (ours, peer):
        for _ in range(5):
            contender()
        # A turn is long enough that what the other left in the caches and in the allocator does not count.
        repeats[contender] = max(1, round(TURN_SECONDS / _time(contender, 3)))
    times: dict[Callable[[], object], list[float]] = {ours: [], peer: []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[peer]) < 5:
        for contender in (ours, peer):
            times[contender].append(_time(contender, repeats[contender]) * 1e6)
    mine, theirs = statistics.median(times[ours]), statistics.median(times[peer])
    return Result(name, round(mine, 2), round(theirs, 2), round(theirs / mine, 3), "µs")


def rates(name: str, ours: Callable[[int], float], peer: Callable[[int], float], *, turns: int, unit: str) -> Result:
    """Medians of `turns` rates of `ours` and `peer`, taken by turns; each is given the number of the turn as a seed."""
    mine: list[float] = []
    theirs: list[float] = []
    for turn in range(turns):
        mine.append(ours(turn))
        theirs.append(peer(turn))
    median, other = statistics.median(mine), statistics.median(theirs)
    return Result(name, round(median, 1), round(other, 1), round(median / other, 3), unit)


def durations(name: str, ours: Callable[[int], float], peer: Callable[[int], float], turns: int) -> Result:
    """Medians of `turns` durations in seconds, taken by turns, and of their ratios; each is given its turn's number."""
    pairs = [(ours(turn), peer(turn)) for turn in range(turns)]
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Result(name, round(mine, 2), round(theirs, 2), round(statistics.median(b / a for a, b in pairs), 3), "s")


def main(benchmark: Callable[[], list[Result]], description: str) -> None:
    """Run a benchmark as a program: a table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="a JSON list in place of a table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results = benchmark()
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], ensure_ascii=False, indent=2))
        return
    print(description)
    wide = max(len(result.name) for result in results)
    for result in results:
        print(
            f"  {result.name:<{wide}}  {result.ours:>12,.2f} {result.peer:>12,.2f} {result.unit}  ×{result.ratio:.2f}"
        )


def _time(call: Callable[[], object], repeats: int) -> float:
    """Seconds a call, over `repeats` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
