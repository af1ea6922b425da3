"""Opening a database: creating its tables, migrating those of an earlier schema; damage to a SQLite file."""

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from datetime import datetime
from itertools import count
from pathlib import Path

import psutil
from sqlalchemy import URL, Engine, inspect, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import data_dir
from v3core.phrases import listed
from v3core.places import Place, place_here
from v3core.store import dialect
from v3core.store.database import Database, DatabaseUnreachableError
from v3core.store.schema import (
    REVISION_TABLE,
    SCHEMA_VERSION,
    Transaction,
    meta,
    metadata,
    revision,
    revision_metadata,
)

FILES = ("", "-wal", "-shm", "-journal")
"""A SQLite database is up to four files: its name, with these behind it."""
RETRY_SECONDS = 0.5
"""The pause before another attempt to reach a server."""
MARGIN_BYTES = 16 << 20
"""Free space required in addition to the copy and the changes."""


def open_database(url: str | None = None, folder: Path | None = None) -> Database:
    """Open a database, creating folder, file and tables if they are missing. Safe in many processes at once.

    Args:
        url: default V3_DATABASE_URL, or `v3.db` in the data folder if that is not set.
        folder: the data folder; default the place of V3_DATA_DIR.

    Raises:
        V3Error: one sentence, when the URL, the folder or the file will not do. Nothing is half-written.
    """
    place = Place(folder) if folder else place_here()
    parsed = dialect.parse_url(url) if url else database_url(place.folder)
    if place.is_remote and parsed.get_backend_name() == "sqlite":
        raise V3Error(
            "A SQLite database cannot be in {address}, nor be shared by those who use that; set V3_DATABASE_URL to a "
            "PostgreSQL database, or V3_DATA_DIR to a folder.",
            address=place.address,
        )
    database = Database(parsed, place)
    if place.is_remote:
        _need_folder(place.folder, _("The folder"), "V3_SCRATCH_DIR")
    else:
        _need_folder(place.folder, _("The data folder"), "V3_DATA_DIR")
    if parsed.get_backend_name() == "sqlite":
        _need_file(Path(parsed.database or ""))
    try:
        _ensure_tables(database, parsed)
    except BaseException:
        database.close()
        raise
    return database


def open_patiently(seconds: float) -> Database:
    """`open_database`, and again while a server does not answer, for at most so long."""
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            return open_database()
        except DatabaseUnreachableError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(RETRY_SECONDS)


def database_url(folder: Path | None = None) -> URL:
    """The address of V3_DATABASE_URL; that of `v3.db` in the data folder if that is not set.

    Raises:
        V3Error: if V3_DATABASE_URL will not do.
    """
    if url := os.environ.get("V3_DATABASE_URL"):
        return dialect.parse_url(url)
    # Never parsed: in a URL % and ? mean something, in a folder's name nothing.
    return URL.create("sqlite", database=str((folder or data_dir()) / "v3.db"))


def _ensure_tables(database: Database, url: URL) -> None:
    with database.read() as tx:
        current = is_current(tx)
    if not current:
        with database.read() as tx:
            read_version(tx, database.describe())  # nothing is written into what is not ours
    with database.explained():
        dialect.use_wal(database.writing_engine)
        if not current:
            make_current(database.writing_engine, url)


def is_current(tx: Transaction) -> bool:
    """Whether the tables are there and of this schema, by one query; the transaction is of no use after a False."""
    query = select(meta.c.value).join(revision, revision.c.version_num == meta.c.value)
    try:
        return tx.execute(query.where(meta.c.key == "schema_version")).scalars().all() == [str(SCHEMA_VERSION)]
    except (OperationalError, ProgrammingError) as error:
        if dialect.is_missing_table(error):
            return False
        raise


def read_version(tx: Transaction, name: str) -> int | None:
    """The schema of the tables of the database `name`; None if it is empty.

    Raises:
        V3Error: if it is later than this one, or the tables belong to another program.
    """
    present = set(inspect(tx).get_table_names())
    if meta.name not in present:
        # A PostgreSQL database may be shared with other programs, as long as their tables have other names.
        foreign = present if tx.dialect.name == "sqlite" else present & set(metadata.tables)
        if foreign:
            raise V3Error(
                "The database {name} belongs to another program (it has a table '{min}'); choose another with "
                "V3_DATABASE_URL.",
                name=name,
                min=min(foreign),
            )
        return None
    columns = {column["name"] for column in inspect(tx).get_columns(meta.name)}
    version = None
    if columns == set(meta.c.keys()):
        version = tx.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar_one_or_none()
    if version is None or not (version.isascii() and version.isdigit()) or int(version) < 1:
        raise V3Error(
            "The database {name} belongs to another program (its table 'meta' is not V3 Lab's); choose another with "
            "V3_DATABASE_URL.",
            name=name,
        )
    if int(version) > SCHEMA_VERSION:
        raise V3Error(
            "The database {name} was created by a newer V3 Lab (schema {version}, this one knows {schema_version}); "
            "update V3 Lab, or choose another database with V3_DATABASE_URL.",
            name=name,
            version=version,
            schema_version=SCHEMA_VERSION,
        )
    return int(version)


def create(tx: Transaction) -> None:
    """Make all tables in an empty database, without Alembic: that would take longer."""
    metadata.create_all(tx, checkfirst=False)
    revision_metadata.create_all(tx, checkfirst=False)
    tx.execute(meta.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))
    tx.execute(revision.insert().values(version_num=str(SCHEMA_VERSION)))


def make_current(writer: Engine, url: URL) -> None:
    """Create the tables, or migrate them after a copy of a SQLite file. Safe in many processes at once.

    Raises:
        V3Error: if the database is damaged or a migration fails; it is as it was.
        DBAPIError: if the tables of a new database cannot be made.
    """
    name = dialect.describe(url)
    version, copy = None, None
    try:
        with dialect.schema_transaction(writer) as tx:
            # Another process may have been faster: only the current state counts.
            version = read_version(tx, name)
            if version is None:
                create(tx)
            elif not inspect(tx).has_table(REVISION_TABLE) or not is_current(tx):
                if version < SCHEMA_VERSION and tx.dialect.name == "sqlite":
                    copy = copy_before_schema(Path(url.database or ""), SCHEMA_VERSION)
                    if problem := find_damage(copy):
                        raise V3Error(dialect.explain_damage(url, problem))
                from v3core.store.migrations import migrate  # only here: it imports Alembic

                migrate(tx, version)
                if copy is not None:
                    # At the last moment: a migration that is killed leaves no copy that is kept.
                    copy = keep_copy(copy)
    except BaseException as error:
        if copy is not None:
            copy.unlink(missing_ok=True)  # of a database that is as it was
        if version is None or isinstance(error, V3Error) or not isinstance(error, Exception):
            raise
        problem = dialect.first_line(error.orig if isinstance(error, DBAPIError) else error)
        raise V3Error(
            "The database {name} has schema {version} and could not be migrated to schema {schema_version}: "
            "{problem}; it was not changed, so fix the problem and try again, or use the V3 Lab version that wrote "
            "it.",
            name=name,
            version=version,
            schema_version=SCHEMA_VERSION,
            problem=problem,
        ) from error


def _need_folder(folder: Path, subject: str, variable: str) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError:  # its name could not be handed to workers, nor shown
        shown = str(folder).encode(errors="backslashreplace").decode()
        raise V3Error(
            "{subject} {shown} has a name that is not UTF-8; choose another with {variable}.",
            subject=subject,
            shown=shown,
            variable=variable,
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        is_file = isinstance(error, FileExistsError)
        problem = _("it is a file") if is_file else (error.strerror or str(error)).lower()
        raise V3Error(
            "{subject} {folder} cannot be written: {lower}; choose another with {variable}.",
            subject=subject,
            folder=folder,
            lower=problem,
            variable=variable,
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise V3Error(
            "{subject} {folder} cannot be written: permission denied; choose another with {variable}.",
            subject=subject,
            folder=folder,
            variable=variable,
        )


def _need_file(file: Path) -> None:
    try:
        is_folder = file.is_dir()
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise V3Error(
            "The database {file} cannot be used: {problem}; choose another with V3_DATABASE_URL.",
            file=file,
            problem=problem,
        ) from None
    if is_folder:
        raise V3Error("The database {file} is a folder; name a file in it with V3_DATABASE_URL.", file=file)
    _need_folder(file.parent, _("The database's folder"), "V3_DATABASE_URL")
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise V3Error(
            "The database {file} cannot be written: permission denied; choose another with V3_DATABASE_URL.", file=file
        )


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
            "The database {file} has an earlier schema; copying and migrating it needs {value} MiB of free space in "
            "{parent}, but only {value2} MiB are free; free some space.",
            file=file,
            value=needed >> 20,
            parent=file.parent,
            value2=free >> 20,
        )


def check_database(database: Database) -> None:
    """Read all of a SQLite database; takes seconds for a large one.

    Raises:
        V3Error: if it is damaged.
    """
    url = make_url(database.url)
    if url.get_backend_name() == "sqlite" and (problem := find_damage(Path(url.database or ""))):
        raise V3Error(dialect.explain_damage(url, problem))


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
        raise V3Error("The database {file} cannot be read: {error}.", file=file, error=error) from error


def set_aside(url: URL, now: datetime) -> Path:
    """Rename a damaged database to `FILE.damaged-YYYYMMDD-HHMMSS`, with its journals, so that a new one can be created.

    Nothing is ever deleted or overwritten.

    Returns:
        The damaged database under its new name.

    Raises:
        V3Error: if it is on a server, not there, whole, still open in some process, or cannot be renamed.
    """
    if url.get_backend_name() != "sqlite":
        raise V3Error(
            "The database {url} is on a server; only a SQLite file can be set aside.", url=dialect.describe(url)
        )
    file = Path(url.database or "")
    if not file.is_file():
        raise V3Error("There is no database {file}, so there is nothing to set aside.", file=file)
    if not find_damage(file):
        raise V3Error("The database {file} is intact, so it was not renamed.", file=file)
    if users := _users(file):
        raise V3Error(
            "The database {file} is open in processes {users}; end them first (the dashboard and the workers of "
            "active runs).",
            file=file,
            users=listed(list(users)),
        )
    target = file.with_name(f"{file.name}.damaged-{now:%Y%m%d-%H%M%S}")
    if any(target.with_name(target.name + suffix).exists() for suffix in FILES):
        raise V3Error("{target} already exists; try again in a second.", target=target)
    try:
        for suffix in reversed(FILES):  # the database itself last, so that no new one is created before
            with suppress(FileNotFoundError):
                file.with_name(file.name + suffix).rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise V3Error(
            "The database {file} cannot be renamed: {value}; rename it manually.",
            file=file,
            value=error.strerror or error,
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
