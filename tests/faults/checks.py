"""What must hold of a store whatever was killed."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from v3core.store.database import Database


def assert_sound(database: Database) -> None:
    """SQLite finds nothing wrong with the file."""
    with sqlite3.connect(database_file(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def committed(database: Database, run_id: str) -> list[tuple[object, ...]]:
    """The recorded episodes of a run, in order: enough of each to tell it from any other."""
    with sqlite3.connect(database_file(database)) as connection:
        query = 'SELECT episode, at, step, "return", length, total_loss FROM episodes WHERE run_id = ? ORDER BY episode'
        rows = connection.execute(query, (run_id,)).fetchall()
    connection.close()
    return rows


def newest_at(database: Database, run_id: str) -> datetime:
    """When the newest of a run's episodes was committed; long ago if it has none."""
    with sqlite3.connect(database_file(database)) as connection:
        query = "SELECT at FROM episodes WHERE run_id = ? ORDER BY episode DESC LIMIT 1"
        row = connection.execute(query, (run_id,)).fetchone()
    connection.close()
    return datetime.fromisoformat(row[0]).replace(tzinfo=UTC) if row else datetime.min.replace(tzinfo=UTC)


def holds_lock(database: Database, pid: int) -> bool:
    """Whether a process is in the middle of a write: it has SQLite's lock on byte 120 of the index of the log."""
    index = database_file(database).with_name(f"{database_file(database).name}-shm").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        *_, kind, owner, file, first, last = line.replace("EOF", "0").split()
        if (kind, int(owner), int(file.rpartition(":")[2])) == ("WRITE", pid, index) and int(first) <= 120 <= int(last):
            return True
    return False


def database_file(database: Database) -> Path:
    """The SQLite file."""
    return Path(database.describe())
