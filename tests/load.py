"""A machine that has other things to do."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
