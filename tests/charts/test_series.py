"""Phases and boundaries as charts show them: recorded where they began, planned where they lie ahead."""

import numpy as np
import pytest

from tests.charts.made import made_curve
from v3core.charts.schedule import knobs_in_use, planned_curve
from v3core.charts.series import Boundary, PhaseBand, RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import BaseValues, PhaseStart, load_preset, parse, scaled

CURRICULUM = scaled(load_preset("v3"), 1000)  # boundaries at 250 and 750


def test_nothing_recorded_is_the_plan() -> None:
    assert phase_bands(CURRICULUM, episodes=1000) == [
        PhaseBand("warmup", 0, 250, planned=False, routing="softmax"),
        PhaseBand("transition", 250, 750, planned=True, routing="sparsemax"),
        PhaseBand("fine-tune", 750, 1000, planned=True, routing="sparsemax"),
    ]


def test_a_recorded_change_counts_not_its_plan() -> None:
    bands = phase_bands(CURRICULUM, episodes=1000, starts=[PhaseStart(0, 0), PhaseStart(253, 9)])
    assert [(band.start, band.end, band.planned) for band in bands] == [
        (0, 253, False),
        (253, 750, False),
        (750, 1000, True),
    ]


def test_a_change_recorded_after_the_next_boundary_leaves_no_negative_band() -> None:
    curriculum = scaled(load_preset("v3"), 4)  # boundaries at 1 and 3
    bands = phase_bands(curriculum, episodes=4, starts=[PhaseStart(0, 0), PhaseStart(4, 9)])
    assert [(band.start, band.end) for band in bands] == [(0, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize(
    ("completed", "expected"),
    [
        (
            0,
            [
                Boundary(0, 250, 1, 749, "warmup → transition"),
                Boundary(1, 750, 251, 999, "transition → fine-tune"),
            ],
        ),
        (
            249,
            [Boundary(0, 250, 250, 749, "warmup → transition"), Boundary(1, 750, 251, 999, "transition → fine-tune")],
        ),
        (250, [Boundary(1, 750, 251, 999, "transition → fine-tune")]),
        (600, [Boundary(1, 750, 601, 999, "transition → fine-tune")]),
        (750, []),
    ],
)
def test_only_what_lies_ahead_can_be_moved_and_only_between_its_neighbours(
    completed: int, expected: list[Boundary]
) -> None:
    assert boundaries_ahead(CURRICULUM, completed=completed, episodes=1000) == expected


def test_a_metric_that_was_not_recorded_is_missing_not_zero() -> None:
    series = RunSeries("run", made_curve({"return": [1, 2]}, loads=np.full((2, 3), 1 / 3)), total=5)
    assert (len(series), series.completed, series.experts, series.end) == (2, 2, 3, 5)
    assert series.newest("return") == 2
    assert np.isnan(series.newest("value_loss"))
    assert (series.has("return"), series.has("value_loss"), series.has("value_loss", "return")) == (True, False, True)
    assert series.of_experts("load") == ["load_1", "load_2", "load_3"]
    assert np.isnan(RunSeries("run", made_curve({"return": []})).newest("return"))


def test_a_metric_that_does_not_exist_is_an_error() -> None:
    series = RunSeries("run", made_curve({"return": [1, 2]}))
    for look in (series.has, series.newest):
        with pytest.raises(KeyError, match="gate_entropies"):
            look("gate_entropies")


TRIGGERED = parse(
    """
    name: triggered
    phases:
      - {name: a, until: {metric: return, at_least: 9, window: 5, max_episodes: 100}}
      - {name: b, until: {step: 5000}, temperature: {from: 1.0, to: 2.0}, routing: topk}
      - {name: c, until: {episode: 800}}
      - {name: d}
    """
)


def test_phases_are_planned_only_as_far_as_episodes_are_known() -> None:
    assert phase_bands(TRIGGERED, episodes=1000) == [
        PhaseBand("a", 0, 100, False, "softmax", "return ≥ 9 (5) within 100"),
        PhaseBand("b", 100, 1000, True, "topk", "step 5000"),
    ]
    begun = [PhaseStart(0, 0), PhaseStart(40, 900), PhaseStart(300, 5010)]
    assert [(band.name, band.start, band.end) for band in phase_bands(TRIGGERED, episodes=1000, starts=begun)] == [
        ("a", 0, 40),
        ("b", 40, 300),
        ("c", 300, 800),
        ("d", 800, 1000),
    ]


def test_only_ends_by_episode_can_be_moved() -> None:
    assert boundaries_ahead(TRIGGERED, completed=50, episodes=1000) == [Boundary(2, 800, 51, 999, "c → d")]


def test_a_ramp_over_steps_is_drawn_where_steps_are_known() -> None:
    begun = [PhaseStart(0, 0), PhaseStart(40, 1000)]
    x, y = planned_curve(
        TRIGGERED,
        1000,
        BaseValues(lr=1.0),
        "temperature",
        starts=begun,
        steps_at=lambda episode: 1000 + (episode - 40) * 10 if episode <= 240 else float("nan"),
    )
    known = (x > 40) & (x <= 240)
    np.testing.assert_allclose(y[known], 1 + (x[known] - 40) * 10 / 4000, atol=1e-9)
    assert np.isnan(y[x > 240]).all()
    assert known.sum() > 5


def test_the_knobs_drawn_are_those_in_use() -> None:
    bare = BaseValues(lr=1.0)
    assert knobs_in_use(TRIGGERED, bare) == ["temperature", "lr"]
    assert knobs_in_use(TRIGGERED, BaseValues(lr=1.0, entropy=0.1)) == ["temperature", "lr", "entropy"]
    assert knobs_in_use(load_preset("switch"), bare) == ["temperature", "lr", "jitter", "load_balance"]
