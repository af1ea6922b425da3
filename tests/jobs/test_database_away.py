"""A database server that does not answer for some seconds: no run fails by that."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, make_url

from tests.databases import POSTGRES
from tests.jobs.conftest import ROOT, assert_whole
from tests.waiting import wait_for
from v3core.jobs import identity
from v3core.jobs.files import log_file
from v3core.jobs.launcher import claim, create
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database, DatabaseUnreachableError
from v3core.store.runs import get_run, update_run
from v3core.store.writer import EpisodeWriter

pytestmark = pytest.mark.parametrize("db", [POSTGRES], indirect=True)


def as_owner(db, *statements):
    """Carry out statements by another database of the server; returns the rows of the last."""
    url = make_url(db.url)
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            found = connection.exec_driver_sql(statement.format(name=url.database))
        rows = found.all() if found.returns_rows else []
    engine.dispose()
    return rows


@contextmanager
def away(db):
    """Meanwhile the database accepts no connection, and those that it had are closed."""
    as_owner(
        db,
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    try:
        yield
    finally:
        as_owner(db, "ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def connections(db):
    return as_owner(db, "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")[0][0]


def test_what_passes_is_told_apart(db):
    with away(db), pytest.raises(DatabaseUnreachableError, match="cannot be reached"), db.read():
        pass
    with db.read():
        pass


@pytest.mark.every_database
def test_a_run_trains_on_when_the_database_is_back_and_takes_three_connections(db, config, start, wait_until):
    run_id = start(episodes=3000)
    wait_until(run_id, episode=200)
    db.disconnect()
    wait_for(lambda: connections(db) <= 3, "one of the monitor, and two of the worker")
    with away(db):
        time.sleep(3)
    wait_until(run_id, status=Status.COMPLETED)
    assert len(assert_whole(db, run_id)["episode"]) == 3000


def test_a_write_whose_commit_was_not_answered_is_not_written_twice(db, run_in, monkeypatch):
    run_id = run_in(Status.RUNNING)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in={Status.RUNNING})
    committed, original = [], Database.write

    @contextmanager
    def unanswered(self):
        with original(self) as tx:
            yield tx
        if len(committed) < 2:
            committed.append(1)
            raise DatabaseUnreachableError("The connection was lost.")

    monkeypatch.setattr(Database, "write", unanswered)
    written = []
    writer.also(lambda tx: written.append(1))
    writer.flush()
    writer.close()
    assert written == [1]


def test_a_worker_that_could_not_be_started_for_that_is_to_be_tried_later(db, config, monkeypatch):
    """As its actor on a node starts it."""
    variables = {"V3_NODE": "n1", "V3_NODE_ADDRESS": "127.0.0.9", "PYTHONPATH": str(ROOT)}
    with db.write() as tx:
        run_id = create(tx, config(episodes=20), now=datetime.now(UTC))
        claim(tx, get_run(tx, run_id), now=datetime.now(UTC), actor="test")
        nowhere = vars(replace(identity.current(), pid=None, pid_started=None))
        update_run(tx, run_id, nowhere, only_in=[Status.STARTING])
    log_file(run_id, db.data_dir).parent.mkdir(parents=True, exist_ok=True)
    log_file(run_id, db.data_dir).touch()

    def hold(patience):
        code = (
            f"import runpy, sys; from v3core.store import opening; opened = opening.open_patiently; "
            f"opening.open_patiently = lambda _: opened({patience}); "
            f"sys.argv = ['on_node', {run_id!r}, '0', '{os.getpid()}']; "
            f"runpy.run_module('v3core.jobs.on_node', run_name='__main__')"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with away(db):
        process = hold(0.5)
        said, _ = process.communicate(timeout=60)
    assert said.startswith("later: Node 127.0.0.9: The database")
    assert get_run(db, run_id).status == Status.STARTING
    with away(db):
        process = hold(30)
        time.sleep(4)
    assert process.stdout.readline() == "started\n"
    wait_for(lambda: get_run(db, run_id).status == Status.COMPLETED, "its end")
    process.communicate(timeout=60)
