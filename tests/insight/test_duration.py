"""How long a launch will take: from what earlier runs took, on so many slots."""

import pytest

from v3core.curriculum import Length
from v3core.insight.duration import Duration, Pace, seconds_for, steps_for, time_left, total_time
from v3core.messages import translated


def pace(episodes=100, *, steps_per_episode=20.0, seconds_per_step=0.01, gaps=()):
    """A steady run; `gaps` are episodes after which it paused for an hour."""
    numbers = range(1, episodes + 1)
    steps = [round(number * steps_per_episode) for number in numbers]
    seconds = [
        step * seconds_per_step + sum(3600 for gap in gaps if number > gap)
        for number, step in zip(numbers, steps, strict=True)
    ]
    return Pace(list(numbers), steps, seconds)


def test_a_steady_run_takes_as_long_as_it_took():
    assert seconds_for(pace(100), 100) == pytest.approx(20)
    assert seconds_for(pace(100), 50) == pytest.approx(10)
    assert seconds_for(pace(100), 300) == pytest.approx(60)


def test_pauses_and_resumes_are_not_training():
    assert seconds_for(pace(100, gaps=(30, 80)), 100) == pytest.approx(20)


def test_later_episodes_are_as_long_as_the_newest():
    growing = [sum(range(1, number + 1)) for number in range(1, 101)]  # episode n has n steps
    run = Pace(list(range(1, 101)), growing, [step * 0.01 for step in growing])
    last_quarter = (growing[-1] - growing[74]) / 25
    assert seconds_for(run, 200) == pytest.approx(0.01 * (growing[-1] + 100 * last_quarter))
    assert seconds_for(run, 50) == pytest.approx(0.01 * growing[49])


@pytest.mark.parametrize(
    "run",
    [
        pace(1),
        pace(33),  # the asked length is more than three times as long
        Pace([], [], []),
        Pace([50, 100], [700, 700], [1.0, 2.0]),
        Pace([50, 100], [700, 900], [1.0, 1.0]),
    ],
)
def test_what_says_nothing_gives_no_number(run):
    assert seconds_for(run, 100) is None


def test_steps_are_those_of_the_run_and_later_episodes_are_as_long_as_the_newest():
    assert steps_for(pace(100), 50) == pytest.approx(1000)
    assert steps_for(pace(100), 300) == pytest.approx(6000)
    assert steps_for(pace(100), 301) is None


def test_runs_share_the_slots():
    turns = {(3, 2): 2, (4, 2): 2, (1, 4): 1, (2, 0): 2, (6, 2): 3}
    for (runs, slots), count in turns.items():
        assert total_time([(runs, 20, 60)], slots) == Duration(20 * count, 60 * count)


def test_groups_of_runs_share_the_slots_and_the_longest_run_is_the_least():
    assert total_time([(4, 10, 20), (4, 30, 40)], 2) == Duration(80, 120)
    assert total_time([(1, 10, 20), (1, 300, 400)], 8) == Duration(300, 400)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (20, 22, "about 21 s"),
        (0.01, 0.01, "about 1 s"),
        (20, 55, "20 to 55 s"),
        (40, 90, "40 s to 1.5 min"),
        (90, 90, "about 1.5 min"),
        (120, 121, "about 2 min"),
        (700, 710, "about 12 min"),
        (5400, 10800, "1.5 to 3 h"),
        (86400 * 1.5, 86400 * 1.5, "about 36 h"),
        (86400 * 3, 86400 * 3, "about 3 days"),
    ],
)
def test_durations_are_short_words(low, high, words):
    assert Duration(low, high).describe() == words


def test_durations_are_in_the_readers_language():
    ranges = [(20, 22), (20, 55), (40 * 60, 5040), (86400 * 3.5, 86400 * 10)]
    assert [translated(Duration(low, high).describe(), "zh_CN") for low, high in ranges] == [
        "约 21秒",
        "20 至 55秒",
        "40分钟至 1.4小时",
        "3.5 至 10天",
    ]
    assert translated(time_left(3960), "zh_CN") == "约剩 1.1小时"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "about 1 s left"), (59, "about 59 s left"), (252, "about 4.2 min left"), (7200, "about 2 h left")],
)
def test_the_time_left_is_in_the_largest_unit_that_fits(seconds, words):
    assert time_left(seconds) == words


def test_the_time_of_a_budget_of_steps_needs_no_length_of_episodes():
    measured = pace(100)
    steps = measured.steps[-1]
    assert steps_for(measured, Length.of(None, steps // 2)) == steps // 2
    assert seconds_for(measured, Length.of(None, steps)) == pytest.approx(seconds_for(measured, 100))
    assert seconds_for(measured, Length.of(None, 3 * steps)) == pytest.approx(3 * seconds_for(measured, 100))
    assert seconds_for(measured, Length.of(None, 3 * steps + 1)) is None
    assert seconds_for(measured, Length(50, steps)) == pytest.approx(seconds_for(measured, 50))
    assert seconds_for(measured, Length(99, steps // 2)) == pytest.approx(seconds_for(measured, 100) / 2)
