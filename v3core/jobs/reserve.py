"""A megabyte put by while a run trains, so that on a full disk there is room to write how the run ended."""

import os
from contextlib import suppress
from pathlib import Path

from v3core.errors import V3Error

RESERVE_BYTES = 1 << 20
"""The end of a run changes some ten pages of the database, 4 KiB each. The rest is for a checkpoint of the WAL."""


def hold_reserve(folder: Path) -> None:
    """Write the file `reserve` into a run's folder, if it is not there in full already.

    Raises:
        V3Error: if there is no room for it.
    """
    file = folder / "reserve"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size == RESERVE_BYTES:
            return
        with file.open("wb") as target:
            target.write(os.urandom(RESERVE_BYTES))  # zeros could be stored without taking any room
            target.flush()
            os.fsync(target.fileno())  # some file systems learn only here that the disk is full
    except OSError as error:
        release_reserve(folder)
        raise V3Error(
            f"The run's folder {folder} cannot be written: {error.strerror or error}; free some space or fix its "
            "permissions."
        ) from None


def release_reserve(folder: Path) -> None:
    """Delete the file, so that the disk has room for one last transaction. Does no harm when repeated; never raises.

    On a full disk call it within that transaction, before its first write: nobody else can then commit, and use up
    the room, in between.
    """
    with suppress(OSError):
        (folder / "reserve").unlink(missing_ok=True)
