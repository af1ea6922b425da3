"""The processes that a test's store has set going."""

import dataclasses
import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from tests.waiting import wait_for
from v3core.jobs import identity


def another_host(name: str = "another") -> identity.ProcessIdentity:
    """A process of a machine that has nothing in common with this one."""
    return dataclasses.replace(identity.current(), host=name, machine=name, boot_id=name)


def processes_of(folder: Path) -> list[psutil.Process]:
    """All that live and were started for this data folder: monitors, workers, and what environments started.

    They are known by their environment, which they inherit, or by naming the folder on their command line.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            named = any(str(folder) in word for word in process.cmdline())
            if named or process.environ().get("V3_DATA_DIR") == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def monitor_of(worker: int) -> psutil.Process:
    """The process that waits for a worker: its parent."""
    parent = psutil.Process(worker).parent()
    assert parent is not None
    assert "worker" in parent.cmdline(), parent.cmdline()
    return parent


def suspend(pid: int) -> None:
    """Stop a process where it is; returns once none of its threads runs any more."""

    def stopped() -> bool:
        states = [file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")]
        return set(states) <= {"T", "Z"}

    os.kill(pid, signal.SIGSTOP)
    wait_for(stopped, f"process {pid} stops", pause=0.0001)


def kill_all(folder: Path) -> None:
    """Kill all that was started for this data folder, and what that starts meanwhile.

    Killing workers alone would not do: their monitors start what waits in the queue.
    """

    def none_left() -> bool:
        alive = processes_of(folder)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return not alive

    wait_for(none_left, "the end of all processes")
