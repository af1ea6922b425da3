"""A policy after training: the same actions, the same cost, and bad files refused by name."""

import json
import pickle
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import v3core
from v3core.cli import main
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.training import inference
from v3core.training.checkpoint import load_checkpoint, save_checkpoint
from v3core.training.trainer import train

SOFT = {"name": "soft", "phases": [{"name": "only", "routing": "softmax"}]}
SPARSE = {"name": "sparse", "phases": [{"name": "only", "routing": "sparsemax", "temperature": 0.5}]}


@pytest.fixture
def trained(small_run, recorder, tmp_path):
    """Trains a small run and gives its newest checkpoint."""

    def make(env="CartPole-v1", curriculum=SOFT, **changes):
        config = small_run(env, curriculum=curriculum, **changes)
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
        return hooks.saved[-1][0], hooks

    return make


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "MiniGrid-Empty-5x5-v0", "Blackjack-v1"])
def test_it_acts_in_its_environment(trained, env):
    path, _ = trained(env, rollout_steps=128, episodes=3)
    policy = v3core.load_policy(path)
    world = v3core.environments.make_environment(env)
    observation, _ = world.reset(seed=1)
    for _ in range(5):
        action = policy(observation)
        assert world.action_space.contains(action)
        observation, _, terminated, truncated, _ = world.step(action)
        if terminated or truncated:
            observation, _ = world.reset()


def test_it_is_the_policy_that_was_trained(trained):
    """The evaluation at the end of the run and one of the loaded policy are the same, episode by episode."""
    path, hooks = trained(evaluate=4)
    assert v3core.load_policy(path).evaluate(4) == hooks.evaluations[-1].episodes


def test_more_episodes_only_add_to_fewer(trained):
    policy = v3core.load_policy(trained()[0])
    more = policy.evaluate(20)
    assert more[:16] == policy.evaluate(16)
    assert policy.evaluate(3) != policy.evaluate(3, seed=5)
    assert [episode.number for episode in more] == list(range(1, 21))
    assert [episode.return_ for episode in more] == [episode.length for episode in more], "CartPole pays 1 for a step"


def test_a_success_is_an_episode_that_reached_the_goal(trained):
    """MiniGrid pays for that and for nothing else; an episode that ends at the limit of steps is none."""
    policy = v3core.load_policy(trained("MiniGrid-Empty-5x5-v0", rollout_steps=128, episodes=3)[0])
    played = policy.evaluate(12, sampled=True)
    assert {episode.success for episode in played} == {0.0, 1.0}
    assert all((episode.return_ > 0) == (episode.success == 1) for episode in played)


def test_evaluation_takes_the_likeliest_action_and_no_noise(trained):
    gumbel = {"name": "gumbel", "phases": [{"name": "only", "routing": "gumbel"}]}
    policy = v3core.load_policy(trained(curriculum=gumbel)[0])
    assert policy.evaluate(2) == policy.evaluate(2)


def test_acting_costs_the_same_whichever_curriculum_made_it(trained):
    """As many parameters, and as many multiplications for an observation, to the last one."""
    costs = set()
    for curriculum in (
        SOFT,
        SPARSE,
        {"name": "three", "phases": [{"name": "a", "until": {"episode": 5}}, {"name": "b"}]},
    ):
        policy = v3core.load_policy(trained(curriculum=curriculum)[0])
        with FlopCounterMode(display=False) as counter:
            policy.network(torch.zeros(1, policy.spec.graph.size))
        parameters = sum(parameter.numel() for parameter in policy.network.parameters())
        costs.add((parameters, counter.get_total_flops()))
    assert len(costs) == 1
    assert min(costs)[1] > 0


def test_actions_may_be_drawn_and_are_the_same_each_time(trained):
    policy = v3core.load_policy(trained()[0])
    assert policy.evaluate(5, sampled=True) == policy.evaluate(5, sampled=True)
    assert policy.evaluate(5, sampled=True) != policy.evaluate(5)


def test_it_keeps_the_routing_it_ended_with(trained):
    gating = v3core.load_policy(trained(curriculum=SPARSE)[0]).network.gating
    assert (gating.routing, gating.temperature) == ("sparsemax", 0.5)


def test_it_belongs_to_the_environment_of_its_phase(trained):
    phases = [
        {"name": "easy", "until": {"episode": 2}, "env": "MiniGrid-Empty-5x5-v0"},
        {"name": "hard", "env": "MiniGrid-DoorKey-5x5-v0"},
    ]
    path, hooks = trained(
        "MiniGrid-Empty-5x5-v0", {"name": "two", "phases": phases}, episodes=4, rollout_steps=128, evaluate=2
    )
    policy = v3core.load_policy(path)
    assert policy.spec.env_id == hooks.evaluations[-1].env == "MiniGrid-DoorKey-5x5-v0"
    assert policy.evaluate(2) == hooks.evaluations[-1].episodes


def test_its_environment_is_made_again_with_its_arguments_and_wrappers(trained):
    path, hooks = trained(
        "MiniGrid-Empty-5x5-v0",
        {"name": "sizes", "phases": [{"name": "a", "until": {"episode": 2}}, {"name": "b", "env_args": {"size": 6}}]},
        args={"agent_start_dir": 1},
        wrappers=("TimeLimit(max_episode_steps=30)",),
        episodes=4,
        rollout_steps=128,
        evaluate=3,
    )
    policy = v3core.load_policy(path)
    assert policy.spec.environment == EnvironmentSetup(
        "MiniGrid-Empty-5x5-v0", {"agent_start_dir": 1, "size": 6}, ("TimeLimit(max_episode_steps=30)",)
    )
    assert policy.evaluate(3) == hooks.evaluations[-1].episodes
    assert max(episode.length for episode in policy.evaluate(3)) <= 30


def test_a_wrapper_that_its_run_does_not_name_is_not_imported(trained):
    path, _ = trained()
    state = load_checkpoint(path)
    config = json.loads(state["config"]) | {"wrappers": ["this:Wrapper"]}
    save_checkpoint(path, state | {"config": json.dumps(config)})
    with pytest.raises(V3Error, match="names the wrapper 'this:Wrapper', which imports code and does not belong"):
        inference.load_policy(path, imports=set())
    assert "this" not in sys.modules


def test_arguments_of_a_checkpoint_that_are_none_are_refused(trained):
    path, _ = trained()
    save_checkpoint(path, load_checkpoint(path) | {"env_args": {"id": "MiniGrid-Empty-5x5-v0"}})
    with pytest.raises(V3Error, match="'id' is not allowed as an environment argument"):
        v3core.load_policy(path)


def test_an_evaluation_ends_where_the_environment_never_does(trained, monkeypatch):
    from v3core.training import inference

    monkeypatch.setattr(inference, "MAX_STEPS", 7)
    played = v3core.load_policy(trained("Pendulum-v1", episodes=1, rollout_steps=256)[0]).evaluate(3)
    assert [episode.length for episode in played] == [7, 7, 7]


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps({"format": "x"})])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(V3Error, match=r"bad\.pt"):
        v3core.load_policy(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(V3Error, match=r"none\.pt is missing"):
        v3core.load_policy(tmp_path / "none.pt")


def test_another_architecture_is_refused_by_name(trained):
    path, _ = trained()
    state = load_checkpoint(path)
    state["policy"]["router.weight"] = torch.zeros(7, 16)
    save_checkpoint(path, state)
    with pytest.raises(V3Error, match=r"\.pt does not contain a complete policy"):
        v3core.load_policy(path)


def test_a_checkpoint_without_all_it_needs_is_refused_by_name(trained):
    path, _ = trained()
    whole = load_checkpoint(path)
    for state in ({key: whole[key] for key in whole if key != "completed"}, whole | {"completed": "many"}):
        save_checkpoint(path, state)
        with pytest.raises(V3Error, match=r"\.pt does not contain a complete policy"):
            v3core.load_policy(path)


def test_only_what_its_run_imports_is_imported(trained, small_run, recorder):
    """A checkpoint may be of an archive that anyone made; `this` is a module that every Python has."""
    path, _ = trained()
    state = load_checkpoint(path)
    save_checkpoint(path, state | {"env": "this:Env-v0"})
    with pytest.raises(V3Error, match="names the environment 'this:Env-v0', which imports code and does not belong"):
        inference.load_policy(path, imports={"CartPole-v1"})
    longer = small_run(curriculum=SOFT, episodes=20)
    for changes in ({"env": "this:Env-v0"}, {"world": state["world"] | {"env": "this:Env-v0"}}):
        save_checkpoint(path, state | changes)
        with pytest.raises(V3Error, match="which imports code and does not belong to its run; choose"):
            train(longer, curriculum=longer.curriculum, hooks=recorder(), checkpoint=path)
    assert "this" not in sys.modules


def test_the_command_line_evaluates_a_checkpoint(trained, capsys):
    path, hooks = trained(evaluate=3)
    assert main(["evaluate", str(path), "--episodes", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["env"] == "CartPole-v1"
    assert found["returns"] == [played.return_ for played in hooks.evaluations[-1].episodes]
    assert main(["evaluate", str(path), "--episodes", "3"]) == 0
    assert "3 episodes of CartPole-v1" in capsys.readouterr().out
    assert main(["evaluate", str(path.parent / "none.pt")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "There is no checkpoint file" in error
