"""All differences between SQLite and PostgreSQL, and explanations of their errors."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

from v3core.errors import V3Error
from v3core.messages import Message, _
from v3core.paths import COMMAND

BUSY_TIMEOUT_SECONDS = 30
"""How long a write waits for another process's write before it fails."""
CONNECT_SECONDS = 10
"""How long to wait for a PostgreSQL server that does not answer, unless the URL says otherwise."""
IDLE_SECONDS = 10
"""How long a process may do nothing within a write, before PostgreSQL undoes that: it was suspended, or its machine is
gone, and what it has locked would stay so for hours."""
SCHEMA_TIMEOUT_SECONDS = 600
"""How long to wait for another process that makes or changes the tables."""
FORMS = _("write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
_SLOW_STATE = "25P03"
_LOCKED_STATES = {"55P03", "40P01", "40001", _SLOW_STATE}
"""Lock timeout, deadlock, a row that another process changed meanwhile, own write too slow: trying again may help."""
_UNREACHABLE_STATES = {"57P01", "57P02", "57P03", "53300"}
"""The server ends, has crashed, is starting, or has too many connections: it may be back in a moment."""
_DENIED_STATES = {"42501", "3F000", "25006"}
"""No privilege, no schema to create tables in, a server that only reads."""
INDEX_BYTES = 32 * 1024
"""Space that SQLite needs next to the database before it can be read: the index of its write-ahead log."""
SCHEMA_LOCK, QUEUE_LOCK = 3_141_001, 3_141_002
"""Keys of PostgreSQL's advisory locks."""


def parse_url(text: str) -> URL:
    """The URL, with the path of a SQLite file made absolute so that worker processes find the same file.

    Raises:
        V3Error: if it is malformed, names another kind of database, or a database that processes cannot share.
    """
    try:
        url = make_url(text)
        backend = url.get_backend_name()
        if "\0" in str(url.database):
            raise ValueError
    except (ArgumentError, ValueError):
        shown = "V3_DATABASE_URL" if "@" in text else f"V3_DATABASE_URL '{text}'"  # it may hold a password
        raise V3Error(_("{shown} is not a database URL; {forms}."), shown=shown, forms=FORMS) from None
    if backend not in _DRIVERS:
        raise V3Error(_("V3_DATABASE_URL names a '{backend}' database; {forms}."), backend=backend, forms=FORMS)
    if url.drivername not in (backend, _DRIVERS[backend]):
        raise V3Error(
            _("V3_DATABASE_URL uses the driver {drivername}, which V3 Lab does not support; {forms}."),
            drivername=url.drivername,
            forms=FORMS,
        )
    if backend == "postgresql":
        return url
    if url.host:
        raise V3Error(
            _("V3_DATABASE_URL '{text}' lacks a slash; a file is written sqlite:///FILE, with three."), text=text
        )
    if "?" in text:
        raise V3Error(
            _(
                "V3_DATABASE_URL '{text}' has options, which are not supported for a SQLite file; remove everything "
                "from '?' on, or write '?' as %3F if it is part of the name."
            ),
            text=text,
        )
    if not url.database or url.database == ":memory:":
        raise V3Error("A SQLite database in memory cannot be shared with worker processes; name a file in the URL.")
    file = Path(url.database).absolute()
    as_written = Path(text.partition("://")[2].removeprefix("/")).absolute()
    if file != as_written and as_written.parent.is_dir() and not file.parent.is_dir():
        raise V3Error(
            _("V3_DATABASE_URL '{text}' names {file}, because % has a special meaning in a URL; write it as %25."),
            text=text,
            file=file,
        )
    return url.set(database=str(file))


def make_engines(url: URL) -> tuple[Engine, Engine]:
    """(for reading, for writing). The first cannot write.

    Raises:
        V3Error: if the database's driver is not installed.
    """
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url, read_only=True), _sqlite_engine(url, read_only=False)
        limit = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
        create = partial(create_engine, url, connect_args=limit, pool_pre_ping=True)
        reader = create(isolation_level="REPEATABLE READ")
        event.listen(reader, "begin", lambda tx: tx.exec_driver_sql("SET TRANSACTION READ ONLY"))
        writer = create()
        event.listen(writer, "connect", _limit_waits)
        return reader, writer
    except ModuleNotFoundError as error:
        raise V3Error(
            _(
                "The driver of {drivername} databases is missing ({error}); install it with: pip install "
                "'psycopg[binary]'."
            ),
            drivername=url.drivername,
            error=error,
        ) from None


def _limit_waits(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout = '{BUSY_TIMEOUT_SECONDS}s'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
    connection.commit()


def _sqlite_engine(url: URL, *, read_only: bool) -> Engine:
    engine = create_engine(url)

    def connect(connection: Any, _record: object) -> None:
        # Python's sqlite3 would begin transactions by itself, late and not IMMEDIATE; None leaves that to `begin`.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
        cursor.execute("PRAGMA cache_size = -8192")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock first, where the busy timeout holds; a deferred transaction that turns into
        # a write can fail at once.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)
    return engine


def use_wal(writer: Engine) -> None:
    """Switch a SQLite file to write-ahead logging, so that readers and a writer never wait for each other."""
    if writer.dialect.name != "sqlite":
        return
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            with writer.connect() as connection:
                cursor = connection.connection.cursor()
                cursor.execute("PRAGMA journal_mode")
                if cursor.fetchone() != ("wal",):
                    cursor.execute("PRAGMA journal_mode = WAL")
                return
        except sqlite3.DatabaseError as error:
            # The switch ignores the busy timeout when several processes open a new file at once.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise DatabaseError("PRAGMA journal_mode = WAL", None, error) from error
            time.sleep(0.02)


@contextmanager
def schema_transaction(writer: Engine) -> Iterator[Connection]:
    """A transaction to make or change tables in, by one process at a time; it waits long, as a migration may take long.

    On SQLite without foreign keys: a table is changed by making another and dropping the first, and its rows would take
    with them the rows that refer to them.
    """
    with writer.connect() as connection:
        connection.detach()  # closed at the end, so that no other transaction has these settings
        if writer.dialect.name == "sqlite":
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA foreign_keys = OFF")
            cursor.execute(f"PRAGMA busy_timeout = {SCHEMA_TIMEOUT_SECONDS * 1000}")
            cursor.close()
        with connection.begin():
            if writer.dialect.name == "postgresql":  # what is derived from other rows takes its time
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{SCHEMA_TIMEOUT_SECONDS}s'")
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            _advisory_lock(connection, SCHEMA_LOCK)
            yield connection


def change_token(connection: Connection) -> tuple[Any, ...]:
    """What differs from one look to the next through the same connection if anything was committed in between.

    The connection is of the reader, in no transaction, and in none afterwards.
    """
    if connection.dialect.name == "sqlite":
        cursor = connection.connection.cursor()  # past SQLAlchemy, which would begin a transaction
        try:
            (version,) = cursor.execute("PRAGMA data_version").fetchone()
        finally:
            cursor.close()
        file = Path(connection.engine.url.database or "")
        return (version, file.stat().st_ino if file.exists() else None)  # another file may have taken its place
    with connection.begin():
        # Which transactions have ended: it changes with every one that has written.
        return (connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar(),)


def lock_queue(tx: Connection) -> None:
    """Wait until no other process claims queued runs; held to the end of the transaction."""
    _advisory_lock(tx, QUEUE_LOCK)


def database_bytes(tx: Connection) -> int:
    """Size of the database, without what is free in it."""
    if tx.dialect.name == "postgresql":
        return int(tx.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
    pages, free, size = (
        int(tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def compact(writer: Engine) -> None:
    """Reclaim disk space, and update PostgreSQL's statistics; there must be no writer meanwhile."""
    if writer.dialect.name == "postgresql":
        with writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE)")
        return
    try:
        with writer.connect() as connection:
            cursor = connection.connection.cursor()
            for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                cursor.execute(statement).fetchall()
    except sqlite3.DatabaseError as error:
        raise DatabaseError("VACUUM", None, error) from error


def stored_bytes(url: URL, tx: Connection) -> int:
    """The size of the database on disk, including free space."""
    if tx.dialect.name == "postgresql":
        return database_bytes(tx)
    files = (Path(f"{url.database}{suffix}") for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _advisory_lock(tx: Connection, key: int) -> None:
    # On SQLite, BEGIN IMMEDIATE has made this transaction the only writer already.
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")


def describe(url: URL) -> str:
    """The database as a sentence names it; a password is hidden."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    return url.difference_update_query(["password", "sslpassword"]).render_as_string(hide_password=True)


def is_missing_table(error: DBAPIError) -> bool:
    """Whether a query failed because there is no such table or column."""
    if (state := _sqlstate(error)) is not None:
        return state in {"42P01", "42703"}
    return str(error.orig).startswith(("no such table", "no such column"))


def _sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's code of an error, which is the same in every language; None on SQLite."""
    return getattr(error.orig, "sqlstate", None)


def first_line(error: BaseException | None) -> str:
    """The first line of an error, without its full stop; the kind of error if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def is_busy(error: DBAPIError) -> bool:
    """Whether another process kept the database locked."""
    state = _sqlstate(error)
    return "locked" in str(error.orig) if state is None else state in _LOCKED_STATES


def is_unreachable(error: DBAPIError) -> bool:
    """Whether a server did not answer, or closed the connection."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = _sqlstate(error)
    if state is None:
        return not isinstance(error.orig, sqlite3.Error)
    return state in _UNREACHABLE_STATES or state.startswith("08")


def is_defect(error: DBAPIError) -> bool:
    """Whether the error is a bug, and not caused by the database or, if there is no statement yet, its URL."""
    if error.statement is None:
        return False
    return isinstance(error, IntegrityError | ProgrammingError) and _sqlstate(error) not in _DENIED_STATES


def explain_failure(url: URL, error: DBAPIError) -> Message:
    problem = first_line(error.orig)
    name = describe(url)
    if url.get_backend_name() == "postgresql":
        return _explain_postgresql(name, problem, _sqlstate(error))
    if "not a database" in problem:
        return _(
            "The file {name} is not a SQLite database; move it away or choose another with V3_DATABASE_URL.", name=name
        )
    if "malformed" in problem:
        return explain_damage(url, problem)
    if "locked" in problem:
        return _(
            "The database {name} stayed locked for {seconds} seconds; end the program that holds it.",
            name=name,
            seconds=BUSY_TIMEOUT_SECONDS,
        )
    if "full" in problem or "No space left" in problem or "quota" in problem:
        return _("The database {name} cannot be written: {problem}; free some space.", name=name, problem=problem)
    if _is_full(url):  # SQLite reports a different error if the disk is full
        return _(
            "The database {name} cannot be used: the disk is full ({problem}); free some space.",
            name=name,
            problem=problem,
        )
    if "readonly" in problem or "unable to open" in problem:
        return _(
            "The database {name} cannot be written: {problem}; choose another with V3_DATABASE_URL.",
            name=name,
            problem=problem,
        )
    if "disk I/O" in problem:
        return _(
            "The database {name} cannot be used: {problem}; check the disk, and that the file still exists.",
            name=name,
            problem=problem,
        )
    return _("The database {name} cannot be used: {problem}.", name=name, problem=problem)


def explain_damage(url: URL, problem: str) -> Message:
    return _(
        "The database {name} is damaged ({problem}); restore a backup, or set it aside and start with a new one using: "
        "{command} doctor --set-aside-database.",
        name=describe(url),
        problem=problem,
        command=COMMAND,
    )


def _explain_postgresql(name: str, problem: str, state: str | None) -> Message:
    if state is None or state in _UNREACHABLE_STATES:  # no answer from a server that knows us
        return _(
            "The database {name} cannot be reached: {problem}; check the server and V3_DATABASE_URL.",
            name=name,
            problem=problem,
        )
    if state in _DENIED_STATES:
        return _(
            "The database {name} refuses this user: {problem}; ask the owner for the CREATE and USAGE privileges.",
            name=name,
            problem=problem,
        )
    if state == _SLOW_STATE:
        return _(
            "The database {name} undid a write that took longer than {seconds} seconds; try again.",
            name=name,
            seconds=IDLE_SECONDS,
        )
    if state in _LOCKED_STATES:
        return _(
            "The database {name} stayed locked: {problem}; end the program that holds it.", name=name, problem=problem
        )
    if state == "53100":
        return _(
            "The database {name} cannot be written: {problem}; free some space on its server.",
            name=name,
            problem=problem,
        )
    return _("The database {name} cannot be used: {problem}.", name=name, problem=problem)


def _is_full(url: URL) -> bool:
    """Whether the disk of a SQLite file has no space for another file."""
    if url.get_backend_name() != "sqlite":
        return False
    try:
        disk = os.statvfs(Path(url.database or "").parent)
    except OSError:
        return False
    if not disk.f_blocks:  # no disk at all, such as /proc
        return False
    no_inodes = disk.f_files > 0 and disk.f_favail == 0  # some file systems do not count them
    return disk.f_bavail * disk.f_frsize < INDEX_BYTES or no_inodes
