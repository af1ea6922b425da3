"""What an evaluation records of its episodes: the numbers that acted, and enough to play them again."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import v3core
from v3core.environments.evaluation_seeds import EVALUATION_SEED, evaluation_seed
from v3core.environments.replaying import play_again
from v3core.errors import V3Error
from v3core.insight.replays import ROLES, from_bytes, to_bytes
from v3core.jobs.played_episodes import explain, play
from v3core.training import inference
from v3core.training import tape as tapes
from v3core.training.inference import evaluate
from v3core.training.tape import expert_outputs
from v3core.training.trainer import Trainer, train

SPARSE = {"name": "sparse", "phases": [{"name": "only", "routing": "sparsemax", "temperature": 0.5}]}
ENVIRONMENTS = ["CartPole-v1", "Acrobot-v1", "LunarLander-v3", "MiniGrid-DoorKey-5x5-v0", "Pendulum-v1"]


@pytest.fixture
def trained(small_run, recorder):
    """Trains a small run and gives its policy, loaded from its newest checkpoint, and its newest evaluation."""

    def make(env, **changes):
        config = small_run(
            env, **({"curriculum": SPARSE, "episodes": 3, "rollout_steps": 128, "evaluate": 4} | changes)
        )
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
        return v3core.load_policy(hooks.saved[-1][0]), hooks.evaluations[-1]

    return make


@pytest.mark.parametrize("native", ["1", "0"], ids=["native", "torch"])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_an_episode_is_played_again_to_the_bit(trained, monkeypatch, env, native):
    monkeypatch.setenv("V3_NATIVE", native)
    monkeypatch.setattr(Trainer, "checkpoint_follows", False)  # what it would leave out is recorded
    policy, evaluation = trained(env)
    assert policy.backend.name == ("native" if native == "1" else "eager")
    again = policy.tape()
    policy_episodes = evaluate(policy.backend, policy.spec, 4, EVALUATION_SEED, tape=again)
    assert policy_episodes == evaluation.episodes
    assert set(evaluation.replays) == set(ROLES)
    played = again.chosen(policy.network)
    assert played == evaluation.replays
    replay = played["best"]
    assert replay.space == policy.network.actions.facts()
    assert (replay.discount, replay.reward_scale) == (policy.config.ppo.gamma, policy.reward_scale)
    assert policy.reward_scale not in {None, 1.0}
    assert replay.masks is None
    for role, replay in evaluation.replays.items():
        read = from_bytes(to_bytes({role: replay}))[role]
        moments = list(play_again(policy.spec, read, frames=False))
        assert len(moments) == len(replay) + 1
        assert sum(replay.rewards) == pytest.approx(replay.return_)
        observed = np.stack([moment.observation for moment in moments[:-1]])
        np.testing.assert_array_equal(expert_outputs(policy.network, observed), replay.expert_outputs)
        mixed = np.einsum("te,teo->to", replay.gates, replay.expert_outputs)
        np.testing.assert_allclose(mixed, replay.outputs, atol=1e-5)


@pytest.mark.parametrize("native", ["1", "0"], ids=["native", "torch"])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_what_is_left_to_the_checkpoint_is_computed_from_it_to_the_bit(trained, monkeypatch, env, native):
    monkeypatch.setenv("V3_NATIVE", native)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "checkpoint_follows", False)
        _, recorded = trained(env)
    policy, left = trained(env)
    for role, whole in recorded.replays.items():
        replay = left.replays[role]
        assert replay == replace(whole, expert_outputs=None)
        observations = np.stack([moment.observation for moment in play_again(policy.spec, replay, frames=False)])
        assert explain(policy, policy.spec, replay, observations[:-1])[1] == whole


def test_nothing_is_left_to_a_checkpoint_if_the_episode_cannot_be_played_again(trained, monkeypatch):
    gymnasium.registry.pop("TestElsewhere-v0", None)
    gymnasium.register("TestElsewhere-v0", Elsewhere)
    _, evaluation = trained("TestElsewhere-v0")
    assert all(replay.expert_outputs is None for replay in evaluation.replays.values())
    monkeypatch.setattr(Elsewhere, "drifts", 1)
    _, evaluation = trained("TestElsewhere-v0")
    assert all(replay.expert_outputs is not None for replay in evaluation.replays.values())


def test_an_evaluation_within_a_phase_keeps_all_of_it(small_run, recorder):
    """Checkpoints at such a place are thinned, and those at boundaries and at the end are not."""
    config = small_run(episodes=30, evaluate=2, every=5)
    hooks = recorder()
    train(config, curriculum=config.curriculum, hooks=hooks)
    left = {evaluation.episode for evaluation in hooks.evaluations if evaluation.replays["best"].expert_outputs is None}
    ends = {change.episode for change in hooks.phases} | {hooks.evaluations[-1].episode}
    assert left == ends & {evaluation.episode for evaluation in hooks.evaluations}
    assert len(left) < len(hooks.evaluations)


def test_the_best_the_worst_the_median_and_the_last_are_kept(trained):
    _, evaluation = trained("CartPole-v1", evaluate=9)
    returns = sorted(episode.return_ for episode in evaluation.episodes)
    kept = {role: replay.return_ for role, replay in evaluation.replays.items()}
    assert kept == {
        "best": returns[-1],
        "median": returns[4],
        "worst": returns[0],
        "last": evaluation.episodes[-1].return_,
    }
    assert {replay.number for replay in evaluation.replays.values()} <= set(range(1, 10))


@pytest.mark.parametrize(("env", "tasks"), [("CartPole-v1", 0), ("CartPole-v0 + CartPole-v1", 2)])
def test_an_episode_that_was_not_kept_is_played_again_from_its_number(trained, env, tasks):
    policy, evaluation = trained(env, evaluate=20)
    seeds = {replay.number: replay.seed for replay in evaluation.replays.values()}
    assert seeds == {number: evaluation_seed(number, tasks) for number in seeds}
    for episode in evaluation.episodes:
        replay = play(policy, resets=[evaluation_seed(episode.number, tasks)])["median"]
        assert (replay.return_, len(replay)) == (episode.return_, episode.length)


def test_recording_changes_nothing(trained):
    policy, evaluation = trained("CartPole-v1")
    assert evaluate(policy.backend, policy.spec, 4) == evaluation.episodes


@pytest.mark.parametrize("limit", [0, 4 * 4 * 4 * 3])
def test_what_does_not_fit_into_memory_is_recorded_without_the_experts(trained, monkeypatch, limit):
    policy, evaluation = trained("CartPole-v1")
    monkeypatch.setattr(tapes, "MAX_OBSERVED_BYTES", limit)
    tape = policy.tape()
    evaluate(policy.backend, policy.spec, 4, tape=tape)
    for role, replay in tape.chosen(policy.network).items():
        assert replay.expert_outputs is None
        assert replay.gates.tobytes() == evaluation.replays[role].gates.tobytes()
        assert replay.seen == evaluation.replays[role].seen


class Elsewhere(gymnasium.Env):
    """Shows the numbers of a counter of the whole process: no seed decides them. Ends after four steps."""

    shown = 0
    ends = 4
    pays = 0.0
    drifts = 0

    def __init__(self):
        self.observation_space, self.action_space = spaces.Box(-1e9, 1e9, (2,), np.float32), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self._steps += 1
        type(self).shown += type(self).drifts
        row = np.full(2, type(self).shown, np.float32)
        return row, type(self).pays, self._steps == type(self).ends, False, {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shown": 1}, "its observations are others"),
        ({"pays": 2.0}, "its reward at step 1 is another one"),
        ({"ends": 2}, "it ended at step 2"),
    ],
)
def test_an_episode_that_goes_another_way_is_refused(trained, monkeypatch, change, words):
    gymnasium.registry.pop("TestElsewhere-v0", None)
    gymnasium.register("TestElsewhere-v0", Elsewhere)
    policy, evaluation = trained("TestElsewhere-v0")
    replay = evaluation.replays["best"]
    assert len(list(play_again(policy.spec, replay, frames=False))) == 5
    for name, value in change.items():
        monkeypatch.setattr(Elsewhere, name, value)
    with pytest.raises(V3Error, match=words):
        list(play_again(policy.spec, replay, frames=False))


@pytest.mark.parametrize("env", ["CartPole-v1", "LunarLander-v3", "MiniGrid-DoorKey-5x5-v0"])
def test_frames_are_what_the_environment_draws(trained, env):
    policy, evaluation = trained(env)
    replay = evaluation.replays["worst"]
    moments = list(play_again(policy.spec, replay, frames=True))
    world = v3core.environments.make_environment(env, render_mode="rgb_array")
    world.reset(seed=replay.seed)
    for moment, action in zip(moments, policy.spec.actions.to_environment(replay.actions), strict=False):
        np.testing.assert_array_equal(moment.frame, world.render())
        world.step(action)
    np.testing.assert_array_equal(moments[-1].frame, world.render())
    world.close()


class LateMask(Elsewhere):
    """From its third step on only one action is allowed, which it says in `info`."""

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        info = {"action_mask": np.array([0, 1], np.int8)} if self._steps >= 2 else {}
        return observation, reward, terminated, truncated, info


def test_the_masks_that_acted_are_recorded(trained):
    gymnasium.registry.pop("TestLateMask-v0", None)
    gymnasium.register("TestLateMask-v0", LateMask)
    _, evaluation = trained("TestLateMask-v0")
    replay = evaluation.replays["best"]
    assert replay.masks.tolist() == [[True, True], [True, True], [False, True], [False, True]]
    assert (replay.actions[2:] == 1).all()
    _, evaluation = trained("Taxi-v4")
    assert evaluation.replays["last"].masks.shape == (len(evaluation.replays["last"]), 6)
    assert not evaluation.replays["last"].masks.all()


def test_the_observations_of_all_episodes_together_stay_within_the_limit(trained, monkeypatch):
    """One after the other: each alone would fit; the second does not fit beside the first, or just does."""
    policy, _ = trained("CartPole-v1")

    def with_experts(limit, episodes=2):
        monkeypatch.setattr(tapes, "MAX_OBSERVED_BYTES", limit)
        tape = policy.tape()
        evaluate(policy.backend, policy.spec, episodes, tape=tape, at_once=1)
        kept = {replay.number: replay for replay in tape.chosen(policy.network).values()}
        return {number: len(replay) for number, replay in kept.items() if replay.expert_outputs is not None}

    lengths = with_experts(10**6)
    assert set(lengths) == {1, 2}
    needed = {number: 16 * length for number, length in lengths.items()}
    assert set(with_experts(needed[1], 1)) == {1}
    assert set(with_experts(needed[1] - 1, 1)) == set()
    assert set(with_experts(sum(needed.values()))) == {1, 2}
    assert set(with_experts(sum(needed.values()) - 1)) == {1}


@pytest.mark.parametrize(
    ("env", "limit", "ended"),
    [("CartPole-v1", 400, "terminated"), ("Pendulum-v1", 400, "truncated"), ("Pendulum-v1", 7, "cut")],
)
def test_how_an_episode_ended_is_recorded(trained, monkeypatch, env, limit, ended):
    """CartPole's pole falls, Pendulum has a time limit of 200 steps, and an evaluation has one of its own."""
    monkeypatch.setattr(inference, "MAX_STEPS", limit)
    _, evaluation = trained(env)
    assert {replay.ended for replay in evaluation.replays.values()} == {ended}
