"""RunConfig and recipes."""

import pytest

from v3core.config import RECIPES, RunConfig, build_run_config, load_recipe, recipe_for
from v3core.curriculum import load_preset, scaled
from v3core.errors import V3Error


def config(**changes) -> RunConfig:
    chosen = {
        "name": "a run",
        "env": "CartPole-v1",
        "seed": 1,
        "episodes": 600,
        "curriculum": scaled(load_preset("v3"), 600),
        "recipe": recipe_for("CartPole-v1"),
    }
    return build_run_config(**{**chosen, **changes})


def test_a_config_survives_json():
    assert RunConfig.model_validate_json(config().model_dump_json(by_alias=True)) == config()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": -1}, "Seed −1 is out of range; choose a whole number from 0 to 4294967295."),
        ({"seed": 2**32}, "Seed 4294967296 is out of range"),
        ({"episodes": 0}, "A run cannot have 0 episodes; choose 1 or more."),
        ({"name": " "}, "The run has no name"),
        ({"curriculum": load_preset("v3")}, "Phase 1 'warmup' ends at episode 1000, but the run has only 600"),
    ],
)
def test_bad_choices_are_refused_in_one_sentence(changes, sentence):
    with pytest.raises(V3Error) as caught:
        config(**changes)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("env", "recipe"),
    [
        ("CartPole-v1", "CartPole-v1"),
        ("Acrobot-v1", "Acrobot-v1"),
        ("MiniGrid-Empty-Random-5x5-v0", "minigrid"),
        ("BabyAI-GoToRedBall-v0", "minigrid"),
        ("minigrid:BabyAI-GoToRedBall-v0", "minigrid"),
        ("minigrid:MiniGrid-Empty-Random-5x5-v0", "minigrid"),
        ("minigrid:MiniGrid-DoorKey-5x5-v0", "MiniGrid-DoorKey"),
        ("my.envs:MiniGrid-Unlock-v0", "MiniGrid-Unlock"),
        ("gymnasium:CartPole-v1", "CartPole-v1"),
        ("gymnasium:LunarLander-v3", "LunarLander"),
        ("MiniGrid:Something-v0", "default"),
        ("Something-v3", "default"),
    ],
)
def test_the_nearest_recipe_is_chosen(env, recipe):
    assert recipe_for(env).name == recipe


def test_a_recipe_may_name_the_module_too(tmp_path):
    for name, match in {"both": "mine:Thing-*", "plain": "Thing-v0", "other": "yours:Thing-v0"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"match: ['{match}']")
    assert recipe_for("mine:Thing-v0", tmp_path).name == "plain"
    assert recipe_for("mine:Thing-v1", tmp_path).name == "both"
    assert recipe_for("yours:Thing-v0", tmp_path).name == "other"


def test_every_recipe_file_is_valid():
    assert {load_recipe(path).name for path in RECIPES.glob("*.yaml")} >= {"default", "CartPole-v1"}


def test_a_recipe_with_a_wrong_key_names_it(tmp_path):
    (tmp_path / "mine.yaml").write_text("match: ['*']\nppo: {gama: 0.9}\n")
    with pytest.raises(V3Error, match=r"Recipe mine\.yaml: 'ppo\.gama' is not a known key"):
        recipe_for("CartPole-v1", tmp_path)


def test_the_recipe_of_several_environments_is_found_in_whatever_order_they_are_named():
    tasks = load_recipe(RECIPES / "minigrid-mt3.yaml").envs
    assert recipe_for(" + ".join(tasks)).name == recipe_for(" + ".join(reversed(tasks))).name == "minigrid-mt3"
    assert recipe_for(" + ".join(tasks[1:])).name != "minigrid-mt3"


def test_a_name_is_refused_in_the_readers_language():
    for name, chinese in (("", "运行没有名称；请为其命名。"), ("x" * 500, "运行的名称有 500 个字符；")):
        with pytest.raises(V3Error) as caught:
            config(name=name)
        assert caught.value.message.in_language("zh_CN").startswith(chinese)
