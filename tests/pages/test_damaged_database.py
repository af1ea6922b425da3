"""Pages on a database that is damaged: a sentence in place of what cannot be read, and no traceback."""

import sqlite3
from contextlib import closing

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("app.py", "runs"),
        ("pages/launch.py", "meta"),
        ("pages/live.py", "runs"),
        ("pages/live.py", "episodes"),
        ("pages/live.py", "curriculum_revisions"),
        ("pages/compare.py", "runs"),
        ("pages/compare.py", "episodes"),
        ("pages/replay.py", "runs"),
        ("pages/replay.py", "checkpoints"),
    ],
)
def test_a_page_says_that_the_database_is_damaged(open_page, database, page, table):
    runs = [add_recorded_run(database, Status.STOPPED, episodes=400, recorded=300, name=name) for name in "ab"]
    file = database.data_dir / "v3.db"
    database.close()  # writes what is in the log into the file
    spoil(file, table)
    before = file.read_bytes()
    app = open_page(page, run=runs[0], runs=",".join(runs))
    reported = [str(element.value) for element in app.error]
    assert not app.exception
    assert any("is damaged (" in text and "doctor --set-aside-database" in text for text in reported), reported
    assert file.read_bytes() == before


def spoil(file, table):
    """Overwrite the first page of a table."""
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * 4096)
        opened.write(b"\xa5" * 4096)
