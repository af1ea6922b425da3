"""The tree of forks, and what a change did: pairs of the same seed, their difference, and both as charts."""

import numpy as np
import plotly.graph_objects as go
import pytest
from sqlalchemy import update

from tests.charts.made import made_curve
from tests.comparison.made import STEPS, made_run
from v3core.charts.branches import branches_figure, difference_figure
from v3core.charts.series import RunSeries
from v3core.comparison.curves import band
from v3core.comparison.fork_pairs import differences, pairs_of
from v3core.jobs.fork_trees import trees_of
from v3core.store.runs import get_run, list_runs
from v3core.store.schema import runs

BEGIN = 20


def forked(db, run, parent, *, episode=BEGIN, order=0):
    """The same run as a fork of another, whose records are its own."""
    values = {"parent": parent, "parent_episode": episode, "experiment": "pairs"}
    with db.write() as tx:
        query = update(runs).where(runs.c.id == run.id)
        tx.execute(query.values(**values, created_at=run.created_at.replace(microsecond=order)))
    return get_run(db, run.id)


@pytest.fixture
def pairs(db):
    """A parent, and forks of five seeds that differ by two from its episode 20 on, whatever the seed."""
    parent = made_run(db, returns=[1.0] * 60, boundary=BEGIN)
    made = []
    for seed in range(1, 6):
        for curriculum, gain in (("v3", 0.0), ("other", 2.0)):
            returns = [1.0] * BEGIN + [seed + gain] * 40
            run = made_run(db, curriculum=curriculum, seed=seed, returns=returns, boundary=BEGIN)
            made.append(forked(db, run, parent.id, order=len(made)))
    return parent, made


def test_a_difference_is_of_pairs_of_the_same_seed_since_the_checkpoint(db, pairs):
    _, forks = pairs
    found = pairs_of(forks)
    assert (found.begin, found.base, found.change) == (BEGIN, "v3", "other")
    assert [(one.seed, two.seed, one.curriculum, two.curriculum) for one, two in found.pairs] == [
        (seed, seed, "v3", "other") for seed in range(1, 6)
    ]
    grid = differences(db, found)
    assert grid.x[0] == BEGIN + 1
    assert grid.y[:, -1] == pytest.approx(2.0)
    drawn = band(grid)
    assert (drawn.low[-1], drawn.iqm[-1], drawn.high[-1]) == pytest.approx((2.0, 2.0, 2.0))
    figure = go.Figure(difference_figure(grid, drawn, BEGIN, "v3", "other").tree())
    assert figure.data[-1].y[-1] == pytest.approx(2.0)
    assert tuple(figure.layout.xaxis.range) == (BEGIN, 60)


def test_other_runs_of_an_experiment_are_no_pairs(db, pairs):
    parent, forks = pairs
    assert pairs_of([parent, *forks]) is None, "not all are forks"
    assert pairs_of(forks[:1]) is None
    assert pairs_of([run for run in forks if run.curriculum == "v3"]) is None
    assert pairs_of([forks[0], forked(db, forks[1], parent.id, episode=BEGIN + 1)]) is None, "of two checkpoints"
    assert pairs_of([forks[0], forks[3]]) is None, "of two seeds"


def test_a_tree_has_parents_before_forks_and_survives_what_is_deleted_or_wrong(db, pairs):
    parent, forks = pairs
    leaf = forked(db, made_run(db, returns=[1.0] * 30), forks[0].id, episode=25)
    orphan = forked(db, made_run(db, returns=[1.0] * 30), "00000000-0000-0000-0000-000000000000")
    (tree,) = trees_of(list_runs(db), [leaf.id, forks[3].id])
    members = list(tree.walk())
    assert [depth for depth, _ in members] == [0, 1, 2, *[1] * 9]
    assert [run.id for _, run in members[:3]] == [parent.id, forks[0].id, leaf.id]
    (alone,) = trees_of(list_runs(db), [orphan.id])
    assert (alone.run.id, alone.forks) == (orphan.id, ())
    forked(db, parent, leaf.id)  # a circle, which only other programs can write
    (circle,) = trees_of(list_runs(db), [leaf.id])
    assert len(list(circle.walk())) <= 12


def test_a_fork_is_drawn_from_where_it_begins(db, pairs):
    def series(name, returns):
        curve = made_curve({"return": returns, "step": np.arange(1, len(returns) + 1) * STEPS})
        return RunSeries(name=name, curve=curve, total=60, bands=(), boundaries=())

    made = [series("parent", np.ones(60)), series("fork", np.r_[np.ones(BEGIN), np.full(40, 3.0)])]
    figure = go.Figure(branches_figure(made, [0, BEGIN], ["v3", "v3 (edited)"]).tree())
    trunk, branch = figure.data
    assert trunk.x[0] == 1
    assert branch.x[0] == BEGIN, "the line begins on the trunk"
    assert branch.y[-1] == pytest.approx(3.0)
    assert trunk.line.dash != branch.line.dash, "edited curricula have one colour"
    assert [shape.x0 for shape in figure.layout.shapes] == [BEGIN]
