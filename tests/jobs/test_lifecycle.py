"""The transition table, and changes that happen once or not at all."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from v3core.curriculum import parse
from v3core.jobs.lifecycle import ACTIVE, ENDED, NOTIFIED, RESUMABLE, TRANSITIONS, Status, change_status
from v3core.store import commands
from v3core.store.history import read_events
from v3core.store.runs import get_run
from v3core.store.schema import STORED

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("to", sorted(STORED))
@pytest.mark.parametrize("before", sorted(STORED))
def test_a_run_moves_as_the_table_says_and_no_other_way(db, run_in, before, to):
    run_id = run_in(before)
    history = len(read_events(db, run_id))
    with db.write() as tx:
        moved = change_status(tx, get_run(tx, run_id), to, "Because.", actor="me", reason="Why.", now=NOW)
    allowed = to in TRANSITIONS[before]
    run = get_run(db, run_id)
    assert moved is allowed
    assert run.status == (to if allowed else before)
    assert len(read_events(db, run_id)) == history + allowed
    if allowed:
        assert run.reason == "Why."
        assert (run.ended_at == NOW) is (to in ENDED)
        newest = read_events(db, run_id)[-1]
        assert (newest.actor, newest.kind, newest.message, newest.at) == ("me", to, "Because.", NOW)


def test_the_table_is_the_life_of_a_run():
    assert set(TRANSITIONS) == set(Status)
    assert {"stopped", "failed", "lost"} == RESUMABLE
    assert {"starting", "running", "paused", "stalled", "stopping"} == ACTIVE
    assert TRANSITIONS[Status.COMPLETED] == {Status.QUEUED}  # only with a new length: tests/jobs/test_longer.py
    for status in ACTIVE:
        assert Status.LOST in TRANSITIONS[status]
    reached, frontier = set(), {Status.QUEUED}
    while frontier:
        reached |= frontier
        frontier = set().union(*(TRANSITIONS[status] for status in frontier)) - reached
    assert reached == STORED


def test_conditions_hold_a_change_back(db, run_in):
    run_id = run_in(Status.RUNNING)
    options = {"actor": "me", "message": "m", "now": NOW}
    with db.write() as tx:
        run = get_run(tx, run_id)
        assert not change_status(tx, run, Status.LOST, only_from={Status.STARTING}, **options)
        assert not change_status(tx, replace(run, generation=1), Status.LOST, **options)
        assert not change_status(tx, run, Status.LOST, pids=[1], **options)
        assert not change_status(tx, run, Status.LOST, heard_before=NOW.replace(year=2000), **options)
        assert not change_status(tx, replace(run, id="another"), Status.LOST, **options)
        assert change_status(tx, run, Status.LOST, values={"phase": "x"}, **options)
    assert get_run(db, run_id).phase == "x"


def test_of_many_that_try_one_succeeds(db, run_in):
    run_id = run_in(Status.RUNNING)
    gate, moved = threading.Barrier(6), []

    def end(to):
        gate.wait()
        with db.write() as tx:
            moved.append(change_status(tx, get_run(tx, run_id), to, "m", actor="me", now=NOW))

    threads = [threading.Thread(target=end, args=(to,)) for to in [Status.LOST, Status.COMPLETED, Status.FAILED] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(moved) == [False] * 5 + [True]
    assert [event.kind for event in read_events(db, run_id)][-2:] == ["running", get_run(db, run_id).status]


@pytest.mark.parametrize("ended", sorted(ENDED & STORED))
def test_an_end_settles_what_was_asked(db, run_in, ended):
    run_id = run_in(Status.STOPPING)
    other = parse("{name: other, phases: [{name: early, until: {episode: 40}}, {name: late}]}")
    with db.write() as tx:
        stop = commands.add_command(tx, run_id, commands.STOP, actor="me", now=NOW)
        pause = commands.add_command(tx, run_id, commands.PAUSE, actor="me", now=NOW)
        revision = commands.add_revision(tx, run_id, other, actor="me", now=NOW, applied_episode=None)
        edit = commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor="me", now=NOW, revision_id=revision)
        assert change_status(tx, get_run(tx, run_id), ended, "m", actor="me", now=NOW)
    assert commands.read_commands(db, run_id, only_open=True) == []
    newest = commands.read_revisions(db, run_id)[-1]
    reason = f"The run was {ended} before the command was carried out."
    assert (newest.state, newest.reason) == ("rejected", reason)
    fates = {row.id: (row.applied_at, row.rejected_reason) for row in commands.read_commands(db, run_id)}
    assert fates == {stop: (NOW, None), pause: (None, reason), edit: (None, reason)}


@pytest.mark.parametrize("ended", sorted(ENDED & STORED))
def test_ends_that_nobody_asked_for_are_to_be_reported(db, run_in, ended, monkeypatch):
    monkeypatch.setenv("V3_WEBHOOK_URL", "http://127.0.0.1:9/")
    assert get_run(db, run_in(ended)).webhook == ("due" if ended in NOTIFIED else None)
