"""The loss terms against their formulas."""

import math

import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from v3core.environments.action_space import action_spec
from v3core.policy.distributions import action_distribution
from v3core.training.losses import (
    clipped_policy_loss,
    consistency_loss,
    diversity_loss,
    expert_balance_loss,
    gate_entropy,
    load_balance_loss,
    value_loss,
    z_loss,
)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.0, 2.0, -2.0), (1.5, 2.0, -2.4), (0.5, 2.0, -1.0), (1.5, -2.0, 3.0), (0.5, -2.0, 1.6)],
)
def test_ppo_clips_only_what_would_earn_more(ratio, advantage, expected):
    loss = clipped_policy_loss(torch.tensor([ratio]), torch.tensor([advantage]), clip=0.2)
    assert loss.item() == pytest.approx(expected)


def test_value_loss_is_half_the_mean_squared_error():
    assert value_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0])).item() == pytest.approx(1.0)


@given(experts=st.integers(1, 8))
def test_load_balance_is_one_at_balance(experts):
    assert load_balance_loss(torch.eye(experts).repeat(3, 1)).item() == pytest.approx(1, abs=1e-6)


def test_load_balance_is_n_when_one_expert_takes_all():
    assert load_balance_loss(torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(6, 1)).item() == pytest.approx(4)


def test_load_balance_by_hand_and_its_gradient_goes_through_the_mean_gates_only():
    gates = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]], requires_grad=True)
    loss = load_balance_loss(gates)
    shares, means = [2 / 3, 1 / 3, 0.0], [1.3 / 3, 1.4 / 3, 0.1]
    assert loss.item() == pytest.approx(3 * sum(f * p for f, p in zip(shares, means, strict=True)))
    loss.backward()
    assert gates.grad.tolist() == [pytest.approx([3 * share / 3 for share in shares])] * 3


def test_expert_balance_by_hand():
    """DeepSeekMoE: f_i = N/(k·T)·count, here with 4 experts, 2 chosen, 3 samples."""
    probabilities = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], [0.5, 0.25, 0.15, 0.1]])
    chosen = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    counts, means = [2, 2, 1, 1], probabilities.mean(0).tolist()
    expected = sum(4 / (2 * 3) * count * mean for count, mean in zip(counts, means, strict=True))
    assert expert_balance_loss(probabilities, chosen).item() == pytest.approx(expected)


def test_expert_balance_is_one_at_balance():
    uniform = torch.full((4, 4), 0.25)
    chosen = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]], dtype=torch.bool)
    assert expert_balance_loss(uniform, chosen).item() == pytest.approx(1)


def test_z_loss_by_hand():
    logits = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    expected = (math.log(math.e + math.e**2) ** 2 + math.log(2) ** 2) / 2
    assert z_loss(logits).item() == pytest.approx(expected)


def test_gate_entropy_is_ln_n_for_equal_gates_and_0_for_one_expert_with_finite_gradients():
    gates = torch.tensor([[0.25] * 4, [1.0, 0.0, 0.0, 0.0]], requires_grad=True)
    entropy = gate_entropy(gates)
    assert entropy.item() == pytest.approx(math.log(4) / 2)
    entropy.backward()
    assert torch.isfinite(gates.grad).all()


def test_consistency_is_the_squared_change():
    before, after = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    assert consistency_loss(before, after).item() == pytest.approx(1.0)


SPACES = [
    spaces.Discrete(3),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(3),
    spaces.Box(-1, 1, (2,)),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_diversity_is_one_for_experts_that_act_alike_and_falls_as_they_differ(space):
    actions = action_distribution(action_spec(space))
    outputs = torch.randn(1, 5, actions.spec.outputs).repeat(3, 1, 1)
    assert diversity_loss(outputs, actions).item() == pytest.approx(1, abs=1e-5)
    outputs[0] += 3 * torch.eye(actions.spec.outputs)[0]
    assert diversity_loss(outputs, actions).item() < 0.95
    assert diversity_loss(outputs[:1], actions).item() == 0


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_the_overlap_is_the_integral_of_the_root_of_the_product(space):
    """Against ∫√(p·q) = E_p[√(q/p)] by sampling from p."""
    torch.manual_seed(0)
    actions = action_distribution(action_spec(space))
    one, other = torch.randn(2, actions.spec.outputs)
    with torch.no_grad():
        noise = actions.noise((200_000,), torch.Generator().manual_seed(1))
        drawn = actions.sample(one.expand(200_000, -1), noise)
        log_p, _ = actions.log_prob_and_entropy(one.expand(200_000, -1), drawn)
        log_q, _ = actions.log_prob_and_entropy(other.expand(200_000, -1), drawn)
        sampled = (0.5 * (log_q - log_p)).exp().mean().item()
        assert actions.overlap(one, other).item() == pytest.approx(sampled, abs=0.01)
