"""The log of a run: written by its process, read by pages."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from v3core.jobs.files import log_file

_BLOCK_BYTES = 64 * 1024

logger = logging.getLogger("v3core.run")


@contextmanager
def logging_to(file: Path | None) -> Iterator[None]:
    """Send the run's log to a file, or to stderr, which is where the launcher has put a worker's log file."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def read_log_tail(run_id: str, lines: int = 200, folder: Path | None = None) -> str:
    """The newest lines of a run's log; empty if it has none yet. Reads no more of a long log than it needs.

    Args:
        run_id: full id.
        lines: at most so many.
        folder: the data folder, by default that of V3_DATA_DIR.
    """
    try:
        with log_file(run_id, folder).open("rb") as file:
            position = file.seek(0, 2)
            tail = b""
            while position > 0 and tail.count(b"\n") <= lines:
                start = max(0, position - _BLOCK_BYTES)
                file.seek(start)
                tail = file.read(position - start) + tail
                position = start
    except FileNotFoundError:
        return ""
    return "\n".join(tail.decode("utf-8", errors="replace").splitlines()[-lines:])
