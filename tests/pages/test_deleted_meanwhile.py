"""A run that is deleted while a page is being drawn, at whatever moment: a sentence or a page without it."""

import os
from contextlib import contextmanager

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database

EVERY = int(os.environ.get("V3_DELETED", 4))
"""How many reads lie between two that it is tried before; 1 tries all of them, which takes minutes."""


@pytest.fixture
def before_read(monkeypatch):
    """`before_read(act)`: call `act(n)` before the n-th read of any database from now on, from 1."""
    original = Database.read

    def install(act):
        count = iter(range(1, 10**6))
        acting = []

        @contextmanager
        def read(self):
            if not acting:  # what it reads itself does not count
                acting.append(True)
                act(next(count))
                acting.clear()
            with original(self) as tx:
                yield tx

        monkeypatch.setattr(Database, "read", read)

    return install


@pytest.mark.parametrize("page", ["pages/live.py", "pages/compare.py", "pages/replay.py"])
def test_a_run_may_be_deleted_before_any_read(open_page, database, before_read, page):
    others = [add_recorded_run(database, Status.COMPLETED, episodes=60, recorded=25) for _ in range(2)]
    reads = []
    before_read(reads.append)
    open_page(page, run=others[0], runs=",".join(others))
    assert len(reads) > 3
    for place in range(1, len(reads) + 1, EVERY):
        run_id = add_recorded_run(database, Status.STOPPED, episodes=60, recorded=25)

        def act(number, place=place, run_id=run_id):
            if number == place:
                control.delete(database, run_id)

        before_read(act)
        app = open_page(page, run=run_id, runs=f"{run_id},{others[0]}")
        assert not app.exception, place
        for error in app.error:
            assert "no run" in error.value or "deleted" in error.value, (place, error.value)
