"""Acting: order, cut-off episodes, and that what was stored is what was acted."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from v3core.environments import check_environment, make_vector_env
from v3core.training.rollout import Collector
from v3core.training.state import TrainingState

ENVIRONMENTS = ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"]


@pytest.fixture
def collect(small_run):
    """Makes a policy, a collector and one rollout."""

    def build(env, *, steps=16, environments=2, room=1000, routing="softmax", seed=1):
        config = small_run(env, environments=environments, rollout_steps=steps, seed=seed)
        envs = make_vector_env(env, environments, seed)
        actions = envs.single_action_space
        assert isinstance(actions, Discrete)
        state = TrainingState(config, check_environment(env, allow_import=False), int(actions.n))
        state.policy.routing = routing
        collector = Collector(envs, steps, config.policy.experts, state.generator)
        return state, collector, collector.collect(state.policy, room)

    return build


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_shapes(collect, env):
    _, _, rollout = collect(env)
    assert rollout.observations.shape[:2] == rollout.actions.shape == rollout.values.shape == (16, 2)
    assert rollout.gates.shape == (16, 2, 4)
    assert rollout.steps == 32


@pytest.mark.parametrize("routing", ["softmax", "sparsemax"])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_learning_sees_the_policy_that_acted(collect, env, routing):
    """The probability ratio is 1 on every sample before the first gradient step."""
    state, collector, _ = collect(env, steps=64, routing=routing)
    rollout = collector.collect(state.policy, 1000)
    output = state.policy(rollout.observations.flatten(0, 1))
    log_probs = output.logits.log_softmax(1).gather(1, rollout.actions.flatten().unsqueeze(1)).squeeze(1)
    ratio = (log_probs - rollout.log_probs.flatten()).exp()
    assert (ratio - 1).abs().max() < 1e-6
    assert np.allclose(output.gates.detach().numpy(), rollout.gates.reshape(-1, 4), atol=1e-6)
    assert np.allclose(output.values.detach().numpy(), rollout.values.ravel(), atol=1e-5)


def test_actions_are_sampled_from_the_policy(collect):
    state, collector, _ = collect("CartPole-v1", steps=512, environments=4)
    with torch.no_grad():
        state.policy.experts.bias_out += torch.tensor([np.log(3.0), 0.0])  # about 3 to 1 for action 0
    rollout = collector.collect(state.policy, 10_000)
    assert (rollout.actions == 0).float().mean().item() == pytest.approx(0.75, abs=0.04)


def test_a_rollout_is_cut_short_at_the_step_that_completes_the_last_episode_wanted(collect):
    state, collector, rollout = collect("CartPole-v1", steps=200, environments=1, room=3)
    assert rollout.ended.sum() == 3
    assert rollout.ended[-1].all()
    following = collector.collect(state.policy, 1)
    assert following.ended.sum() == 1
    assert np.abs(following.observations[0].numpy()).max() <= 0.05  # the next episode from its start


def test_a_time_limit_is_not_an_end(collect, clock_env):
    """The value of the last observation before the cut is kept, and it is that observation's, not the next one's."""
    state, _, rollout = collect(clock_env, steps=12, environments=2)
    assert np.flatnonzero(rollout.ended[:, 0]).tolist() == [4, 9]
    with torch.no_grad():
        at_limit = state.policy(torch.tensor([[5.0]])).values.item()
        after_two = state.policy(torch.tensor([[2.0]])).values.item()
    assert rollout.cut_off_values[[4, 9]] == pytest.approx(np.full((2, 2), at_limit), abs=1e-6)
    assert np.count_nonzero(rollout.cut_off_values) == 4
    assert rollout.last_values == pytest.approx([after_two] * 2, abs=1e-6)
    assert rollout.observations[5].tolist() == [[0.0], [0.0]]


def test_an_end_of_its_own_has_no_value_after_it(collect, choice_env):
    _, _, rollout = collect(choice_env())
    assert rollout.ended.all()
    assert not rollout.cut_off_values.any()


def test_actions_may_count_from_one(collect, choice_env):
    _, _, rollout = collect(choice_env(length=3), steps=64)  # the environment asserts that its space holds them
    assert rollout.actions.min() == 0
    assert rollout.actions.max() == 2
