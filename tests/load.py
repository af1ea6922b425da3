"""A machine that has other things to do, and how much of the time it gave to a process."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROCESSES = 2
"""As many as there are cores on a small machine."""


@contextmanager
def busy_machine() -> Iterator[None]:
    """Two processes never rest meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(PROCESSES)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def time_given(pid: int | None = None) -> float:
    """A clock, in seconds, that stands still while threads of a process are ready to run and must wait for a processor.

    On an idle machine it is `time.monotonic`; on a busy one a deadline by this clock asks no more of the process than
    the machine has let it do. Without a pid, of this process.
    """
    waited = 0
    for thread in Path(f"/proc/{pid or os.getpid()}/task").glob("*/schedstat"):
        try:
            waited += int(thread.read_text().split()[1])
        except OSError:  # the thread has ended
            continue
    return time.monotonic() - waited / 1e9
