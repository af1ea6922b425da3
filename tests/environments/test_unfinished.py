"""Unfinished episodes played again: what is kept, what is compared, and how much memory it takes."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from v3core.environments import EnvironmentBatch, ReplayError, UnfinishedEpisode, check_environment
from v3core.environments import unfinished as unfinished_module
from v3core.environments.unfinished import History, generator_state


class Walk(gymnasium.Env):
    """Adds random numbers to what it observes; ends when the action is 3. Uses any kind of generator."""

    def __init__(self, generator="PCG64"):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = spaces.Discrete(4)
        self._generator = getattr(np.random, generator)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.np_random = np.random.Generator(self._generator(seed))
        self._place = self.np_random.normal(size=2).astype(np.float32)
        return self._place, {}

    def step(self, action):
        self._place = self._place + action * self.np_random.normal(size=2).astype(np.float32)
        return self._place, float(self._place[0]), action == 3, False, {}


@pytest.fixture(params=["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def walk(request):
    """The specification of a `Walk` on each of numpy's generators."""
    gymnasium.register("TestWalk-v0", entry_point=Walk, kwargs={"generator": request.param})
    yield check_environment("TestWalk-v0", allow_import=False)
    gymnasium.registry.pop("TestWalk-v0", None)


def batch(spec, count=3, seed=1):
    envs = EnvironmentBatch(spec, count, seed)
    envs.keep_history()
    return envs


def play(envs, random, steps):
    """Random steps in memory that is used again; returns all that was seen."""
    memory = np.zeros((len(envs.observations), 1), np.int64)
    seen = []
    for _ in range(steps):
        memory[:] = random.integers(0, 4, memory.shape)
        taken = envs.step(memory)
        seen += [envs.observations.tobytes(), taken.rewards.tobytes(), taken.terminated.tobytes()]
        memory[:] = 9
    return seen


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 40, 700])
def test_what_is_played_again_goes_on_as_it_went(walk, steps):
    random = np.random.default_rng(steps)
    first = batch(walk)
    play(first, random, steps)
    first.bookmark()
    episodes = first.unfinished()
    second = batch(walk, seed=2)
    second.replay(episodes)
    state = random.bit_generator.state
    expected = play(first, random, 50)
    first.bookmark()
    random.bit_generator.state = state
    assert play(second, random, 50) == expected
    second.bookmark()
    for ours, theirs in zip(first.unfinished(), second.unfinished(), strict=True):
        assert repr(ours) == repr(theirs)


def test_the_bookmark_can_be_gone_back_to_after_further_steps(walk):
    random = np.random.default_rng(0)
    envs = batch(walk)
    play(envs, random, 30)
    envs.bookmark()
    before = [repr(episode) for episode in envs.unfinished()]
    play(envs, random, 1500)
    assert [repr(episode) for episode in envs.unfinished()] == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"observation": np.zeros(2, np.float32)}, "diverged"),
        ({"reward": 0.125}, "diverged"),
        ({"generator": {"bit_generator": "PCG64"}}, "diverged"),
        ({"origin": None}, "cannot be restored"),
        ({"actions": None}, "too long"),
        ({"actions": np.array([[3], [0]])}, "ended early"),
        ({"origin": {"bit_generator": "nonsense"}}, "raised"),
    ],
)
@pytest.mark.parametrize("walk", ["PCG64"], indirect=True)
def test_what_went_another_way_is_refused(walk, change, reason):
    first = batch(walk)
    first.step(np.ones((3, 1), np.int64))
    first.bookmark()
    episodes = first.unfinished()
    batch(walk).replay(episodes)
    episodes[1] = UnfinishedEpisode(**(vars(episodes[1]) | change))
    with pytest.raises(ReplayError, match=reason):
        batch(walk).replay(episodes)


def test_an_environment_without_a_generator_of_numpy_has_no_state():
    class Odd:
        np_random = None

    assert generator_state(Odd()) is None


@given(
    ends=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 2)), max_size=12),
    marks=st.sets(st.integers(0, 2000), max_size=5),
)
def test_the_actions_kept_are_those_since_the_beginning(ends, marks):
    """Against plain lists, over any order of ends and bookmarks."""
    kept = History([0, 1, 2])
    plain = [[], [], []]
    begins = np.cumsum([gap for gap, _ in ends]).tolist()
    at_bookmark = None
    for step in range(sum(gap for gap, _ in ends) + 300):
        for begin, (_, env) in zip(begins, ends, strict=True):
            if begin == step:
                kept.begin(env, {"state": step})
                plain[env] = []
        if step in marks or step == 0:
            kept.bookmark(np.zeros((3, 1)), np.zeros(3), [None] * 3)
            at_bookmark = [list(actions) for actions in plain]
        kept.add(np.full((3, 1), step))
        for actions in plain:
            actions.append(step)
    for episode, expected in zip(kept.unfinished(), at_bookmark, strict=True):
        assert episode.actions.ravel().tolist() == expected


def test_memory_is_bounded(monkeypatch):
    """Short episodes take a few hundred rows for ever; one without an end takes twice the most that is kept."""
    monkeypatch.setattr(unfinished_module, "LONGEST_EPISODE", 1000)
    short, endless = History([0, 1]), History([0, 1])
    for step in range(20_000):
        for kept in (short, endless):
            kept.add(np.zeros((2, 1)))
            if step % 100 == 0:
                kept.bookmark(np.zeros((2, 1)), np.zeros(2), [None, None])
        short.begin(step % 2, step)
    assert len(short._log) == 256
    assert len(endless._log) <= 4096
    endless.bookmark(np.zeros((2, 1)), np.zeros(2), [None, None])
    assert [episode.actions for episode in endless.unfinished()] == [None, None]
