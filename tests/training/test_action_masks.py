"""Action masks from acting to learning: the same in both, over ends and resumes, and in every way to act."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

from tests.training.conftest import ONE_PHASE, reported
from v3core import load_policy
from v3core.config import PPOConfig
from v3core.environments import EnvironmentBatch, check_environment, make_environment
from v3core.policy import Gating
from v3core.training.hooks import Orders
from v3core.training.ppo import samples_of
from v3core.training.rollout import Collector
from v3core.training.state import TrainingState
from v3core.training.trainer import train

TAXI = "Taxi-v4"
COEFFICIENTS = {"entropy": 0.1}


class Fuel(gymnasium.Env):
    """Two dials, of which each step leaves other values free; a value that is not free is an assertion."""

    def __init__(self):
        self.observation_space = spaces.Box(-1, 1, (4,), np.float32)
        self.action_space = spaces.MultiDiscrete([3, 2])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._look(), {}

    def step(self, action):
        assert self._free[action[0]]
        assert self._free[3 + action[1]]
        self._steps += 1
        return self._look(), float(action[1]), self.np_random.random() < 0.1, False, {}

    def action_masks(self):
        return self._free

    def _look(self):
        self._free = self.np_random.random(5) < 0.5
        self._free[[self.np_random.integers(3), 3 + self.np_random.integers(2)]] = True
        return self.np_random.uniform(-1, 1, 4).astype(np.float32)


@pytest.fixture(autouse=True)
def fuel():
    gymnasium.register("TestFuel-v0", entry_point=Fuel, max_episode_steps=7)
    yield
    gymnasium.registry.pop("TestFuel-v0")


@pytest.fixture
def collected(small_run):
    """A state, and a rollout with the masks that it was acted under."""

    def make(env, steps=64, routing="softmax"):
        spec = check_environment(env, allow_import=False)
        state = TrainingState(small_run(env), spec)
        state.policy.gating = Gating(routing=routing)
        with torch.no_grad():  # far from uniform
            state.policy.experts.weight_out *= 50
        collector = Collector(EnvironmentBatch(spec, 4, 1), steps, state.backend, state.generator)
        collector.collect(1000)
        return state, collector.collect(1000)

    return make


def learned_from(state, rollout):
    random = np.random.default_rng(0)
    return samples_of(
        rollout, random.normal(size=rollout.ended.shape), random.normal(size=rollout.ended.shape), state.device
    )


def first_of(spec):
    return np.cumsum((0, *spec.actions.sizes[:-1]))


@pytest.mark.parametrize("routing", ["softmax", "gumbel"])
@pytest.mark.parametrize("env", [TAXI, "TestFuel-v0"])
def test_learning_sees_the_masks_of_acting(collected, env, routing):
    """Nothing forbidden was done, and the probability ratio of every sample is exactly 1 before the first step."""
    state, rollout = collected(env, routing=routing)
    assert rollout.masks.shape == (64, 4, state.policy.actions.spec.mask_size)
    assert not rollout.masks.all()
    firsts = torch.from_numpy(first_of(check_environment(env, allow_import=False)))
    assert rollout.masks.gather(2, rollout.actions + firsts).all()
    samples = learned_from(state, rollout)
    # One sample at a time, as large as the batch in acting: the arithmetic is the same, so that not a bit may differ.
    for step in range(64):
        chosen = torch.arange(4) + 4 * step
        noise = None if samples.noise is None else samples.noise[chosen]
        acted = state.backend.act(samples.observations[chosen], noise)
        outputs = state.policy.actions.masked(acted.outputs, samples.masks[chosen])
        log_probs, _ = state.policy.actions.log_prob_and_entropy(outputs, samples.actions[chosen])
        assert (log_probs - samples.log_probs[chosen]).exp().tolist() == [1, 1, 1, 1]


def test_without_the_masks_the_ratio_would_not_be_1(collected):
    state, rollout = collected(TAXI)
    samples = learned_from(state, rollout)
    outputs = state.policy(samples.observations).outputs
    log_probs, _ = state.policy.actions.log_prob_and_entropy(outputs, samples.actions.clone())
    assert (log_probs - samples.log_probs).abs().max() > 0.1


class _Policy(MaskableActorCriticPolicy):
    """A network of ours in the place of sb3-contrib's own."""

    def __init__(self, *args, network, **kwargs):
        self._make = network
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule):
        self.network = self._make()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=lr_schedule(1))

    def evaluate_actions(self, obs, actions, action_masks=None):
        output = self.network(obs)
        distribution = self.action_dist.proba_distribution(action_logits=output.outputs)
        distribution.apply_masking(action_masks)
        return output.values.unsqueeze(1), distribution.log_prob(actions), distribution.entropy()


@pytest.mark.parametrize("env", [TAXI, "TestFuel-v0"])
def test_loss_and_gradient_are_those_of_maskable_ppo(collected, small_run, env):
    """MaskablePPO itself learns once from our rollout, with our network in it."""
    state, rollout = collected(env)
    samples = learned_from(state, rollout)
    with torch.no_grad():  # acted a while ago: ratios on both sides of 1, some of them clipped
        for parameter in state.policy.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    twin = TrainingState(small_run(env), check_environment(env, allow_import=False)).policy
    twin.load_state_dict(state.policy.state_dict())

    class Flat(gymnasium.ObservationWrapper):
        observation_space = spaces.Box(-1000, 1000, (samples.observations.shape[1],), np.float32)

        def observation(self, observation):
            return np.zeros(self.observation_space.shape, np.float32)

    model = MaskablePPO(
        _Policy,
        Flat(make_environment(env)),
        n_steps=len(samples.actions),
        batch_size=len(samples.actions),
        n_epochs=1,
        learning_rate=0.0,
        ent_coef=COEFFICIENTS["entropy"],
        vf_coef=0.25,  # of the whole squared error; ours is of half of it
        max_grad_norm=1e9,
        normalize_advantage=False,
        device="cpu",
        policy_kwargs={"network": lambda: twin},
    )
    model.learn(0)  # sets up its log
    buffer = model.rollout_buffer
    buffer.reset()
    buffer.observations[:, 0] = samples.observations
    buffer.actions[:, 0] = samples.actions
    buffer.log_probs[:, 0] = samples.log_probs
    buffer.advantages[:, 0] = samples.advantages
    buffer.returns[:, 0] = samples.targets
    buffer.action_masks[:, 0] = samples.masks
    buffer.full = True
    model.train()

    config = small_run(env, minibatch=256).ppo
    total, terms = state.backend.loss(samples, torch.arange(len(samples.actions)), COEFFICIENTS, config)
    total.backward()
    logged = model.logger.name_to_value
    assert logged["train/clip_fraction"] > 0.05
    torch.testing.assert_close(total.item(), float(logged["train/loss"]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        terms["policy_loss"].item(), float(logged["train/policy_gradient_loss"]), rtol=1e-4, atol=1e-6
    )
    compared = 0
    for (name, ours), theirs in zip(state.policy.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6, msg=name)
        compared += int(ours.grad.abs().sum() > 0)
    assert compared > 10


def test_all_experts_are_alike_where_one_action_is_allowed(collected):
    """The loss of diversity is of what the experts would do, and they may do one thing only."""
    state, rollout = collected(TAXI)
    only = torch.zeros_like(rollout.masks).scatter(2, rollout.actions, True)
    samples = learned_from(state, rollout)
    values = []
    for masks in (samples.masks, only.flatten(0, 1)):
        object.__setattr__(samples, "masks", masks)
        chosen = torch.arange(256)
        _, terms = state.backend.loss(samples, chosen, {"diversity": 1.0}, PPOConfig())
        values.append(terms["diversity_loss"].item())
    assert values[0] < 0.99
    assert values[1] == pytest.approx(1)


@pytest.mark.parametrize(("env", "stop"), [(TAXI, 2), ("TestFuel-v0", 1), ("TestFuel-v0", 2), ("TestFuel-v0", 3)])
def test_a_stopped_and_resumed_run_records_what_an_uninterrupted_one_does(small_run, recorder, env, stop):
    sizes = {"episodes": 4, "rollout_steps": 64} if env == TAXI else {"episodes": 80, "rollout_steps": 32}
    config = small_run(env, curriculum=ONE_PHASE, environments=4, minibatch=64, **sizes)
    whole = recorder()
    train(config, curriculum=config.curriculum, hooks=whole)
    assert whole.calls.count("record") > stop
    first = recorder(lambda hooks: Orders(stop=hooks.calls.count("record") >= stop))
    train(config, curriculum=config.curriculum, hooks=first)
    second = recorder()
    train(config, curriculum=config.curriculum, hooks=second, checkpoint=first.saved[-1][0])
    assert reported(first, second) == reported(whole)
    assert not second.remarks


def test_runs_of_a_version_before_go_on_without(small_run, recorder, monkeypatch):
    """What they record is what they would without masks there, to the bit."""
    reported_of = []
    for known in (True, False):
        config = small_run(TAXI, curriculum=ONE_PHASE, episodes=2, rollout_steps=64, minibatch=64)
        config = config.model_copy(update={"view": 1})
        if not known:
            monkeypatch.setattr("v3core.environments.batch.IN_INFO", "no such key")
            config = config.model_copy(update={"view": 2})
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
        reported_of.append(reported(hooks))
    assert reported_of[0] == reported_of[1]


def test_a_loaded_policy_obeys_the_mask_it_is_given(small_run, recorder):
    config = small_run("TestFuel-v0", curriculum=ONE_PHASE, episodes=10, evaluate=3)
    hooks = recorder()
    train(config, curriculum=config.curriculum, hooks=hooks)
    policy = load_policy(hooks.saved[-1][0])
    assert policy.evaluate(3) == hooks.evaluations[-1].episodes  # the environment asserts what is obeyed
    observation = np.zeros(4, np.float32)
    free = policy(observation).tolist()
    for first in range(3):
        for second in range(2):
            mask = np.zeros(5, bool)
            mask[[first, 3 + second]] = True
            assert policy(observation, action_mask=mask).tolist() == [first, second]
            assert policy(observation, mask.astype(np.int8)).tolist() == [first, second]
    assert policy(observation).tolist() == free
    with pytest.raises(ValueError, match=r"the action mask has shape \(4,\), not \(5,\)"):
        policy(observation, np.ones(4, bool))
    with pytest.raises(ValueError, match="the action mask forbids every value of component 1"):
        policy(observation, [0, 0, 0, 1, 1])
