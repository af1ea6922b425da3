"""The same command in the same folder means the same data, whatever the folders are called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.processes import kill_all
from tests.served import served
from tests.waiting import wait_for
from v3core.errors import V3Error
from v3core.store.dialect import parse_url
from v3core.store.opening import check_database, database_url, open_database

ROOT = Path(__file__).resolve().parents[1]
ODD = "a%20b?c#d %41&[x]'\"ü🧪"


@pytest.fixture
def shell(tmp_path):
    """Give a command in the odd folder, without any setting of V3 Lab."""
    folder = tmp_path / ODD
    folder.mkdir()

    def give(*arguments, **variables):
        cleaned = {name: value for name, value in os.environ.items() if not name.startswith("V3_")}
        return subprocess.run(
            [sys.executable, "-m", "v3core", *arguments],
            cwd=folder,
            env=cleaned | {"PYTHONPATH": str(ROOT)} | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout

    yield give
    kill_all(folder / "data")


def test_every_command_finds_the_same_data_in_an_odd_folder(shell, tmp_path):
    folder = tmp_path / ODD
    (queued,) = shell("sweep", "--env", "CartPole-v1", "--episodes", "20").split()

    def completed():
        (run,) = json.loads(shell("runs", "--json"))
        return run["status"] == "completed" and run

    run = wait_for(completed)  # so its worker wrote into this very file
    assert Path(run["checkpoint"]).is_relative_to(folder / "data")
    assert "20 episodes written to" in shell("export", queued, "--to", "run?%.csv")
    assert (folder / "run?%.csv").stat().st_size > 1000
    shell("archive", queued, "--to", "run#.v3run")
    assert "after 20 of training" in shell("evaluate", queued, "--episodes", "1")
    found = shell("doctor")
    assert f"Database: {folder / 'data' / 'v3.db'}\n" in found
    assert f"Data folder: {folder / 'data'}, in the current folder\n" in found
    with served(folder) as server:
        found = psutil.Process(server.process.pid).environ()
    url = database_url(folder / "data")
    assert (found["V3_DATA_DIR"], parse_url(found["V3_DATABASE_URL"])) == (str(folder / "data"), url)
    assert sorted(path.name for path in tmp_path.iterdir()) == [ODD]
    other = {"V3_DATA_DIR": "other%2F?", "V3_DATABASE_URL": "sqlite:///named.db"}
    assert "No runs yet in" in shell("runs", **other)
    assert f"Data folder: {folder / 'other%2F?'}, from V3_DATA_DIR\n" in shell("doctor", **other)
    assert (folder / "named.db").exists()
    assert (folder / "other%2F?").is_dir()


@pytest.mark.parametrize("name", ["%41", "100% of it", "a?b=c", "a#b", "a b", "file:x", "ü🧪", "memory:", "a@b:c"])
def test_any_name_of_a_folder_is_taken_as_it_is(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    monkeypatch.setenv("V3_DATA_DIR", str(folder))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    opened = open_database()
    assert opened.describe() == str(folder / "v3.db")
    check_database(opened)
    again = open_database(opened.url, folder)
    assert again.describe() == str(folder / "v3.db")
    again.close()
    opened.close()
    assert {file.name for file in folder.iterdir()} <= {"v3.db", "v3.db-wal", "v3.db-shm"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_url_that_means_another_file_than_it_looks_like_is_refused(tmp_path):
    (tmp_path / "100%41").mkdir()
    with pytest.raises(V3Error, match=r"names .*/100A/v3\.db, because % .*; write it as %25"):
        parse_url(f"sqlite:///{tmp_path}/100%41/v3.db")
    assert parse_url(f"sqlite:///{tmp_path}/100%2541/v3.db").database == f"{tmp_path}/100%41/v3.db"
    (tmp_path / "100A").mkdir()
    assert parse_url(f"sqlite:///{tmp_path}/100%41/v3.db").database == f"{tmp_path}/100A/v3.db"
    with pytest.raises(V3Error, match=r"write '\?' as %3F if it is part of the name"):
        parse_url(f"sqlite:///{tmp_path}/a?b/v3.db")


def test_a_folder_whose_name_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(V3Error, match=r"bad\\udcff has a name that is not UTF-8; choose another with V3_DATA_DIR"):
        open_database(folder=tmp_path / "bad\udcff")
