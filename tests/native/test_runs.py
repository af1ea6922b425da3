"""Whole runs on the native backend: opt-in, repeatable, resumed to the bit, left to torch where it cannot be used."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import v3core
from tests.training.conftest import Recorder, assert_same_checkpoint, reported
from v3core.native import library
from v3core.native.layouts import MAX_CHANNELS
from v3core.native.passes import NativeNetwork
from v3core.training import trainer
from v3core.training.checkpoint import load_checkpoint, save_checkpoint
from v3core.training.hooks import Orders


@pytest.fixture
def native(monkeypatch):
    """Ask for the native backend."""
    monkeypatch.setenv("V3_NATIVE", "1")


def run(config, hooks, **options):
    return trainer.train(config, curriculum=config.curriculum, hooks=hooks, **options)


def trained_by(hooks):
    return json.loads(load_checkpoint(hooks.saved[-1][0])["config"])["backend"]


@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-Empty-5x5-v0"])
def test_one_seed_gives_one_run_to_the_bit(small_run, tmp_path, native, env):
    recorders = [Recorder(tmp_path / name) for name in ("one", "other")]
    for recorder in recorders:
        run(small_run(env, evaluate=2), recorder)
    assert reported(recorders[0]) == reported(recorders[1])
    assert_same_checkpoint(recorders[0].saved[-1][0], recorders[1].saved[-1][0])
    assert trained_by(recorders[0]) == recorders[0].backend == "native"
    assert not recorders[0].remarks


def test_a_resumed_run_records_what_an_uninterrupted_one_does(small_run, tmp_path, native):
    config = small_run(episodes=12, evaluate=2)
    whole = Recorder(tmp_path / "whole")
    run(config, whole)
    first = Recorder(tmp_path / "parts", lambda hooks: Orders(stop=hooks.calls.count("record") >= 3))
    run(config, first)
    second = Recorder(tmp_path / "parts")
    run(config, second, checkpoint=first.saved[-1][0])
    assert reported(first, second) == reported(whole)
    assert not second.remarks


@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-Empty-5x5-v0"])
def test_a_policy_is_loaded_with_the_library_that_trained_it(small_run, tmp_path, native, monkeypatch, env):
    hooks = Recorder(tmp_path)
    run(small_run(env, evaluate=3), hooks)
    policy, acts = v3core.load_policy(hooks.saved[-1][0]), []
    monkeypatch.setattr(NativeNetwork, "act", _counted(acts, NativeNetwork.act))
    assert policy.evaluate(3) == hooks.evaluations[-1].episodes
    assert len(acts) == max(episode.length for episode in hooks.evaluations[-1].episodes)
    observation, _ = v3core.environments.make_environment(env).reset(seed=1)
    assert policy(observation) in policy.spec.actions.to_environment(np.arange(policy.spec.actions.outputs)[:, None])
    with monkeypatch.context() as without:
        without.setenv("V3_NATIVE", "0")
        assert v3core.load_policy(hooks.saved[-1][0])(observation) == policy(observation)
    assert len(acts) == max(episode.length for episode in hooks.evaluations[-1].episodes) + 2


def _counted(calls, function):
    return lambda *given: (calls.append(given), function(*given))[1]


@pytest.mark.parametrize(
    ("before", "after", "remarks"),
    [
        ("1", "0", ["Continues on the eager backend, after the native one."]),
        ("0", "1", ["Continues on the native backend, after the eager one."]),
        ("0", None, []),
    ],
)
def test_a_resume_on_the_other_backend_continues_and_says_so(
    small_run, tmp_path, native, monkeypatch, before, after, remarks
):
    monkeypatch.setenv("V3_NATIVE", before)
    config = small_run(episodes=12)
    first = Recorder(tmp_path, lambda hooks: Orders(stop=hooks.calls.count("record") >= 3))
    run(config, first)
    monkeypatch.setenv("V3_NATIVE", after) if after else monkeypatch.delenv("V3_NATIVE")
    second = Recorder(tmp_path)
    run(config, second, checkpoint=first.saved[-1][0])
    assert second.remarks == remarks
    assert second.episodes[-1].episode == 12
    assert trained_by(second) == ("eager" if "0" in (after, before) and after != "1" else "native")


def test_a_checkpoint_without_the_library_continues_on_torch_and_says_both(small_run, tmp_path, native, monkeypatch):
    config = small_run(episodes=12)
    first = Recorder(tmp_path, lambda hooks: Orders(stop=hooks.calls.count("record") >= 3))
    run(config, first)
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "none.so")
    second = Recorder(tmp_path)
    run(config, second, checkpoint=first.saved[-1][0])
    assert [remark.partition(",")[0] for remark in second.remarks] == [
        "Torch computes the network",
        "Continues on the eager backend",
    ]


def test_a_checkpoint_of_a_version_with_torch_only_is_continued_exactly(small_run, tmp_path, native, monkeypatch):
    config = small_run(episodes=12)
    monkeypatch.setenv("V3_NATIVE", "0")
    whole = Recorder(tmp_path / "whole")
    run(config, whole)
    first = Recorder(tmp_path / "parts", lambda hooks: Orders(stop=hooks.calls.count("record") >= 3))
    run(config, first)
    path = first.saved[-1][0]
    state = load_checkpoint(path)
    old = {name: value for name, value in json.loads(state["config"]).items() if name != "backend"}
    save_checkpoint(path, {**state, "config": json.dumps(old)})
    monkeypatch.delenv("V3_NATIVE")
    second = Recorder(tmp_path / "parts")
    run(config, second, checkpoint=path)
    assert reported(first, second) == reported(whole)
    assert (second.backend, second.remarks) == ("eager", [])


class Wide(gymnasium.Env):
    """Observes more categories at once than the library has room for."""

    observation_space = spaces.MultiDiscrete([2] * (MAX_CHANNELS + 1))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(0, 2, MAX_CHANNELS + 1), {}

    def step(self, action):
        return self.np_random.integers(0, 2, MAX_CHANNELS + 1), 1.0, self.np_random.random() < 0.2, False, {}


def test_a_network_beyond_the_limits_is_left_to_torch(small_run, tmp_path, native):
    gymnasium.register("TestWide-v0", entry_point=Wide)
    hooks = Recorder(tmp_path)
    try:
        run(small_run("TestWide-v0"), hooks)
    finally:
        gymnasium.registry.pop("TestWide-v0")
    assert hooks.remarks == [
        "Torch computes the network, because the native library does not cover it: a part of kind categories has more "
        f"than {MAX_CHANNELS} categories."
    ]
    assert hooks.backend == "eager"
