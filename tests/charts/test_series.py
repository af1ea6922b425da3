"""Phases and boundaries as charts show them: recorded where they began, planned where they lie ahead."""

import numpy as np
import pytest

from v3core.charts.series import Boundary, PhaseBand, RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import load_preset, scaled

CURRICULUM = scaled(load_preset("v3"), 1000)  # boundaries at 250 and 750


def test_nothing_recorded_is_the_plan() -> None:
    assert phase_bands(CURRICULUM, episodes=1000) == [
        PhaseBand("warmup", 0, 250, planned=False, routing="softmax"),
        PhaseBand("transition", 250, 750, planned=True, routing="sparsemax"),
        PhaseBand("fine-tune", 750, 1000, planned=True, routing="sparsemax"),
    ]


def test_a_recorded_change_counts_not_its_plan() -> None:
    bands = phase_bands(CURRICULUM, episodes=1000, changes=[("warmup", 0), ("transition", 253)])
    assert [(band.start, band.end, band.planned) for band in bands] == [
        (0, 253, False),
        (253, 750, False),
        (750, 1000, True),
    ]


def test_a_change_recorded_after_the_next_boundary_leaves_no_negative_band() -> None:
    curriculum = scaled(load_preset("v3"), 4)  # boundaries at 1 and 3
    bands = phase_bands(curriculum, episodes=4, changes=[("warmup", 0), ("transition", 4)])
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


def test_a_column_that_was_not_recorded_is_missing_not_zero() -> None:
    series = RunSeries("run", np.array([1, 2]), {"return": np.array([1, 2])}, np.full((2, 3), 1 / 3), total=5)
    assert (len(series), series.completed, series.experts, series.end) == (2, 2, 3, 5)
    assert series.column("return").dtype == np.float64
    assert np.isnan(series.column("value_loss")).all()
