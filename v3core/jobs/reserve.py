"""A megabyte reserved while a run trains, so that its end can be written on a full disk."""

import os
from contextlib import suppress
from pathlib import Path

from v3core.errors import V3Error

RESERVE_BYTES = 1 << 20
"""The end of a run changes some ten pages of the database, 4 KiB each. The rest is for a checkpoint of the WAL."""


def hold_reserve(folder: Path) -> None:
    """Write the file `reserve` into a run's folder, if it is not there in full already.

    Raises:
        V3Error: if there is not enough space for it.
    """
    file = folder / "reserve"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size == RESERVE_BYTES:
            return
        with file.open("wb") as target:
            target.write(os.urandom(RESERVE_BYTES))  # zeros might be stored without using any space
            target.flush()
            os.fsync(target.fileno())  # some file systems learn only here that the disk is full
    except OSError as error:
        release_reserve(folder)
        raise V3Error(
            f"The run's folder {folder} cannot be written: {error.strerror or error}; free some space or fix its "
            "permissions."
        ) from None


def release_reserve(folder: Path) -> None:
    """Delete the file, so that the disk has space for one last transaction. Can be repeated; never raises.

    On a full disk call it within that transaction, before its first write: nobody else can then commit, and use up
    the room, in between.
    """
    with suppress(OSError):
        (folder / "reserve").unlink(missing_ok=True)
