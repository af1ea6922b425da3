"""Folders and files that may not be written, and disks without room: one sentence, and nothing half-done."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.disks import fill, small_disk
from v3core.errors import V3Error
from v3core.store import opening
from v3core.store.opening import open_database
from v3core.store.schema import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parents[2]
OLD = Path(__file__).parent / "databases" / "schema-1.db"

# The superuser may write anywhere, so it becomes somebody else first; the tests' own folder is not open to others.
OPEN = """
import json, os, sys
from pathlib import Path
import v3core.store.migrations
from v3core.errors import V3Error
from v3core.store.opening import open_database
from v3core.store.runs import list_runs

folder, wanted = Path(sys.argv[1]), json.loads(sys.argv[2])
os.chdir(folder)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for name, mode in wanted.items():
    (folder / name).chmod(mode)
try:
    database = open_database(folder=folder)
    print(len(list_runs(database)), "runs")
except V3Error as error:
    print(error)
finally:
    for name in wanted:
        (folder / name).chmod(0o700)
"""


@pytest.fixture
def opened_by_another(tmp_path_factory, monkeypatch):
    """What an ordinary user is reported who opens a folder of such modes: `opened_by_another({"v3.db": 0o400})`."""
    folder = Path("/tmp") / f"v3-lab-{os.getpid()}-{tmp_path_factory.getbasetemp().name}"
    folder.mkdir()
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)

    def ask(modes, *, database=None):
        if database:
            shutil.copy(database, folder / "v3.db")
        for path in [folder, *folder.iterdir()]:
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
        command = [sys.executable, "-c", OPEN, str(folder), json.dumps(modes)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.removesuffix("\n").replace(str(folder), "FOLDER")

    yield ask, folder
    shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written(opened_by_another):
    ask, folder = opened_by_another
    sentence = "The data folder FOLDER cannot be written: permission denied; choose another with V3_DATA_DIR."
    assert ask({".": 0o500}) == sentence
    assert list(folder.iterdir()) == []


def test_a_folder_with_a_database_that_may_not_be_written(opened_by_another):
    ask, folder = opened_by_another
    sentence = "The data folder FOLDER cannot be written: permission denied; choose another with V3_DATA_DIR."
    assert ask({".": 0o500}, database=OLD) == sentence
    assert (folder / "v3.db").read_bytes() == OLD.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["v3.db"]


@pytest.mark.parametrize("mode", [0o400, 0o000])
def test_a_file_that_may_not_be_written_or_read(opened_by_another, mode):
    ask, folder = opened_by_another
    sentence = "The database FOLDER/v3.db cannot be written: permission denied; choose another with V3_DATABASE_URL."
    assert ask({"v3.db": mode}, database=OLD) == sentence
    assert (folder / "v3.db").read_bytes() == OLD.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["v3.db"]


def test_a_folder_of_ones_own_will_do(opened_by_another):
    ask, _ = opened_by_another
    assert ask({}, database=OLD) == "1 runs"


def test_a_new_database_on_a_full_disk(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        with pytest.raises(V3Error, match=r"^The database .*v3\.db cannot be .*; free some space\.$"):
            open_database(f"sqlite:///{disk / 'v3.db'}", disk)
        (disk / "ballast").unlink()
        open_database(f"sqlite:///{disk / 'v3.db'}", disk).close()


def test_an_old_database_on_a_small_disk_is_not_begun_with(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        shutil.copy(OLD, disk / "v3.db")
        with pytest.raises(V3Error, match=r"needs 16 MiB of free space in .*disk, but only [34] MiB are free"):
            open_database(f"sqlite:///{disk / 'v3.db'}", disk)
        assert untouched(disk)


@pytest.mark.parametrize("room", [20_000, 84_000, 148_000, 152_000])
def test_a_disk_that_gets_full_while_a_database_is_migrated(tmp_path, monkeypatch, room):
    """It is so before the copy is made, while it is made, at its end, and while the tables are changed."""
    monkeypatch.setattr(opening, "_need_space", lambda file: None)
    with small_disk(tmp_path / "disk", "size=512k") as disk:
        shutil.copy(OLD, disk / "v3.db")
        (disk / "room").write_bytes(b"x" * room)
        fill(disk)
        (disk / "room").unlink()
        with pytest.raises(V3Error, match=r"^The database .*v3\.db .* (full|disk I/O error).*\.$"):
            open_database(f"sqlite:///{disk / 'v3.db'}", disk)
        (disk / "ballast").unlink()
        assert untouched(disk)
        open_database(f"sqlite:///{disk / 'v3.db'}", disk).close()
        assert (disk / f"v3.db.before-schema-{SCHEMA_VERSION}").exists()


def untouched(disk):
    """Whether the old database is as it was, and nothing was left beside it."""
    with closing(sqlite3.connect(disk / "v3.db")) as connection, closing(sqlite3.connect(OLD)) as first:
        return list(connection.iterdump()) == list(first.iterdump()) and not list(disk.glob("*before*"))
