import math
from datetime import timedelta

import numpy as np
import pytest
import scipy.stats
from sqlalchemy import update

from tests.comparison.made import START, STEPS, made_groups, made_run
from v3core.comparison import band, compare, grouped, on_grid
from v3core.comparison.curves import numbered_phase
from v3core.config import MAX_EPISODES
from v3core.errors import V3Error
from v3core.store.database import Database
from v3core.store.expert_records import add_knockouts
from v3core.store.history import add_evaluation, add_event
from v3core.store.runs import get_run
from v3core.store.schema import episodes
from v3core.store.schema import runs as run_table


def test_a_grid_ends_where_the_longest_run_is_and_has_no_value_beyond_a_run(db: Database) -> None:
    long, short = made_run(db, returns=[5.0] * 40), made_run(db, seed=2, returns=[7.0] * 20)
    grid = on_grid(db, [long, short], "return", points=8)
    assert grid.x.tolist() == [50, 100, 150, 200, 250, 300, 350, 400]
    assert grid.y[0, 1:].tolist() == [5.0] * 7
    assert grid.y[1, 1:4].tolist() == [7.0] * 3
    assert np.isnan(grid.y[1, 4:]).all()
    assert grid.n.tolist()[1:] == [2, 2, 2, 1, 1, 1, 1]
    assert grid.common == 200


def test_places_of_episodes_and_steps_are_whole_and_end_with_the_last_value(db: Database) -> None:
    run = made_run(db, returns=[1.0] * 8 + [3.0, 5.0] + [math.nan] * 4)
    for axis, scale in (("episode", 1), ("step", STEPS)):
        grid = on_grid(db, [run], "return", axis, points=3, window=1)
        assert grid.x.tolist() == [round(scale * 10 * part / 3) for part in (1, 2, 3)]
        assert grid.y[0].tolist()[::2] == [1.0, 5.0]


def test_a_line_is_a_mean_of_the_last_episodes_from_where_there_are_as_many(db: Database) -> None:
    run = made_run(db, returns=[float(number) for number in range(1, 41)])
    grid = on_grid(db, [run], "return", "episode", points=40, window=10)
    assert np.isnan(grid.y[0, :9]).all()
    assert grid.y[0, 9:] == pytest.approx(np.arange(10, 41) - 4.5)


def test_a_line_of_what_is_over_a_window_already_is_not_smoothed(db: Database) -> None:
    died = [0] * 20 + [None] * 9 + [3] * 6 + [5] * 5
    run = made_run(db, returns=[1.0] * 40, dead_experts=died)
    for window in (None, 10):
        grid = on_grid(db, [run], "recent_dead_experts", "episode", points=40, window=window)
        assert grid.y[0] == pytest.approx(np.array(died, dtype=float), nan_ok=True)
    long = made_run(db, seed=2, returns=[1.0] * 900, dead_experts=[0] * 890 + [2] * 10)
    end = on_grid(db, [long], "recent_dead_experts", "episode", points=900, window=100)
    assert end.y[0, -1] == 2
    assert end.x[end.y[0] > 0][0] == 889, "within the bucket of four in which it begins"


def test_episodes_without_a_number_are_no_value_and_infinite_ones_neither(db: Database) -> None:
    run = made_run(db, returns=[1.0, math.nan, math.inf, 3.0])
    grid = on_grid(db, [run], "return", "episode", points=4, window=1)
    assert grid.y[0, [0, 3]].tolist() == [1.0, 3.0]
    assert np.isnan(grid.y[0, 1:3]).all()
    nothing = on_grid(db, [made_run(db, seed=2, returns=[math.nan] * 3), made_run(db, seed=3)], "return")
    assert len(nothing.x) == 0
    assert nothing.notes == ("2 of 2 runs have no return: v3 2, v3 3.",)


def test_a_grid_can_begin_with_a_phase_and_runs_without_it_are_named(db: Database) -> None:
    begun, not_begun = made_run(db, returns=[1.0] * 20, boundary=8), made_run(db, seed=2, returns=[1.0] * 6, boundary=8)
    for axis, end in (("step", 12 * STEPS), ("episode", 12)):
        grid = on_grid(db, [begun, not_begun], "return", axis, "late", points=12, window=1)
        assert grid.x[-1] == end
        assert np.isnan(grid.y[1]).all()
        assert grid.notes == ("1 of 2 runs has no return since the start of late: v3 2.",)
    alone = on_grid(db, [not_begun], "return", "step", "late")
    assert alone.notes == ("1 run has no return since the start of late: v3 2.",)


def test_a_grid_can_begin_with_a_phase_by_its_number_where_the_names_differ(db: Database) -> None:
    runs = [made_run(db, returns=[1.0] * 20, boundary=8), made_run(db, returns=[2.0] * 20, boundary=5, second="other")]
    grid = on_grid(db, runs, "return", "episode", numbered_phase(1), points=15, window=1)
    assert grid.notes == ()
    assert np.isfinite(grid.y).sum(axis=1).tolist() == [12, 15]
    named = made_run(db, returns=[1.0] * 20, boundary=3, second="Phase 1")
    assert np.isfinite(on_grid(db, [named], "return", "episode", "Phase 1", points=17, window=1).y).sum() == 17


def test_wall_time_is_of_training_without_the_queue_and_pauses(db: Database) -> None:
    """It began a minute after it was queued; each episode took a second, with a pause of an hour after the tenth."""
    run = made_run(db, returns=[float(number) for number in range(1, 21)])
    began, hour = START + timedelta(seconds=60), timedelta(hours=1)
    with db.write() as tx:
        for number in range(1, 21):
            at = began + timedelta(seconds=number) + (hour if number > 10 else timedelta())
            tx.execute(update(episodes).where(episodes.c.episode == number).values(at=at))
        for kind, at in (("paused", began + timedelta(seconds=10)), ("running", began + hour + timedelta(seconds=10))):
            add_event(tx, run.id, actor="worker", kind=kind, message="", now=at)
    grid = on_grid(db, [run], "return", "seconds", points=20, window=1)
    assert grid.x == pytest.approx(np.arange(1, 21))
    assert grid.y[0] == pytest.approx(np.arange(1, 21))
    since = on_grid(db, [run], "return", "seconds", "late", points=15, window=1)
    assert since.x == pytest.approx(np.arange(1, 16))
    assert since.y[0] == pytest.approx(np.arange(6, 21))
    first = on_grid(db, [run], "return", "seconds", "early", points=20, window=1)
    assert first.x == pytest.approx(grid.x)
    assert first.y == pytest.approx(grid.y)


def test_evaluations_are_joined_by_straight_lines_and_end_with_the_last(db: Database) -> None:
    run = made_run(db, returns=[1.0] * 20, evaluations=[(5, 10.0), (15, 30.0)])
    grid = on_grid(db, [run], "evaluation", points=15)
    assert grid.x[-1] == 150
    assert np.isnan(grid.y[0, :4]).all()
    assert grid.y[0, 9] == pytest.approx(20)


def test_evaluations_in_another_environment_are_not_on_the_same_axis(db: Database) -> None:
    run = made_run(db, returns=[1.0] * 10, evaluations=[(5, 100.0), (10, 200.0)])
    with db.write() as tx:
        results = [(-3000.0, 1, None)]
        add_evaluation(tx, run.id, episode=8, step=80, env="Acrobot-v1", results=results, now=START)
    assert on_grid(db, [run], "evaluation", points=10).y[0, 4:] == pytest.approx([100, 120, 140, 160, 180, 200])


def test_a_fork_has_the_evaluations_of_its_trunk(db: Database) -> None:
    parent = made_run(db, returns=[1.0] * 20, evaluations=[(5, 10.0), (10, 20.0), (15, 900.0)])
    child = made_run(db, seed=2, evaluations=[(20, 40.0)])
    with db.write() as tx:
        fork = {"parent": parent.id, "trunk": parent.id, "parent_episode": 10, "parent_evaluated": 10}
        tx.execute(update(run_table).where(run_table.c.id == child.id).values(**fork))
    grid = on_grid(db, [get_run(db, child.id), parent], "evaluation", "episode", points=20)
    assert grid.y[0, 4:] == pytest.approx(np.arange(5, 21) * 2.0)
    assert grid.y[1, 14] == 900


def test_the_band_is_the_iqm_of_the_runs_that_are_there(db: Database) -> None:
    values = [3.0, 9.0, 1.0, 4.0, 100.0, 5.0]
    runs = [*made_groups(db, {"v3": values}), made_run(db, seed=9, returns=[2.0] * 5, status="stopped")]
    (group,) = grouped(runs)
    found = band(on_grid(db, group, "return", points=10, window=1))
    assert found.n.tolist() == [7] * 5 + [6] * 5
    assert found.iqm[-1] == pytest.approx(scipy.stats.trim_mean(values, 0.25))
    assert found.low[-1] < found.iqm[-1] < found.high[-1]
    again = band(on_grid(db, group, "return", points=10, window=1))
    assert (again.low.tolist(), again.high.tolist()) == (found.low.tolist(), found.high.tolist())


def test_a_band_of_four_runs_has_no_interval(db: Database) -> None:
    found = band(on_grid(db, made_groups(db, {"v3": [1.0, 2, 3, 4]}), "return", points=5, window=1))
    assert found.iqm.tolist() == [2.5] * 5
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_what_is_kept_of_a_run_is_not_kept_when_it_has_more(db: Database) -> None:
    run = made_run(db, returns=[1.0] * 10, evaluations=[(10, 5.0)], status="running")
    assert on_grid(db, [run], "evaluation", points=1).y.tolist() == [[5.0]]
    with db.write() as tx:
        result = [(8.0, 1, None)]
        add_evaluation(tx, run.id, episode=10, step=100, env="CartPole-v1", results=result, now=run.created_at)
    assert on_grid(db, [run], "evaluation", points=1).y.tolist() == [[8.0]]


def test_a_metric_that_does_not_exist_names_close_matches(db: Database) -> None:
    with pytest.raises(V3Error, match=r"There is no metric 'specialization'\. Did you mean specialisation"):
        on_grid(db, [made_run(db, returns=[1.0])], "specialization")


def test_loads_of_experts_and_shares_of_entropy_are_on_grids_too(db: Database) -> None:
    run = made_run(db, returns=[1.0] * 10)
    assert on_grid(db, [run], "load_2", points=1, window=1).y.tolist() == [[0.75]]
    assert on_grid(db, [run], "most_used_load", points=1, window=1).y.tolist() == [[0.75]]
    assert on_grid(db, [run], "entropy_share", points=1, window=1).y[0, 0] == pytest.approx(0.5 / math.log(2))


def test_knock_outs_and_successes_of_evaluations_are_compared(db: Database) -> None:
    runs = [made_run(db, seed=seed, returns=[1.0] * 10, evaluations=[(5, 9.0), (10, 9.0)]) for seed in (1, 2)]
    with db.write() as tx:
        results = {-1: [(10.0, 1, None), (20.0, 1, None)], 0: [(5.0, 1, None), (5.0, 1, None)], 1: [(9.0, 1, None)] * 2}
        add_knockouts(tx, runs[0].id, episode=5, results=results, now=START)
        solved = [(1.0, 1, 1.0), (1.0, 1, 0.0), (1.0, 1, None)]
        add_evaluation(tx, runs[0].id, episode=10, step=100, env="CartPole-v1", results=solved, now=START)
    first, second = compare(db, runs, metric="knockout_loss").groups[0].runs
    assert first.final == 10
    assert second.left_out == "has no loss without an expert"
    assert compare(db, runs, metric="evaluation_success").groups[0].runs[0].final == 0.5
    assert on_grid(db, runs, "knockout_loss", points=1).y[0].tolist() == [10]


def test_runs_that_end_by_their_steps_are_smoothed_as_their_episodes_are_few(db: Database) -> None:
    run = made_run(db, returns=[float(number) for number in range(1, 41)])
    with db.write() as tx:
        tx.execute(update(run_table).where(run_table.c.id == run.id).values(episodes=MAX_EPISODES, steps=40 * STEPS))
    grid = on_grid(db, [get_run(db, run.id)], "return", "episode", points=40)
    assert grid.y[0, 9:] == pytest.approx(np.arange(10, 41) - 4.5)
