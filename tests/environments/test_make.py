"""Environments as they are made for training."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from v3core.environments import check_environment, make_environment, make_vector_env

GRID = "MiniGrid-Empty-Random-5x5-v0"


def first_observations(seed, count=3, env_id="CartPole-v1"):
    envs = make_vector_env(env_id, count, seed)
    observations = envs.reset()[0].copy()
    envs.close()
    return observations


def test_a_minigrid_observes_categories_untouched():
    envs = make_vector_env(GRID, 2, seed=1)
    observations, _ = envs.reset()
    assert observations.shape == (2, 7, 7, 3)
    assert observations.dtype == np.uint8
    spec = check_environment(GRID, allow_import=False)
    for channel, size in enumerate(spec.categories):
        assert observations[..., channel].max() < size
    assert observations[..., 0].max() > 1  # categories, not intensities between 0 and 1
    envs.close()


def test_pixels_of_a_minigrid_are_not_taken_for_categories():
    from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper

    from v3core.environments.make import graph_of
    from v3core.errors import V3Error

    env = ImgObsWrapper(RGBImgPartialObsWrapper(gymnasium.make(GRID)))
    with pytest.raises(V3Error, match="images"):
        graph_of(env)
    env.close()


def test_other_environments_are_left_as_they_are():
    env = make_environment("CartPole-v1")
    assert env.observation_space.shape == (4,)
    env.close()


def test_one_seed_makes_the_same_episodes_and_each_environment_its_own():
    first = first_observations(seed=1)
    assert (first == first_observations(seed=1)).all()
    assert len(np.unique(first, axis=0)) == 3


def test_neighbouring_seeds_share_no_environment():
    pairs = {tuple(row) for row in first_observations(1, 8)} & {tuple(row) for row in first_observations(2, 8)}
    assert not pairs


def test_an_episode_ends_and_begins_in_the_same_step():
    envs = make_vector_env("CartPole-v1", 1, seed=1)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    envs.reset()
    ended, infos = False, {}
    while not ended:
        observations, _, terminated, _, infos = envs.step(np.ones(1, dtype=np.int64))
        ended = bool(terminated[0])
    assert np.abs(observations[0]).max() <= 0.05  # CartPole starts within ±0.05
    assert np.abs(infos["final_obs"][0]).max() > 0.05
    envs.close()
