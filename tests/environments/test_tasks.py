"""Several environments as one: which task an episode draws, what is seen of it, and what is refused."""

from collections import Counter

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from v3core.config import chosen_environment, recipe_for
from v3core.environment_setup import EnvironmentSetup, canonical, joined
from v3core.environments import EnvironmentBatch, check_environment, make_environment
from v3core.environments.apart import check_launch, examine_apart
from v3core.environments.batch import seeds_of
from v3core.environments.encode import encoder
from v3core.environments.state_words import described_states, scenario_of
from v3core.errors import V3Error

EMPTY, KEY, GAP = "MiniGrid-Empty-Random-5x5-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-LavaGapS5-v0"
THREE = f"{EMPTY} + {KEY} + {GAP}"


def played(env, seed, episodes):
    """Tasks and first observations of episodes that end at once."""
    found = []
    for number in range(episodes):
        observation, _ = env.reset(seed=seed if number == 0 else None)
        found.append((env.task_name, observation["image"].tobytes(), observation["direction"], observation["task"]))
        env.step(0)
    return found


def test_every_task_is_drawn_as_often_as_the_others_and_the_seed_decides_all():
    env = make_environment(THREE)
    episodes = played(env, 3, 600)
    assert episodes == played(make_environment(THREE), 3, 600)
    assert episodes != played(env, 4, 600)
    counts = Counter(name for name, *_ in episodes)
    assert set(counts) == {EMPTY, KEY, GAP}
    assert all(abs(count - 200) < 60 for count in counts.values())  # five standard deviations
    assert all((EMPTY, KEY, GAP)[task] == name for name, _, _, task in episodes)


def test_the_task_is_a_node_of_the_graph_which_the_observation_names():
    spec = check_environment(THREE, allow_import=False)
    alone = check_environment(EMPTY, allow_import=False)
    task = spec.graph.parts[-1]
    assert (task.kind, task.name, task.categories, task.labels) == ("categories", "task", (3,), (EMPTY, KEY, GAP))
    assert spec.graph.parts[:-1] == alone.graph.parts
    assert spec.graph.nodes == alone.graph.nodes + 1
    degrees = spec.graph.neighbours.sum(1)
    assert degrees.max() == alone.graph.neighbours.sum(1).max()  # no node costs more than before
    assert spec.graph.neighbours[:-1, -1].any()
    env, rows = make_environment(THREE), np.zeros((4, spec.graph.size), dtype=spec.graph.dtype)
    names = []
    for seed, row in enumerate(rows):
        encoder(spec.graph)(env.reset(seed=seed)[0], row)
        names.append(env.task_name)
    titles, values = described_states(spec, rows)
    assert [value[titles.index("Task")] for value in values] == names
    assert scenario_of(env, {"scenario": "another"}) == env.task_name


def test_without_the_task_observations_are_those_of_the_tasks():
    setup = EnvironmentSetup(THREE, {"task_id": False})
    assert str(setup) == f"{THREE} (task_id=false)"
    assert check_environment(setup, allow_import=False).graph == check_environment(EMPTY, allow_import=False).graph


def test_of_vectors_the_task_is_a_node_that_all_others_see():
    spec = check_environment("CartPole-v0 + CartPole-v1", allow_import=False)
    assert spec.graph.nodes == 5
    assert spec.graph.neighbours.all()
    assert [part.path for part in spec.graph.parts] == [("observation",), ("task",)]


def test_tasks_take_turns_where_seeds_are_chosen_for_them():
    seeds = seeds_of(7, 5, tasks=3, first=2)
    batch = EnvironmentBatch(check_environment(THREE, allow_import=False), 7, 0, resets=seeds)
    assert [batch.task_of(number) for number in range(7)] == [GAP, EMPTY, KEY, GAP, EMPTY, KEY, GAP]
    assert batch.scenarios == [batch.task_of(number) for number in range(7)]
    assert seeds_of(7, 5) != seeds  # those of a single environment are as they were
    batch.close()


def test_a_batch_says_of_which_task_an_ended_episode_was():
    spec = check_environment("CartPole-v0 + CartPole-v1", allow_import=False)
    batch = EnvironmentBatch(spec, 4, 1)
    for _ in range(300):
        before = [batch.task_of(number) for number in range(4)]
        taken = batch.step(np.zeros((4, 1), dtype=np.int64))
        assert set(taken.tasks) == set(taken.finals)
        assert all(before[number] == task for number, task in taken.tasks.items())
    batch.close()


def test_each_may_have_arguments_of_its_own_beside_those_of_all():
    setup = EnvironmentSetup("FrozenLake-v1(map_name=4x4)+FrozenLake-v1(success_rate=0.5)", {"is_slippery": True})
    assert [dict(task.args) for task in setup.tasks] == [
        {"is_slippery": True, "map_name": "4x4"},
        {"is_slippery": True, "success_rate": 0.5},
    ]
    assert setup.task_names == ("FrozenLake-v1(map_name=4x4)", "FrozenLake-v1(success_rate=0.5)")
    assert check_environment(setup, allow_import=False).actions.outputs == 4
    assert canonical("A(b=[1, 2])+C") == "A(b=[1, 2]) + C"


@pytest.mark.parametrize("name", ["MT3", "MT7"])
def test_a_recipe_may_name_several(name):
    recipe = recipe_for(name)
    setup = chosen_environment(name, recipe)
    assert setup.task_names == recipe.envs
    assert recipe_for(setup.env_id) == recipe_for(setup.env_id.replace(" ", "")) == recipe
    assert len(recipe.envs) == int(name[2:])
    assert check_environment(setup, allow_import=False).graph.parts[-1].categories == (len(recipe.envs),)


def test_others_have_the_recipe_that_suits_each_of_them():
    assert recipe_for(f"{EMPTY}+{GAP}").name == "minigrid"
    assert recipe_for("CartPole-v1 + Acrobot-v1").name == "default"


@pytest.mark.parametrize(
    ("env", "args", "sentence"),
    [
        ("CartPole-v1 + Acrobot-v1", {}, "Acrobot-v1 and CartPole-v1 cannot be trained on at once, because their obs"),
        (
            "CartPole-v1 + CartPole-v0 + MountainCar-v0",
            {},
            "MountainCar-v0 and CartPole-v1 cannot be trained on at once, because their observations differ: 2 numbers",
        ),
        ("Taxi-v3+Taxi-v3", {}, "Environment Taxi-v3 is named twice; name it once, or give one other arguments."),
        ("CartPole-v1 +", {}, "'CartPole-v1 +' has a + without an environment beside it"),
        ("CartPole-v1 + CartPol-v1", {}, "There is no environment 'CartPol-v1'. Did you mean CartPole-v1"),
        ("+".join(f"A-v{number}" for number in range(40)), {}, "40 environments are too many for one run; name at mo"),
        (f"{EMPTY}+{KEY}(bla=1)", {}, f"Environment {KEY} has no argument 'bla'; it accepts size"),
        (f"{EMPTY}+{KEY}", {"task_id": 3}, "task_id is 3; it must be true or false."),
        (f"{EMPTY}+({KEY}", {}, "is not an environment id; write it as in MiniGrid-Empty-5x5-v0(size=8)."),
        (f"{EMPTY}+nosuchmodule:Thing-v0", {}, "needs the Python package 'nosuchmodule', which is not installed"),
    ],
)
def test_what_cannot_be_trained_on_at_once_is_refused_in_one_sentence(env, args, sentence):
    with pytest.raises(V3Error) as refused:
        check_environment(EnvironmentSetup(env, args), allow_import=True)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_actions_that_differ_are_refused(monkeypatch):
    class Three(gymnasium.Env):
        observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)

    class Four(Three):
        action_space = spaces.Discrete(4)

    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    for name, kind in (("ThreeActions-v0", Three), ("FourActions-v0", Four)):
        gymnasium.register(name, kind)
        monkeypatch.setitem(gymnasium.registry, name, gymnasium.envs.registration.registry[name])
    with pytest.raises(V3Error, match="because their actions differ: one of 4, and one of 3; choose environments"):
        check_environment("ThreeActions-v0 + FourActions-v0", allow_import=False)


@pytest.mark.parametrize(("envs", "given"), [([], "none"), ([EMPTY], f"only {EMPTY}")])
def test_a_list_of_fewer_than_two_is_refused(envs, given):
    with pytest.raises(V3Error, match=f"envs names {given}; give at least two environments there, or one as env."):
        joined(envs)


def test_code_is_imported_for_none_of_them_unless_that_is_allowed():
    with pytest.raises(V3Error, match="Environment 'mine:Thing-v0' imports code"):
        check_environment(f"{EMPTY} + mine:Thing-v0", allow_import=False)


def test_each_is_examined_before_a_run_and_the_whole_is_described():
    setup = EnvironmentSetup(f"{EMPTY} + {KEY}")
    (report,) = examine_apart(setup, allow_import=False)
    assert (report.env, report.fault, report.warnings) == (str(setup), None, [])
    assert {note.partition(":")[0] for note in report.notes} <= {EMPTY, KEY}
    assert check_launch(setup, [], allow_import=False).sees == "The policy sees image, direction, mission and task."
