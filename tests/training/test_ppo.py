"""One update: every part of the network learns, and nothing is learned from too little or from nonsense."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from v3core.config import PPOConfig
from v3core.environments import check_environment
from v3core.training.ppo import LEAST_DEVIATION, Coefficients, NonFiniteLossError, Samples, normalised, update
from v3core.training.state import TrainingState

ENVIRONMENTS = ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"]
COEFFICIENTS = Coefficients(load_balance=0.02, entropy=0.01)
CONFIG = PPOConfig(environments=4, rollout_steps=16, minibatch=64, epochs=1)


@pytest.fixture
def prepared(small_run):
    """Makes a state and 64 samples that fit it."""

    def build(env, routing="softmax", count=64):
        state = TrainingState(small_run(env), check_environment(env, allow_import=False), 3)
        state.policy.routing = routing
        generator = torch.Generator().manual_seed(0)
        if env == "CartPole-v1":
            observations = torch.randn(count, 4, generator=generator)
        else:
            observations = torch.randint(0, 4, (count, 7, 7, 3), generator=generator, dtype=torch.uint8)
        actions = torch.randint(0, 3, (count,), generator=generator)
        with torch.no_grad():
            log_probs = state.policy(observations).logits.log_softmax(1).gather(1, actions.unsqueeze(1)).squeeze(1)
        advantages, targets = torch.randn(2, count, generator=generator)
        return state, Samples(observations, actions, log_probs, normalised(advantages), targets)

    return build


def learn(state, samples, config=CONFIG, coefficients=COEFFICIENTS):
    return update(state.policy, state.optimizer, samples, coefficients, config, state.random)


@pytest.mark.parametrize("routing", ["softmax", "sparsemax"])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_one_update_reaches_every_parameter(prepared, env, routing):
    state, samples = prepared(env, routing)
    before = {name: parameter.detach().clone() for name, parameter in state.policy.named_parameters()}
    learn(state, samples)
    for name, parameter in state.policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, f"{name} gets no gradient"
        assert not torch.equal(before[name], parameter), f"{name} did not move"


@pytest.mark.parametrize("routing", ["softmax", "sparsemax"])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_at_the_first_gradient_step_the_policy_is_the_one_that_acted(prepared, env, routing):
    state, samples = prepared(env, routing)
    statistics = learn(state, samples)
    assert statistics.approx_kl == pytest.approx(0, abs=1e-6)
    assert statistics.clip_fraction == 0
    assert statistics.policy_loss == pytest.approx(-samples.advantages.mean().item(), abs=1e-6)


def test_later_passes_move_away_from_it(prepared):
    state, samples = prepared("CartPole-v1")
    statistics = learn(state, samples, CONFIG.model_copy(update={"epochs": 20}))
    assert statistics.approx_kl > 1e-5


def test_the_total_is_the_sum_of_its_terms(prepared):
    state, samples = prepared("CartPole-v1")
    found = learn(state, samples)
    assert found.total_loss == pytest.approx(
        found.policy_loss + 0.5 * found.value_loss + found.load_balance_loss - 0.01 * found.action_entropy, abs=1e-6
    )
    assert found.action_entropy == pytest.approx(math.log(3), abs=1e-3)
    assert (found.load_balance, found.entropy) == (0.02, 0.01)


@pytest.mark.parametrize(("count", "steps"), [(64, 40), (60, 40), (33, 20), (8, 5), (1, 1)])
def test_a_rollout_cut_short_gets_proportionally_fewer_gradient_steps(prepared, monkeypatch, count, steps):
    config = CONFIG.model_copy(update={"epochs": 10, "minibatch": 16})
    state, samples = prepared("CartPole-v1", count=count)
    taken = []
    monkeypatch.setattr(state.optimizer, "step", lambda: taken.append(1))
    learn(state, samples, config)
    assert len(taken) == steps


def test_every_sample_is_seen_once_a_pass_and_minibatches_are_even(prepared, monkeypatch):
    state, samples = prepared("CartPole-v1", count=37)
    seen = []
    original = state.policy.forward
    monkeypatch.setattr(state.policy, "forward", lambda o: seen.append(o) or original(o))
    learn(state, samples, CONFIG.model_copy(update={"minibatch": 10, "environments": 1, "rollout_steps": 37}))
    assert sorted(len(batch) for batch in seen) == [9, 9, 9, 10]
    assert sorted(torch.cat(seen)[:, 0].tolist()) == sorted(samples.observations[:, 0].tolist())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["advantages", "targets"])
def test_a_loss_that_is_not_finite_spoils_nothing(prepared, field, value):
    state, samples = prepared("CartPole-v1")
    broken = dataclasses.replace(samples, **{field: torch.full((64,), value)})
    before = [parameter.detach().clone() for parameter in state.policy.parameters()]
    with pytest.raises(NonFiniteLossError):
        learn(state, broken)
    assert all(torch.equal(old, new) for old, new in zip(before, state.policy.parameters(), strict=True))


def test_normalised_advantages():
    advantages = normalised(torch.from_numpy(np.random.default_rng(0).normal(5, 3, 100)))
    assert advantages.mean().item() == pytest.approx(0, abs=1e-9)
    assert advantages.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert normalised(torch.tensor([4.0])).tolist() == [0.0]
    assert normalised(torch.tensor([4.0, 4.0])).tolist() == [0.0, 0.0]


def test_advantages_that_hardly_differ_stay_small():
    """Blown up to deviation 1, the value head's noise would push a solved policy about at random."""
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, LEAST_DEVIATION / 10, 1000))
    assert normalised(noise).std(correction=0).item() == pytest.approx(0.1, rel=0.1)
