"""Pages run headless by Streamlit's AppTest, on a database of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.waiting import PATIENCE_SECONDS
from v3core.store.database import Database
from v3core.store.opening import open_database

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An empty store, which the pages open too. The queue starts nothing, so that a queued run stays queued."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    for module in ("launcher", "supervisor", "control", "worker"):
        monkeypatch.setattr(f"v3core.jobs.{module}.drain", lambda *_, **__: [], raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    opened = open_database()
    yield opened
    opened.close()
    st.cache_resource.clear()


@pytest.fixture
def open_page(database: Database) -> Callable[..., AppTest]:
    """`open_page("pages/launch.py", run=ID)`: the page after its first run."""

    def open_it(path: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE_SECONDS)
        for name, value in query.items():
            app.query_params[name] = value
        if path != "app.py":
            app.switch_page(path)
        return app.run()

    return open_it
