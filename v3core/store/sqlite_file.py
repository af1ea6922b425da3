"""The SQLite database as a file: a copy before a migration, checks for damage, and setting it aside."""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from itertools import count
from pathlib import Path

import psutil
from sqlalchemy import URL

from v3core.errors import V3Error
from v3core.store import dialect

FILES = ("", "-wal", "-shm", "-journal")
"""A SQLite database is up to four files: its name, with these behind it."""
MARGIN_BYTES = 16 << 20
"""Free space required in addition to the copy and the changes."""


def copy_before_schema(file: Path, version: int) -> Path:
    """Copy a database to `FILE.before-schema-N.partial`; `keep_copy` gives it its name.

    The copy is a consistent snapshot, even while others read or write; the caller keeps them from changing tables.

    Raises:
        V3Error: if there is not enough space for the copy and the changes.
        OSError, sqlite3.Error: if it cannot be written.
    """
    partial = file.with_name(f"{file.name}.before-schema-{version}.partial")
    _remove(partial)  # of a process that was killed over it
    _need_space(file)
    try:
        source = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        target = sqlite3.connect(partial)
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # a single file, without a journal next to it
        finally:
            target.close()
            source.close()
        shutil.copymode(file, partial)
    except BaseException:
        _remove(partial)
        raise
    return partial


def keep_copy(partial: Path) -> Path:
    """Name a copy `FILE.before-schema-N`, or `….1` and so on: no earlier copy is overwritten."""
    name = partial.name.removesuffix(".partial")
    candidates = (partial.with_name(name if number == 0 else f"{name}.{number}") for number in count())
    return partial.rename(next(path for path in candidates if not path.exists()))


def _remove(file: Path) -> None:
    for suffix in FILES:
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _need_space(file: Path) -> None:
    log = file.with_name(f"{file.name}-wal")
    size = file.stat().st_size + (log.stat().st_size if log.exists() else 0)
    needed = 2 * size + MARGIN_BYTES  # the copy, and as much for the changes
    free = shutil.disk_usage(file.parent).free
    if free < needed:
        raise V3Error(
            f"The database {file} has an earlier schema; copying and migrating it needs {needed >> 20} MiB of free "
            f"space in {file.parent}, but only {free >> 20} MiB are free; free some space."
        )


def find_damage(file: Path) -> str:
    """What SQLite finds wrong with a database when it reads all of it; empty if nothing.

    Raises:
        V3Error: if it cannot be read for another reason.
    """
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {dialect.BUSY_TIMEOUT_SECONDS * 1000}")
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            return "" if found == "ok" else found.replace("\n", " ").removeprefix("*** in database main *** ")
    except sqlite3.DatabaseError as error:
        if "malformed" in str(error):
            return str(error)
        raise V3Error(f"The database {file} cannot be read: {error}.") from error


def set_aside(url: URL, now: datetime) -> Path:
    """Rename a damaged database to `FILE.damaged-YYYYMMDD-HHMMSS`, with its journals, so that a new one can be created.

    Nothing is ever deleted or overwritten.

    Returns:
        The damaged database under its new name.

    Raises:
        V3Error: if it is on a server, not there, whole, still open in some process, or cannot be renamed.
    """
    if url.get_backend_name() != "sqlite":
        raise V3Error(f"The database {dialect.describe(url)} is on a server; only a SQLite file can be set aside.")
    file = Path(url.database or "")
    if not file.is_file():
        raise V3Error(f"There is no database {file}, so there is nothing to set aside.")
    if not find_damage(file):
        raise V3Error(f"The database {file} is intact, so it was not renamed.")
    if users := _users(file):
        raise V3Error(
            f"The database {file} is open in processes {', '.join(map(str, users))}; end them first (the dashboard "
            "and the workers of active runs)."
        )
    target = file.with_name(f"{file.name}.damaged-{now:%Y%m%d-%H%M%S}")
    if any(target.with_name(target.name + suffix).exists() for suffix in FILES):
        raise V3Error(f"{target} already exists; try again in a second.")
    try:
        for suffix in reversed(FILES):  # the database itself last, so that no new one is created before
            with suppress(FileNotFoundError):
                file.with_name(file.name + suffix).rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise V3Error(
            f"The database {file} cannot be renamed: {error.strerror or error}; rename it manually."
        ) from error
    return target


def _users(file: Path) -> list[int]:
    """Other processes that have a file of the database open, as far as this user may know."""
    names = {str(file.with_name(file.name + suffix).resolve()) for suffix in FILES}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(opened.path in names for opened in process.open_files()):
                found.append(process.pid)
    return found
