"""Reading by cursor."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from v3core.errors import V3Error
from v3core.store.history import add_evaluation
from v3core.store.readers import EPISODE_COLUMNS, read_episodes, read_evaluations
from v3core.store.writer import EpisodeWriter


@pytest.fixture
def recorded(db, new_run, episode):
    """A run with 40 episodes, and another beside it."""
    ids = [new_run(db), new_run(db)]
    for run_id in ids:
        writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
        writer.record([episode(number) for number in range(1, 41)], 400)
        writer.close()
    return ids[0]


def test_a_run_without_episodes_is_an_empty_table(db, new_run):
    table = read_episodes(db, new_run(db))
    assert (len(table), table.last, table.loads.shape, table.hard_loads.shape) == (0, 0, (0, 4), (0, 4))
    assert set(table.columns) == set(EPISODE_COLUMNS)


def test_columns_have_the_types_that_charts_need(db, recorded):
    table = read_episodes(db, recorded)
    assert {name: column.dtype.kind for name, column in table.columns.items() if column.dtype.kind != "f"} == {
        "episode": "i",
        "length": "i",
        "phase_steps": "i",
        "rollbacks": "i",
        "dead_experts": "i",
        "step": "i",
        "phase": "O",
        "routing": "O",
        "env": "O",
        "top_k_weights": "O",
        "at": "O",
    }
    assert table["at"][0].tzinfo is not None
    assert table.loads.shape == table.hard_loads.shape == (40, 4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(1, 15), min_size=1, max_size=8))
def test_reading_on_from_a_cursor_gives_what_one_read_gives(db, recorded, steps):
    table = read_episodes(db, recorded, limit=0)
    for limit in steps:
        newer = read_episodes(db, recorded, after=table.last, limit=limit)
        table = table.followed_by(newer)
    whole = read_episodes(db, recorded, limit=sum(steps))
    assert table["episode"].tolist() == list(range(1, min(sum(steps), 40) + 1))
    for name, column in whole.columns.items():
        np.testing.assert_array_equal(table[name], column, err_msg=name)
    assert np.array_equal(table.loads, whole.loads)
    assert np.array_equal(table.expert_grad_norms, whole.expert_grad_norms)
    assert np.array_equal(table.hard_loads, whole.hard_loads)


def test_only_the_columns_asked_for_are_read(db, recorded):
    table = read_episodes(db, recorded, after=38, columns=["return"], loads=False)
    assert {name: column.tolist() for name, column in table.columns.items()} == {
        "episode": [39, 40],
        "return": [39.0, 40.0],
    }
    assert table.loads.shape == (2, 0)


def test_an_unknown_run_is_refused(db):
    with pytest.raises(V3Error, match="There is no run 'nothing'"):
        read_episodes(db, "nothing")


def test_evaluations_are_read_on_from_a_cursor(db, new_run):
    run_id = new_run(db)
    with db.write() as tx:
        for episode in (10, 20):
            results = [(1.0, 5, None), (3.0, 5, None)]
            add_evaluation(
                tx, run_id, episode=episode, step=episode, env="A-v0", results=results, now=datetime.now(UTC)
            )
    assert [(row.episode, row.mean_return) for row in read_evaluations(db, run_id)] == [(10, 2.0), (20, 2.0)]
    assert [row.episode for row in read_evaluations(db, run_id, after=10)] == [20]
    assert read_evaluations(db, run_id, after=20) == []
