"""Every way to the newest schema ends at the same tables, undoes itself where it fails, and is taken once."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import String, event, inspect, select, text

from tests.databases import empty_database
from tests.store.schema_1 import make_tables
from tests.waiting import PATIENCE_SECONDS
from v3core.errors import V3Error
from v3core.places import Place
from v3core.store import dialect, migrations, opening
from v3core.store.database import Database
from v3core.store.opening import check_database, open_database
from v3core.store.runs import list_runs
from v3core.store.schema import REVISION_TABLE, SCHEMA_VERSION, meta, metadata, revision, revisions, runs

ROOT = Path(__file__).resolve().parents[2]
RELEASED = sorted((Path(__file__).parent / "databases").glob("schema-*.db"))


@pytest.fixture
def engine(url):
    """For writing into an empty database, before the store opens it."""
    reader, writer = dialect.make_engines(dialect.parse_url(url))
    yield writer
    reader.dispose()
    writer.dispose()


@pytest.fixture
def old(tmp_path):
    """A copy of the database of a released schema: `old(1)` returns the file."""

    def copy(version):
        file = tmp_path / "v3.db"
        shutil.copy(RELEASED[version - 1], file)
        return file

    return copy


def make_schema(engine, version):
    """The tables of an earlier schema, as they were made before the store used Alembic."""
    with dialect.schema_transaction(engine) as tx:
        make_tables(tx)
        migrations.migrate(tx, 1, version)
        tx.exec_driver_sql(f"DROP TABLE {REVISION_TABLE}")


def anatomy(database):
    """All that the database says of its tables, columns, keys and indexes."""
    with database.read() as tx:
        inspector = inspect(tx)
        found = {}
        for table in inspector.get_table_names():
            columns = {
                c["name"]: (str(c["type"]), c["nullable"], c["default"] and str(c["default"]).strip("'"))
                for c in inspector.get_columns(table)
            }
            keys = [inspector.get_pk_constraint(table)["constrained_columns"]]
            keys += sorted(str(key) for key in inspector.get_foreign_keys(table))
            keys += sorted(str(key["column_names"]) for key in inspector.get_unique_constraints(table))
            indexes = sorted((index["name"], index["column_names"]) for index in inspector.get_indexes(table))
            found[table] = (columns, keys, indexes)
        if tx.dialect.name == "sqlite":
            made = tx.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'"))
            found["without rowids"] = sorted(made.scalars())
        return found


def versions_of(database):
    """The two notes of the schema: ours, and Alembic's."""
    with database.read() as tx:
        return tx.execute(select(meta.c.value)).scalar_one(), tx.execute(select(revision.c.version_num)).scalar_one()


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_every_earlier_schema_becomes_that_of_a_new_database(url, engine, tmp_path, version):
    make_schema(engine, version)
    migrated = open_database(url, tmp_path)
    with migrated.read() as tx:
        context = MigrationContext.configure(
            tx, opts={"compare_type": True, "compare_server_default": True, "version_table": REVISION_TABLE}
        )
        assert compare_metadata(context, metadata) == []
    assert versions_of(migrated) == (str(SCHEMA_VERSION), str(SCHEMA_VERSION))
    with empty_database(engine.dialect.name, tmp_path / "new") as empty:
        new = open_database(empty, tmp_path / "new")
        assert anatomy(migrated) == anatomy(new)
        new.close()
    migrated.close()


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_every_released_file_becomes_that_of_a_new_database(file, tmp_path, sqlite_db):
    (tmp_path / "old").mkdir()
    copy = shutil.copy(file, tmp_path / "old" / "v3.db")
    migrated = open_database(f"sqlite:///{copy}", tmp_path)
    assert anatomy(migrated) == anatomy(sqlite_db)
    migrated.close()


def test_there_is_a_file_and_a_revision_for_every_schema():
    assert [file.stem for file in RELEASED] == [f"schema-{number}" for number in range(1, SCHEMA_VERSION + 1)]
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    chain = [script.revision for script in scripts.walk_revisions()]
    assert chain == [str(number) for number in range(SCHEMA_VERSION, 0, -1)]


def test_rows_survive(url, engine, tmp_path):
    make_schema(engine, 1)
    columns = "id, name, status, env, seed, episodes, episode, step, experts, curriculum, config, generation"
    values = "'r', 'n', 'completed', 'e', 1, 2, 2, 9, 4, 'c', '{}', 0, :now, :now"
    now = {"now": "2030-01-02 03:04:05.000000"}
    with engine.begin() as tx:
        tx.execute(text(f"INSERT INTO runs ({columns}, created_at, queued_at) VALUES ({values})"), now)
        event = "INSERT INTO events (run_id, at, actor, kind, message) VALUES ('r', :now, 'a', 'k', 'm')"
        tx.execute(text(event), now)
    database = open_database(url, tmp_path)
    with database.read() as tx:
        assert tx.execute(select(runs.c.id, runs.c.priority, runs.c.tags)).all() == [("r", 0, None)]
        assert tx.execute(text("SELECT message FROM events")).scalars().all() == ["m"]
    database.close()


@pytest.mark.parametrize("file", RELEASED[:7], ids=lambda file: file.stem)
def test_a_run_of_before_clusters_may_be_started_by_any_launcher(file, tmp_path):
    copy = shutil.copy(file, tmp_path / "v3.db")
    database = open_database(f"sqlite:///{copy}", tmp_path)
    for run in list_runs(database):
        assert (run.launcher, run.node, run.needs_label, run.needs_gpus, run.max_restarts) == (None,) * 5
        assert run.restarts == 0
        assert not run.is_on_cluster
    database.close()


def test_the_file_is_copied_first_and_the_copy_is_the_old_database(old, tmp_path):
    file = old(1)
    file.chmod(0o640)
    open_database(f"sqlite:///{file}", tmp_path).close()
    copy = tmp_path / f"v3.db.before-schema-{SCHEMA_VERSION}"
    assert copy.stat().st_mode & 0o777 == 0o640
    with closing(sqlite3.connect(copy)) as kept, closing(sqlite3.connect(RELEASED[0])) as first:
        assert list(kept.iterdump()) == list(first.iterdump())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v3.db", copy.name]


def test_an_earlier_copy_is_not_overwritten(old, tmp_path):
    for expected in ("", ".1", ".2"):
        open_database(f"sqlite:///{old(2)}", tmp_path).close()
        assert (tmp_path / f"v3.db.before-schema-{SCHEMA_VERSION}{expected}").exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_rows_still_in_the_log_of_a_killed_program_are_copied_too(old, tmp_path):
    file = old(2)
    script = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('PRAGMA journal_mode = WAL')\n"
        "connection.execute(\"UPDATE runs SET name = 'late'\")\n"
        "connection.commit()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    assert file.with_name("v3.db-wal").stat().st_size > 0
    open_database(f"sqlite:///{file}", tmp_path).close()
    with closing(sqlite3.connect(tmp_path / f"v3.db.before-schema-{SCHEMA_VERSION}")) as kept:
        assert kept.execute("SELECT name FROM runs").fetchall() == [("late",)]


def test_a_database_of_this_schema_is_only_stamped_and_not_copied(url, engine, tmp_path):
    make_schema(engine, SCHEMA_VERSION)
    database = open_database(url, tmp_path)
    assert versions_of(database) == (str(SCHEMA_VERSION), str(SCHEMA_VERSION))
    database.close()
    assert not list(tmp_path.glob("*before*"))


def test_a_migration_that_fails_leaves_all_as_it_was(url, engine, tmp_path, monkeypatch):
    make_schema(engine, 1)
    before = Database(dialect.parse_url(url), Place(tmp_path))
    tables = anatomy(before)
    add_column = op.add_column

    def fail_late(table, column):
        if column.name == "rollout_at":
            raise RuntimeError("no luck\nat all")
        add_column(table, column)

    with monkeypatch.context() as patch:
        patch.setattr(op, "add_column", fail_late)
        for _ in range(2):
            with pytest.raises(V3Error) as caught:
                open_database(url, tmp_path)
    assert f"has schema 1 and could not be migrated to schema {SCHEMA_VERSION}: no luck; it was not changed" in str(
        caught.value
    )
    assert anatomy(before) == tables
    before.close()
    assert not list(tmp_path.glob("*before*"))
    open_database(url, tmp_path).close()


KILLED = """
import os, pathlib, signal, sys
from v3core.store import migrations, opening
from v3core.store.opening import open_database

where = {
    "copying": (opening.shutil, "copymode"),
    "checking": (opening, "find_damage"),
    "migrating": (migrations, "migrate"),
}
module, name = where[sys.argv[3]]
original = getattr(module, name)

def die(*arguments):
    original(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(module, name, die)
open_database(sys.argv[1], pathlib.Path(sys.argv[2]))
"""


@pytest.mark.parametrize("moment", ["copying", "checking", "migrating"])
def test_a_migration_that_is_killed_is_begun_again_with_one_copy(old, tmp_path, moment):
    file = old(3)
    with closing(sqlite3.connect(file)) as connection:
        before = list(connection.iterdump())
    command = [sys.executable, "-c", KILLED, f"sqlite:///{file}", str(tmp_path), moment]
    for _ in range(2):
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        with closing(sqlite3.connect(file)) as connection:
            assert list(connection.iterdump()) == before
    database = open_database(f"sqlite:///{file}", tmp_path)
    assert versions_of(database) == (str(SCHEMA_VERSION), str(SCHEMA_VERSION))
    check_database(database)
    database.close()
    [copy] = tmp_path.glob("*before*")
    assert copy.name == f"v3.db.before-schema-{SCHEMA_VERSION}"
    with closing(sqlite3.connect(copy)) as kept:
        assert list(kept.iterdump()) == before


def test_without_room_for_the_copy_nothing_is_done(old, tmp_path, monkeypatch):
    file = old(1)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=5 << 20))
    with pytest.raises(V3Error, match=r"needs 16 MiB of free space in .*, but only 5 MiB are free"):
        open_database(f"sqlite:///{file}", tmp_path)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT value FROM meta").fetchall() == [("1",)]
    assert not list(tmp_path.glob("*before*"))


@pytest.mark.slow
def test_six_processes_open_an_old_database_at_once(url, engine, tmp_path):
    make_schema(engine, 1)
    script = (
        "import sys, pathlib\n"
        "from v3core.store.opening import open_database\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "open_database(sys.argv[1], pathlib.Path(sys.argv[2])).close()\n"
    )
    command = [sys.executable, "-c", script, url, str(tmp_path)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    processes = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(6)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [(process.communicate(timeout=PATIENCE_SECONDS)[1], process.returncode) for process in processes] == [
        ("", 0)
    ] * 6
    database = open_database(url, tmp_path)
    assert versions_of(database) == (str(SCHEMA_VERSION), str(SCHEMA_VERSION))
    database.close()
    assert len(list(tmp_path.glob("*before*"))) == (engine.dialect.name == "sqlite")


def test_a_migration_waits_for_a_writer(url, engine, tmp_path, monkeypatch):
    """A worker of the version before may be in the middle of a batch."""
    make_schema(engine, 1)
    opened = []
    with engine.begin() as tx:
        tx.execute(text("INSERT INTO meta VALUES ('k', 'v')"))
        thread = threading.Thread(target=lambda: opened.append(open_database(url, tmp_path)))
        thread.start()
        thread.join(0.5 if engine.dialect.name == "sqlite" else 0)
        assert thread.is_alive()
    thread.join(PATIENCE_SECONDS)
    with opened[0].read() as tx:
        assert tx.execute(select(meta.c.value).order_by(meta.c.key)).scalars().all() == ["v", str(SCHEMA_VERSION)]
    opened[0].close()


def test_a_table_is_made_anew_without_the_rows_that_refer_to_it(sqlite_db, new_run):
    """So SQLite changes a column; with foreign keys, dropping the old table would delete them."""
    run_id = new_run(sqlite_db)
    reader, writer = dialect.make_engines(dialect.parse_url(sqlite_db.url))
    with dialect.schema_transaction(writer) as tx:
        operations = Operations(MigrationContext.configure(tx))
        with operations.batch_alter_table("runs", recreate="always") as batch:
            batch.alter_column("notes", type_=String(99))
    with sqlite_db.write() as tx:
        assert tx.execute(select(revisions.c.run_id)).scalars().all() == [run_id]
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    with writer.begin() as tx:
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    reader.dispose()
    writer.dispose()


def test_opening_what_is_up_to_date_costs_one_query(url, tmp_path, monkeypatch):
    open_database(url, tmp_path).close()
    make_engines, statements = dialect.make_engines, []

    def counted(parsed):
        engines = make_engines(parsed)
        for engine in engines:
            # The driver's own questions at the first connection to PostgreSQL are not asked through a cursor of ours.
            event.listen(engine, "before_cursor_execute", lambda c, cursor, sql, *_: statements.append(sql.split()[0]))
        return engines

    monkeypatch.setattr(dialect, "make_engines", counted)
    monkeypatch.setattr(opening, "make_current", None)
    open_database(url, tmp_path).close()
    assert Counter(statements)["SELECT"] == 1
    assert set(statements) <= {"SELECT", "BEGIN", "SET"}


def test_alembic_is_imported_only_to_migrate(tmp_path):
    script = (
        "import sys, pathlib\n"
        "from v3core.store.opening import open_database\n"
        "for _ in range(2): open_database(sys.argv[1], pathlib.Path(sys.argv[2])).close()\n"
        "print('alembic' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path / 'v3.db'}", str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"
