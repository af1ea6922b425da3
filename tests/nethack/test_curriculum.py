"""The preset of MiniHack's tasks: one policy trains on all of them, and `v3` on each."""

import pytest

from tests.training.conftest import Recorder
from v3core.config import EvaluationConfig, PolicyConfig, PPOConfig, build_run_config, recipe_for
from v3core.curriculum import Curriculum, environments_of, load_preset, preset_names_for, scaled
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import make_environment
from v3core.environments.registry import check_run, known_environments
from v3core.environments.registry import environments_of as environments_of_run
from v3core.errors import V3Error
from v3core.training.trainer import Outcome, train

ROOM = "MiniHack-Room-5x5-v0"
CURRICULUM = load_preset("minihack-tasks")
TASKS = environments_of(CURRICULUM)


def test_its_tasks_have_the_same_actions_whatever_the_runs_own_environment_has():
    run = EnvironmentSetup(ROOM)
    assert check_run(run, CURRICULUM, allow_import=False).actions.sizes == (13,)
    assert [phase for _, phase in environments_of_run(run, [CURRICULUM])] == [one.name for one in CURRICULUM.phases]
    assert TASKS == (ROOM, "MiniHack-Room-Random-15x15-v0", "MiniHack-Corridor-R2-v0", "MiniHack-KeyRoom-S5-v0")
    assert set(TASKS) <= set(known_environments())


def test_it_is_offered_for_its_tasks():
    assert all("minihack-tasks" in preset_names_for(env) for env in TASKS)
    assert "minihack-tasks" not in preset_names_for("CartPole-v1")


def test_a_phase_on_the_runs_own_environment_must_have_its_actions():
    first, *others = CURRICULUM.phases
    changed = CURRICULUM.model_copy(
        update={"phases": (first.model_copy(update={"env": None, "env_args": {}}), *others)}
    )
    with pytest.raises(V3Error, match=r"those of MiniHack-Room-5x5-v0: one of 13, and one of 8; they must"):
        check_run(EnvironmentSetup(ROOM), changed, allow_import=False)


@pytest.mark.parametrize("env", TASKS)
def test_v3_trains_on_each(env, tmp_path):
    recipe = recipe_for(env).model_copy(update={"policy": PolicyConfig(width=16, heads=4)})
    curriculum = scaled(load_preset("v3"), 6)
    limited = EnvironmentSetup(env, {"max_episode_steps": 20})
    config = build_run_config(name="x", env=limited, seed=1, episodes=6, curriculum=curriculum, recipe=recipe)
    sizes = PPOConfig(environments=2, rollout_steps=32, minibatch=32, epochs=1)
    config = config.model_copy(update={"ppo": sizes, "evaluation": EvaluationConfig(episodes=0)})
    hooks = Recorder(tmp_path)
    assert train(config, curriculum=config.curriculum, hooks=hooks) is Outcome.COMPLETED
    assert [episode.episode for episode in hooks.episodes] == [1, 2, 3, 4, 5, 6]
    assert all(episode.situations for episode in hooks.episodes)


def test_a_phase_that_waits_for_a_word_says_so_once(tmp_path):
    """Of the cause of death there is no mean, so that the trigger does not fire."""
    until = {"metric": "fact:death", "at_least": 1, "window": 2, "max_episodes": 5}
    phases = [{"name": "waits", "until": until}, {"name": "rest"}]
    curriculum = Curriculum.model_validate({"name": "words", "phases": phases})
    recipe = recipe_for(ROOM).model_copy(update={"policy": PolicyConfig(width=16, heads=4)})
    assert "death" in recipe.episode_facts
    limited = EnvironmentSetup(ROOM, {"max_episode_steps": 5})
    config = build_run_config(name="x", env=limited, seed=1, episodes=12, curriculum=curriculum, recipe=recipe)
    sizes = PPOConfig(environments=2, rollout_steps=8, minibatch=8, epochs=1)
    config = config.model_copy(update={"ppo": sizes, "evaluation": EvaluationConfig(episodes=0)})
    remarks = []
    hooks = Recorder(tmp_path)
    hooks.remark = remarks.append
    assert train(config, curriculum=config.curriculum, hooks=hooks) is Outcome.COMPLETED
    (said,) = [remark for remark in remarks if "waits" in remark]
    assert said == (
        "Phase 'waits' waits for the episode fact 'death', which is a word here, 'time limit', and not a number, so "
        "that its trigger does not fire; edit the curriculum to watch another fact."
    )


def test_a_door_that_does_not_open_ends_the_step_all_the_same():
    """A key that is none never opens it; MiniHack itself would try forever."""
    env = make_environment("MiniHack-KeyRoom-S5-v0")
    world = env.unwrapped
    apply = len(world.actions) - 1
    for seed in range(1, 200):
        env.reset(seed=seed)
        for action in [0, 1, 2, 3] * 12:
            _, _, over, cut, _ = env.step(action)
            if over or cut or world.get_object_direction("closed door") is not None:
                break
        if not (over or cut) and world.get_object_direction("closed door") is not None:
            break
    else:
        pytest.fail("no door was reached")
    world.key_in_inventory = lambda name: "a"  # a weapon
    env.step(apply)
    env.close()
