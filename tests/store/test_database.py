"""Opening the store: pragmas, errors in one sentence, and many processes at once."""

import sqlite3
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from tests.waiting import PATIENCE_SECONDS
from v3core.errors import V3Error
from v3core.paths import data_dir
from v3core.store.opening import open_database
from v3core.store.schema import SCHEMA_VERSION, meta, metadata, runs

ROOT = Path(__file__).resolve().parents[2]


def test_opening_makes_folder_file_and_tables(tmp_path):
    folder = tmp_path / "deep" / "data"
    open_database(f"sqlite:///{folder / 'v3.db'}", folder).close()
    with sqlite3.connect(folder / "v3.db") as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names >= {"runs", "episodes", "expert_loads", "phase_changes", "curriculum_revisions", "commands", "events"}


def test_sqlite_runs_as_the_design_says(sqlite_db):
    with sqlite_db.write() as tx:
        pragmas = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_second_opening_finds_the_same_rows(url, tmp_path, new_run):
    first = open_database(url, tmp_path)
    run_id = new_run(first)
    first.close()
    second = open_database(url, tmp_path)
    with second.read() as tx:
        assert tx.execute(select(runs.c.id)).scalars().all() == [run_id]
    second.close()


def test_a_reading_transaction_cannot_write(db):
    with pytest.raises(V3Error), db.read() as tx:
        tx.execute(insert(meta).values(key="k", value="v"))


def test_an_exception_undoes_the_transaction(db):
    def fail_midway():
        with db.write() as tx:
            tx.execute(insert(meta).values(key="k", value="v"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    with db.read() as tx:
        assert tx.execute(select(meta.c.key)).scalars().all() == ["schema_version"]


def test_a_reader_sees_one_moment_while_another_writes(db, new_run):
    with db.read() as tx:
        before = tx.execute(select(runs.c.id)).scalars().all()
        new_run(db)
        assert tx.execute(select(runs.c.id)).scalars().all() == before == []


def test_two_writers_wait_for_each_other_instead_of_failing(db):
    """Each transaction reads a number and writes it one higher: lost updates or lock errors would show."""
    with db.write() as tx:
        tx.execute(insert(meta).values(key="count", value="0"))
    errors = []

    def count():
        try:
            for _ in range(25):
                with db.write() as tx:
                    found = select(meta.c.value).where(meta.c.key == "count").with_for_update()
                    value = int(tx.execute(found).scalar_one())
                    tx.execute(meta.update().where(meta.c.key == "count").values(value=str(value + 1)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as tx:
        assert (errors, tx.execute(select(meta.c.value).where(meta.c.key == "count")).scalar_one()) == ([], "100")


def test_eight_processes_open_a_new_store_at_once(url, tmp_path):
    script = (
        "import sys, time, pathlib\n"
        "from v3core.store.opening import open_database\n"
        "print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[3]).exists(): pass\n"
        "open_database(sys.argv[1], pathlib.Path(sys.argv[2])).close()\n"
    )
    go = tmp_path / "go"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, url, str(tmp_path / "data"), str(go)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    go.touch()
    results = [(process.communicate(timeout=PATIENCE_SECONDS)[1], process.returncode) for process in processes]
    assert results == [("", 0)] * 8
    database = open_database(url, tmp_path)
    with database.read() as tx:
        assert tx.execute(select(meta.c.value)).scalars().all() == [str(SCHEMA_VERSION)]
    database.close()


def test_opening_waits_for_a_process_that_has_a_new_file_locked(tmp_path):
    file = tmp_path / "v3.db"
    first = sqlite3.connect(file, isolation_level=None)
    first.execute("BEGIN IMMEDIATE")
    opened = []
    thread = threading.Thread(target=lambda: opened.append(open_database(f"sqlite:///{file}", tmp_path)))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    first.execute("COMMIT")
    first.close()
    thread.join(PATIENCE_SECONDS)
    opened[0].close()


def test_the_environment_chooses_folder_and_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    monkeypatch.delenv("V3_DATA_DIR", raising=False)
    assert data_dir() == tmp_path / "data"
    open_database().close()
    assert (tmp_path / "data" / "v3.db").is_file()
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path / "elsewhere"))
    open_database().close()
    assert (tmp_path / "elsewhere" / "v3.db").is_file()
    monkeypatch.setenv("V3_DATABASE_URL", "sqlite:///named.db")
    database = open_database()
    assert database.describe() == str(tmp_path / "named.db")
    assert database.data_dir == tmp_path / "elsewhere"
    database.close()
    assert (tmp_path / "named.db").is_file()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "V3_DATABASE_URL 'nonsense' is not a database URL; write sqlite:///FILE or postgresql://"),
        ("sqlite://v3.db", "lacks a slash; a file is written sqlite:///FILE"),
        ("sqlite://", "in memory cannot be shared with worker processes"),
        ("mysql://somebody@host/v3", "names a 'mysql' database; write sqlite:///FILE or postgresql://USER"),
        ("postgresql+nothing://me:secret@host/v3", "uses the driver postgresql+nothing, which V3 Lab does not support"),
        ("postgresql+psycopg2://host/v3", "uses the driver postgresql+psycopg2, which V3 Lab does not support; write"),
        ("sqlite+aiosqlite:///{tmp}/v3.db", "uses the driver sqlite+aiosqlite, which V3 Lab does not support; write"),
        ("sqlite:///{tmp}/v3.db?mode=ro", "has options, which are not supported for a SQLite file; remove everything"),
        ("sqlite:///{tmp}/v%003.db", "is not a database URL"),
        ("sqlite:///{tmp}/" + 300 * "n", "cannot be used: file name too long; choose another with V3_DATABASE_URL."),
        ("sqlite:////proc/v3.db", "The database /proc/v3.db cannot be written: unable to open database file; choose"),
        ("sqlite:///{tmp}/file/v3.db", "The database's folder {tmp}/file cannot be written: it is a file"),
        ("sqlite:///{tmp}/folder", "The database {tmp}/folder is a folder; name a file in it with V3_DATABASE_URL."),
        ("sqlite:///{tmp}/file", "The file {tmp}/file is not a SQLite database"),
        ("sqlite:///{tmp}/longer", "The file {tmp}/longer is not a SQLite database"),
    ],
)
def test_what_cannot_be_opened_is_reported_in_one_sentence(tmp_path, url, sentence):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("not a database")
    (tmp_path / "longer").write_text("not a database either" * 1000)
    before = {path: path.read_bytes() for path in tmp_path.glob("*") if path.is_file()}
    with pytest.raises(V3Error) as caught:
        open_database(url.format(tmp=tmp_path), tmp_path)
    assert sentence.format(tmp=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.glob("*") if path.is_file()} == before


def test_a_password_is_never_shown(tmp_path):
    with pytest.raises(V3Error) as caught:
        open_database("postgresql://me:secret@127.0.0.1:1/v3", tmp_path)
    assert "secret" not in str(caught.value)
    with pytest.raises(V3Error) as caught:
        open_database("postgresql//me:secret@127.0.0.1:1/v3", tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(find_spec("psycopg") is None, reason="needs the driver of PostgreSQL")
@pytest.mark.parametrize(
    ("options", "problem"), [("nonsense=1", 'option "nonsense"'), ("connect_timeout=soon", "connect_timeout: 'soon'")]
)
def test_options_that_the_driver_does_not_know(tmp_path, options, problem):
    with pytest.raises(V3Error, match=rf"cannot be reached: .*{problem}; check the server and V3_DATABASE_URL\."):
        open_database(f"postgresql://me:secret@127.0.0.1:1/v3?{options}", tmp_path)


def test_a_data_folder_that_cannot_be_made_names_its_variable(tmp_path):
    with pytest.raises(V3Error, match=r"cannot be written: file name too long; choose another with V3_DATA_DIR\.$"):
        open_database(f"sqlite:///{tmp_path}/v3.db", tmp_path / ("n" * 300))
    (tmp_path / "file").touch()
    with pytest.raises(V3Error, match=r"^The data folder .*/file/data cannot be written: .*; choose .* V3_DATA_DIR\.$"):
        open_database(None, tmp_path / "file" / "data")


def test_a_newer_schema_is_refused(db, url, tmp_path):
    with db.write() as tx:
        tx.execute(meta.update().values(value=str(SCHEMA_VERSION + 1)))
    with pytest.raises(V3Error, match=r"was created by a newer V3 Lab .* update V3 Lab"):
        open_database(url, tmp_path)


def test_a_database_of_another_program_is_left_alone(tmp_path):
    file = tmp_path / "theirs.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE recipes (id)")
    connection.close()
    with pytest.raises(V3Error, match="belongs to another program"):
        open_database(f"sqlite:///{file}", tmp_path)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    connection.close()


def test_every_table_of_the_schema_is_really_there(db):
    with db.read() as tx:
        for table in metadata.sorted_tables:
            tx.execute(select(table)).all()
