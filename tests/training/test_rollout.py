"""Acting: order, cut-off episodes, and that what was stored is what was acted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from v3core.environments import EnvironmentBatch, check_environment
from v3core.policy import Gating
from v3core.training.ppo import samples_of
from v3core.training.rollout import Collector, Rollout
from v3core.training.state import TrainingState

ENVIRONMENTS = ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"]


@pytest.fixture
def collect(small_run):
    """Makes a policy, a collector and one rollout."""

    def build(env, *, steps=16, environments=2, room=1000, routing="softmax", jitter=0.0, seed=1):
        config = small_run(env, environments=environments, rollout_steps=steps, seed=seed)
        spec = check_environment(env, allow_import=False)
        state = TrainingState(config, spec)
        state.policy.gating = Gating(routing=routing, jitter=jitter)
        collector = Collector(EnvironmentBatch(spec, environments, seed), steps, state.backend, state.generator)
        return state, collector, collector.collect(room)

    return build


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_shapes(collect, env):
    _, _, rollout = collect(env)
    assert rollout.observations.shape[:2] == rollout.actions.shape[:2] == rollout.values.shape == (16, 2)
    assert rollout.gates.shape == (16, 2, 4)
    assert rollout.steps == 32


@pytest.mark.parametrize("jitter", [0.0, 0.1])
@pytest.mark.parametrize(
    "routing", ["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel", "uniform", "random"]
)
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_learning_sees_the_policy_that_acted(collect, env, routing, jitter):
    """The probability ratio is 1 on every sample before the first gradient step, whatever noise the routing has."""
    state, collector, _ = collect(env, steps=32, routing=routing, jitter=jitter)
    rollout = collector.collect(1000)
    assert (rollout.noise is not None) == (routing in ("gumbel", "random") or jitter > 0)
    noise = None if rollout.noise is None else rollout.noise.flatten(0, 1).clone()
    output = state.policy(rollout.observations.flatten(0, 1), noise)
    drawn = rollout.actions.flatten(0, 1).clone()
    log_probs, _ = state.policy.actions.log_prob_and_entropy(output.outputs, drawn)
    assert ((log_probs - rollout.log_probs.flatten()).exp() - 1).abs().max() < 1e-5
    torch.testing.assert_close(output.gates, rollout.gates.flatten(0, 1), atol=1e-5, rtol=0)
    assert np.allclose(output.values.detach().numpy(), rollout.values.ravel(), atol=1e-5)


def test_routing_noise_differs_from_step_to_step(collect):
    _, _, rollout = collect("CartPole-v1", routing="gumbel")
    assert len(rollout.noise.flatten(0, 1).unique(dim=0)) == 32


def test_what_is_not_finite_is_reported(collect, choice_env):
    _, _, rollout = collect(choice_env())
    assert rollout.unusable() is None
    rollout.rewards[3, 1] = np.nan
    assert rollout.unusable() == (
        "step(action) of environment 2 returned a reward of nan at step 4 of the rollout, which is not a finite number",
        "fix the environment",
    )
    rollout.rewards[3, 1] = 0
    rollout.observations[5, 0, 2] = np.inf
    assert rollout.unusable() == (
        "the observation of environment 1 is not finite at step 6 of the rollout",
        "fix the environment",
    )


def test_a_rollout_may_be_bounded_in_steps(collect):
    _, collector, _ = collect("CartPole-v1")
    assert collector.collect(1000, max_steps=5).steps == 10
    assert collector.collect(1000, max_steps=500).steps == 32


def test_the_time_of_every_step_counts_once_for_acting_or_for_the_environments(collect, monkeypatch):
    """By a clock that stands still but for 1 s of each decision of the policy and 10 s of each step."""
    state, collector, _ = collect("CartPole-v1")
    clock = [100.0]

    def taking(seconds, work):
        def slow(*arguments, **named):
            clock[0] += seconds
            return work(*arguments, **named)

        return slow

    monkeypatch.setattr("v3core.training.rollout.perf_counter", lambda: clock[0])
    monkeypatch.setattr(state.backend, "act", taking(1, state.backend.act))
    monkeypatch.setattr(collector._envs, "step", taking(10, collector._envs.step))
    for steps in (5, 3):
        collector.collect(1000, max_steps=steps)
        assert (collector.acting_seconds, collector.environment_seconds) == (steps, 10 * steps)


def test_actions_are_sampled_from_the_policy(collect):
    state, collector, _ = collect("CartPole-v1", steps=512, environments=4)
    with torch.no_grad():
        state.policy.experts.bias_out += torch.tensor([np.log(3.0), 0.0])  # about 3 to 1 for action 0
    rollout = collector.collect(10_000)
    assert (rollout.actions == 0).float().mean().item() == pytest.approx(0.75, abs=0.04)


def test_a_rollout_is_cut_short_at_the_step_that_completes_the_last_episode_wanted(collect):
    _, collector, rollout = collect("CartPole-v1", steps=200, environments=1, room=3)
    assert rollout.ended.sum() == 3
    assert rollout.ended[-1].all()
    following = collector.collect(1)
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


def copied(rollout):
    """What a rollout holds; it is written over by the next."""
    return {
        name: value.clone() if torch.is_tensor(value) else np.copy(value) if isinstance(value, np.ndarray) else value
        for name, value in vars(rollout).items()
    }


@pytest.mark.parametrize("routing", ["sparsemax", "gumbel"])
@pytest.mark.parametrize("env", [*ENVIRONMENTS, "Pendulum-v1"])
def test_the_seed_decides_every_rollout(collect, env, routing):
    """Two collectors of one seed see and do the same, rollout after rollout, cut short or not."""
    rollouts = []
    for seed in (1, 1, 2):
        _, collector, first = collect(env, routing=routing, jitter=0.1, seed=seed)
        kept = [copied(first)]
        for room, at_most in ((2, None), (1000, 5), (1000, None)):
            kept.append(copied(collector.collect(room, at_most)))
        rollouts.append(kept)
    for one, same, other in zip(*rollouts, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(same[name]), err_msg=name)
        assert not torch.equal(one["noise"], other["noise"])


@given(steps=st.integers(1, 9), environments=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_successors_are_the_steps_that_really_followed(steps, environments, seed):
    """Against a plain loop; and every part of a sample is that of the same step and environment."""
    random = np.random.default_rng(seed)
    ended = random.random((steps, environments)) < 0.3
    place = np.arange(steps * environments, dtype=np.float64).reshape(steps, environments)
    reported = torch.from_numpy(place).float()
    rollout = Rollout(
        observations=reported.unsqueeze(2),
        actions=reported.unsqueeze(2),
        log_probs=reported,
        gates=reported.unsqueeze(2),
        noise=reported.unsqueeze(2),
        values=place,
        rewards=place,
        ended=ended,
        successes={},
        cut_off_values=place,
        last_values=place[-1],
    )
    samples = samples_of(rollout, place, place, torch.device("cpu"))
    row_of = {(int(step), env): row for row, (step, env) in enumerate(np.ndindex(steps, environments))}
    for (step, env), row in row_of.items():
        follows = -1 if ended[step, env] or step + 1 == steps else row_of[step + 1, env]
        assert samples.successors[row] == follows
        for part in (samples.observations, samples.actions, samples.log_probs, samples.targets, samples.gates):
            assert part[row].item() == place[step, env]
    assert samples.noise.flatten().tolist() == place.ravel().tolist()
    assert (samples.advantages.diff() >= 0).all()  # in the order of what they were made from
