"""Every NetHack and MiniHack that is offered on Launch can be made and played; those built from a MiniGrid repeat."""

import re

import numpy as np
import pytest

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import check_environment, known_environments, make_environment
from v3core.environments.action_names import words_of
from v3core.environments.batch import EnvironmentBatch
from v3core.environments.examine import look_briefly
from v3core.environments.nethack.ids import package_of
from v3core.environments.nethack.making import names_of_actions
from v3core.insight.seen_words import all_in_words
from v3core.messages import speaking

ROOMS = "MiniHack-MultiRoom-N4-v0"


@pytest.mark.slow
def test_every_one_that_is_offered_begins():
    offered = [env_id for env_id in known_environments() if package_of(env_id) is not None]
    assert len(offered) > 150
    assert ROOMS in offered
    names: set[str] = set()
    for env_id in offered:
        env = make_environment(env_id)
        try:
            observation, _ = env.reset(seed=1)
            assert env.observation_space.contains(observation), env_id
            env.step(env.action_space.sample())
            names |= {*names_of_actions(env)}
        finally:
            env.close()
    assert len(names) > 80
    with speaking("zh_CN"):
        words = all_in_words(words_of(names))
    assert [word for word in words if re.search("[A-Za-z]{4}", word)] == []


def games(seed, count=3):
    """The first observations of a batch's episodes, each cut after five steps."""
    setup = EnvironmentSetup(ROOMS, {"max_episode_steps": 5})
    batch = EnvironmentBatch(check_environment(setup, allow_import=False), 1, seed)
    found = []
    try:
        for _game in range(count):
            found.append(batch.observations.tobytes())
            for _step in range(5):
                batch.step(np.zeros((1, 1), dtype=np.int64))
    finally:
        batch.close()
    return found


def test_rooms_that_are_copied_from_a_minigrid_are_decided_by_the_seed():
    assert games(7) == games(7)
    assert len({*games(7), *games(8)}) == 6, "each game has other rooms"
    assert look_briefly(EnvironmentSetup(ROOMS), allow_import=False).warnings == []
