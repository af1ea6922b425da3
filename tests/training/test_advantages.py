"""GAE against its definition in plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.training.ppo import generalised_advantages


def oracle(rewards, values, ended, last_value, gamma, gae_lambda):
    """A_t = Σ_l (γλ)^l δ_{t+l} up to the end of the episode, one environment."""
    following = [*values[1:], last_value]
    deltas = [
        reward + (0 if end else gamma * after) - value
        for reward, value, after, end in zip(rewards, values, following, ended, strict=True)
    ]
    advantages = []
    for start in range(len(rewards)):
        total, weight = 0.0, 1.0
        for delta, end in zip(deltas[start:], ended[start:], strict=True):
            total += weight * delta
            if end:
                break
            weight *= gamma * gae_lambda
        advantages.append(total)
    return advantages


@given(
    steps=st.integers(1, 12),
    environments=st.integers(1, 3),
    gamma=st.floats(0.5, 1),
    gae_lambda=st.floats(0, 1),
    seed=st.integers(0, 10_000),
)
def test_equals_the_definition(steps, environments, gamma, gae_lambda, seed):
    random = np.random.default_rng(seed)
    rewards, values = random.normal(size=(2, steps, environments))
    ended = random.random((steps, environments)) < 0.3
    last = random.normal(size=environments)
    advantages = generalised_advantages(rewards, values, ended, last, gamma, gae_lambda)
    for env in range(environments):
        expected = oracle(rewards[:, env], values[:, env], ended[:, env], last[env], gamma, gae_lambda)
        assert advantages[:, env] == pytest.approx(expected)


def test_one_step_by_hand():
    advantages = generalised_advantages(
        np.array([[1.0]]), np.array([[2.0]]), np.array([[False]]), np.array([4.0]), 0.5, 0.9
    )
    assert advantages.tolist() == [[1.0 + 0.5 * 4.0 - 2.0]]
