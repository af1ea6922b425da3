"""What the experts did in evaluations, and knock-outs: kept, read back, taken back, and odd rows survived."""

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from tests.store.conftest import START
from v3core.insight.experts import ExpertProfile, ExpertReport, StateMap
from v3core.insight.removals import ALL_EXPERTS
from v3core.store.expert_records import (
    add_expert_report,
    add_knockouts,
    read_expert_reports,
    read_knockouts,
    read_state_map,
)
from v3core.store.schema import evaluation_experts, state_maps
from v3core.store.writer import truncate

MAP = StateMap((0.5, -0.5), (0.1, 0.2), (0, 1), (0.9, 0.8), (1, 1), (0, 1), (0.7, 0.2))
NAMED = {"first": [0], "names": ["N", "FAR_N"]}
REPORT = ExpertReport(
    2,
    2,
    (
        ExpertProfile(
            0.75,
            1.0,
            {"probabilities": [[0.25, 0.75]], **NAMED},
            {"probabilities": [[0, 1.0]], **NAMED},
            (0, 0.5),
        ),
        ExpertProfile(0.25, 0.0, {"probabilities": [[0.7, 0.3]], **NAMED}, None, (0.5, None)),
    ),
    MAP,
)


def as_written(report):
    """JSON has lists for tuples."""
    return [replace(profile, distances=tuple(profile.distances)) for profile in report.experts]


def test_reports_are_read_back_and_only_the_newest_map_is_kept(db, new_run):
    run_id, other = new_run(db), new_run(db)
    with db.write() as tx:
        for episode in (10, 20):
            add_expert_report(tx, run_id, episode, REPORT)
            add_expert_report(tx, run_id, episode, REPORT)  # taken again after a resume
        add_expert_report(tx, other, 5, REPORT)
    found = read_expert_reports(db, run_id)
    assert [(row.episode, row.states, row.compared) for row in found] == [(10, 2, 2), (20, 2, 2)]
    assert list(found[0].experts) == as_written(REPORT)
    assert [row.episode for row in read_expert_reports(db, run_id, after=10)] == [20]
    assert read_state_map(db, run_id) == (20, MAP)
    assert read_state_map(db, other) == (5, MAP)


def test_a_run_without_evaluations_has_neither(db, new_run):
    run_id = new_run(db)
    assert (read_expert_reports(db, run_id), read_state_map(db, run_id), read_knockouts(db, run_id)) == ([], None, [])


def test_what_is_beyond_a_checkpoint_is_taken_back(db, new_run):
    run_id = new_run(db)
    results = {ALL_EXPERTS: [(5.0, 5, None)], 0: [(1.0, 1, None)]}
    with db.write() as tx:
        for episode in (10, 20):
            add_expert_report(tx, run_id, episode, REPORT)
            add_knockouts(tx, run_id, episode=episode, results=results, now=START)
        truncate(tx, run_id, episode=15, step=150, now=START, evaluated=10)
    assert [row.episode for row in read_expert_reports(db, run_id)] == [10]
    assert read_state_map(db, run_id) is None
    assert [row.episode for row in read_knockouts(db, run_id)] == [10]


@pytest.mark.parametrize("column", ["actions", "distances", "used_actions"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "{",
        "[]",
        "3",
        '{"probabilities": 1}',
        '{"mean": ["x"]}',
        '{"probabilities": [[1]]}',
        '{"probabilities": [[0.5, 0.5]], "first": [0], "names": ["<b>", "N"]}',
        '{"probabilities": [[0.5, 0.5]], "first": [0], "names": "NS"}',
        '{"on": [1, 2]}',
        "[0, 1, 2]",
        '["a", 0]',
    ],
)
def test_a_report_that_cannot_be_read_is_skipped(db, new_run, column, value):
    run_id = new_run(db)
    with db.write() as tx:
        for episode in (10, 20):
            add_expert_report(tx, run_id, episode, REPORT)
        table = evaluation_experts
        tx.execute(update(table).where(table.c.episode == 10, table.c.expert == 0).values({column: value}))
    assert [row.episode for row in read_expert_reports(db, run_id)] == [20]


@pytest.mark.parametrize(
    "value",
    ["", "[]", "{}", '{"x": [1]}', MAP.to_json().replace("0.5", '"a"'), MAP.to_json().replace("[0,1]", "[0]", 1)],
)
def test_a_map_that_cannot_be_read_is_none(db, new_run, value):
    run_id = new_run(db)
    with db.write() as tx:
        add_expert_report(tx, run_id, 10, REPORT)
        tx.execute(update(state_maps).values(points=value))
    assert read_state_map(db, run_id) is None


def test_knockouts_are_replaced_and_incomplete_ones_are_not_compared(db, new_run):
    run_id = new_run(db)
    whole = {ALL_EXPERTS: [(5.0, 5, None), (7.0, 7, 1.0)], 0: [(1.0, 1, None), (float("nan"), 2, 0.0)]}
    with db.write() as tx:
        add_knockouts(tx, run_id, episode=10, results=whole | {1: [(9.0, 9, None), (9.0, 9, None)]}, now=START)
        add_knockouts(tx, run_id, episode=10, results=whole, now=START)
        add_knockouts(tx, run_id, episode=20, results={0: [(1.0, 1, None)]}, now=START)
    (row,) = read_knockouts(db, run_id)
    assert (row.episode, row.complete, set(row.without)) == (10, (5.0, 7.0), {0})
    assert row.without[0][0] == 1.0
    assert row.without[0][1] != row.without[0][1]  # not a number


def test_rows_are_compact(db, new_run):
    """An evaluation of four experts and 1,000 states takes less than 50 kB."""
    import numpy as np

    from v3core.insight.experts import principal_axes

    points, _ = principal_axes(np.random.default_rng(0).normal(size=(1000, 16)))
    number, step = tuple(range(1, 11)) * 100, tuple(range(490, 500)) * 100
    gate = tuple(np.random.default_rng(1).random(1000).round(3).tolist())
    full = StateMap(*(tuple(axis.round(3).tolist()) for axis in points.T), (3,) * 1000, gate, number, step, (0.5, 0.25))
    run_id = new_run(db)
    with db.write() as tx:
        add_expert_report(tx, run_id, 10, replace(REPORT, map=full))
        (text,) = tx.execute(select(state_maps.c.points)).one()
    assert len(text) < 50_000
