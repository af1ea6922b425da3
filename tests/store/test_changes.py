"""Whether anything was committed, and whether it concerns a run."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine

from v3core.errors import V3Error
from v3core.store.changes import Probe, state_of_run
from v3core.store.commands import STOP, acknowledge, add_command
from v3core.store.database import Database
from v3core.store.history import (
    CheckpointRow,
    PhaseChangeRow,
    add_checkpoint,
    add_evaluation,
    add_event,
    add_phase_change,
    newest_event,
)
from v3core.store.opening import open_database
from v3core.store.runs import update_run

NOW = datetime(2030, 1, 2, tzinfo=UTC)


def seen_after(probe, action=lambda: None, tries=20):
    """What is seen before and after an action that commits nothing.

    A PostgreSQL server counts the commits of all of its databases, and another test may use one: hence the tries.
    """
    for _ in range(tries):
        before = probe.look()
        action()
        if (after := probe.look()) == before:
            break
    return before, after


def test_a_commit_of_another_connection_is_seen_and_a_read_is_none(url, db, tmp_path, new_run):
    other, probe = open_database(url, tmp_path), Probe(db)
    before, first = seen_after(probe)
    assert first == before
    before, first = seen_after(probe, lambda: state_of_run(other, "none"))
    assert first == before
    run_id = new_run(other)
    second = probe.look()
    assert second != first
    before, second = seen_after(probe)
    assert second == before
    new_run(db)  # by the same process
    assert probe.look() != second
    assert run_id
    probe.close()
    other.close()


def test_a_probe_keeps_no_transaction_open(db, new_run):
    probe = Probe(db)
    probe.look()
    run_id = new_run(db)
    with db.write() as tx:
        update_run(tx, run_id, {"episode": 3}, only_in=["running"])
    db.compact()  # would wait for a reader
    probe.close()


def test_another_file_in_the_place_of_the_database_is_a_change(tmp_path):
    db = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    probe = Probe(db)
    before = probe.look()
    for file in tmp_path.glob("v3.db*"):
        file.unlink()
    assert probe.look() != before
    probe.close()
    db.close()


def test_a_database_that_cannot_be_read_is_an_error_and_later_looks_try_again(tmp_path, monkeypatch):
    db = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    probe = Probe(db)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "connect", lambda _: create_engine("sqlite:////no/such/folder/v3.db").connect())
        with pytest.raises(V3Error):
            probe.look()
    assert probe.look() == probe.look()
    probe.close()
    db.close()


def changes(run_id):
    """Each kind of commit that concerns a run."""
    asked = []

    def command(tx):
        asked.append(add_command(tx, run_id, STOP, actor="test", now=NOW))

    yield "status", lambda tx: update_run(tx, run_id, {"status": "stopped"}, only_in=["running", "stopped"])
    yield "notes", lambda tx: update_run(tx, run_id, {"notes": "read me"}, only_in=["running", "stopped"])
    yield "episode", lambda tx: update_run(tx, run_id, {"episode": 7}, only_in=["running", "stopped"])
    yield "event", lambda tx: add_event(tx, run_id, actor="test", kind="note", message="so", now=NOW)
    yield "command", command
    yield "acknowledged", lambda tx: acknowledge(tx, asked, now=NOW)
    yield "checkpoint", lambda tx: add_checkpoint(tx, run_id, CheckpointRow(7, 70, "a.pt", NOW))
    yield (
        "evaluation",
        lambda tx: add_evaluation(tx, run_id, episode=7, step=70, env="CartPole-v1", results=[(1.0, 2, None)], now=NOW),
    )
    yield "phase", lambda tx: add_phase_change(tx, run_id, PhaseChangeRow(0, "early", 0, 0, 0, 0, NOW))


def test_all_that_a_page_shows_of_a_run_changes_its_state_and_nothing_of_another_run_does(db, new_run):
    run_id, other = new_run(db), new_run(db)
    state = state_of_run(db, run_id)
    for name, change in changes(run_id):
        with db.write() as tx:
            change(tx)
        assert state_of_run(db, run_id) != state, name
        state = state_of_run(db, run_id)
    for _, change in changes(other):
        with db.write() as tx:
            change(tx)
    assert state_of_run(db, run_id) == state
    assert state_of_run(db, "none") == state_of_run(db, "none") != state


def test_the_newest_end_moves_with_the_history(db, new_run):
    run_id = new_run(db)
    before = newest_event(db)
    with db.write() as tx:
        add_event(tx, run_id, actor="test", kind="completed", message="", now=NOW)
    assert newest_event(db) != before
