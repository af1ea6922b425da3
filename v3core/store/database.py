"""Opening the store, and its transactions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, insert, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from v3core.errors import V3Error
from v3core.store import dialect
from v3core.store.schema import SCHEMA_VERSION, meta, metadata, upgrade

Transaction = Connection
"""An open transaction, handed to the functions of this package."""


class DatabaseBusyError(V3Error):
    """Another process has kept the database locked for too long; trying again may help."""


def data_dir() -> Path:
    """The folder of V3_DATA_DIR, absolute; `data` in the working directory if that is not set."""
    return Path(os.environ.get("V3_DATA_DIR") or "data").absolute()


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
            folder: the data folder; default V3_DATA_DIR, or `data`.

        Raises:
            V3Error: one sentence, when the URL, the folder or the file will not do. Nothing is half-written.
        """
        folder = folder.absolute() if folder else data_dir()
        url = url or os.environ.get("V3_DATABASE_URL") or f"sqlite:///{folder / 'v3.db'}"
        parsed = dialect.parse_url(url)
        engines = dialect.make_engines(parsed)
        _need_folder(folder, "The data folder", "V3_DATA_DIR")
        if parsed.get_backend_name() == "sqlite":
            _need_file(Path(parsed.database or ""))
        database = cls(parsed, folder, engines)
        try:
            with database._explained():
                dialect.use_wal(engines[1])
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
        with self._explained(), self._reader.begin() as transaction:
            yield transaction

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A short transaction, the only writer meanwhile: committed at the end, undone if an exception leaves it.

        Raises:
            V3Error: if the database cannot be written.
        """
        with self._explained(), self._writer.begin() as transaction:
            yield transaction

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        self._writer.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError):
            raise  # a defect of the program, not of the database
        except DBAPIError as error:
            kind = DatabaseBusyError if dialect.is_busy(error) else V3Error
            raise kind(dialect.explain_failure(self._url, error)) from error

    def _ensure_tables(self) -> None:
        with self.read() as tx:
            ready = self._is_current(tx)
        if ready:
            return
        with self.write() as tx:
            dialect.lock_schema(tx)
            if not self._is_current(tx):  # another process may have been quicker
                if inspect(tx).has_table(meta.name):
                    upgrade(tx)
                    tx.execute(meta.update().values(value=str(SCHEMA_VERSION)).where(meta.c.key == "schema_version"))
                else:
                    metadata.create_all(tx, checkfirst=False)
                    tx.execute(insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))

    def _is_current(self, tx: Transaction) -> bool:
        """Whether the tables are there and of this version; False for an empty database and for an older one.

        Raises:
            V3Error: if they are of a newer version, or belong to another program.
        """
        present = set(inspect(tx).get_table_names())
        foreign = present if self._url.get_backend_name() == "sqlite" else present & set(metadata.tables)
        if meta.name not in present:
            if foreign:
                raise V3Error(
                    f"The database {self.describe()} belongs to another program "
                    f"(it has a table '{min(foreign)}'); choose another with V3_DATABASE_URL."
                )
            return False
        columns = {column["name"] for column in inspect(tx).get_columns(meta.name)}
        version = None
        if columns == set(meta.c.keys()):
            version = tx.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar_one_or_none()
        if version is None or not version.isdigit():
            raise V3Error(
                f"The database {self.describe()} belongs to another program (its table 'meta' is not V3 Lab's); "
                "choose another with V3_DATABASE_URL."
            )
        if int(version) > SCHEMA_VERSION:
            raise V3Error(
                f"The database {self.describe()} was written by a newer V3 Lab (schema {version}, this one knows "
                f"{SCHEMA_VERSION}); update V3 Lab, or choose another database with V3_DATABASE_URL."
            )
        return int(version) == SCHEMA_VERSION


def _need_folder(folder: Path, subject: str, variable: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = "it is a file" if folder.exists() and not folder.is_dir() else error.strerror or str(error)
        raise V3Error(
            f"{subject} {folder} cannot be written: {problem.lower()}; choose another with {variable}."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise V3Error(f"{subject} {folder} cannot be written: permission denied; choose another with {variable}.")


def _need_file(file: Path) -> None:
    if file.is_dir():
        raise V3Error(f"The database {file} is a folder; name a file in it with V3_DATABASE_URL.")
    _need_folder(file.parent, "The database's folder", "V3_DATABASE_URL")
