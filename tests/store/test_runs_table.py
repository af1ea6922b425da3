"""Rows of the table `runs`."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.store.conftest import START
from v3core.errors import V3Error
from v3core.store import runs as runs_module
from v3core.store.history import add_event, read_events
from v3core.store.run_row import checked
from v3core.store.runs import (
    get_run,
    list_runs,
    remove_hidden_part,
    resolve,
    runs_in,
    stored_status,
    update_run,
)
from v3core.store.schema import HIDDEN, metadata
from v3core.store.writer import EpisodeWriter


def test_a_new_run_has_what_its_config_says(db, new_run, config):
    run = get_run(db, new_run(db, status="queued"))
    assert (run.name, run.status, run.env, run.seed, run.episodes) == ("a run", "queued", "CartPole-v1", 4, 300)
    assert (run.episode, run.step, run.experts, run.curriculum, run.generation) == (0, 0, 4, "two", 0)
    assert run.config == config
    assert run.created_at == START


def test_a_run_is_ready_for_exports(db, new_run):
    run = get_run(db, new_run(db))
    assert run.to_dict()["created_at"] == START
    assert {"id", "name", "status", "env", "episode"} <= set(run.to_dict())
    assert "config_json" not in run.to_dict()


def test_runs_are_listed_newest_first(db, new_run):
    ids = [new_run(db, now=START + timedelta(seconds=age)) for age in (2, 1, 3)]
    assert [run.id for run in list_runs(db)] == [ids[2], ids[0], ids[1]]


def test_only_rows_that_have_changed_are_checked_again(db, new_run, monkeypatch):
    ids = [new_run(db) for _ in range(3)]
    before, asked = {run.id: run for run in list_runs(db)}, []
    monkeypatch.setattr(runs_module, "checked", lambda values: asked.append(values["id"]) or checked(values))
    with db.write() as tx:
        update_run(tx, ids[1], {"episode": 7}, only_in=["running"])
    after = {run.id: run for run in list_runs(db)}
    assert asked == [ids[1]]
    assert [after[run_id].episode for run_id in ids] == [0, 7, 0]
    assert after[ids[0]] is before[ids[0]]
    assert before[ids[1]].episode == 0


def test_runs_in_a_status_come_longest_queued_first(db, new_run):
    ids = [new_run(db, status="queued", now=START + timedelta(seconds=age)) for age in (2, 1, 3)]
    new_run(db, status="running")
    with db.read() as tx:
        assert [run.id for run in runs_in(tx, {"queued"})] == [ids[1], ids[0], ids[2]]


def test_a_short_id_finds_its_run_while_it_is_unique(db, new_run):
    for run_id in ("3f2a0000-aaaa", "3f2b0000-bbbb", "77_70000-cccc"):
        new_run(db, run_id=run_id)
    assert resolve(db, "3f2a") == resolve(db, " 3F2A ") == resolve(db, "3f2a0000-aaaa") == "3f2a0000-aaaa"
    assert resolve(db, "77_7") == "77_70000-cccc"
    with pytest.raises(V3Error, match=r"^Several runs match '3f2': 3f2a0000-aa \'a run\', 3f2b0000-bb \'a run\';"):
        resolve(db, "3f2")
    for unknown in ("4", "77%", "7_", "3f2a0000-aaaa0"):
        with pytest.raises(V3Error, match=f"There is no run '{unknown}'"):
            resolve(db, unknown)
    with pytest.raises(V3Error, match="No run id given"):
        resolve(db, "")


@pytest.mark.parametrize(
    ("conditions", "happens"),
    [
        ({"only_in": ["running"]}, True),
        ({"only_in": ["queued", "running"], "generation": 0, "pids": [7]}, True),
        ({"only_in": ["queued"]}, False),
        ({"only_in": []}, False),
        ({"only_in": ["running"], "generation": 1}, False),
        ({"only_in": ["running"], "due_before": START}, False),
        ({"only_in": ["running"], "pids": [8, 9]}, False),
    ],
)
def test_a_run_changes_only_under_its_conditions(db, new_run, conditions, happens):
    run_id, other = new_run(db, pid=7), new_run(db, pid=7)
    with db.write() as tx:
        assert update_run(tx, run_id, {"name": "new"}, **conditions) is happens
    assert get_run(db, run_id).name == ("new" if happens else "a run")
    assert get_run(db, other).name == "a run"


def test_deleting_a_run_deletes_every_row_of_it_and_no_other(db, new_run, episode):
    gone, kept = new_run(db), new_run(db)
    for run_id in (gone, kept):
        writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
        writer.record([episode(1)], 10)
        writer.also(lambda tx, run_id=run_id: add_event(tx, run_id, actor="a", kind="k", message="m", now=START))
        writer.close()
    with db.write() as tx:
        assert remove_hidden_part(tx, gone) is True, "its episodes go first"
        assert remove_hidden_part(tx, gone) is False
        assert stored_status(tx, gone) == "running", "only a hidden run is removed"
        update_run(tx, gone, {"status": HIDDEN}, only_in=["running"])
        assert remove_hidden_part(tx, gone) is False
    with db.read() as tx:
        for table in metadata.sorted_tables:
            if "run_id" in table.c:
                assert set(tx.execute(select(table.c.run_id)).scalars()) <= {kept}, table.name
    assert [event.message for event in read_events(db, kept) if event.actor == "a"] == ["m"]
    with pytest.raises(V3Error, match="There is no run"):
        get_run(db, gone)
