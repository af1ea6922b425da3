"""When some of a run's episodes ended: what estimates are made of."""

import pytest

from tests.store.recorded import record
from v3core.store.pace import POINTS, read_pace
from v3core.store.readers import read_episodes


@pytest.mark.parametrize("count", [1, 2, POINTS, POINTS + 1, 1000])
def test_the_first_and_the_last_episode_and_few_between(db, new_run, episode, count):
    run_id = new_run(db)
    record(db, run_id, episode, count)
    table = read_episodes(db, run_id, loads=False)
    points = read_pace(db, run_id, count)
    numbers = [number for number, _, _ in points]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1], len(numbers)) == (1, count, min(count, POINTS))
    for number, step, at in points:
        assert (step, at) == (table["step"][number - 1], table["at"][number - 1])


def test_a_run_without_episodes_has_no_pace(db, new_run):
    assert read_pace(db, new_run(db), 0) == []
