"""The log of a run: written by its process, kept small, read by pages."""

import fcntl
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from v3core.jobs.files import log_file
from v3core.jobs.shipped_logs import read_end, rotated
from v3core.places import Bucket, Place, place_here

LIMIT_BYTES = 5 * 1024 * 1024
"""A log is rotated once it is larger; so a run's logs stay below twice this, and what is printed in a second."""
_STDERR = 2
_BLOCK_BYTES = 64 * 1024

logger = logging.getLogger("v3core.run")


@contextmanager
def logging_to(file: Path | None) -> Iterator[None]:
    """Send the run's log to a file, or to stderr, which is where the launcher has put a worker's log file.

    A log that cannot be written, on a full disk for instance, stops nothing.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(file, encoding="utf-8", maxBytes=LIMIT_BYTES, backupCount=1)
    # A trace of a line that does not fit on the disk would tear a progress bar, or go to the very same file.
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # noqa: ARG005
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


def read_log_tail(run_id: str, lines: int = 200, place: Place | None = None) -> str:
    """The newest lines of a run's log; empty if it has none yet. Reads no more of a long log than it needs.

    `place` is that of the files, by default that of V3_DATA_DIR.
    """
    place = place or place_here()
    if isinstance(place, Bucket):
        tail = read_end(place, run_id, lines)
    else:
        file = log_file(run_id, place.folder)
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


def rotate_if_large(file: Path, limit: int = LIMIT_BYTES) -> bool:
    """If this process's stderr is `file` and larger than `limit` bytes, move its content to `rotated(file)`.

    The content is copied and the file truncated, not renamed: the simulators that an environment starts hold the same
    file open and cannot be made to open another. What is printed between the copy and the truncation is lost. Costs
    one fstat if there is nothing to do; never raises because of the disk. Returns whether it was rotated.
    """
    try:
        log = os.fstat(_STDERR)
        if log.st_size <= limit or not os.path.samestat(log, file.stat()):
            return False
        # Without O_APPEND the next write would go to the old place, after a hole as large as what was cut.
        if not fcntl.fcntl(_STDERR, fcntl.F_GETFL) & os.O_APPEND:
            return False
        with file.open("rb", buffering=0) as source, rotated(file).open("wb", buffering=0) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        os.truncate(file, 0)
    except OSError:  # the disk is full, or the folder was deleted: training continues, and so does the old log
        return False
    return True
