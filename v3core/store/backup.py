"""A copy of a SQLite file, made before its tables are changed."""

import shutil
import sqlite3
from itertools import count
from pathlib import Path

from v3core.errors import V3Error

FILES = ("", "-wal", "-shm", "-journal")
"""A SQLite database is up to four files: its name, with these behind it."""
MARGIN_BYTES = 16 << 20
"""Kept free besides the copy and the changes."""


def copy_before_schema(file: Path, version: int) -> Path:
    """Copy a database to `FILE.before-schema-N.partial`; `keep_copy` gives it its name.

    The copy is of one moment and whole, whoever reads or writes meanwhile.

    Args:
        file: a SQLite database; the caller keeps others from changing its tables.
        version: the schema that it is to be brought to.

    Returns:
        The copy.

    Raises:
        V3Error: if there is not enough room for the copy and the changes.
        OSError, sqlite3.Error: if it cannot be written.
    """
    partial = file.with_name(f"{file.name}.before-schema-{version}.partial")
    _remove(partial)  # of a process that was killed over it
    _need_room(file)
    try:
        source = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        target = sqlite3.connect(partial)
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, without another beside it
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


def _need_room(file: Path) -> None:
    log = file.with_name(f"{file.name}-wal")
    size = file.stat().st_size + (log.stat().st_size if log.exists() else 0)
    needed = 2 * size + MARGIN_BYTES  # the copy, and as much for the changes
    free = shutil.disk_usage(file.parent).free
    if free < needed:
        raise V3Error(
            f"The database {file} is of an earlier schema; to copy and upgrade it {needed >> 20} MiB must be free in "
            f"{file.parent}, but {free >> 20} MiB are; free some space."
        )
