"""Which process a run belongs to, and whether that very process is still there."""

import os
import signal
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_SAME_START_SECONDS = 0.9
"""Two processes of one pid cannot have started so close together: pids are not reused that fast."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from any other that had or will have its pid."""

    host: str
    boot_id: str
    """The machine's start; empty where the system has no such id."""
    pid: int | None
    """None while the launcher has not started it yet."""
    started: float | None
    """Seconds; comparable only within one boot of one host."""


def this_host() -> str:
    """The machine's name."""
    return socket.gethostname()


@cache
def this_boot() -> str:
    """An id that changes when the machine is started again; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def current() -> ProcessIdentity:
    """This process."""
    return of_pid(os.getpid())


def process_values() -> dict[str, str | int | float | None]:
    """This process, as the columns of `runs` that say whose a run is."""
    mine = current()
    return {"host": mine.host, "boot_id": mine.boot_id, "pid": mine.pid, "pid_started": mine.started}


def of_pid(pid: int) -> ProcessIdentity:
    """The process that has this pid now."""
    return ProcessIdentity(this_host(), this_boot(), pid, _started(pid))


def is_alive(identity: ProcessIdentity) -> bool | None:
    """Whether that very process still runs; None if this machine cannot know, because it is another's."""
    if identity.host != this_host():
        return None
    if identity.boot_id != this_boot() or identity.pid is None or identity.started is None:
        return False
    started = _started(identity.pid)
    return started is not None and abs(started - identity.started) < _SAME_START_SECONDS


def send_signal(identity: ProcessIdentity, number: signal.Signals, *, whole_group: bool = False) -> bool:
    """Signal that very process; returns whether it was there.

    Args:
        identity: the process.
        number: e.g. signal.SIGTERM.
        whole_group: also the processes it started, if it leads a group of its own.
    """
    if not is_alive(identity) or identity.pid is None:
        return False
    try:
        # A worker leads its own group. A foreground run shares the group of the shell script that started it.
        if whole_group and os.getpgid(identity.pid) == identity.pid:
            os.killpg(identity.pid, number)
        else:
            os.kill(identity.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _started(pid: int) -> float | None:
    """When the process started, in seconds; None if there is none, or only its zombie."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        # Counted from the boot, so that setting the clock does not change it (psutil's create_time does change).
        state, *numbers = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if state in {"Z", "X"} else int(numbers[18]) / os.sysconf("SC_CLK_TCK")
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
