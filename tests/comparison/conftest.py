"""An empty store on SQLite, which each test fills with a few recorded runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from v3core.store.database import Database
from v3core.store.opening import open_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An open, empty store."""
    database = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield database
    database.close()
