"""Which checkpoints of a run are kept, and which one it continues from."""

import os
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from v3core.errors import V3Error
from v3core.store.database import Database
from v3core.store.history import CheckpointRow, read_checkpoints
from v3core.store.schema import Transaction

KEEP_NEWEST = 2
KEEP_SPREAD = 20


def kept_checkpoints() -> tuple[int, int]:
    """How many of the newest checkpoints are kept, and how many of the others, not counting those at phase boundaries.

    V3_KEEP_CHECKPOINTS=K, a positive number, keeps the newest K and no others; unset, the newest two and a spread of
    twenty.
    """
    text = os.environ.get("V3_KEEP_CHECKPOINTS")
    if not text:
        return KEEP_NEWEST, KEEP_SPREAD
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise V3Error("V3_KEEP_CHECKPOINTS is '{text}'; set it to a whole number, 1 or more.", text=text)
    return int(text), 0


def is_whole(file: Path) -> bool:
    """Whether a checkpoint file is there and its checksums are right; only loading it shows whose it is."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except Exception:  # a damaged archive makes zipfile raise anything
        return False


def is_intact(database: Database, file: Path) -> bool:
    """As `is_whole`, wherever the file is."""
    return is_whole(database.place.bring(file))


def is_present(database: Database, file: Path) -> bool:
    """Whether a checkpoint file is there, whole or not."""
    return database.place.has(file)


def whole_checkpoints(database: Database, run_id: str, tx: Transaction | None = None) -> Iterator[CheckpointRow]:
    """The intact checkpoints, newest first; each file is checked when it is reached."""
    rows = read_checkpoints(database if tx is None else tx, run_id)
    return (row for row in reversed(rows) if is_intact(database, database.data_dir / row.path))


def newest_whole(database: Database, run_id: str, tx: Transaction | None = None) -> CheckpointRow | None:
    """The checkpoint that a resume would continue from: the newest whose file is whole."""
    return next(whole_checkpoints(database, run_id, tx), None)


def newest_present(database: Database, run_id: str, tx: Transaction) -> CheckpointRow | None:
    """The newest checkpoint whose file is there, whole or not: for lists, which cannot read every file."""
    rows = reversed(read_checkpoints(tx, run_id))
    return next((row for row in rows if is_present(database, database.data_dir / row.path)), None)


def superseded(
    episodes: Sequence[int], boundaries: Collection[int], spread: int = KEEP_SPREAD, newest: int = KEEP_NEWEST
) -> list[int]:
    """The checkpoints to delete, so that a long run does not fill the disk.

    Of `episodes`, the episode counts of the checkpoints in ascending order, the `newest` are kept, all at phase
    `boundaries`, and of the others as many as `spread`, as evenly spread as possible.
    """
    kept = list(episodes)
    deleted: list[int] = []
    while True:
        # Each with the distance between its neighbours: the hole that deleting it would leave.
        holes = [
            (kept[place + 1] - (kept[place - 1] if place else 0), kept[place])
            for place in range(len(kept) - newest)
            if kept[place] not in boundaries
        ]
        if len(holes) <= spread:
            return deleted
        unneeded = min(holes)[1]
        kept.remove(unneeded)
        deleted.append(unneeded)
