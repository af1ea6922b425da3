"""A log stays small whoever prints, and its newest lines are always there."""

import errno
import itertools
import os
import re
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from tests.disks import fill, small_disk
from v3core.jobs import logs
from v3core.jobs.logs import logger, logging_to, read_log_tail, rotate_if_large, rotated
from v3core.places import Place

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 100_000

# Prints megabytes by print, by os.write and from a child that lives as long as it, rotating as a heartbeat would.
PRINTER = """
import os, subprocess, sys
from pathlib import Path
from v3core.jobs.logs import rotate_if_large

file, limit, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
lines = "import sys; [print(f'child {line.strip()} ' + 'x' * 90, flush=True) for line in sys.stdin]"
child = subprocess.Popen([sys.executable, "-c", lines], stdin=subprocess.PIPE, text=True)
for number in range(rounds):
    for _ in range(20):
        print(f"print {number} " + "x" * 90)
        print(f"error {number} " + "x" * 90, file=sys.stderr)
        os.write(1, f"write {number} {'x' * 90}\\n".encode())
    print(number, file=child.stdin, flush=True)
    rotate_if_large(file, limit)
child.stdin.close()
child.wait()
print("The end.")
"""


def start(script, file, *arguments, mode="ab"):
    """Run a script with its output in the file, as the launcher does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with file.open(mode) as output:
        return subprocess.run(
            [sys.executable, "-c", script, str(file), *map(str, arguments)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            check=False,
        )


@pytest.fixture
def log(tmp_path):
    """The file of run `r` in a data folder."""
    file = tmp_path / "runs" / "r" / "worker.log"
    file.parent.mkdir(parents=True)
    return file


def test_megabytes_from_everywhere_stay_below_the_limit_and_end_with_the_newest_lines(log, tmp_path):
    assert start(PRINTER, log, LIMIT, 1500).returncode == 0  # 9 MB
    assert log.stat().st_size < 2 * LIMIT
    assert LIMIT < rotated(log).stat().st_size < 2 * LIMIT
    assert not log.read_bytes().count(b"\0"), "a hole"

    tail = read_log_tail("r", 10**6, place=Place(tmp_path))
    assert tail.endswith("\nThe end.")
    found = re.findall(r"(print|error|write|child) (\d+) x{90}", tail)
    for source in ("print", "error", "write"):
        numbers = [int(number) for kind, number in found if kind == source]
        first = numbers[0] + 1  # of the first there may be a part
        assert numbers[-20 * (1500 - first) :] == [number for number in range(first, 1500) for _ in range(20)]
    child = [int(number) for kind, number in found if kind == "child"]
    assert child == sorted(child)
    assert child[-1] == 1499
    assert len(gaps(child)) <= 1, "more is lost than what falls between the last copy and its cut"


def gaps(numbers):
    """Where numbers are left out: the last one before."""
    return [number for number, following in pairwise(numbers) if following != number + 1]


def test_a_small_log_is_left_alone(log):
    assert start(PRINTER, log, 10**9, 10).returncode == 0
    assert not rotated(log).exists()


def test_output_that_goes_elsewhere_is_left_alone(log, monkeypatch):
    log.write_text("x" * 10)
    with log.with_name("other.log").open("ab") as other:
        other.write(b"x" * 10)
        other.flush()
        monkeypatch.setattr(logs, "_STDERR", other.fileno())
        assert not rotate_if_large(log, 5)
    assert log.read_text() == "x" * 10


def test_a_file_that_was_not_opened_for_appending_gets_no_hole(log):
    assert start(PRINTER, log, LIMIT, 100, mode="wb").returncode == 0
    assert not rotated(log).exists()
    assert not log.read_bytes().count(b"\0")


def test_a_deleted_folder_does_not_stop_the_process(log):
    script = "import shutil, sys; shutil.rmtree(sys.argv[1].rpartition('/')[0]);" + PRINTER
    assert start(script, log, LIMIT, 100).returncode == 0
    assert not log.parent.exists()


def test_a_disk_without_room_for_the_copy_keeps_the_log(log, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log.write_text("x" * 10)
    monkeypatch.setattr(logs.shutil, "copyfileobj", no_room)
    with log.open("ab") as output:
        monkeypatch.setattr(logs, "_STDERR", output.fileno())
        assert not rotate_if_large(log, 5)
        assert log.read_text() == "x" * 10
        monkeypatch.undo()
        monkeypatch.setattr(logs, "_STDERR", output.fileno())
        assert rotate_if_large(log, 5)
    assert log.read_text() == ""
    assert rotated(log).read_text() == "x" * 10


def test_the_tail_reads_on_in_the_older_part(log, tmp_path):
    rotated(log).write_text("1\n2\n3\n4 is c")
    log.write_text("ut\n5\n")
    assert read_log_tail("r", 3, place=Place(tmp_path)).splitlines() == ["3", "4 is cut", "5"]
    assert read_log_tail("r", 1, place=Place(tmp_path)) == "5"
    assert len(read_log_tail("r", 100, place=Place(tmp_path)).splitlines()) == 5


def test_lines_of_other_threads_are_lost_only_in_the_moment_of_the_cut(log, monkeypatch):
    """The price of the copy: of a thread that prints without a pause, one stretch at each rotation, and it is short."""
    written, enough, moments = itertools.count(), threading.Event(), []
    copy, cut = logs.shutil.copyfileobj, logs.os.truncate

    def copied(*arguments):
        copy(*arguments)
        moments.append(-time.thread_time())

    def is_cut(*arguments):
        moments[-1] += time.thread_time()
        cut(*arguments)

    monkeypatch.setattr(logs.shutil, "copyfileobj", copied)
    monkeypatch.setattr(logs.os, "truncate", is_cut)
    with log.open("ab", buffering=0) as output:
        monkeypatch.setattr(logs, "_STDERR", output.fileno())
        kept = []

        def write():
            while not enough.is_set():
                output.write(f"{next(written):09d}\n".encode())

        writer = threading.Thread(target=write)
        writer.start()
        while len(moments) < 20:
            if rotate_if_large(log, 20_000):
                kept += rotated(log).read_bytes().splitlines()
        enough.set()
        writer.join()
    kept += log.read_bytes().splitlines()
    complete = [int(line) for line in kept if len(line) == 9]  # a copy may end in the middle of a line
    numbers = [-1, *complete, next(written)]
    assert numbers == sorted(set(numbers))
    assert len(gaps(numbers)) <= len(moments)
    assert median(moments) < 0.001


def test_a_foreground_run_rotates_its_log(log, monkeypatch):
    monkeypatch.setattr(logs, "LIMIT_BYTES", 2000)
    with logging_to(log):
        for number in range(200):
            logger.info("Line %d.", number)
    assert log.stat().st_size <= 2000
    assert rotated(log).stat().st_size <= 2000
    assert log.read_text().endswith("Line 199.\n")


def test_a_log_file_on_a_full_disk_stops_nothing(tmp_path, capfd):
    with small_disk(tmp_path / "disk") as disk:
        (disk / "worker.log").touch()
        fill(disk)
        with logging_to(disk / "worker.log"):
            logger.info("No room.")
            logger.info("Still none.")
        assert not (disk / "worker.log").stat().st_size
    assert capfd.readouterr() == ("", "")


def test_a_worker_whose_log_is_on_a_full_disk_goes_on(tmp_path):
    script = """
import sys
from v3core.jobs.logs import logger, logging_to
with logging_to(None):
    logger.info("No room.")
    logger.exception("Still none.")
"""
    with small_disk(tmp_path / "disk") as disk:
        (disk / "worker.log").touch()
        fill(disk)
        assert start(script, disk / "worker.log").returncode == 0
