"""A damaged database is reported in one sentence everywhere, and kept until somebody sets it aside."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.episode_table import read_episodes
from v3core.errors import V3Error
from v3core.store.dialect import parse_url
from v3core.store.opening import find_damage, open_database, set_aside
from v3core.store.runs import list_runs
from v3core.store.writer import EpisodeWriter

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
SENTENCE = (
    r"^The database .*v3\.db is damaged \(.+\); restore a backup, or set it aside and start with a new one using: "
    r"python -m v3core doctor --set-aside-database\.$"
)


def overwrite(file):
    """Another program wrote into its middle."""
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xa5" * (size - 3 * 4096))


def cut(file):
    """Half of it was copied."""
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2 // 4096 * 4096)


@pytest.fixture
def recorded(tmp_path, new_run, episode):
    """A database of 600 episodes that nobody has open: (file, run id)."""
    file = tmp_path / "v3.db"
    database = open_database(f"sqlite:///{file}", tmp_path)
    run_id = new_run(database)
    writer = EpisodeWriter(database, run_id, generation=0, writable_in=["running"])
    writer.record([episode(number) for number in range(1, 601)], 6000)
    writer.close()
    database.close()
    assert not find_damage(file)
    return file, run_id


@pytest.fixture(params=[overwrite, cut], ids=["overwritten", "cut"])
def damaged(request, recorded):
    """The same, damaged behind its header."""
    request.param(recorded[0])
    return recorded


def test_using_it_is_reported_in_one_sentence_and_changes_nothing(damaged, tmp_path):
    file, run_id = damaged
    before = file.read_bytes()

    def use():
        database = open_database(f"sqlite:///{file}", tmp_path)
        try:
            list_runs(database)
            read_episodes(database, run_id)
        finally:
            database.close()

    for _ in range(2):
        with pytest.raises(V3Error, match=SENTENCE):
            use()
    assert file.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} <= {"v3.db", "v3.db-wal", "v3.db-shm"}


@pytest.mark.parametrize("command", [["runs"], ["doctor"]])
def test_the_command_line_tells_it_in_one_sentence(damaged, tmp_path, monkeypatch, command):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    done = subprocess.run([sys.executable, "-m", "v3core", *command], cwd=ROOT, capture_output=True, text=True)
    reported = done.stderr if command == ["runs"] else done.stdout
    assert done.returncode == 1
    assert "is damaged (" in reported
    assert "Traceback" not in done.stdout + done.stderr


def test_it_is_set_aside_whole_and_a_new_one_begins(damaged, tmp_path, monkeypatch):
    file, _ = damaged
    before = file.read_bytes()
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    command = [sys.executable, "-m", "v3core", "doctor", "--set-aside-database"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (aside,) = tmp_path.glob("v3.db.damaged-????????-??????")
    assert (done.returncode, done.stdout) == (
        0,
        f"The damaged database is now {aside}; the next command creates a new one.\n",
    )
    assert aside.read_bytes() == before
    assert not file.exists()
    database = open_database(f"sqlite:///{file}", tmp_path)
    assert list_runs(database) == []
    database.close()


def test_the_files_beside_it_go_with_it(damaged, tmp_path):
    file, _ = damaged
    (tmp_path / "v3.db-wal").write_bytes(b"rows that may be rescued")
    assert set_aside(parse_url(f"sqlite:///{file}"), NOW) == tmp_path / "v3.db.damaged-20310203-040506"
    assert (tmp_path / "v3.db.damaged-20310203-040506-wal").read_bytes() == b"rows that may be rescued"


def test_nothing_is_overwritten_by_setting_aside(damaged, tmp_path):
    earlier = tmp_path / "v3.db.damaged-20310203-040506"
    earlier.write_text("of an earlier time")
    with pytest.raises(V3Error, match=r"damaged-20310203-040506 already exists"):
        set_aside(parse_url(f"sqlite:///{damaged[0]}"), NOW)
    assert earlier.read_text() == "of an earlier time"
    assert damaged[0].exists()


def test_one_that_is_in_use_is_not_set_aside(damaged):
    script = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(damaged[0])]
    user = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert user.stdout.readline()
    try:
        with pytest.raises(V3Error, match=rf"is open in processes {user.pid}; end them first"):
            set_aside(parse_url(f"sqlite:///{damaged[0]}"), NOW)
    finally:
        user.communicate()
    assert damaged[0].exists()


def test_a_whole_one_is_left_where_it_is(recorded, tmp_path):
    with pytest.raises(V3Error, match="is intact, so it was not renamed"):
        set_aside(parse_url(f"sqlite:///{recorded[0]}"), NOW)
    with pytest.raises(V3Error, match="There is no database"):
        set_aside(parse_url(f"sqlite:///{tmp_path / 'none.db'}"), NOW)
    with pytest.raises(V3Error, match=r"is on a server; only a SQLite file can be set aside"):
        set_aside(parse_url("postgresql://me:secret@host/v3"), NOW)
    assert recorded[0].exists()


def test_what_is_no_database_is_not_set_aside(tmp_path):
    (tmp_path / "letter").write_text("Dear Sir or Madam" * 99)
    with pytest.raises(V3Error, match=r"letter cannot be read: file is not a database\.$"):
        set_aside(parse_url(f"sqlite:///{tmp_path / 'letter'}"), NOW)


def test_a_damaged_database_of_an_earlier_schema_is_not_migrated(tmp_path):
    file = tmp_path / "v3.db"
    file.write_bytes((Path(__file__).parent / "databases" / "schema-1.db").read_bytes())
    with file.open("r+b") as opened:
        opened.seek(8 * 4096)
        opened.write(b"\xa5" * 4096 * 6)
    before = file.read_bytes()
    with pytest.raises(V3Error, match="damaged"):
        open_database(f"sqlite:///{file}", tmp_path)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT value FROM meta").fetchall() == [("1",)]
    assert file.read_bytes()[100:] == before[100:]
    assert not list(tmp_path.glob("*before*"))
