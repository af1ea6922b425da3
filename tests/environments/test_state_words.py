"""States in words: features under their names, what a MiniGrid shows, and the scenario of an episode."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import check_environment
from v3core.environments.batch import EnvironmentBatch
from v3core.environments.encode import encoder
from v3core.environments.make import make_environment
from v3core.environments.registry import spec_of
from v3core.environments.state_words import MAX_FEATURES, MAX_LETTERS, described_states


def seen(env_id, count=2, **more):
    """The spec of an environment, and the first observations of a batch of it."""
    setup = EnvironmentSetup(env_id, **more)
    spec = check_environment(setup, allow_import=False)
    batch = EnvironmentBatch(spec, count, 1)
    rows = batch.observations.copy()
    batch.close()
    return spec, rows, batch.scenarios


@pytest.mark.parametrize(
    ("env_id", "first"),
    [("CartPole-v1", "Cart position"), ("Acrobot-v1", "Cosine of angle 1"), ("MountainCar-v0", "Position")],
)
def test_features_have_their_names_and_the_numbers_of_the_environment(env_id, first):
    spec, rows, scenarios = seen(env_id)
    names, values = described_states(spec, rows)
    assert names[0] == first
    assert np.array(values) == pytest.approx(rows, rel=1e-4)
    assert scenarios == ["", ""]


def test_what_a_wrapper_may_have_changed_has_numbers_for_names():
    spec, rows, _ = seen("CartPole-v1", wrappers=("FlattenObservation",))
    assert described_states(spec, rows)[0] == ("Feature 1", "Feature 2", "Feature 3", "Feature 4")


class Keyed(gymnasium.Env):
    """Observations under keys, a category that begins at 5, and as many numbers as asked for."""

    def __init__(self, many=3, info=None):
        box, level = spaces.Box(-9, 9, (many,), np.float32), spaces.Discrete(4, start=5)
        self.observation_space = spaces.Dict({"speeds": box, "level": level})
        self.action_space, self.info, self.many = spaces.Discrete(2), info or {}, many

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"speeds": np.arange(self.many, dtype=np.float32), "level": 7}, dict(self.info)

    def step(self, action):
        return self.reset()[0], 0.0, True, False, dict(self.info)


def test_keys_name_their_features_and_few_are_listed():
    env = Keyed()
    spec = spec_of(EnvironmentSetup("Keyed-v0"), env)
    row = np.zeros(spec.graph.size, dtype=np.float32)
    encoder(spec.graph)(env.reset()[0], row)
    assert described_states(spec, row[None]) == (("Level", "Speeds 1", "Speeds 2", "Speeds 3"), ((7, 0, 1, 2),))
    many = Keyed(100)
    names, _ = described_states(spec_of(EnvironmentSetup("Keyed-v0"), many), np.zeros((1, 101), np.float32))
    assert len(names) == MAX_FEATURES


def test_a_minigrid_says_what_is_in_view():
    spec, rows, scenarios = seen("MiniGrid-DoorKey-5x5-v0", 6)
    names, values = described_states(spec, rows)
    assert names == ("In view", "Direction")
    texts = [text for text, _ in values]
    assert any("yellow key" in text for text in texts)
    assert any("locked yellow door" in text for text in texts)
    assert set(scenarios) == {"use the key to open the door and then get to the goal"}
    # Held against the world: one step to where the nearest object is.
    env = make_environment("MiniGrid-Empty-5x5-v0")
    spec = check_environment("MiniGrid-Empty-5x5-v0", allow_import=False)
    row = np.zeros(spec.graph.size, dtype=spec.graph.dtype)
    encoder(spec.graph)(env.reset(seed=1)[0], row)
    ((text, direction),) = described_states(spec, row[None])[1]
    assert (env.unwrapped.agent_pos, direction) == ((1, 1), 0)  # top left, facing right; the goal is bottom right
    assert text == "green goal 2 ahead, 2 right"


def test_a_carried_key_and_a_whole_world():
    spec, rows, _ = seen("MiniGrid-DoorKey-5x5-v0", 1)
    grid = rows[0][: 7 * 7 * 3].reshape(7, 7, 3)
    grid[:] = 1  # nothing anywhere
    grid[3, 6] = (5, 4, 0)
    assert described_states(spec, rows)[1][0][0] == "carries yellow key"
    grid[3, 6] = 1
    assert described_states(spec, rows)[1][0][0] == "nothing"
    spec, rows, _ = seen("MiniGrid-Empty-5x5-v0", 1, wrappers=("minigrid.wrappers:FullyObsWrapper",))
    assert described_states(spec, rows)[1][0][0] == "green goal at column 4, row 4"


@pytest.mark.parametrize(
    ("info", "scenario"),
    [
        ({}, ""),
        ({"scenario": "narrow  road\n"}, "narrow road"),
        ({"scenario": np.int64(3)}, "3"),
        ({"scenario": None}, ""),
        ({"scenario": [1, 2]}, ""),
        ({"scenario": "x" * 500}, "x" * (MAX_LETTERS - 1) + "…"),
    ],
)
def test_a_scenario_is_what_reset_says(info, scenario):
    gymnasium.register("Keyed-v0", lambda: Keyed(info=info))
    try:
        assert seen("Keyed-v0", 3)[2] == [scenario] * 3
    finally:
        gymnasium.registry.pop("Keyed-v0")


def test_the_missions_of_babyai_are_scenarios():
    names = seen("BabyAI-GoToLocal-v0", 6)[2]
    assert len(set(names)) > 2
    assert all(name.startswith("go to ") for name in names)


def test_a_single_category_is_the_state():
    spec, rows, _ = seen("FrozenLake-v1")
    assert described_states(spec, rows) == (("State",), ((0.0,), (0.0,)))
