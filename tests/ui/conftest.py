"""What tests of pages' parts share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.ui import news


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A store; topics are read whenever they are asked for, without the thread that looks twice a second."""
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    monkeypatch.setattr(news, "value", lambda topic: topic.value(None))
    yield opened
    opened.close()
