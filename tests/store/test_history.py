"""What is recorded of a run, row by row."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from tests.store.conftest import START
from tests.store.recorded import record
from tests.store.test_odd_rows import spoil
from v3core.store.history import (
    add_evaluation,
    add_event,
    read_episode,
    read_evaluation_means,
    read_evaluations,
    read_stretches,
)


def test_evaluations_are_read_on_from_a_cursor(db, new_run):
    run_id = new_run(db)
    with db.write() as tx:
        for episode in (10, 20):
            results = [(1.0, 5, None), (3.0, 5, None)]
            add_evaluation(
                tx, run_id, episode=episode, step=episode, env="A-v0", results=results, now=datetime.now(UTC)
            )
    assert [(row.episode, row.returns) for row in read_evaluations(db, run_id)] == [(10, (1.0, 3.0)), (20, (1.0, 3.0))]
    assert [row.episode for row in read_evaluations(db, run_id, after=10)] == [20]
    assert read_evaluations(db, run_id, after=20) == []


def test_an_episode_is_read_by_the_names_of_its_columns(db, new_run, episode):
    run_id, other = new_run(db), new_run(db)
    record(db, run_id, episode, 3)
    record(db, other, episode, 5)
    row = read_episode(db, run_id, 2)
    assert (row["episode"], row["return"], row["phase"], row["routing"]) == (2, 2.0, "early", "softmax")
    assert row["at"].tzinfo is not None
    assert read_episode(db, run_id, 4) is None
    assert read_episode(db, run_id, 0) is None


@pytest.mark.parametrize(("column", "odd"), [("top_k", "three"), ("alpha", b"\x00"), ("routing", b"x"), ("top_k", 1.5)])
def test_a_value_of_another_kind_is_not_there(sqlite_db, new_run, episode, column, odd):
    run_id = new_run(sqlite_db)
    record(sqlite_db, run_id, episode, 1)
    spoil(sqlite_db, run_id, column, odd, "episodes")
    row = read_episode(sqlite_db, run_id, 1)
    assert row[column] is None
    assert row["return"] == 1.0


def test_the_stretches_of_a_run_are_read_from_its_history(db, new_run):
    run_id, other = new_run(db), new_run(db)
    kinds = ["starting", "running", "phase", "stalled", "running", "paused", "stalled", "paused", "running", "stopping"]
    kinds += ["stopped", "queued", "starting", "running", "lost", "queued", "starting", "failed", "queued", "running"]
    at = [START + timedelta(minutes=minute) for minute in range(len(kinds))]
    with db.write() as tx:
        for moment, kind in zip(at, kinds, strict=True):
            add_event(tx, run_id, actor="test", kind=kind, message="m", now=moment)
    expected = [(at[1], at[5]), (at[8], at[10]), (at[13], at[14]), (at[19], None)]
    assert read_stretches(db, [run_id, other]) == {run_id: expected, other: []}
    assert read_stretches(db, []) == {}


def test_evaluations_in_short_are_means_of_the_returns_that_are_finite(db, new_run):
    run_id, other = new_run(db), new_run(db)
    with db.write() as tx:
        played = [(math.inf, 3, 1.0), (-math.inf, 3, 0.0), (math.nan, 3, None), (2.0, 3, 0.0), (5.0, 3, 1.0)]
        add_evaluation(tx, run_id, episode=10, step=100, env="CartPole-v1", results=played, now=START)
        add_evaluation(tx, run_id, episode=20, step=200, env="CartPole-v1", results=played[:1], now=START)
    found = read_evaluation_means(db, [run_id, other])
    assert found[other] == []
    first, second = found[run_id]
    assert (first.episode, first.step, first.env, first.mean, first.count, first.success) == (
        *(10, 100, "CartPole-v1", 3.5, 2),
        0.5,
    )
    assert math.isnan(second.mean)
    assert second.count == 0
