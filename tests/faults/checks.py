"""What must hold of a store whatever was killed."""

import sqlite3
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


def database_file(database: Database) -> Path:
    """The SQLite file."""
    return Path(database.describe())
