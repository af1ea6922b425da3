"""Runs and checkpoints of before MiniGrid's direction and mission were seen: as they were, in every way."""

import json

import pytest

from tests.training.conftest import ONE_PHASE, reported
from v3core import load_policy
from v3core.config import RunConfig, build_run_config, recipe_for
from v3core.curriculum import load_preset, scaled
from v3core.environments import make_environment
from v3core.training.checkpoint import load_checkpoint, save_checkpoint
from v3core.training.hooks import Orders
from v3core.training.trainer import train

ENV = "BabyAI-GoToObj-v0"


def of_before(config):
    """The config as it was written before there were versions."""
    content = json.loads(config.model_dump_json())
    del content["view"]
    return RunConfig.model_validate(content)


@pytest.fixture
def old(small_run):
    sizes = {"rollout_steps": 64, "minibatch": 128, "environments": 4, "episodes": 12, "evaluate": 2}
    return of_before(small_run(ENV, curriculum=ONE_PHASE, **sizes))


def age(path):
    """Make a checkpoint one of before."""
    state = load_checkpoint(path)
    content = json.loads(state["config"])
    del content["view"]
    episodes = [
        {key: value for key, value in episode.items() if key != "mask"} for episode in state["world"]["episodes"]
    ]
    state |= {"config": json.dumps(content), "world": state["world"] | {"episodes": episodes}}
    save_checkpoint(path, state)


def test_an_old_checkpoint_is_resumed_evaluated_and_acts_as_before(old, recorder):
    whole = recorder()
    train(old, curriculum=old.curriculum, hooks=whole)
    assert whole.calls.count("record") > 1
    first = recorder(lambda hooks: Orders(stop=hooks.calls.count("record") >= 1))
    train(old, curriculum=old.curriculum, hooks=first)
    path = first.saved[-1][0]
    age(path)
    assert set(load_checkpoint(path)["policy"]) >= {"tokens.parts.0.position"}
    assert "tokens.parts.1.table" not in load_checkpoint(path)["policy"]
    second = recorder()
    train(old, curriculum=old.curriculum, hooks=second, checkpoint=path)
    assert reported(first, second) == reported(whole)
    assert not second.remarks

    age(second.saved[-1][0])
    policy = load_policy(second.saved[-1][0])
    assert policy.spec.graph.nodes == 49
    assert policy.evaluate(2) == whole.evaluations[-1].episodes
    seen, _ = make_environment(policy.spec.environment).reset(seed=1)
    all_of_it, _ = make_environment(ENV).reset(seed=1)
    assert policy(seen) == policy(all_of_it)


def test_a_run_of_today_sees_all_of_it(old):
    config = build_run_config(
        name="new", env=ENV, seed=1, episodes=50, curriculum=scaled(load_preset("v3"), 50), recipe=recipe_for(ENV)
    )
    assert (config.view, config.environment.view) == (2, 2)
    assert (old.view, old.environment.view) == (1, 1)
    assert RunConfig.model_validate_json(config.model_dump_json()).view == 2


def test_a_version_to_come_is_refused(old):
    with pytest.raises(ValueError, match="view"):
        RunConfig.model_validate(old.model_dump() | {"view": 3})
