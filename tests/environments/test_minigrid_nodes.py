"""A MiniGrid's direction and mission as nodes; and who still sees the cells alone."""

import re

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import registry

from v3core.curriculum import parse
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import (
    EnvironmentBatch,
    StateGraphSpec,
    check_environment,
    make_environment,
    register_graph,
    state_graph,
)
from v3core.environments import graph_spec as graphs_module
from v3core.environments.encode import bag_of_words, encoder
from v3core.environments.graph_spec import MISSION_WORDS, SHARED
from v3core.environments.registry import check_run

SIZE = len(MISSION_WORDS) + SHARED


def spec_of(env_id, wrappers=(), view=2):
    return check_environment(EnvironmentSetup(env_id, {}, wrappers, view), allow_import=False)


def kinds(spec):
    return [(part.name, part.kind, part.nodes) for part in spec.graph.parts]


def words(text):
    return bag_of_words(MISSION_WORDS, SIZE)(text)


def test_every_word_of_every_mission_has_a_place():
    """Of all worlds that are registered: the missions they begin with, and what their spaces put into them."""
    check_environment("MiniGrid-Empty-5x5-v0", allow_import=False)  # registers them
    found = set()
    for env_id in registry:
        if not env_id.startswith(("MiniGrid-", "BabyAI-")) or env_id.startswith("MiniGrid-WFC"):
            continue
        world = gymnasium.make(env_id, disable_env_checker=True).unwrapped
        space = world.observation_space["mission"]
        texts = [world.mission, space.sample(), world.reset(seed=1)[0]["mission"]]
        texts += [word for placeholder in space.ordered_placeholders or () for word in placeholder]
        found |= {word for text in texts for word in re.findall(r"\w+", text.lower())}
    from minigrid.envs.babyai.core import verifier

    found |= {*verifier.OBJ_TYPES, *verifier.COLOR_NAMES, *verifier.LOC_NAMES}
    assert len(found) > 45
    assert found <= set(MISSION_WORDS)


def test_words_are_counted_and_unknown_ones_share_places():
    counts = words("Put the red ball next to the BLUE ball, then go!")
    assert {word: counts[place] for place, word in enumerate(MISSION_WORDS) if counts[place]} == {
        "put": 1, "the": 2, "red": 1, "ball": 2, "next": 1, "to": 1, "blue": 1, "then": 1, "go": 1,
    }  # fmt: skip
    assert not counts[len(MISSION_WORDS) :].any()
    strange = words("go to the wyvern")
    assert strange[len(MISSION_WORDS) :].sum() == 1
    assert not np.array_equal(strange, words("go to the dragon"))
    # The places are part of what a policy has learned: never another place for the same word.
    assert np.flatnonzero(words("wyvern dragon Öffne")).tolist() == [60, 62]
    assert words("")[:].sum() == 0
    assert words("the " * 300)[MISSION_WORDS.index("the")] == 255


@pytest.mark.parametrize(
    "env_id", ["MiniGrid-DoorKey-5x5-v0", "BabyAI-GoToObj-v0", "minigrid:MiniGrid-GoToDoor-5x5-v0"]
)
def test_direction_and_mission_are_nodes(env_id):
    spec = check_environment(env_id, allow_import=True)
    assert kinds(spec) == [("image", "grid", 49), ("direction", "categories", 1), ("mission", "words", 1)]
    assert spec.graph.dtype == "uint8"
    batch = EnvironmentBatch(spec, 2, 1)
    random = np.random.default_rng(0)
    for _ in range(30):
        for env, row in zip(batch._envs, batch.observations, strict=True):
            world = env.unwrapped
            seen = world.gen_obs()
            assert row[:147].tobytes() == seen["image"].tobytes()
            assert row[147] == world.agent_dir
            np.testing.assert_array_equal(row[148:], words(world.mission))
        batch.step(random.integers(0, 3, (2, 1)))


def test_the_graph_costs_no_more_edges_per_node():
    """Every node costs what the one with the most neighbours costs."""
    for env_id in ("MiniGrid-DoorKey-5x5-v0", "MiniGrid-Empty-16x16-v0"):
        near = spec_of(env_id).graph.neighbours
        assert near.sum(1).max() == spec_of(env_id, view=1).graph.neighbours.sum(1).max() == 9
        agent = 3 * 7 + 6  # before whom the view lies
        assert near[agent, 49:].all()
        assert near[49:, 49:].all()


def test_a_version_before_sees_the_cells_alone():
    old, new = spec_of("BabyAI-GoToObj-v0", view=1), spec_of("BabyAI-GoToObj-v0")
    cells = new.graph.parts[0]
    assert old.graph == state_graph(
        gymnasium.spaces.Box(0, 255, (7, 7, 3), np.uint8), dict(zip(cells.labels, cells.categories, strict=True))
    )
    seen = [EnvironmentBatch(spec, 2, 1) for spec in (old, new)]
    random = np.random.default_rng(0)
    for _ in range(20):
        np.testing.assert_array_equal(seen[0].observations, seen[1].observations[:, :147])
        actions = random.integers(0, 3, (2, 1))
        rewards = [batch.step(actions).rewards.copy() for batch in seen]
        np.testing.assert_array_equal(*rewards)


def test_a_registered_graph_is_still_of_the_cells(monkeypatch):
    monkeypatch.setattr(graphs_module, "_builders", {})
    register_graph("MiniGrid-Empty-*", lambda env: {"a": 11, "b": 6, "c": 4})
    assert kinds(spec_of("MiniGrid-Empty-5x5-v0")) == [("", "grid", 49)]
    register_graph("MiniGrid-Empty-*", lambda env: state_graph(env.observation_space))
    assert isinstance(spec_of("MiniGrid-Empty-5x5-v0").graph, StateGraphSpec)


@pytest.mark.parametrize(
    ("wrappers", "expected"),
    [
        (("TimeLimit(9)",), [("image", "grid", 49), ("direction", "categories", 1), ("mission", "words", 1)]),
        (
            ("minigrid.wrappers:FullyObsWrapper",),
            [("image", "grid", 25), ("direction", "categories", 1), ("mission", "words", 1)],
        ),
        (
            ("minigrid.wrappers:RGBImgPartialObsWrapper",),
            [("image", "image", 49), ("direction", "categories", 1), ("mission", "words", 1)],
        ),
        (("minigrid.wrappers:ImgObsWrapper",), [("", "grid", 49)]),
        (("FlattenObservation",), [("", "features", 49)]),
        (("FrameStackObservation(2)",), None),
    ],
)
def test_wrappers(wrappers, expected):
    """Those that change observations take no texts: they are given the cells, as ever."""
    spec = spec_of("MiniGrid-Empty-5x5-v0", wrappers)
    assert expected is None or kinds(spec) == expected
    assert EnvironmentBatch(spec, 1, 1).observations.any()


def test_one_policy_may_go_from_any_of_them_to_any_other():
    tasks = "{name: t, phases: [{name: a, until: {episode: 3}}, {name: b, env: BabyAI-GoToObj-v0}]}"
    assert check_run("MiniGrid-Empty-5x5-v0", parse(tasks), allow_import=False).graph.nodes == 51


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mission": 3}, "the observation at 'mission' is a int, not a string"),
        ({"direction": 4}, "the observation at 'direction' contains a category outside its space"),
        ({"direction": "up"}, "the observation at 'direction' is of type <U2"),
        ({"image": np.zeros((7, 7))}, r"the observation at 'image' has shape \(7, 7\), not \(7, 7, 3\)"),
    ],
)
def test_what_is_none_is_said(change, sentence):
    spec = spec_of("MiniGrid-Empty-5x5-v0")
    observation, _ = make_environment("MiniGrid-Empty-5x5-v0").reset(seed=1)
    row = np.zeros(spec.graph.size, np.uint8)
    encoder(spec.graph)(observation, row)
    with pytest.raises(ValueError, match=sentence):
        encoder(spec.graph)(observation | change, row)
    with pytest.raises(ValueError, match="the observation has no 'mission'"):
        encoder(spec.graph)({key: observation[key] for key in ("image", "direction")}, row)
