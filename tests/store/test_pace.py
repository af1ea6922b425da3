"""The newest returns of a run and how fast it trains."""

import itertools
import math
from pathlib import Path

import pytest

from tests.episode_table import read_episodes
from tests.store.recorded import record
from v3core.rollup import mean_window
from v3core.store.pace import (
    PACE_MARKS,
    POINTS,
    Pace,
    RecentReturns,
    Speed,
    read_pace,
)


@pytest.mark.parametrize(
    ("episodes", "window"), [(1, 10), (99, 10), (260, 26), (600, 60), (1000, 100), (1_000_000, 100)]
)
def test_the_window_fits_the_run(episodes, window):
    assert mean_window(episodes) == window


def newest(window, values, phase="one"):
    found = RecentReturns(window)
    for value in values:
        found.add(value, phase)
    return found


def test_the_mean_is_of_the_newest_in_the_window_and_of_the_newest_phase():
    returns = newest(100, [1000.0, *range(1, 100)])
    assert returns.mean == (1000 + sum(range(1, 100))) / 100
    returns.add(100.0, "one")
    assert returns.mean == sum(range(1, 101)) / 100
    returns.add(3.0, "two")
    assert (returns.mean, returns.latest) == (3.0, 3.0)


def test_without_episodes_there_is_no_mean():
    assert newest(9, []).mean is newest(9, []).latest is newest(9, [None, math.nan]).mean is None
    assert newest(9, [None, 2.0, math.inf]).mean == 2.0


def test_speed_is_that_of_the_last_ten_seconds():
    speed = Speed()
    assert speed.measure(100.0, 5000) is None
    assert speed.measure(102.0, 5200) == 100.0
    for second in range(103, 130):
        measured = speed.measure(float(second), 5200 + (second - 102) * 10)
    assert measured == 10.0
    for second in range(130, 150):
        measured = speed.measure(float(second), 5470)
    assert measured == 0.0


def paces(rollouts, pauses=()):
    """Seconds left after each rollout of a run of 1000 episodes of 100 steps: (seconds, episode) each.

    Pauses are (at, seconds).
    """
    pace, left, pauses = Pace(), [], list(pauses)
    for seconds, episode in rollouts:
        while pauses and pauses[0][0] <= seconds:
            pace.skip(pauses.pop(0)[1])
        pace.mark(seconds, 100 * episode, episode)
        rate = pace.episodes_per_second
        left.append(None if rate is None else (1000 - episode) / rate)
    return left


def test_a_steady_run_has_a_steady_estimate_from_its_second_rollout_on():
    left = paces([(5.0 * number, 3 * number) for number in range(1, 300)])
    assert left[0] is None
    assert left[1:] == pytest.approx([(1000 - 3 * number) / 0.6 for number in range(2, 300)])


def test_bursts_and_rollouts_without_an_episode_do_not_make_it_jump_or_vanish():
    """An update takes 20 s; every third rollout ends eight episodes, the others none."""
    pace, left = Pace(), []
    for number in range(1, 300):
        pace.mark(20.0 * number, 256 * number, 8 * (number // 3))
        if number > 15:
            left.append((1000 - 8 * (number // 3)) / pace.episodes_per_second)
    assert max(max(a, b) / min(a, b) for a, b in itertools.pairwise(left)) < 1.35


def test_a_pause_does_not_count():
    rollouts = [(1.0 * number, number) for number in range(1, 200)]
    paused = [(seconds + (500.0 if seconds > 100 else 0.0), episode) for seconds, episode in rollouts]
    assert paces(paused, [(101, 500.0)]) == pytest.approx(paces(rollouts), nan_ok=True)


def test_a_run_that_slows_down_is_found_out_within_a_tenth_of_its_training():
    rollouts = [(1.0 * number, number) for number in range(1, 601)]
    rollouts += [(600.0 + 10.0 * number, 600 + number) for number in range(1, 31)]
    left = paces(rollouts)
    assert left[599] == pytest.approx(400)
    assert left[-1] == pytest.approx(3700, rel=0.01)


def test_few_marks_are_kept_of_a_long_run():
    pace = Pace()
    for number in range(200_000):
        pace.mark(0.05 * number, 9 * number, number)
    assert len(pace._marks) < PACE_MARKS
    assert pace.episodes_per_second == pytest.approx(20.0)


RECORDED = Path(__file__).parent / "recorded_pace.csv"
"""Seconds, steps and episodes of a run of CartPole-v1, as they were committed, on a machine that others kept busy; its
episodes grow from 20 steps to 500. It was to have 600 episodes: `train --env CartPole-v1 --episodes 600`."""


def test_successive_estimates_of_a_recorded_run_hardly_differ():
    """The rate of the newest ten seconds makes the estimate swing more than threefold on the same run."""
    rows = [[float(text) for text in line.split(",")] for line in RECORDED.read_text().splitlines()[1:]]
    speed, pace, before, after = Speed(), Pace(), [], []
    for seconds, step, episode in rows:
        pace.mark(seconds, int(step), int(episode))
        for estimates, rate in ((before, speed.measure(seconds, int(episode))), (after, pace.episodes_per_second)):
            estimates.append((600 - episode) / rate if rate else None)

    def swing(estimates):
        """The most by which an estimate differs from any of the fifteen seconds after it, as a factor."""
        known = [(row[0], left) for row, left in zip(rows, estimates, strict=True) if left and row[0] > 60]
        return max(max(a, b) / min(a, b) for at, a in known for when, b in known if 0 <= when - at <= 15)

    assert swing(before) > 3
    assert swing(after) < 1.6
    assert None not in after[2:]


@pytest.mark.parametrize("count", [1, 2, POINTS, POINTS + 1, 1000])
def test_the_first_and_the_last_episode_and_few_between(db, new_run, episode, count):
    run_id = new_run(db)
    record(db, run_id, episode, count)
    table = read_episodes(db, run_id)
    points = read_pace(db, run_id, count)
    numbers = [number for number, _, _ in points]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1], len(numbers)) == (1, count, min(count, POINTS))
    for number, step, at in points:
        assert (step, at) == (table["step"][number - 1], table["at"][number - 1])


def test_a_run_without_episodes_has_no_pace(db, new_run):
    assert read_pace(db, new_run(db), 0) == []
