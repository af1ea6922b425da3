"""A game of NetHack is decided by its seed, ends for the reason that it says, and is asked only for what is used."""

import numpy as np
import pytest

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import check_environment, known_environments, make_environment
from v3core.environments.apart import check_launch
from v3core.environments.batch import EnvironmentBatch
from v3core.environments.examine import look_briefly
from v3core.environments.nethack.game import FACTS
from v3core.errors import V3Error

SCORE, ROOM = "NetHackScore-v0", "MiniHack-Room-5x5-v0"
MONSTERS = "MiniHack-Room-Ultimate-15x15-v0"


def seen(env_id, seed, steps=60, **args):
    """All that the policy sees and earns of a batch of two, acting at random."""
    batch = EnvironmentBatch(check_environment(EnvironmentSetup(env_id, args), allow_import=False), 2, seed)
    random = np.random.default_rng(0)
    found = [batch.observations.tobytes()]
    try:
        for _ in range(steps):
            actions = random.integers(0, 8, (2, 1))
            rewards = batch.step(actions).rewards
            found.append(batch.observations.tobytes() + rewards.tobytes())
    finally:
        batch.close()
    return found


@pytest.mark.parametrize("env_id", [SCORE, MONSTERS])
def test_a_seed_decides_the_game_and_every_one_after_it(env_id):
    steps = 120  # two games and a half
    first = seen(env_id, 7, steps, max_episode_steps=50)
    assert seen(env_id, 7, steps, max_episode_steps=50) == first
    assert seen(env_id, 8, steps, max_episode_steps=50) != first


def test_levels_that_were_chosen_are_drawn_by_the_seed():
    env = make_environment(EnvironmentSetup("MiniHack-Room-Random-15x15-v0", {"seeds": [3, 4, 5]}))
    places = []
    for seed in (1, 2, 3, 4, 5, 6, 1):
        observation, _ = env.reset(seed=seed)
        places.append((observation["place"].tobytes(), observation["things"].tobytes()))
    env.close()
    assert places[0] == places[-1]
    assert 1 < len(set(places)) <= 3


def test_unfinished_games_are_played_on_exactly():
    spec = check_environment(EnvironmentSetup(SCORE, {"max_episode_steps": 50}), allow_import=False)
    batch, other = EnvironmentBatch(spec, 2, 5), EnvironmentBatch(spec, 2, 99)
    random = np.random.default_rng(1)
    batch.keep_history()
    before = sum(len(batch.step(random.integers(0, 23, (2, 1))).finals) for _ in range(80))
    batch.bookmark()
    other.replay(batch.unfinished())
    after = 0
    for _ in range(120):
        actions = random.integers(0, 23, (2, 1))
        played, played_on = batch.step(actions), other.step(actions)
        assert np.array_equal(played.rewards, played_on.rewards)
        assert np.array_equal(batch.observations, other.observations)
        after += len(played.finals)
    assert before >= 2, "games that are played on are not the first ones"
    assert after >= 4, "games begin after those that are played on"
    batch.close()
    other.close()


def ended(env_id, action, **args):
    """How an episode ends that always takes one action: terminated, truncated, info."""
    env = make_environment(EnvironmentSetup(env_id, args))
    env.reset(seed=1)
    for _ in range(5001):
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            env.close()
            return terminated, truncated, info
    raise AssertionError("it does not end")


def test_a_time_limit_is_no_end_of_the_game():
    terminated, truncated, info = ended(ROOM, 0)
    assert (terminated, truncated, info["is_success"]) == (False, True, False)
    assert info[FACTS]["death"] == "time limit"
    terminated, truncated, info = ended(SCORE, 19, max_episode_steps=30)
    assert (terminated, truncated) == (False, True)
    assert "is_success" not in info
    assert 20 <= info[FACTS]["turns"] <= 31


def test_the_stairs_are_a_success():
    env = make_environment(ROOM)
    env.reset(seed=1)
    for _ in range(4):
        _, reward, terminated, truncated, info = env.step(5)  # to the south-east
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)
    assert info[FACTS] == {"score": 0, "depth": 1, "turns": info[FACTS]["turns"], "death": "task done"}
    env.close()


def test_the_cause_of_death_is_what_the_game_says():
    env = make_environment(SCORE)
    causes, scores = set(), []
    for seed in range(6):
        env.reset(seed=seed)
        random = np.random.default_rng(seed)
        total = 0.0
        while True:
            _, reward, terminated, truncated, info = env.step(int(random.integers(23)))
            total += reward
            if terminated or truncated:
                break
        causes.add(info[FACTS]["death"])
        scores.append((total, info[FACTS]["score"]))
    env.close()
    assert any(cause.startswith("killed by") for cause in causes), causes
    assert "unknown" not in causes
    assert any(score > 0 for _, score in scores), "the score is not read after the status line has become zero"
    for total, score in scores:
        assert total <= score + 1e-6  # the reward is the score, less what standing still costs


def test_what_nobody_reads_is_not_asked_for():
    score = make_environment(SCORE).unwrapped
    assert "screen_descriptions" not in score._observation_keys
    room, key = make_environment(ROOM).unwrapped, make_environment("MiniHack-KeyRoom-S5-v0").unwrapped
    sizes = [dict(zip(env._observation_keys, env.nethack._obs, strict=True)) for env in (room, key)]
    assert sizes[0]["screen_descriptions"].size == 0 < sizes[0]["glyphs"].size
    assert sizes[1]["screen_descriptions"].size > 0, "applying a key looks at what is beside the player"


def test_actions_are_chosen_by_name():
    names = ["N", "E", "S", "W", "far_n", "OPEN", "KICK"]
    spec = check_environment(EnvironmentSetup(ROOM, {"actions": names}), allow_import=False)
    assert spec.actions.sizes == (7,)
    for wrong, sentence in (
        (["N", "KIK"], "NetHack has no action 'KIK'. Did you mean KICK"),
        ("N", "actions is not a list of names"),
        (["N", "n"], "names an action twice"),
    ):
        with pytest.raises(V3Error, match=sentence):
            check_environment(EnvironmentSetup(ROOM, {"actions": wrong}), allow_import=False)


def test_they_are_offered_and_checked_before_a_run():
    known = known_environments()
    assert SCORE in known
    assert ROOM in known
    assert not any("Challenge" in env_id or "Custom" in env_id or "Boxoban" in env_id for env_id in known)
    report = check_launch(EnvironmentSetup(ROOM), [], allow_import=False)
    assert report.warnings == []
    assert "The policy sees near, things, health" in report.sees
    assert "glyphs" not in report.sees


def test_an_environment_that_refuses_seeds_is_told_on():
    (warning,) = look_briefly(EnvironmentSetup("NetHackChallenge-v0"), allow_import=False).warnings
    assert warning.startswith("Two resets with the same seed returned different observations: its seed does not decide")
