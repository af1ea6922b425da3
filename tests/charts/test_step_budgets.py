"""Charts of runs whose length is a number of environment steps."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.charts.made import made_curve
from v3core.charts.figures import return_figure
from v3core.charts.look import Look, along
from v3core.charts.schedule import planned_curve, preview_of, schedule_figure
from v3core.charts.series import RunSeries, end_of_axis, expected_starts, phase_bands, up_to
from v3core.curriculum import BaseValues, Length, PhaseStart, parse, scaled_to

CURRICULUM = parse(
    "{name: c, episodes: 800, phases: [{name: a, until: {episode: 150}}, {name: b, until: {episode: 400}}, "
    "{name: c, temperature: {from: 2.0, to: 1.0}}]}"
)
BASE = BaseValues(lr=1e-3)


def run_of(episodes, length, budget, *, total):
    """`episodes` of `length` steps each."""
    count = np.arange(1, episodes + 1)
    curve = made_curve({"return": np.ones(episodes), "step": count * float(length)})
    bands = up_to(phase_bands(CURRICULUM, episodes=total, starts=[PhaseStart(0, 0)]), total)
    return RunSeries("run", curve, bands, total=total, steps=budget, usual_window=100, starts=[PhaseStart(0, 0)])


@pytest.mark.parametrize(
    ("length", "at", "expected"),
    [
        (Length(800), (10, 500), 800),
        (Length.of(None, 20_000), (0, 100), None),
        (Length.of(None, 20_000), (10, 500), 400),
        (Length.of(None, 20_000), (13, 500), 520),
        (Length.of(None, 123_456), (1, 1), 123_456),  # never more than there can be
        (Length.of(None, 20_000), (37, 20_000), 37),
        (Length(300, 20_000), (10, 500), 300),
        (Length(300, 20_000), (10, 1000), 200),
        (Length(300, 20_000), (0, 0), 300),
    ],
)
def test_how_many_episodes_a_run_is_expected_to_have(length, at, expected):
    assert length.projected_episodes(*at) == expected


def test_an_expected_number_is_steady_while_episodes_differ_a_little():
    budget = Length.of(None, 1_000_000)
    assert {budget.projected_episodes(episode, episode * 102 + episode % 7) for episode in range(20, 60)} == {
        9800,
        9900,
    }


def test_phases_that_may_never_begin_are_not_drawn_beyond_the_end():
    run = run_of(20, 100, 20_000, total=200)
    assert [(band.name, band.start, band.end) for band in run.bands] == [("a", 0, 150), ("b", 150, 200)]
    figure = return_figure(run)
    assert figure.layout.xaxis.range == [0, 200]
    assert max(shape["x1"] for shape in figure.layout.shapes) <= 200


def test_before_the_first_episode_there_is_room_for_the_last_phase():
    assert end_of_axis(CURRICULUM, None) == 534
    assert end_of_axis(CURRICULUM, 90) == 90
    assert end_of_axis(parse("{name: c, phases: [{name: a}]}"), None) == 100


@pytest.mark.parametrize(("look", "end"), [(Look(x="step"), 20_000), (Look(x="step", so_far=True), 2000)])
def test_the_axis_over_steps_ends_at_the_budget(look, end):
    run = run_of(20, 100, 20_000, total=200)
    assert along(return_figure(run), run, look).layout.xaxis.range[1] == end
    without = replace(run, steps=0)
    assert along(return_figure(without), without, look).layout.xaxis.range[1] == 2000


def test_means_are_over_the_window_of_the_run_however_many_episodes_are_expected():
    assert run_of(20, 100, 20_000, total=200).mean_over == 100
    assert replace(run_of(20, 100, 20_000, total=200), usual_window=0).mean_over == 20


def test_the_last_ramp_is_planned_to_the_budget():
    """Half of the steps are left when the last phase begins, at the expected length of episodes."""
    run = run_of(20, 25, 20_000, total=800)
    plan = schedule_figure(run, CURRICULUM, BASE).data[0]
    assert plan.name == "Planned"
    assert (plan.y[0], plan.y[-1]) == (1.0, 1.0)
    at = {int(x): y for x, y in zip(plan.x, plan.y, strict=True)}
    assert at[400] == 2.0
    assert np.interp(600, plan.x[-70:], plan.y[-70:]) == pytest.approx(1.5, abs=0.01)
    assert not any(math.isnan(y) for y in plan.y)


def test_without_any_step_yet_the_last_ramp_is_not_known():
    _, y = planned_curve(CURRICULUM, 534, BASE, "temperature", steps=20_000)
    assert math.isnan(y[-1])


def test_a_preview_is_over_steps_where_all_phases_end_by_them_and_else_over_episodes():
    budget = Length.of(None, 80_000)
    figure = preview_of(CURRICULUM, budget, BASE)
    assert figure.layout.xaxis.range == [0, 534]
    assert figure.layout.xaxis.title.text == "Episode"
    assert not any(np.isnan(trace.y).any() for trace in figure.data)
    scaled = preview_of(scaled_to(CURRICULUM, budget), budget, BASE)
    assert scaled.layout.xaxis.range == [0, 80_000]
    assert scaled.layout.xaxis.title.text == "Environment steps"
    assert [(band["start"], band["end"]) for band in scaled.layout.meta.bands] == [
        (0, 15_000),
        (15_000, 40_000),
        (40_000, 80_000),
    ]
    assert "to step 15,000" in scaled.layout.meta.alt
    assert preview_of(CURRICULUM, Length(1000), BASE).layout.xaxis.range == [0, 1000]


def test_phases_that_end_by_steps_are_expected_where_these_steps_are():
    curriculum = scaled_to(CURRICULUM, Length.of(None, 80_000))
    starts = (PhaseStart(0, 0),)
    expected = expected_starts(curriculum, starts, lambda step: step // 100)
    assert expected == (PhaseStart(0, 0), PhaseStart(150, 15_000), PhaseStart(400, 40_000))
    bands = phase_bands(curriculum, episodes=800, starts=starts, expected=expected)
    assert [(band.start, band.end, band.planned) for band in bands] == [
        (0, 150, False),
        (150, 400, True),
        (400, 800, True),
    ]
    run = replace(run_of(20, 100, 80_000, total=800), bands=bands, expected=expected)
    plan = schedule_figure(run, curriculum, BASE).data[0]
    at = {int(x): y for x, y in zip(plan.x, plan.y, strict=True)}
    assert (at[400], at[800]) == (2.0, 1.0)
