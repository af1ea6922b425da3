"""Keeping a worker's log small while it is written, also by code that knows nothing of logging."""

import fcntl
import os
import shutil
from pathlib import Path

LIMIT_BYTES = 5 * 1024 * 1024
"""A log is rotated once it is larger; so a run's logs stay below twice this, and what is printed in a second."""
_STDERR = 2


def rotated(file: Path) -> Path:
    """Where the older part of a log lies: `worker.log.1` beside `worker.log`."""
    return file.with_name(f"{file.name}.1")


def rotate_if_large(file: Path, limit: int = LIMIT_BYTES) -> bool:
    """If this process's stderr is `file` and has grown too large, move what it holds to `rotated(file)`.

    The content is copied and the file cut to nothing, instead of being renamed: the simulators that an environment
    starts hold the same file open and cannot be told to open another. What is printed in the moment between the copy
    and the cut is lost. Costs one fstat if there is nothing to do; never raises because of the disk.

    Args:
        file: the log that the launcher opened for appending as stdout and stderr.
        limit: bytes.

    Returns:
        Whether it was rotated.
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
    except OSError:  # the disk is full, or the folder was deleted: training goes on, and so does the old log
        return False
    return True
