"""Per-phase statistics against values worked by hand."""

import math

import numpy as np
import pytest

from v3core.insight.phases import phase_statistics


def columns(phases, returns):
    count = len(phases)
    return {
        "episode": np.arange(1, count + 1),
        "phase": np.array(phases),
        "return": np.array(returns, dtype=float),
        "length": np.array(returns, dtype=int),
        "routing_entropy": np.full(count, 0.5),
    }


def test_phases_are_described_in_training_order():
    loads = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    first, second = phase_statistics(columns(["warmup", "warmup", "fine-tune"], [10, 20, 40]), loads)
    assert (first.phase, first.first_episode, first.last_episode, first.episodes) == ("warmup", 1, 2, 2)
    assert first.steps == 30
    assert first.mean_return == 15
    assert first.return_deviation == pytest.approx(math.sqrt(50))
    assert first.effective_experts == pytest.approx(2.0)
    assert first.dead_experts == 1
    assert (second.phase, second.dead_experts) == ("fine-tune", 2)
    assert second.effective_experts == pytest.approx(1.0)
    assert math.isnan(second.return_deviation)


def test_the_closing_return_is_of_the_last_hundred():
    returns = [0.0] * 50 + [1.0] * 100
    (only,) = phase_statistics(columns(["a"] * 150, returns), np.full((150, 2), 0.5))
    assert only.closing_return == 1.0
    assert only.mean_return == pytest.approx(100 / 150)


def test_no_episodes_no_phases():
    assert phase_statistics(columns([], []), np.empty((0, 4))) == []


def test_the_routing_of_a_phase_is_told_by_the_episodes_acted_wholly_in_it():
    """The third episode began in the warmup: its routing is of both phases, its return is not."""
    told = columns(["warmup", "warmup", "fine-tune", "fine-tune"], [10, 20, 40, 60])
    told["phase_steps"] = np.array([10, 20, 15, 60])
    told["routing_entropy"] = np.array([1.0, 1.0, 0.7, 0.0])
    loads = np.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [1.0, 0.0]])
    warmup, fine_tune = phase_statistics(told, loads)
    assert (warmup.routing_entropy, fine_tune.routing_entropy) == (1.0, 0.0)
    assert fine_tune.effective_experts == pytest.approx(1.0)
    assert (fine_tune.episodes, fine_tune.mean_return, fine_tune.steps) == (2, 50, 100)
