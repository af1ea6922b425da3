"""The view of a MiniGrid agent, against MiniGrid's own computation of it."""

import gymnasium
import minigrid  # noqa: F401  registers its ids
import numpy as np
import pytest
from minigrid.core.world_object import Box, Door, Key
from minigrid.minigrid_env import MiniGridEnv

from v3core.environments.make import make_environment

IDS = sorted(
    env_id
    for env_id in gymnasium.registry
    if env_id.startswith(("MiniGrid-", "BabyAI-")) and not env_id.startswith("MiniGrid-WFC")  # needs further packages
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("env_id", IDS)
def test_every_minigrid_observes_what_it_observed_before(env_id):
    env = make_environment(env_id)
    world = env.unwrapped
    random = np.random.default_rng(5)
    env.reset(seed=3)
    for _ in range(40):
        usual, ours = MiniGridEnv.gen_obs(world), world.gen_obs()
        assert ours["image"].tobytes() == usual["image"].tobytes()
        assert (ours["image"].shape, ours["image"].dtype) == (usual["image"].shape, usual["image"].dtype)
        assert (ours["direction"], ours["mission"]) == (usual["direction"], usual["mission"])
        *_, terminated, truncated, _ = env.step(int(random.choice([0, 1, 2, 2, 2, 3, 4, 5])))
        if terminated or truncated:
            env.reset()
    env.close()


@pytest.mark.parametrize("see_through_walls", [False, True])
@pytest.mark.parametrize("size", [3, 7, 11])
def test_worlds_full_of_things_are_seen_alike(size, see_through_walls):
    """Random clutter, doors open and shut, things carried, at every place and in every direction."""
    random = np.random.default_rng(size)
    env = make_environment("MiniGrid-Empty-8x8-v0")
    world = env.unwrapped
    world.agent_view_size, world.see_through_walls = size, see_through_walls
    for seed in range(20):
        env.reset(seed=seed)
        for x, y in random.integers(1, 7, (18, 2)):
            things = [None, Key("red"), Box("blue"), Door("green", is_open=bool(random.integers(2))), Door("grey")]
            world.grid.set(int(x), int(y), things[random.integers(len(things))])
        world.carrying = [None, Key("yellow")][random.integers(2)]
        for _ in range(12):
            world.agent_pos, world.agent_dir = tuple(random.integers(0, 8, 2)), int(random.integers(4))
            assert world.gen_obs()["image"].tobytes() == MiniGridEnv.gen_obs(world)["image"].tobytes()


def test_a_world_with_a_view_of_its_own_keeps_it():
    class Blind(type(make_environment("MiniGrid-Empty-5x5-v0").unwrapped)):
        def gen_obs(self):
            return {"image": np.zeros((7, 7, 3), np.uint8), "direction": 0, "mission": ""}

    gymnasium.register("BlindGrid-v0", entry_point=Blind)
    try:
        env = make_environment("BlindGrid-v0")
        assert not env.reset(seed=1)[0]["image"].any()
        assert env.unwrapped.gen_obs.__func__ is Blind.gen_obs
    finally:
        gymnasium.registry.pop("BlindGrid-v0")
