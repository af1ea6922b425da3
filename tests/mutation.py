"""Mutation testing: `make mutation MODULE=training FILE=rollout` changes code in small ways, and runs its tests.

A mutant that no test notices is printed as a diff; docs/testing.md has the scores.

pytest collects the tests once. A process that is forked from it runs all of them, which shows the lines that each
executes. Then one is forked for each mutant, which changes the functions in place: there the tests that execute the
changed lines run until one fails, the quickest first.
"""

import argparse
import os
import resource
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any

import pytest
from coverage import Coverage

from tests.mutants import Mutant, mutants_of

SEED = 17
"""Of the sample: the same code has the same mutants."""
OF_A_MODULE, OF_A_FILE = 10, 60
"""Mutants of each file at most: of all files of a module, or of the one that is named."""
SECONDS = 10.0
"""Of tests for a mutant of a sample."""
AT_ONCE = 2
_LEAST_SECONDS, _MOST_SECONDS = 60, 10_000
"""Of processor time: of a mutant, besides ten times its tests, and of all tests without a change."""
_PYTEST = ("-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutation")
_CHOICE = ("-m", "not slow and not browser and not long", "-k", "not postgresql")
_FORK = get_context("fork")


@dataclass(frozen=True)
class Module:
    """What is changed, and the tests that are to notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


MODULES = {
    "training": Module(("v3core/training/*.py",), ("tests/training", "tests/jobs/test_checkpoints.py")),
    "curriculum": Module(("v3core/curriculum/*.py",), ("tests/curriculum", "tests/charts/test_series.py")),
    "charts": Module(("v3core/charts/*.py",), ("tests/charts", "tests/ui/test_drawn_numbers.py")),
    "insight": Module(
        ("v3core/insight/*.py", "v3core/insight/alarms/*.py"),
        (
            *("tests/insight", "tests/ui/test_drawn_numbers.py", "tests/charts/test_step_view.py"),
            *("tests/training/test_explaining.py", "tests/training/test_expert_report.py"),
        ),
    ),
    "comparison": Module(("v3core/comparison/*.py",), ("tests/comparison",)),
    "rollups": Module(
        ("v3core/rollup.py", "v3core/store/rollups.py"),
        (
            *("tests/test_rollup.py", "tests/jobs/test_forks.py", "tests/archive/test_round_trip.py"),
            *(f"tests/store/test_{name}.py" for name in ("rollups", "curve", "phase_sums", "truncate")),
        ),
    ),
}


class Forked:
    """A process that does `work` and prints nothing; after `seconds` of processor time it is killed."""

    def __init__(self, work: Callable[[], object], seconds: float) -> None:
        self.answer, theirs = _FORK.Pipe(duplex=False)
        self._process = _FORK.Process(target=self._run, args=(work, round(seconds), theirs))
        self._process.start()
        theirs.close()

    @staticmethod
    def _run(work: Callable[[], object], seconds: int, to: Connection) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        to.send(work())

    def result(self) -> Any:
        """What `work` returned, which is waited for; None if it died."""
        try:
            return self.answer.recv()
        except EOFError:
            return None
        finally:
            self._process.join()


@dataclass
class Seen:
    """The tests as they are."""

    lines: dict[Path, dict[int, list[str]]] = field(default_factory=dict)
    """The tests that execute each line of a file."""
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def quickest(self, mutant: Mutant, seconds: float) -> list[str]:
        """The tests that execute what is changed, as many as take so long, at least one if there is one."""
        lines = self.lines[mutant.path]
        found = {test for line in mutant.lines for test in lines.get(line, ())} & {*self.seconds}
        tests = sorted(found, key=lambda test: self.seconds[test])
        ends = list(accumulate(self.seconds[test] for test in tests))
        return tests[: max(1, bisect_right(ends, seconds))]


@dataclass
class Trials:
    """A plugin that tries mutants instead of running the tests once."""

    mutants: Sequence[Mutant]
    seconds: float
    """Of tests for each."""
    seen: Seen = field(default_factory=Seen)
    unnoticed: int = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a test is over."""
        self.seen.seconds[report.nodeid] = self.seen.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.seen.failed.append(report.nodeid)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """All tests are collected."""
        if session.testsfailed:
            raise session.Failed("Some tests cannot be collected.")
        seen: Seen | None = Forked(partial(self._executed, session.items), _MOST_SECONDS).result()
        if seen is None or seen.failed:
            raise session.Failed(f"These fail without a change: {' '.join(seen.failed if seen else ['all'])}")
        items = {item.nodeid: item for item in session.items}
        for mutant in self._unnoticed(seen, items):
            self.unnoticed += 1
            print(f"\n{mutant.name} {mutant.path}\n{mutant.diff}", flush=True)
        return True

    def _run(self, items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
        """Run tests, each when it is asked for, and print nothing."""
        if items:
            items[0].config.pluginmanager.unregister(name="terminalreporter")
        for item, following in zip(items, [*items[1:], None], strict=False):
            yield item
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _executed(self, items: Sequence[pytest.Item]) -> Seen:
        paths = sorted({mutant.path for mutant in self.mutants})
        coverage = Coverage(data_file=None, include=[str(path.resolve()) for path in paths])
        coverage.start()
        for item in self._run(items):
            coverage.switch_context(item.nodeid)
        coverage.stop()
        data = coverage.get_data()
        self.seen.lines = {path: data.contexts_by_lineno(str(path.resolve())) for path in paths}
        return self.seen

    def _survives(self, mutant: Mutant, items: Sequence[pytest.Item]) -> bool:
        mutant.apply()
        return not any(self.seen.failed for _ in self._run(items)) and not self.seen.failed

    def _unnoticed(self, seen: Seen, items: dict[str, pytest.Item]) -> Iterator[Mutant]:
        """Mutants with which no test fails, crashes or takes ten times the processor time."""
        waiting = [(mutant, seen.quickest(mutant, self.seconds)) for mutant in self.mutants]
        running: dict[Connection, tuple[Forked, Mutant]] = {}
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                mutant, tests = waiting.pop(0)
                limit = _LEAST_SECONDS + 10 * sum(seen.seconds[test] for test in tests)
                trial = Forked(partial(self._survives, mutant, [items[test] for test in tests]), limit)
                running[trial.answer] = trial, mutant
            for answer in [each for each in wait(running) if isinstance(each, Connection)]:
                trial, mutant = running.pop(answer)
                if trial.result():
                    yield mutant


def main() -> None:
    """Try a sample of the mutants of a module or of one of its files, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("module", choices=MODULES)
    parser.add_argument("--file", help="name of one file of the module, without .py")
    parser.add_argument("--tests", nargs="*", help="instead of all tests of the module")
    parser.add_argument("--mutants", nargs="*", help="names of mutants, to be tried with all of these tests")
    asked = parser.parse_args()
    module = MODULES[asked.module]
    drawn: list[Mutant] = []
    for path in [path for pattern in module.files for path in sorted(Path().glob(pattern))]:
        if asked.file in (None, path.stem):
            made, most = mutants_of(path), OF_A_FILE if asked.file else OF_A_MODULE
            named = [mutant for mutant in made if mutant.name in (asked.mutants or ())]
            drawn += named or Random(f"{SEED} {path.as_posix()}").sample(made, min(most, len(made)))
    trials = Trials(drawn, inf if asked.mutants else SECONDS)
    if pytest.main([*_PYTEST, *_CHOICE, *(asked.tests or module.tests)], plugins=[trials]) != pytest.ExitCode.OK:
        sys.exit(1)
    print(f"\n{len(drawn) - trials.unnoticed} of {len(drawn)} mutants were noticed.")


if __name__ == "__main__":
    main()
