"""Router logits to gate weights."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from v3core.policy import gate_weights

ROUTINGS = ["softmax", "sparsemax"]
LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=16)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, [0.75, 0.25, 0.0, 0.0]), (0.5, [1.0, 0.0, 0.0, 0.0])])
def test_sparsemax_worked_example(temperature, expected):
    gates = gate_weights(torch.tensor([[2.0, 1.5, 1.0, 0.5]]), "sparsemax", temperature)
    assert gates[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_sparsemax_keeps_more_than_two_experts_when_they_are_close():
    gates = gate_weights(torch.tensor([0.02, 0.0, 0.01, 0.0]), "sparsemax", 1.0)
    assert (gates > 0.2).all()
    assert -(gates * gates.log()).sum() > math.log(2)  # the published top-2 "sparsemax" could never exceed ln 2


def test_sparsemax_gives_exact_zeros_and_softmax_none():
    logits = torch.tensor([3.0, 0.0, -1.0])
    assert (gate_weights(logits, "sparsemax", 1.0) == 0).sum() == 2
    assert (gate_weights(logits, "softmax", 1.0) > 0).all()


@pytest.mark.parametrize("routing", ROUTINGS)
@given(logits=LOGITS, temperature=st.floats(0.05, 10))
def test_gates_are_a_distribution_in_the_order_of_the_logits(routing, logits, temperature):
    gates = gate_weights(torch.tensor(logits), routing, temperature)
    assert (gates >= 0).all()
    assert gates.sum().item() == pytest.approx(1, abs=1e-5)
    order = sorted(range(len(logits)), key=logits.__getitem__)
    assert (gates[order].diff() >= -1e-6).all()


@pytest.mark.parametrize("routing", ROUTINGS)
@given(logits=LOGITS, temperature=st.floats(0.1, 10), factor=st.floats(0.1, 1))
def test_a_lower_temperature_is_never_less_sharp(routing, logits, temperature, factor):
    tensor = torch.tensor(logits)
    warm, cold = (gate_weights(tensor, routing, t).max() for t in (temperature, temperature * factor))
    assert cold >= warm - 1e-5


@pytest.mark.parametrize("routing", ROUTINGS)
@given(logits=LOGITS)
def test_as_temperature_goes_to_zero_the_best_expert_takes_all(routing, logits):
    best = max(logits)
    if sum(value > best - 0.1 for value in logits) > 1:
        return
    gates = gate_weights(torch.tensor(logits), routing, 1e-3)
    assert gates[logits.index(best)] == pytest.approx(1, abs=1e-6)


@given(logits=LOGITS)
def test_sparsemax_is_the_projection_onto_the_simplex(logits):
    """Against the formula of Martins and Astudillo (2016), in plain Python."""
    ordered = sorted(logits, reverse=True)
    support = max(k for k in range(1, len(ordered) + 1) if 1 + k * ordered[k - 1] > sum(ordered[:k]))
    threshold = (sum(ordered[:support]) - 1) / support
    expected = [max(value - threshold, 0) for value in logits]
    assert gate_weights(torch.tensor(logits), "sparsemax", 1.0).tolist() == pytest.approx(expected, abs=1e-4)
