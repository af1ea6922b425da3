"""The log of a run: written by its process, read by pages."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from v3core.jobs.files import log_file
from v3core.jobs.log_rotation import LIMIT_BYTES, rotated

_BLOCK_BYTES = 64 * 1024

logger = logging.getLogger("v3core.run")


class _FileHandler(RotatingFileHandler):
    """Rotates as a worker's log is rotated. A line for which the disk has no room is left out without a word."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8", maxBytes=LIMIT_BYTES, backupCount=1)

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: a trace on stderr would tear a progress bar."""


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes where the launcher has put the log. A line for which the disk has no room is left out."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: a trace would go to the very file that cannot be written."""


@contextmanager
def logging_to(file: Path | None) -> Iterator[None]:
    """Send the run's log to a file, or to stderr, which is where the launcher has put a worker's log file.

    A log that cannot be written, on a full disk for instance, stops nothing.
    """
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    handler = _FileHandler(file) if file else _StderrHandler(sys.stderr)
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
        with suppress(OSError):  # closing writes what is still in the buffer
            handler.close()


def read_log_tail(run_id: str, lines: int = 200, folder: Path | None = None) -> str:
    """The newest lines of a run's log; empty if it has none yet. Reads no more of a long log than it needs.

    Args:
        run_id: full id.
        lines: at most so many.
        folder: the data folder, by default that of V3_DATA_DIR.
    """
    file = log_file(run_id, folder)
    tail = _tail(file, lines)
    if tail.count(b"\n") <= lines:
        tail = _tail(rotated(file), lines) + tail
    return "\n".join(tail.decode("utf-8", errors="replace").splitlines()[-lines:])


def _tail(file: Path, lines: int) -> bytes:
    """The end of a file: more than `lines` line ends, or all of it."""
    try:
        with file.open("rb") as source:
            position = source.seek(0, 2)
            tail = b""
            while position > 0 and tail.count(b"\n") <= lines:
                start = max(0, position - _BLOCK_BYTES)
                source.seek(start)
                tail = source.read(position - start) + tail
                position = start
    except FileNotFoundError:
        return b""
    return tail
