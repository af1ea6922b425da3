"""Whether the system killed a process because memory ran out, which Linux reports only as a count."""

import math
import time
from pathlib import Path

RECENT_SECONDS = 3.0
"""From the decision to kill a process of many GiB until it is gone: one that lives longer was not meant."""

_CGROUPS = Path("/sys/fs/cgroup")
_PROCESSES = Path("/proc")
_WHOLE_MACHINE = _PROCESSES / "vmstat"


class MemoryKills:
    """The kills for memory in the control group of a process, or on the whole machine where groups are not counted."""

    def __init__(self, pid: int) -> None:
        """Start counting; earlier kills are ignored."""
        self._pid = pid
        self._file = _counter_of(pid)
        self._count = _read(self._file)
        self._rose_at, self._lived_at = -math.inf, time.monotonic()

    def look(self) -> None:
        """Call about once a second while the process lives: a kill is dated by the call that notices it."""
        file = _counter_of(self._pid)
        self._look()  # in its old group too: a process that was killed a moment ago may have left it
        if file != self._file:
            self._file, self._count = file, _read(file)
        self._lived_at = time.monotonic()

    def happened_lately(self) -> bool:
        """Whether one happened within the last seconds of the process, which may be gone by now.

        Since the last look nobody may have had time to notice that it is gone: what counts is how long it was seen
        alive after the kill.
        """
        self._look()
        return self._lived_at - self._rose_at < RECENT_SECONDS

    def _look(self) -> None:
        count = _read(self._file)
        if count > self._count:
            self._count, self._rose_at = count, time.monotonic()


def _counter_of(pid: int) -> Path:
    """The file with the count for a process: of its cgroup, version 1 or 2, if that is to be seen from here."""
    try:
        lines = (_PROCESSES / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return _WHOLE_MACHINE
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if "memory" in controllers.split(","):
            file = _CGROUPS / "memory" / group.lstrip("/") / "memory.oom_control"
        elif not controllers:
            file = _CGROUPS / group.lstrip("/") / "memory.events"
        else:
            continue
        if file.exists():
            return file
    return _WHOLE_MACHINE


def _read(file: Path) -> int:
    """The count; 0 if unavailable."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
