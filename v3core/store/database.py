"""Opening the store, and its transactions."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from v3core.errors import V3Error
from v3core.paths import data_dir
from v3core.store import dialect, opening
from v3core.store.damage import find_damage
from v3core.store.upgrading import make_current

Transaction = Connection
"""An open transaction, handed to the functions of this package."""


class DatabaseBusyError(V3Error):
    """Another process has kept the database locked for too long; trying again may help."""


def database_url(folder: Path | None = None) -> URL:
    """The address of V3_DATABASE_URL; that of `v3.db` in the data folder if that is not set.

    Raises:
        V3Error: if V3_DATABASE_URL will not do.
    """
    if url := os.environ.get("V3_DATABASE_URL"):
        return dialect.parse_url(url)
    # Never parsed: in a URL % and ? mean something, in a folder's name nothing.
    return URL.create("sqlite", database=str((folder or data_dir()) / "v3.db"))


class Database:
    """An open store. Safe to share between threads; each process opens its own."""

    def __init__(self, url: URL, folder: Path, engines: tuple[Engine, Engine]) -> None:
        """Use `Database.open`."""
        self._url = url
        self._reader, self._writer = engines
        self.data_dir = folder
        """Folder of `runs/<id>/`, absolute."""

    @classmethod
    def open(cls, url: str | None = None, folder: Path | None = None) -> "Database":
        """Open the store, creating folder, file and tables where they are missing. Safe in many processes at once.

        Args:
            url: default V3_DATABASE_URL, or `v3.db` in the data folder if that is not set.
            folder: the data folder; default that of `v3core.paths`.

        Raises:
            V3Error: one sentence, when the URL, the folder or the file will not do. Nothing is half-written.
        """
        folder = folder.absolute() if folder else data_dir()
        parsed = dialect.parse_url(url) if url else database_url(folder)
        engines = dialect.make_engines(parsed)
        _need_folder(folder, "The data folder", "V3_DATA_DIR")
        if parsed.get_backend_name() == "sqlite":
            _need_file(Path(parsed.database or ""))
        database = cls(parsed, folder, engines)
        try:
            database._ensure_tables()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def url(self) -> str:
        """URL that opens the same database from another process, password included."""
        return self._url.render_as_string(hide_password=False)

    def describe(self) -> str:
        """The file, or the URL without its password: for people."""
        return dialect.describe(self._url)

    def is_there(self) -> bool:
        """Whether there is anything to try again: False once a SQLite file was deleted under its users."""
        return self._url.get_backend_name() != "sqlite" or Path(self._url.database or "").exists()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that sees one moment of the database and cannot write.

        Raises:
            V3Error: if the database cannot be used.
        """
        with self.explained(), self._reader.begin() as transaction:
            yield transaction

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A short transaction, the only writer meanwhile: committed at the end, undone if an exception leaves it.

        Raises:
            V3Error: if the database cannot be written.
        """
        with self.explained(), self._writer.begin() as transaction:
            yield transaction

    def check(self) -> None:
        """Read all of a SQLite database; takes seconds for a large one.

        Raises:
            V3Error: if it is damaged.
        """
        if self._url.get_backend_name() == "sqlite" and (problem := find_damage(Path(self._url.database or ""))):
            raise V3Error(dialect.explain_damage(self._url, problem))

    def compact(self) -> tuple[int, int]:
        """Rewrite the database without its free space; returns the bytes on the disk before and after.

        Others can read meanwhile, but not write.

        Raises:
            V3Error: if it cannot be done; the database is then as it was.
        """
        with self.read() as tx:
            before = dialect.stored_bytes(self._url, tx)
        free = shutil.disk_usage(self.data_dir).free
        if self._url.get_backend_name() == "sqlite" and free < 2 * before:
            raise V3Error(
                f"The database {self.describe()} takes {before:,} bytes, and twice that must be free to compact it; "
                f"{free:,} are."
            )
        with self.explained():
            dialect.compact(self._writer)
        with self.read() as tx:
            return before, dialect.stored_bytes(self._url, tx)

    def connect(self) -> Transaction:
        """A connection for reading that the caller keeps, outside of any transaction, and closes."""
        return self._reader.connect()

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        self._writer.dispose()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What fails inside becomes a V3Error of one sentence."""
        try:
            yield
        except UnicodeEncodeError:
            raise V3Error("A text that was given is not UTF-8; write it anew.") from None
        except DBAPIError as error:
            if dialect.is_defect(error):
                raise
            kind = DatabaseBusyError if dialect.is_busy(error) else V3Error
            raise kind(dialect.explain_failure(self._url, error)) from error

    def _ensure_tables(self) -> None:
        with self.read() as tx:
            current = opening.is_current(tx)
        if not current:
            with self.read() as tx:
                opening.read_version(tx, self.describe())  # nothing is written into what is not ours
        with self.explained():
            dialect.use_wal(self._writer)
            if not current:
                make_current(self._writer, self._url)


def _need_folder(folder: Path, subject: str, variable: str) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError:  # its name could not be handed to workers, nor shown
        shown = str(folder).encode(errors="backslashreplace").decode()
        raise V3Error(f"{subject} {shown} has a name that is not UTF-8; choose another with {variable}.") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = "it is a file" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise V3Error(
            f"{subject} {folder} cannot be written: {problem.lower()}; choose another with {variable}."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise V3Error(f"{subject} {folder} cannot be written: permission denied; choose another with {variable}.")


def _need_file(file: Path) -> None:
    try:
        is_folder = file.is_dir()
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise V3Error(f"The database {file} cannot be used: {problem}; choose another with V3_DATABASE_URL.") from None
    if is_folder:
        raise V3Error(f"The database {file} is a folder; name a file in it with V3_DATABASE_URL.")
    _need_folder(file.parent, "The database's folder", "V3_DATABASE_URL")
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise V3Error(f"The database {file} cannot be written: permission denied; choose another with V3_DATABASE_URL.")
