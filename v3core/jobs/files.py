"""A run's files: their paths in `runs/<id>/` of the data folder, and a megabyte reserved while it trains."""

import os
from contextlib import suppress
from pathlib import Path

from v3core.errors import V3Error
from v3core.paths import data_dir
from v3core.store.database import Database

DELETED = ".deleted-"
"""What the name of a folder begins with while a deleted run's files are being removed."""
RESERVE_BYTES = 1 << 20
"""The end of a run changes some ten pages of the database, 4 KiB each. The rest is for a checkpoint of the WAL."""


def run_folder(run_id: str, folder: Path | None = None) -> Path:
    """The run's folder; `folder` is the data folder, by default that of V3_DATA_DIR."""
    return (folder or data_dir()) / "runs" / run_id


def log_file(run_id: str, folder: Path | None = None) -> Path:
    """The log of the run's worker."""
    return run_folder(run_id, folder) / "worker.log"


def checkpoint_file(database: Database, run_id: str, episode: int) -> Path:
    """The checkpoint of that episode count."""
    return run_folder(run_id, database.data_dir) / "checkpoints" / f"episode-{episode:08d}.pt"


def hold_reserve(folder: Path) -> None:
    """Write `reserve` into a run's folder, so that its end can be written on a full disk; V3Error if there is no space.

    Does nothing if it is there in full already.
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
            "The run's folder {folder} cannot be written: {value}; free some space or fix its permissions.",
            folder=folder,
            value=error.strerror or error,
        ) from None


def release_reserve(folder: Path) -> None:
    """Delete the file, so that the disk has space for one last transaction. Can be repeated; never raises.

    On a full disk call it within that transaction, before its first write: then nobody else can commit, and use up
    the space, in between.
    """
    with suppress(OSError):
        (folder / "reserve").unlink(missing_ok=True)
