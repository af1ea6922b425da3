"""An open database: its transactions, in which every failure becomes a V3Error."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from v3core.errors import V3Error
from v3core.places import Place
from v3core.store import dialect
from v3core.store.schema import Transaction


class DatabaseBusyError(V3Error):
    """Another process has kept the database locked for too long; trying again may help."""


class DatabaseUnreachableError(DatabaseBusyError):
    """The server does not answer, or has closed the connection: it may be back in a moment."""


class Database:
    """An open database, made by `open_database`. Safe to share between threads; each process opens its own."""

    def __init__(self, url: URL, place: Place) -> None:
        """Nothing is connected yet.

        Raises:
            V3Error: if the database's driver is not installed.
        """
        self._url = url
        self._reader, self.writing_engine = dialect.make_engines(url)
        self.place = place
        """Where the files of runs are."""
        self.data_dir = place.folder
        """The folder of this machine with `runs/<id>/`, absolute: paths of files are in it, whatever their place."""

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
        with self.explained(), self.writing_engine.begin() as transaction:
            yield transaction

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
                "The database {describe} uses {before:,} bytes, and compacting needs twice that as free space; "
                "{free:,} are.",
                describe=self.describe(),
                before=before,
                free=free,
            )
        with self.explained():
            dialect.compact(self.writing_engine)
        with self.read() as tx:
            return before, dialect.stored_bytes(self._url, tx)

    def connect(self) -> Transaction:
        """A connection for reading that the caller keeps, outside of any transaction, and closes."""
        return self._reader.connect()

    def disconnect(self) -> None:
        """Close all connections that nobody uses; the next transaction makes a new one."""
        self._reader.dispose()
        self.writing_engine.dispose()

    def disconnect_writer(self) -> None:
        """Close the connection for writing, in a process that seldom writes."""
        self.writing_engine.dispose()

    def close(self) -> None:
        """The end of its use."""
        self.disconnect()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What fails inside becomes a V3Error of one sentence."""
        try:
            yield
        except UnicodeEncodeError:
            raise V3Error("A text is not valid UTF-8; enter it again.") from None
        except DBAPIError as error:
            if dialect.is_defect(error):
                raise
            raise _kind(error)(dialect.explain_failure(self._url, error)) from error


def _kind(error: DBAPIError) -> type[V3Error]:
    if dialect.is_unreachable(error):
        return DatabaseUnreachableError
    return DatabaseBusyError if dialect.is_busy(error) else V3Error


@contextmanager
def reading(source: Database | Transaction) -> Iterator[Transaction]:
    """The given transaction, or a new one on the given database: readers accept either."""
    if isinstance(source, Database):
        with source.read() as tx:
            yield tx
    else:
        yield source
