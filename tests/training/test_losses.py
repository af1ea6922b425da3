"""The loss terms against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from v3core.training.losses import categorical_entropy, clipped_policy_loss, load_balance_loss, value_loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.0, 2.0, -2.0), (1.5, 2.0, -2.4), (0.5, 2.0, -1.0), (1.5, -2.0, 3.0), (0.5, -2.0, 1.6)],
)
def test_ppo_clips_only_what_would_earn_more(ratio, advantage, expected):
    loss = clipped_policy_loss(torch.tensor([ratio]), torch.tensor([advantage]), clip=0.2)
    assert loss.item() == pytest.approx(expected)


def test_value_loss_is_half_the_mean_squared_error():
    assert value_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0])).item() == pytest.approx(1.0)


def test_entropy_of_a_fair_choice_is_ln_n():
    assert categorical_entropy(torch.zeros(5, 4).log_softmax(1)).item() == pytest.approx(math.log(4))


@given(experts=st.integers(1, 8), coefficient=st.floats(0, 1))
def test_load_balance_is_its_coefficient_at_balance(experts, coefficient):
    gates = torch.eye(experts).repeat(3, 1)
    assert load_balance_loss(gates, coefficient).item() == pytest.approx(coefficient, abs=1e-6)


def test_load_balance_is_n_times_as_much_when_one_expert_takes_all():
    gates = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(6, 1)
    assert load_balance_loss(gates, 0.02).item() == pytest.approx(0.08)


def test_load_balance_by_hand_and_its_gradient_goes_through_the_mean_gates_only():
    gates = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]], requires_grad=True)
    loss = load_balance_loss(gates, 0.5)
    shares, means = [2 / 3, 1 / 3, 0.0], [1.3 / 3, 1.4 / 3, 0.1]
    assert loss.item() == pytest.approx(0.5 * 3 * sum(f * p for f, p in zip(shares, means, strict=True)))
    loss.backward()
    expected = [0.5 * 3 * share / 3 for share in shares]
    assert gates.grad.tolist() == [pytest.approx(expected)] * 3
