"""Rows that make no sense, as SQLite and other programs can leave them: one is shown as such, the others go on."""

import sqlite3

import pytest
from sqlalchemy import text as sql

from tests.episode_table import read_episodes
from tests.pages.recorded import add_recorded_run
from v3core.errors import V3Error
from v3core.jobs import control, identity, launcher, supervisor
from v3core.jobs.launchers import local
from v3core.jobs.lifecycle import Status
from v3core.store.commands import curriculum_in_force, read_commands, read_revisions
from v3core.store.curve import read_series
from v3core.store.database import Database
from v3core.store.history import read_evaluations
from v3core.store.opening import open_database
from v3core.store.run_row import RULES
from v3core.store.run_tables import RUN_TABLES
from v3core.store.runs import get_run, list_runs

ODD = {
    "status": ["banana", "", 5, "unreadable", "RUNNING"],
    "name": [b"\x00\x01"],
    "env": [b"x"],
    "curriculum": [b"x"],
    "seed": [-1, "one", 1.5],
    "episodes": [0, -4, "many", 10**12, 2.5],
    "episode": [-1, "x", 0.5],
    "step": [-1, "x"],
    "experts": [0, -1, "x", 10**9],
    "priority": ["x", 1.5],
    "generation": [-1, "x"],
    "phase": [b"x"],
    "latest_return": ["x"],
    "mean_return": ["x"],
    "steps_per_second": [-1.0, "x"],
    "episodes_per_second": [-0.5, "x"],
    "pid": [-1, "x"],
    "pid_started": ["x"],
    "host": [b"x"],
    "heartbeat_at": ["x", 5],
    "heartbeat_due_at": ["yesterday", "2026-13-45 00:00:00"],
    "created_at": ["x", 5, ""],
    "queued_at": ["x"],
    "started_at": ["x"],
    "ended_at": ["x"],
}
"""Values that no program of ours writes."""
FINE = {
    "phase": [None],
    "latest_return": [None, float("inf"), 3, -1e300],
    "mean_return": [None],
    "heartbeat_at": [None, "9999-12-31 23:59:59.000000", "2999-01-01 00:00:00.000000"],
    "ended_at": ["0001-01-01 00:00:00.000000"],
    "tags": [None],
    "notes": [None, ""],
    "host": [None],
    "experiment": [None],
}
"""Unusual, but nothing is wrong with it."""


def cases(table):
    return [(column, value) for column, values in table.items() for value in values]


def spoil(db: Database, run_id: str, column: str, value: object, table: str = "runs") -> None:
    """Write a value straight into a row, as another program may."""
    with db.write() as tx:
        where = "id" if table == "runs" else "run_id"
        tx.execute(sql(f'UPDATE {table} SET "{column}" = :value WHERE {where} = :id'), {"value": value, "id": run_id})


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield opened
    opened.close()


def test_every_column_of_a_run_has_a_rule(db):
    run = get_run(db, add_recorded_run(db, Status.COMPLETED))
    assert {*RULES, "status"} == set(run.__dataclass_fields__)
    assert run.status == Status.COMPLETED


def test_a_run_with_an_odd_row_is_shown_as_such_and_the_others_go_on(db):
    good = add_recorded_run(db, Status.COMPLETED)
    bad = add_recorded_run(db, Status.STOPPED)
    whole = get_run(db, bad)
    for column, value in cases(ODD):
        spoil(db, bad, column, value)
        found = {run.id: run for run in list_runs(db)}
        assert found[good].status == Status.COMPLETED, (column, value)
        run = found[bad]
        assert run.status == Status.UNREADABLE, (column, value)
        assert f"{column} is " in run.reason, (column, value)
        assert run.reason.count("\n") == 0
        assert run.episodes > 0 <= run.episode
        assert run.to_dict()["id"] == bad
        stored = getattr(whole, column)
        spoil(db, bad, column, stored.strftime("%Y-%m-%d %H:%M:%S.%f") if hasattr(stored, "strftime") else stored)
    assert get_run(db, bad) == whole


@pytest.mark.parametrize(("column", "value"), cases(FINE))
def test_what_is_only_unusual_is_read_as_it_is(db, column, value):
    run_id = add_recorded_run(db, Status.STOPPED)
    spoil(db, run_id, column, value)
    assert get_run(db, run_id).status == Status.STOPPED


def test_an_odd_row_keeps_neither_the_queue_nor_a_look_at_the_processes_from_going_on(db, monkeypatch):
    monkeypatch.setattr(local, "slots", lambda _: 1)
    started = []
    monkeypatch.setattr(launcher, "_start", lambda _, run, *__: started.append(run.id))
    gone = {"host": identity.this_host(), "pid": 2**22 + 1, "pid_started": 1.0}
    for column, value in cases(ODD):
        for status in (Status.QUEUED, Status.RUNNING):
            run_id = add_recorded_run(db, status, recorded=0)
            for name, instead in gone.items():
                spoil(db, run_id, name, instead)
            spoil(db, run_id, column, value)
    good = add_recorded_run(db, Status.QUEUED)
    supervisor.reconcile(db)
    launcher.drain(db)
    assert started == [good]


def test_a_run_whose_configuration_is_broken_fails_with_a_sentence_and_the_next_one_starts(db, monkeypatch):
    monkeypatch.setattr(local, "slots", lambda _: 9)
    for broken in ("{", "{}", "[]", '{"name": 5}'):
        run_id = add_recorded_run(db, Status.QUEUED)
        spoil(db, run_id, "config", broken)
        spoil(db, run_id, "launch", None)
        launcher.drain(db, lambda _: ["true"])
        run = get_run(db, run_id)
        assert run.status == Status.FAILED, broken
        assert "configuration" in run.reason
        with pytest.raises(V3Error, match="configuration"):
            _ = run.config


def test_a_broken_launch_is_as_good_as_none(db, monkeypatch):
    monkeypatch.setattr(local, "slots", lambda _: 9)
    for broken in ("{", "[]", '{"path": 3}', "null"):
        run_id = add_recorded_run(db, Status.QUEUED)
        spoil(db, run_id, "launch", broken)
        assert launcher.drain(db, lambda _: ["true"]) == [run_id]


def test_an_odd_run_can_be_deleted_and_nothing_else(db):
    for column, value in (("status", "banana"), ("episodes", 0), ("created_at", "x")):
        run_id = add_recorded_run(db, Status.STOPPED)
        spoil(db, run_id, "pid", 2**22 + 1)
        spoil(db, run_id, column, value)
        for ask in (control.stop, control.pause, control.unpause, control.checkpoint, control.resume):
            with pytest.raises(V3Error):
                ask(db, run_id)
        control.delete(db, run_id)
    assert list_runs(db) == []


def test_an_odd_run_whose_process_lives_is_not_deleted(db):
    run_id = add_recorded_run(db, Status.RUNNING)  # of this process
    spoil(db, run_id, "status", "banana")
    with pytest.raises(V3Error, match="end it"):
        control.delete(db, run_id)


def test_a_revision_that_cannot_be_read_is_one_sentence_and_commands_are_read_all_the_same(db):
    run_id = add_recorded_run(db, Status.RUNNING)
    curriculum = control.current_curriculum(db, run_id)
    control.request_edit(db, run_id, curriculum.model_copy(update={"description": "another"}), "page")
    spoil(db, run_id, "curriculum", "{", "curriculum_revisions")
    assert [command.kind for command in read_commands(db, run_id)] == ["edit_curriculum"]
    assert len(read_revisions(db, run_id)) == 2
    with pytest.raises(V3Error, match="Revision 1 of its curriculum cannot be read"), db.read() as tx:
        curriculum_in_force(tx, run_id)
    spoil(db, run_id, "pid", 2**22 + 1)
    spoil(db, run_id, "heartbeat_at", None)
    assert supervisor.reconcile(db) == [run_id], "its process is gone, and that is said"


@pytest.mark.parametrize("value", ["x", b"x", None, float("inf"), -1, 10**18])
def test_numbers_of_episodes_and_evaluations_may_be_anything(db, value):
    for column in ("return", "value_loss", "length", "success", "dead_experts", "phase_steps"):
        run_id = add_recorded_run(db, Status.COMPLETED, evaluated=(10,))
        if value is None and column == "length":
            continue  # no row can have that
        spoil(db, run_id, column, value, "episodes")
        if column in ("return", "success"):
            spoil(db, run_id, column, value, "evaluations")
        assert len(read_episodes(db, run_id)) == 25
        read_series(db, run_id)
        read_evaluations(db, run_id)


def test_rows_of_no_run_disturb_nobody(db):
    run_id = add_recorded_run(db, Status.COMPLETED, evaluated=(10,))
    db.close()
    with sqlite3.connect(db.data_dir / "v3.db") as file:  # without foreign keys, as another program may
        for table in RUN_TABLES.values():
            if "run_id" in table.table.c:
                file.execute(f"UPDATE {table.table.name} SET run_id = 'nobody' WHERE run_id = ?", [run_id])
    assert [run.id for run in list_runs(db)] == [run_id]
    assert len(read_episodes(db, run_id)) == 0
    supervisor.reconcile(db)
    control.delete(db, run_id)
