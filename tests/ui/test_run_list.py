"""What the list on the home page says of a run, and the order of its rows."""

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.pages.recorded import add_recorded_run
from v3core.curriculum import Length, load_preset, scaled
from v3core.jobs.lifecycle import Status
from v3core.store.curve import read_series
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs, set_length, update_run
from v3core.ui.chart_sources import AsOfNow, numbers_of
from v3core.ui.run_columns import COLUMNS, DEFAULT, Wall, row, seconds_trained, shortened, sorted_runs
from v3core.ui.run_curves import load_differences, load_means, load_sparklines
from v3core.ui.run_list import describe_experiment, in_order, queue_places
from v3core.ui.status import mean_words, number, took


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("v3 · CartPole-v1 · seed 1", []),
        ("v3 · CartPole-v1 · seed 12", ["seed 1"]),
        ("mine", ["v3", "CartPole-v1", "seed 1"]),
        ("mine (v3)", ["CartPole-v1", "seed 1"]),
        ("v30", ["v3", "CartPole-v1", "seed 1"]),
    ],
)
def test_the_second_line_says_only_what_the_name_does_not(database, name, facts):
    run = get_run(database, add_recorded_run(database, Status.COMPLETED, name=name))
    assert row(run, DEFAULT, Wall())["about"] == " · ".join(facts)
    assert row(replace(run, experiment="Both"), DEFAULT, Wall())["about"] == " · ".join([*facts, "Both"])
    assert "seed" not in row(run, [*DEFAULT, "seed"], Wall())["about"], "a column of its own says it"


def test_what_trains_stands_above_what_waits_and_that_above_what_has_ended(database):
    wanted = [Status.COMPLETED, Status.RUNNING, Status.FAILED, Status.QUEUED, Status.PAUSED, Status.QUEUED]
    ids = [add_recorded_run(database, status) for status in wanted]
    runs = list_runs(database)
    shown = [ids.index(run.id) for run in in_order(runs, queue_places(runs))]
    assert shown == [4, 1, 3, 5, 2, 0]


@pytest.mark.parametrize("name", [name for name, column in COLUMNS.items() if column.order is not None])
def test_every_column_sorts_both_ways_with_unknown_values_last(database, name):
    ids = [add_recorded_run(database, Status.COMPLETED, recorded=count) for count in (3, 1, 2)]
    ids.append(add_recorded_run(database, Status.QUEUED))
    began = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [
        replace(
            get_run(database, run_id),
            name=f"Run {place}",
            env=f"Env-{place}",
            curriculum=f"c{place}",
            experiment=f"Sweep {place}" if place < 3 else None,
            notes=f"Note {place}" if place < 3 else None,
            tags=f"tag{place}" if place < 3 else None,
            seed=place,
            started_at=began + timedelta(hours=place) if place < 3 else None,
            ended_at=began + timedelta(hours=place, minutes=place + 1) if place < 3 else None,
            mean_return=float(place) if place < 3 else None,
            latest_return=[math.nan, 1.0, 2.0, None][place],
        )
        for place, run_id in enumerate(ids)
    ]
    wall = Wall(differences={ids[0]: 1.0, ids[1]: -2.0}, alarms={ids[0]: ["a"], ids[2]: ["a", "b"]})
    values = {run.id: COLUMNS[name].order(run, wall) for run in runs}
    known = [run.id for run in runs if values[run.id] is not None and values[run.id] == values[run.id]]
    assert len(set(values.values())) > 1
    for sort, is_descending in ((name, False), (f"-{name}", True)):
        found = [run.id for run in sorted_runs(runs, sort, wall)]
        assert found[: len(known)] == sorted(known, key=values.get, reverse=is_descending)
        assert sorted(found) == sorted(ids)


def test_a_mean_return_says_of_how_many_episodes_of_its_phase_it_is(database):
    """Three episodes into its second phase a run has more than the window of its mean, but its mean is of three."""
    begins = scaled(load_preset("v3"), 60).boundaries[0]
    one = AsOfNow(database, add_recorded_run(database, Status.RUNNING, episodes=60, recorded=begins + 3))
    assert begins >= one.run.mean_window == 10
    means = load_means(database, [one.run])
    said = COLUMNS["mean"].cell(one.run, Wall(means=means))["title"]
    tiles = [tile["label"] for tile in numbers_of(one.run, one.mean)["tiles"]]
    assert said == tiles[1] == "Mean return, the 3 so far in phase"
    whole = get_run(database, add_recorded_run(database, Status.RUNNING, episodes=60, recorded=begins))
    assert mean_words(whole, load_means(database, [whole])[whole.id].count, "Mean") == "Mean, last 10 in phase"
    assert load_sparklines(database, [whole])[whole.id].shape  # kept apart, although of the same state
    nothing = get_run(database, add_recorded_run(database, Status.QUEUED))
    assert mean_words(nothing, load_means(database, [nothing])[nothing.id].count, "Mean") == "Mean"


def test_a_mean_return_is_of_as_many_episodes_as_it_says_whatever_an_earlier_version_recorded(database):
    """With that, a run of 40 episodes whose length is in steps had a mean of its last 100."""
    run_id = add_recorded_run(database, Status.COMPLETED, preset="softmax-only", episodes=40, recorded=40)
    with database.write() as tx:
        run = get_run(tx, run_id)
        set_length(tx, run, Length.of(None, run.step))
        update_run(tx, run_id, {"mean_return": 7.0}, only_in=[Status.COMPLETED])
    one = AsOfNow(database, run_id)
    mean = number(np.mean(read_series(database, run_id).summary("return").last[-10:]))
    assert COLUMNS["mean"].cell(one.run, Wall(means=load_means(database, [one.run]))) == {
        "text": mean,
        "title": "Mean return, last 10 in phase",
    }
    assert {"label": "Mean return, last 10 in phase", "value": mean, "help": ""} in numbers_of(one.run, one.mean)[
        "tiles"
    ]


def test_the_difference_from_the_baseline_is_of_the_phase_that_each_run_was_in(database):
    """At the last episode that both have, one is three episodes into its second phase, the other in its first."""
    begins = scaled(load_preset("v3"), 60).boundaries[0]
    planned = [(60, begins + 3), (200, begins + 8)]
    ids = [add_recorded_run(database, Status.RUNNING, episodes=of, recorded=count) for of, count in planned]
    short, long = (get_run(database, run_id) for run_id in ids)
    of_short, of_long = (read_series(database, run_id).summary("return").last[: begins + 3] for run_id in ids)
    wanted = of_long[-10:].mean() - of_short[-3:].mean()
    assert abs(wanted - (of_long[-10:].mean() - of_short[-10:].mean())) > 0.1
    assert load_differences(database, [short, long], short) == {long.id: pytest.approx(wanted)}


def test_an_unknown_order_changes_nothing(database):
    runs = [get_run(database, add_recorded_run(database, Status.QUEUED)) for _ in range(3)]
    for sort in ("", "-", "nothing", "-curve", "tags"):
        assert sorted_runs(runs, sort, Wall()) == runs


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (41.6, "42 s"),
        (190, "3 min 10 s"),
        (7500, "2 h 5 min"),
        (3605, "1 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_duration_has_two_units(seconds, text):
    assert took(seconds) == text


def test_a_duration_is_that_of_the_newest_start(database):
    began = datetime(2026, 1, 1, tzinfo=UTC)
    run = replace(get_run(database, add_recorded_run(database, Status.COMPLETED)), started_at=began)
    assert seconds_trained(replace(run, ended_at=began + timedelta(minutes=2))) == 120
    assert seconds_trained(replace(run, ended_at=began - timedelta(minutes=2))) is None, "it waits again"
    assert seconds_trained(replace(run, started_at=None)) is None
    assert seconds_trained(replace(run, status=Status.PAUSED), began + timedelta(hours=1)) == 3600


def test_a_duration_is_the_sum_of_all_stretches(database):
    hours = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(12)]
    run = replace(get_run(database, add_recorded_run(database, Status.COMPLETED)), heartbeat_at=hours[9])
    resumed = replace(run, started_at=hours[6], ended_at=hours[11])
    stretches = [(hours[0], hours[2]), (hours[6], hours[7]), (hours[8], None)]
    assert seconds_trained(resumed, None, stretches) == 3600 * (2 + 1 + 3)
    assert seconds_trained(replace(resumed, status=Status.RUNNING), hours[10], stretches) == 3600 * (2 + 1 + 2)
    lost = replace(resumed, status=Status.LOST)  # seen to be gone two hours after its last heartbeat
    assert seconds_trained(lost, None, [*stretches[:2], (hours[8], hours[11])]) == 3600 * (2 + 1 + 1)
    waits = replace(resumed, status=Status.QUEUED, ended_at=None)
    assert seconds_trained(waits, None, stretches[:2]) == 3600 * (2 + 1)
    assert seconds_trained(replace(resumed, started_at=hours[10]), None, stretches) == 3600, "of another history"


def test_a_long_reason_is_cut_between_words():
    assert shortened("It broke.") == "It broke."
    assert shortened("one two three", 8) == "one two …"
    assert shortened("x" * 50, 10) == "x" * 10 + " …"
    assert shortened("a\nb") == "a b"


@pytest.mark.parametrize(
    ("returns", "points", "said"),
    [
        ([], None, "–"),
        ([math.nan, math.nan], None, "–"),
        ([5.0, 5.0], [50, 50], "Return from 5.000 to 5.000, lowest 5.000, highest 5.000"),
        ([0.0, math.nan, 10.0, 5.0], [0, None, 100, 50], "Return from 0.000 to 5.000, lowest 0.000, highest 10.0"),
    ],
)
def test_a_sparkline_has_its_own_scale_and_says_its_numbers(database, returns, points, said):
    run = get_run(database, add_recorded_run(database, Status.QUEUED))
    cell = COLUMNS["curve"].cell(run, Wall(sparklines={run.id: np.array(returns)}))
    assert (cell.get("spark"), cell["text"]) == (points, said)


def test_how_an_experiment_stands_is_in_the_readers_language(database):
    add_recorded_run(database, Status.RUNNING)
    stands = describe_experiment(list_runs(database))
    assert re.search("[a-z]", stands.in_language("zh_CN")) is None
    assert str(stands).startswith("1 run: ")
