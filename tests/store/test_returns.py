"""Coarse curves and means of returns for lists, compared with what the episodes say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import delete

from v3core.rollup import bucket_size
from v3core.store.pace import recent_returns
from v3core.store.returns import POINTS, read_mean_return, read_sparklines
from v3core.store.runs import get_run
from v3core.store.schema import rollups
from v3core.store.writer import EpisodeWriter


def returns_of(numbers):
    """Made-up returns, some of them not finite."""
    return [
        math.nan if number % 7 == 0 else math.inf if number % 11 == 0 else 10.0 * math.sin(number) for number in numbers
    ]


def expected(returns, size):
    pieces = [np.array(returns[start : start + size]) for start in range(0, len(returns), size)]
    return [piece[np.isfinite(piece)].mean() if np.isfinite(piece).any() else math.nan for piece in pieces]


def record(db, new_run, episode, count):
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    returns = returns_of(range(1, count + 1))
    rows = [replace(episode(number), return_=value) for number, value in enumerate(returns, start=1)]
    writer.record(rows, count)
    writer.close()
    return get_run(db, run_id), returns


@pytest.mark.parametrize("count", [0, 1, 7, 33, 64, 500, 513, 1500, 3000])
def test_a_sparkline_is_the_means_of_the_episodes(db, new_run, episode, count):
    run, returns = record(db, new_run, episode, count)
    (line,) = read_sparklines(db, [run])
    assert len(line) <= POINTS
    assert len(line) == 0 if count == 0 else len(line) > min(count, POINTS // 2) - 1
    if count:
        np.testing.assert_allclose(line, expected(returns, bucket_size(count, POINTS)), rtol=1e-9)


@pytest.mark.parametrize("lost", ["all", "one level", "a row in the middle"])
def test_a_sparkline_does_not_need_the_stored_levels(db, new_run, episode, lost):
    run, returns = record(db, new_run, episode, 2100)
    where = {"all": [], "one level": [rollups.c.size == 64], "a row in the middle": [rollups.c.number == 3]}[lost]
    with db.write() as tx:
        tx.execute(delete(rollups).where(rollups.c.run_id == run.id, *where))
    (line,) = read_sparklines(db, [run])
    np.testing.assert_allclose(line, expected(returns, bucket_size(2100, POINTS)), rtol=1e-9)


def test_a_mean_return_is_that_of_the_window_up_to_an_episode(db, new_run, episode):
    run, returns = record(db, new_run, episode, 50)
    with db.read() as tx:
        assert read_mean_return(tx, run.id, 40, 10) == pytest.approx(expected(returns[30:40], 10)[0])
        assert read_mean_return(tx, run.id, 5, 10) == pytest.approx(expected(returns[:5], 5)[0])
        assert math.isnan(read_mean_return(tx, run.id, 7, 1))
        assert math.isnan(read_mean_return(tx, run.id, 0, 10))


def test_a_mean_return_is_of_the_phase_that_the_run_was_in(db, new_run, episode):
    """As a run has it when that episode is its newest: 10 of the second phase, whatever the window reaches back to."""
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    rows = [
        episode(number, phase="a" if number <= 30 else "b", return_=240.0 if number <= 30 else 160.0)
        for number in range(1, 41)
    ]
    writer.record(rows, len(rows))
    writer.close()
    with db.read() as tx:
        assert [read_mean_return(tx, run_id, last, 20) for last in (30, 31, 40)] == [240, 160, 160]
        assert (recent_returns(tx, run_id).count, recent_returns(tx, run_id).mean) == (10, 160)
