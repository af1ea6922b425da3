"""Training that was stopped and resumed records what training that never stopped records, to the bit."""

import itertools
import random
from dataclasses import asdict, replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.environments.scored import Scored
from tests.training.conftest import ONE_PHASE, reported
from v3core import load_policy
from v3core.environments import EnvironmentBatch, unfinished
from v3core.training import trainer
from v3core.training.checkpoint import load_checkpoint
from v3core.training.hooks import Orders
from v3core.training.trainer import CHECKPOINT_SECONDS, Outcome, train

NOISY = {
    "name": "noisy",
    "phases": [
        {"name": "gumbel", "until": {"episode": 5}, "routing": "gumbel", "jitter": 0.1},
        {"name": "random", "until": {"episode": 8}, "routing": "random"},
        {
            "name": "bias",
            "until": {"metric": "length", "at_least": 1, "window": 4, "min_episodes": 5},
            "routing": "topk",
            "top_k": 1,
            "top_k_weights": "sigmoid",
            "bias_speed": 0.01,
            "jitter": 0.05,
        },
        {"name": "last", "routing": "sparsemax", "temperature": {"from": 1.0, "to": 0.5}, "jitter": 0.0},
    ],
}
TASKS = {
    "name": "tasks",
    "phases": [
        {"name": "empty", "until": {"episode": 3}, "env": "MiniGrid-Empty-Random-5x5-v0"},
        {"name": "key", "until": {"step": 900}, "env": "MiniGrid-DoorKey-5x5-v0"},
        {"name": "again", "env": "MiniGrid-Empty-Random-5x5-v0"},
    ],
}
FACTS = {
    "name": "facts",
    "phases": [
        {"name": "low", "until": {"metric": "fact:score", "at_least": 3.2, "window": 15}},
        {"name": "lower", "until": {"metric": "fact:score", "at_most": 2.9, "window": 15}},
        {"name": "rest", "routing": "sparsemax"},
    ],
}
gymnasium.register("ScoringExactly-v0", entry_point=Scored, kwargs={"longest": 5})


def run(config, hooks, **kwargs):
    return train(config, curriculum=config.curriculum, hooks=hooks, **kwargs)


def stopped_after(rollouts):
    """Orders that stop before the rollout after so many, whatever was asked before."""
    return lambda hooks: Orders(stop=hooks.calls.count("record") >= rollouts)


def in_parts(config, recorder, *stops):
    """Run in parts, each ended after so many of its own rollouts; the last runs to the end."""
    parts, path = [], None
    for rollouts in stops:
        hooks = recorder(stopped_after(rollouts))
        if run(config, hooks, checkpoint=path) is Outcome.COMPLETED:
            return [*parts, hooks]
        parts.append(hooks)
        path = hooks.saved[-1][0]
    hooks = recorder()
    assert run(config, hooks, checkpoint=path) is Outcome.COMPLETED
    return [*parts, hooks]


LONG = {"rollout_steps": 64, "minibatch": 128}
SIZES = {
    "name": "sizes",
    "phases": [
        {"name": "small", "until": {"episode": 3}},
        {"name": "larger", "until": {"step": 900}, "env_args": {"size": 6}},
        {"name": "small again", "env": "MiniGrid-Empty-Random-5x5-v0"},
    ],
}
CASES = {
    "cartpole": {"env": "CartPole-v1"},
    "cartpole-noisy": {"env": "CartPole-v1", "curriculum": NOISY},
    "acrobot": {"env": "Acrobot-v1", "curriculum": ONE_PHASE, "episodes": 3, "every": 2, **LONG},
    "pendulum": {"env": "Pendulum-v1", "curriculum": ONE_PHASE, "episodes": 6, **LONG},
    "minigrid": {"env": "MiniGrid-DoorKey-5x5-v0", "curriculum": ONE_PHASE, "episodes": 4, "every": 2, **LONG},
    "tasks": {"env": "MiniGrid-Empty-Random-5x5-v0", "curriculum": TASKS, "episodes": 9, **LONG},
    "arguments": {
        "env": "FrozenLake-v1",
        "args": {"desc": ["SFF", "FFH", "FFG"], "success_rate": 0.5},
        "wrappers": ("TimeAwareObservation", "FrameStackObservation(stack_size=2)", "TimeLimit(max_episode_steps=9)"),
        "episodes": 30,
    },
    "sizes": {"env": "MiniGrid-Empty-Random-5x5-v0", "args": {"agent_start_dir": 1}, "curriculum": SIZES, **LONG},
    "several": {
        "env": "MiniGrid-Empty-Random-5x5-v0 + MiniGrid-DoorKey-5x5-v0",
        "curriculum": ONE_PHASE,
        "episodes": 6,
        "every": 2,
        **LONG,
    },
    "several-numbers": {"env": "CartPole-v0 + CartPole-v1"},
    "facts": {"env": "ScoringExactly-v0", "curriculum": FACTS, "facts": {"score": "game.score"}, "episodes": 60},
    "lunarlander": {"env": "LunarLander-v3", "episodes": 10, "rollout_steps": 32},
    "memory": {"env": "CartPole-v1", "curriculum": NOISY, "memory": "gru", "sequence_steps": 5},
    "memory-pendulum": {"env": "Pendulum-v1", "curriculum": ONE_PHASE, "episodes": 6, "memory": "gru", **LONG},
    "memory-tasks": {
        "env": "MiniGrid-Empty-Random-5x5-v0",
        "curriculum": TASKS,
        "episodes": 9,
        "memory": "gru",
        "memory_width": 9,
        **LONG,
    },
}


@pytest.fixture
def case(small_run):
    """Makes the config of a case, with evaluations."""

    def make(name, *, sampled=True, **changes):
        options = {"episodes": 14, "evaluate": 2, "every": 5} | CASES[name] | changes
        config = small_run(options.pop("env"), **options)
        return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"sampled": sampled})})

    return make


@pytest.mark.parametrize("name", CASES)
def test_a_stopped_and_resumed_run_records_what_an_uninterrupted_one_does(case, recorder, name):
    if name == "lunarlander":
        pytest.importorskip("Box2D")
    config = case(name)
    whole = recorder()
    run(config, whole)
    rollouts = whole.calls.count("record")
    assert rollouts >= 4
    for stop in sorted({1, rollouts // 2, rollouts - 1, rollouts}):
        parts = in_parts(config, recorder, stop)
        assert reported(*parts) == reported(whole), f"stopped after rollout {stop} of {rollouts}"
        assert not any(hooks.remarks for hooks in parts)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, 12), min_size=1, max_size=4), seed=st.integers(0, 1000), count=st.integers(1, 4))
def test_it_may_be_stopped_at_any_moments(case, recorder, stops, seed, count):
    """A resumed run may be stopped and resumed too, also before its first rollout."""
    config = case("cartpole-noisy", seed=seed, environments=count, rollout_steps=8)
    whole = recorder()
    run(config, whole)
    assert reported(*in_parts(config, recorder, *stops)) == reported(whole)


class Keeping:
    """Mixed into a recorder: every checkpoint keeps a file of its own, with how much had been reported before it."""

    def __init__(self, hooks):
        self.hooks, self.kept = hooks, []
        hooks.checkpoint_path = lambda episode: hooks.folder / f"{episode}-{len(self.kept)}.pt"
        hooks.checkpoint_saved = self._saved

    def _saved(self, path, episode, step):
        assert len(self.hooks.episodes) == episode
        self.kept.append((path, [len(reported) for reported in self._reported()]))

    def after(self, place):
        """What was reported after a checkpoint."""
        return [
            repr([asdict(entry) for entry in reported[count:]])
            for reported, count in zip(self._reported(), self.kept[place][1], strict=True)
        ]

    def _reported(self):
        return self.hooks.episodes, self.hooks.phases, self.hooks.evaluations


@pytest.mark.parametrize(
    ("name", "every"),
    [("cartpole-noisy", 1), ("facts", 1), ("tasks", 4), ("pendulum", 4), ("memory", 1), ("memory-tasks", 4)],
)
def test_whatever_was_lost_is_trained_again_as_it_was(case, recorder, name, every):
    """A process that was killed goes on from a checkpoint of any moment: periodic, or of a boundary."""
    config = case(name)
    whole = recorder()
    keeping = Keeping(whole)
    run(config, whole, clock=itertools.count(step=CHECKPOINT_SECONDS).__next__)
    assert len(keeping.kept) > whole.calls.count("record")
    starts = {change.episode for change in whole.phases}
    for place, (path, (episodes, *_)) in enumerate(keeping.kept):
        if place % every and episodes not in starts:
            continue
        resumed = recorder()
        run(config, resumed, checkpoint=path)
        assert reported(resumed) == keeping.after(place), path.name
        assert not resumed.remarks
        state = load_checkpoint(path)
        assert state["world"] is None or state["world"]["env"] == state["env"]  # none that is not gone on with


def test_an_undone_update_is_kept_in_mind(case, recorder, monkeypatch):
    """What an undone update left behind, and how many there were in a row."""
    original = trainer.Trainer.learn

    def poison(self, rollout, settings):
        if self.state.updates in {0, 3, 4}:
            rollout.rewards[1, 0] = float("nan")
        return original(self, rollout, settings)

    monkeypatch.setattr(trainer.Trainer, "learn", poison)
    config = case("cartpole-noisy")
    whole = recorder()
    run(config, whole)
    assert [in_a_row for _, in_a_row in whole.undone] == [1, 1, 2]
    for stop in range(7):
        parts = in_parts(config, recorder, stop)
        assert reported(*parts) == reported(whole)
        assert [undone for hooks in parts for undone in hooks.undone] == whole.undone


class Restless(gymnasium.Env):
    """Goes another way when it is played again: in what it observes, or in one of four other ways."""

    again = False
    """While it is played again."""

    def __init__(self, how):
        self.observation_space = spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._how = how

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._look(), {}

    def step(self, action):
        self._steps += 1
        if self._how == "raises" and Restless.again:
            raise OSError("gone")
        reward = random.random() if self._how == "reward" else 1.0
        if self._how == "generator" and Restless.again:
            self.np_random.random()
        limit = 1 if self._how == "ends" and Restless.again else 10
        return self._look(), reward, self._steps >= limit, False, {}

    def _look(self):
        return np.full(1, random.random() if self._how == "observation" else 0.5, np.float32)


REASONS = {
    "observation": "diverged",
    "reward": "diverged",
    "generator": "diverged",
    "raises": "raised OSError",
    "ends": "ended early",
}


@pytest.fixture
def restless_env():
    """Registers `Restless` as `TestRestless-v0`."""

    def register(how):
        gymnasium.register("TestRestless-v0", entry_point=Restless, kwargs={"how": how})
        return "TestRestless-v0"

    yield register
    gymnasium.registry.pop("TestRestless-v0", None)


@pytest.mark.parametrize("how", REASONS)
def test_what_cannot_be_played_again_begins_anew_and_says_so(small_run, recorder, restless_env, monkeypatch, how):
    config = small_run(restless_env(how), environments=3, rollout_steps=7, curriculum=ONE_PHASE, episodes=30)
    first = recorder(stopped_after(3))
    run(config, first)
    original = EnvironmentBatch.replay

    def other_way(self, episodes, *rest):
        Restless.again = True
        try:
            original(self, episodes, *rest)
        finally:
            Restless.again = False

    monkeypatch.setattr(EnvironmentBatch, "replay", other_way)
    second = recorder()
    assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
    assert second.remarks == [f"The unfinished episodes start from scratch: a replayed episode {REASONS[how]}."]
    assert [record.episode for record in (*first.episodes, *second.episodes)] == list(range(1, 31))
    assert {record.length for record in second.episodes} == {10}


def test_an_episode_too_long_to_keep_begins_anew(small_run, recorder, clock_env, monkeypatch):
    """Its actions are let go of; the run trains on, and can be stopped and resumed."""
    monkeypatch.setattr(unfinished, "LONGEST_EPISODE", 300)
    gymnasium.register("TestEndless-v0", entry_point=gymnasium.spec(clock_env).entry_point, max_episode_steps=1000)
    try:
        config = small_run("TestEndless-v0", rollout_steps=100, curriculum=ONE_PHASE, episodes=2)
        for rollouts, remarks in ((3, 0), (4, 1)):
            first = recorder(stopped_after(rollouts))
            run(config, first)
            second = recorder()
            run(config, second, checkpoint=first.saved[-1][0])
            assert len(second.remarks) == remarks
            assert all("too long to be replayed" in remark for remark in second.remarks)
    finally:
        gymnasium.registry.pop("TestEndless-v0")


def test_a_checkpoint_of_the_version_before_still_loads(case, recorder):
    """It holds no environments: its unfinished episodes start again. The policy in it is whole."""
    config = case("cartpole")
    first = recorder(stopped_after(4))
    run(config, first)
    path, episode, _ = first.saved[-1]
    state = load_checkpoint(path)
    for name in ("world", "evaluated", "uses_bias"):
        del state[name]
    torch.save(state | {"format": "v3lab-checkpoint-2"}, path)
    second = recorder()
    assert run(config, second, checkpoint=path) is Outcome.COMPLETED
    assert [record.episode for record in (*first.episodes, *second.episodes)] == list(range(1, 15))
    assert second.remarks == [
        "The unfinished episodes start from scratch: the checkpoint is from an older version, which did not store them."
    ]
    assert load_policy(path).episode == episode


def with_statistics(path, change):
    """Rewrite a checkpoint with other sums of its episodes in progress; at least one must be in progress."""
    state = load_checkpoint(path)
    sums = state["world"]["statistics"]
    assert (sums["under_way"]["steps"] > 0).any()
    sums["under_way"] = change(sums["under_way"])
    torch.save(state, path)


def test_sums_in_the_unnamed_columns_of_0_2_0_are_resumed_to_the_bit(case, recorder):
    config = case("cartpole")
    whole, first, second = recorder(), recorder(stopped_after(4)), recorder()
    run(config, whole)
    run(config, first)
    path = first.saved[-1][0]
    order = ("steps", "return", "routing_entropy", "support", "loads", "hard_loads")
    in_progress = int((load_checkpoint(path)["world"]["statistics"]["under_way"]["steps"] > 0).sum())
    with_statistics(path, lambda sums: torch.cat([sums[name] for name in order], dim=1))
    assert run(config, second, checkpoint=path) is Outcome.COMPLETED
    later = ("expert_persistence", "close_choice_share")  # that version did not sum up what they follow from
    unknown = [record for record in second.episodes if np.isnan(record.close_choice_share)]
    assert 1 <= len(unknown) <= in_progress
    assert all(np.isnan(record.expert_persistence) for record in unknown)
    for place, record in enumerate(second.episodes):
        if record in unknown:
            wanted = whole.episodes[len(first.episodes) + place]
            second.episodes[place] = replace(record, **{name: getattr(wanted, name) for name in later})
    assert reported(first, second) == reported(whole)


def test_what_an_older_version_did_not_sum_up_is_unknown_for_the_episodes_in_progress_only(case, recorder):
    config = case("cartpole")
    whole, first, second = recorder(), recorder(stopped_after(4)), recorder()
    run(config, whole)
    run(config, first)
    path = first.saved[-1][0]
    in_progress = int((load_checkpoint(path)["world"]["statistics"]["under_way"]["steps"] > 0).sum())
    with_statistics(path, lambda sums: {name: part for name, part in sums.items() if name != "support"})
    assert run(config, second, checkpoint=path) is Outcome.COMPLETED
    unknown = [record for record in second.episodes if np.isnan(record.support)]
    assert 1 <= len(unknown) <= in_progress
    for record, wanted in zip(second.episodes, whole.episodes[len(first.episodes) :], strict=True):
        support = record.support if record in unknown else wanted.support
        assert repr(record) == repr(replace(wanted, support=support))


def test_a_checkpoint_holds_plain_values_only(case, recorder):
    """Loaded without running code; the numbers of an environment's generator need 128 bits and have them."""
    hooks = recorder(stopped_after(5))
    run(case("cartpole"), hooks)
    kept = load_checkpoint(hooks.saved[-1][0])["world"]
    states = [episode["generator"]["state"]["state"] for episode in kept["episodes"]]
    assert max(states).bit_length() > 64
