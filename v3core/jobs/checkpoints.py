"""Which checkpoints of a run are kept, and which one it goes on from."""

from collections.abc import Collection, Sequence

from v3core.store.database import Database, Transaction
from v3core.store.history import CheckpointRow, checkpoints_of

KEEP_NEWEST = 2
KEEP_SPREAD = 20


def newest_usable(db: Database, tx: Transaction, run_id: str) -> CheckpointRow | None:
    """The newest checkpoint whose file is really there."""
    for checkpoint in reversed(checkpoints_of(tx, run_id)):
        file = db.data_dir / checkpoint.path
        if file.is_file() and file.stat().st_size > 0:
            return checkpoint
    return None


def superseded(episodes: Sequence[int], boundaries: Collection[int], spread: int = KEEP_SPREAD) -> list[int]:
    """The checkpoints to delete, so that a long run does not fill the disk.

    Kept are the newest two, all at phase boundaries, and of the others so many, as evenly spread as may be.

    Args:
        episodes: episode counts of the checkpoints, ascending.
        boundaries: episode counts at which a phase began.
        spread: how many of the others are kept.
    """
    kept = list(episodes)
    deleted: list[int] = []
    while True:
        # Each with the distance between its neighbours: the hole that deleting it would leave.
        holes = [
            (kept[place + 1] - (kept[place - 1] if place else 0), kept[place])
            for place in range(len(kept) - KEEP_NEWEST)
            if kept[place] not in boundaries
        ]
        if len(holes) <= spread:
            return deleted
        unneeded = min(holes)[1]
        kept.remove(unneeded)
        deleted.append(unneeded)
