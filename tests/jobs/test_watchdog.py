"""A server's thread finds what became of runs, with no page open, and nothing ends it."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.waiting import wait_for
from v3core.errors import V3Error
from v3core.jobs import watchdog
from v3core.jobs.identity import ProcessIdentity, this_boot, this_host
from v3core.jobs.lifecycle import Status
from v3core.jobs.watchdog import Watchdog


@pytest.fixture
def watch(db):
    """Start a watchdog of the test's database: `watch()` returns it."""
    started = []

    def start():
        started.append(Watchdog(db.url, look_seconds=0.01).start())
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def dead(run_in):
    """A run whose worker and monitor were killed a while ago: `dead(status)` returns its id."""

    def insert(status):
        gone = ProcessIdentity(this_host(), this_boot(), 2**22 + 1, 1.0)
        return run_in(status, process=gone, heartbeat_at=datetime.now(UTC) - timedelta(seconds=30))

    return insert


@pytest.mark.parametrize("status", [Status.STARTING, Status.RUNNING, Status.PAUSED, Status.STALLED])
def test_a_death_is_found_with_no_page_open(dead, watch, status_of, status):
    run_id = dead(status)
    watch()
    wait_for(lambda: status_of(run_id) == Status.LOST)


def test_two_servers_on_one_database_find_it_once(db, dead, watch, status_of):
    run_id = dead(Status.RUNNING)
    for _ in range(2):
        watch()
    wait_for(lambda: status_of(run_id) == Status.LOST)


def test_no_error_ends_it_and_each_is_logged_once(db, dead, watch, status_of, monkeypatch, caplog):
    run_id, original = dead(Status.RUNNING), watchdog.reconcile
    errors = [V3Error("The database is busy."), V3Error("The database is busy."), KeyError("odd")]

    def reconcile(database):
        if errors:
            raise errors.pop(0)
        original(database)

    monkeypatch.setattr(watchdog, "reconcile", reconcile)
    watch()
    wait_for(lambda: status_of(run_id) == Status.LOST)
    said = [record.getMessage() for record in caplog.records if record.name == watchdog.__name__]
    assert said == [
        "The runs could not be checked: The database is busy.",
        "The runs could not be checked: 'odd'",
    ]


def test_a_database_that_is_deleted_is_not_made_anew(db, watch, tmp_path, caplog):
    if not db.url.startswith("sqlite"):
        pytest.skip("a file")
    dog = watch()
    wait_for(lambda: dog.watches(db))
    db.close()
    for file in tmp_path.glob("v3.db*"):
        file.unlink()
    wait_for(lambda: any("is missing; restore it" in record.getMessage() for record in caplog.records))
    assert not (tmp_path / "v3.db").exists()


def test_a_page_knows_whether_a_watchdog_looks(db, watch, monkeypatch):
    assert not watchdog.is_watched(db)
    monkeypatch.setattr(watchdog, "_watchdogs", {None: watch()})
    wait_for(lambda: watchdog.is_watched(db))
    monkeypatch.setattr(watchdog, "FRESH_SECONDS", -1.0)
    assert not watchdog.is_watched(db)


def test_it_ends_with_its_process(watch):
    dog = watch()
    assert dog._thread.daemon
    dog.stop()
    assert dog._thread not in threading.enumerate()
