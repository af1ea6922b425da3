"""What all tests share."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgres_server
from v3core.native.build import BuildError, build, find_compiler
from v3core.store.database import Database
from v3core.store.opening import open_database

# On a busy machine a single example may take long for reasons that are not the code's.
settings.register_profile("unhurried", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=15)  # `make fast`
settings.register_profile("mutation", deadline=None, max_examples=5)  # of each mutant: `make mutation`
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """The session, not each of its workers, owns the PostgreSQL server that tests may start, and compiles once."""
    if not hasattr(config, "workerinput"):
        postgres_server.begin_session()
        if find_compiler() is not None:
            with suppress(BuildError):  # which the tests of the library report
                build()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long on PostgreSQL is long there only."""
    for item in items:
        if "[postgresql" in item.name and item.get_closest_marker("long_on_postgresql"):
            item.add_marker("long")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End that server."""
    if not hasattr(config, "workerinput"):
        postgres_server.end_session()


@pytest.fixture(autouse=True)
def _no_display_left() -> Iterator[None]:
    """Commands that draw set this for their own process, which in tests is that of other tests."""
    before = os.environ.get("SDL_VIDEODRIVER")
    yield
    if before is None:
        os.environ.pop("SDL_VIDEODRIVER", None)


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An empty store on SQLite, which commands and functions open too; folders of tests may have another."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    database = open_database()
    yield database
    database.close()
