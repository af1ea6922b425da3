"""A store of its own for every test of faults, its workers' environments, and no process left behind."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.load import busy_machine
from tests.processes import kill_all
from tests.runs import tiny_config
from v3core.jobs.launcher import enqueue
from v3core.paths import shipped
from v3core.store.database import Database
from v3core.store.opening import open_database

HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The data folder; every process that was started for it is killed at the end."""
    data = tmp_path / "data"
    data.mkdir()
    yield data
    kill_all(data)


@pytest.fixture
def db(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An open, empty SQLite store; its workers find the faulty environments and are looked into by the spy."""
    spied = tmp_path / "spied"
    spied.mkdir()
    monkeypatch.setenv("V3_MAX_WORKERS", "4")
    monkeypatch.setenv("V3_DATA_DIR", str(folder))
    monkeypatch.setenv("V3_SPY_FOLDER", str(spied))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, [HERE / "environments", HERE / "spy", shipped()])))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    database = open_database()
    yield database
    database.close()


@pytest.fixture
def spied(db: Database, tmp_path: Path) -> Path:
    """Where the spy keeps what the workers do."""
    return tmp_path / "spied"


@pytest.fixture
def busy() -> Iterator[None]:
    """Two processes that keep the processor busy meanwhile."""
    with busy_machine():
        yield


@pytest.fixture
def start(db: Database) -> Callable[..., str]:
    """Queue a run and start its worker: `start(episodes=…)` returns its id."""
    return lambda **options: enqueue(db, [tiny_config(**options)])[0]
