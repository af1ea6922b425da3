"""Which process a run belongs to, and whether exactly that process is still alive."""

import hashlib
import os
import signal
import socket
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import psutil

from v3core.store.run_row import RunRow

_SAME_START_SECONDS = 0.9
"""Two processes of one pid cannot have started so close together: pids are not reused that fast."""
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""That of a machine itself, the same on every Linux; a container has another."""
_BY_NAME = "name:"
"""Prefix of the id of a machine without an id of its own; its host name follows."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, distinguished from any other that had or will have its pid; its fields are columns of `runs`.

    Boot, pid namespace, pid and time of the start decide. The host's name is a label: it may change, two may share it.
    """

    host: str
    boot_id: str
    """The machine's start; empty where the system has no such id."""
    pid: int | None
    """None while the launcher has not started it yet."""
    pid_started: float | None
    """Seconds; comparable only within one boot of one host."""
    machine: str = ""
    """What stays the same over restarts; empty in rows of schema 4 and before."""
    pid_namespace: str = ""
    """In which its pid counts: containers of one machine share its boot, not its pids; empty in rows as above."""
    node: str = ""
    """The node of a cluster that started it, which alone can say whether it lives; empty for one of no cluster."""
    node_address: str = ""


def this_host() -> str:
    """The machine's name."""
    return socket.gethostname()


@cache
def this_boot() -> str:
    """An id that changes when the machine is started again; empty where the system has none."""
    return _read("/proc/sys/kernel/random/boot_id")


@cache
def this_pid_namespace() -> str:
    """The namespace that this process's pid belongs to; empty where the system has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def this_node() -> str:
    """The node of a cluster that started this process; empty if none did."""
    return os.environ.get("V3_NODE", "")


def this_node_address() -> str:
    """The network address of that node."""
    return os.environ.get("V3_NODE_ADDRESS", "")


def this_machine() -> str:
    """What this machine is known by over restarts and new names; a container by its name, which restarts keep."""
    return _machine_id() or f"{_BY_NAME}{this_host()}"[:64]


@cache
def _machine_id() -> str:
    """Made from systemd's id of the machine, which is confidential. Not in a container, which has that of its image."""
    if this_pid_namespace() != _INITIAL_PID_NAMESPACE:
        return ""
    found = _read("/etc/machine-id") or _read("/var/lib/dbus/machine-id")
    return hashlib.sha256(f"v3core:{found}".encode()).hexdigest()[:32] if found else ""


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def current() -> ProcessIdentity:
    """This process."""
    return of_pid(os.getpid())


NOWHERE = dict.fromkeys([*(field.name for field in fields(ProcessIdentity)), "heartbeat_at", "heartbeat_due_at"])
"""The columns of `runs` that identify the process of a run, for a run without one."""


def of_pid(pid: int) -> ProcessIdentity:
    """The process that has this pid now."""
    return ProcessIdentity(
        this_host(),
        this_boot(),
        pid,
        _started(pid),
        this_machine(),
        this_pid_namespace(),
        this_node(),
        this_node_address(),
    )


def process_of(run: RunRow) -> ProcessIdentity:
    """The process identity in the run's row."""
    return ProcessIdentity(
        run.host or "",
        run.boot_id or "",
        run.pid,
        run.pid_started,
        run.machine or "",
        run.pid_namespace or "",
        run.node or "",
        run.node_address or "",
    )


def is_here(run: RunRow) -> bool:
    """Whether a run belongs to this machine, under any host name; one that was never started does, or of a cluster."""
    if run.host is None or run.is_on_cluster:
        return True
    process = process_of(run)
    if is_alive(process) is not None:
        return True
    return process.machine == this_machine() if process.machine else process.host == this_host()


def is_alive(identity: ProcessIdentity) -> bool | None:
    """Whether that very process still runs; None if it cannot be known here: another machine's, container's, node's."""
    if identity.node and identity.node != this_node():
        return None
    if not _is_in_sight(identity):
        return False if _was_before_restart(identity) else None
    recorded, started = identity.pid_started, None if identity.pid is None else _started(identity.pid)
    if recorded is not None and started is not None and abs(started - recorded) < _SAME_START_SECONDS:
        return True
    # A row without a namespace may be of another container of this machine, whose pids mean nothing here.
    return False if identity.pid_namespace or identity.host == this_host() else None


def _is_in_sight(identity: ProcessIdentity) -> bool:
    """Whether its pid is one of those that this process sees."""
    if identity.boot_id != this_boot() or identity.pid_namespace not in {"", this_pid_namespace()}:
        return False
    return bool(identity.boot_id) or identity.host == this_host()


def _was_before_restart(identity: ProcessIdentity) -> bool:
    """Whether it certainly ran on this machine before that was restarted. Cloned machines and containers share ids."""
    if identity.boot_id == this_boot() or identity.host != this_host():
        return False
    return not identity.machine or (identity.machine == this_machine() and bool(_machine_id()))


def send_signal(identity: ProcessIdentity, number: signal.Signals, *, whole_group: bool = False) -> bool:
    """Signal that very process, or `whole_group` if it leads one; returns whether it was there."""
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
