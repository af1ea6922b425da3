"""Action masks as environments give them: where they are read, when, and what is refused."""

import itertools

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, EnvironmentFailureError, ReplayError, check_environment
from v3core.messages import translated


class Masked(gymnasium.Env):
    """Allows other actions at every step, drawn by its generator; says so in `info`, or by a method, or both ways.

    It ends after `length` steps, by itself or by truncation, and then allows nothing. An action that is forbidden is an
    assertion.
    """

    def __init__(self, how="info", space=None, length=4, truncates=False, mask=None):
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(3, start=5) if space is None else space
        self._sizes = np.ravel(self.action_space.nvec) if space is not None else np.array([3])
        self._how, self._length, self._truncates, self._always = how, length, truncates, mask
        if how in {"method", "both"}:
            self.action_masks = lambda: self.mask

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._look()

    def step(self, action):
        first = np.ravel(self.action_space.start)
        for part, allowed in zip(np.ravel(action) - first, np.split(self.mask, self._sizes.cumsum()[:-1]), strict=True):
            assert allowed[part]
        self._steps += 1
        observation, info = self._look()
        over = self._steps == self._length
        if over:
            self.mask = np.zeros_like(self.mask)
            info = {"action_mask": self.mask} if "action_mask" in info else {}
        return observation, 1.0, over and not self._truncates, over and self._truncates, info

    def _look(self):
        parts = []
        for size in self._sizes:
            part = self.np_random.integers(0, 2, size, dtype=np.int8)
            part[self.np_random.integers(size)] = 1
            parts.append(part)
        self.mask = np.concatenate(parts) if self._always is None else self._always
        said = np.logical_not(self.mask) if self._how == "both" else self.mask
        info = {} if self._how == "method" else {"action_mask": said}
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), info


@pytest.fixture
def masked():
    """Registers `Masked` as `TestMasked-v0` with arguments; gives its specification."""

    def register(view=2, **kwargs):
        gymnasium.register("TestMasked-v0", entry_point=Masked, kwargs=kwargs)
        return check_environment(EnvironmentSetup("TestMasked-v0", view=view), allow_import=False)

    yield register
    gymnasium.registry.pop("TestMasked-v0", None)


def allowed_actions(spec, masks, random):
    """Random actions [count, components] that the masks allow."""
    firsts = np.cumsum((0, *spec.actions.sizes))
    return np.array(
        [[random.choice(np.flatnonzero(row[first:end])) for first, end in itertools.pairwise(firsts)] for row in masks]
    )


@pytest.mark.parametrize("truncates", [False, True])
@pytest.mark.parametrize("how", ["info", "method", "both"])
@pytest.mark.parametrize(
    "space", [None, spaces.MultiDiscrete([2, 4]), spaces.MultiDiscrete([[2], [3]], start=[[1], [7]])]
)
def test_the_mask_is_that_of_the_present_state(masked, how, space, truncates):
    """Also after an end, where it is the new episode's; the method says more than `info` where both are there."""
    spec = masked(how=how, space=space, truncates=truncates)
    batch = EnvironmentBatch(spec, 3, 1)
    random = np.random.default_rng(0)
    ends = 0
    for _ in range(13):
        for env, row in zip(batch._envs, batch.masks, strict=True):
            np.testing.assert_array_equal(row, env.unwrapped.mask.astype(bool))
        ends += len(batch.step(allowed_actions(spec, batch.masks, random)).finals)
    assert ends == 9
    assert batch.masks.dtype == np.bool_


def test_taxi_never_lets_the_taxi_stand_before_a_wall():
    """Gymnasium's own: a move that it forbids would leave the state as it is."""
    spec = check_environment("Taxi-v4", allow_import=False)
    batch = EnvironmentBatch(spec, 2, 1)
    random = np.random.default_rng(0)
    for _ in range(100):
        before = batch.observations.copy()
        taken = batch.step(allowed_actions(spec, batch.masks, random))
        assert (taken.terminated | taken.truncated | (batch.observations != before).any(1)).all()


def test_a_wrapper_may_say_it_too(masked):
    class First(gymnasium.Wrapper):
        def action_masks(self):
            return [True, False, False]

    masked()
    gymnasium.registry.pop("TestMasked-v0")
    gymnasium.register("TestMasked-v0", entry_point=lambda: gymnasium.wrappers.TimeLimit(First(Masked()), 9))
    assert (
        EnvironmentBatch(check_environment("TestMasked-v0", allow_import=False), 2, 1).masks.tolist()
        == [[True, False, False]] * 2
    )


@pytest.mark.parametrize("how", ["info", "method"])
def test_a_run_of_a_version_before_obeys_none(masked, how):
    assert EnvironmentBatch(masked(how=how, view=1), 2, 1).masks is None


def test_numbers_have_no_mask(masked):
    class Moving(Masked):
        def __init__(self):
            super().__init__()
            self.action_space = spaces.Box(-1, 1, (1,), np.float32)

        def step(self, action):
            return (*self._look()[:1], 1.0, False, False, {"action_mask": np.ones(3, np.int8)})

    gymnasium.register("TestMasked-v0", entry_point=Moving)
    batch = EnvironmentBatch(check_environment("TestMasked-v0", allow_import=False), 2, 1)
    batch.step(np.zeros((2, 1)))
    assert batch.masks is None
    gymnasium.registry.pop("TestMasked-v0")


WRONG = {
    "forbids every action": np.zeros(3, np.int8),
    r"has shape \(2,\), not \(3,\)": np.ones(2, np.int8),
    r"has shape \(1, 3\), not \(3,\)": np.ones((1, 3), bool),
    r"has shape \(\), not \(3,\)": 1,
    "is of type float32, not of bool": np.ones(3, np.float32),
    "is of type <U1, not of bool": ["a", "b", "c"],
    "other than 0 and 1": np.array([0, 1, 2]),
    "not an array of shape": [[1, 0], [1]],
}


@pytest.mark.parametrize("problem", WRONG)
@pytest.mark.parametrize("how", ["info", "method"])
def test_a_mask_that_is_none_is_said_in_one_sentence(masked, how, problem):
    spec = masked(how=how, mask=WRONG[problem])
    with pytest.raises(EnvironmentFailureError, match=problem) as caught:
        EnvironmentBatch(spec, 1, 1)
    assert "TestMasked-v0, copy 1, failed at its first reset: reset(seed=…): the action mask" in str(caught.value)


def test_a_component_without_any_value_is_named(masked):
    spec = masked(space=spaces.MultiDiscrete([2, 3]), mask=np.array([1, 0, 0, 0, 0]))
    with pytest.raises(EnvironmentFailureError, match="forbids every value of component 2"):
        EnvironmentBatch(spec, 1, 1)


def test_a_step_may_go_wrong_too(masked):
    spec = masked()
    batch = EnvironmentBatch(spec, 1, 1)
    batch._envs[0].unwrapped._always = np.zeros(3, np.int8)
    with pytest.raises(
        EnvironmentFailureError, match=r"at step 1: step\(action\): the action mask forbids every action"
    ) as failure:
        batch.step(allowed_actions(spec, batch.masks, np.random.default_rng(0)))
    chinese = translated(failure.value, "zh_CN")
    assert "在第 1 步失败：step(action)：动作掩码" in chinese
    assert "forbids" not in chinese


def test_where_nothing_is_said_everything_is_allowed(masked):
    """A mask may come late, and go again."""

    class Now(Masked):
        def _look(self):
            observation, info = super()._look()
            return observation, info if self._steps == 2 else {}

        def step(self, action):
            self.mask[:] = 1
            return super().step(action)

    masked()
    gymnasium.registry.pop("TestMasked-v0")
    gymnasium.register("TestMasked-v0", entry_point=Now)
    spec = check_environment("TestMasked-v0", allow_import=False)
    batch = EnvironmentBatch(spec, 1, 1)
    assert batch.masks is None
    batch.step(np.zeros((1, 1), int))
    assert batch.masks is None
    batch.step(np.zeros((1, 1), int))
    np.testing.assert_array_equal(batch.masks[0], batch._envs[0].unwrapped.mask)
    batch.step(np.zeros((1, 1), int))
    assert batch.masks.all()


def test_an_episode_played_again_must_allow_the_same(masked):
    spec = masked()

    def played():
        batch = EnvironmentBatch(spec, 3, 1)
        batch.keep_history()
        random = np.random.default_rng(0)
        for _ in range(6):
            batch.step(allowed_actions(spec, batch.masks, random))
        batch.bookmark()
        return batch

    batch = played()
    at_bookmark = batch.masks.copy()
    batch.step(allowed_actions(spec, batch.masks, np.random.default_rng(0)))
    episodes = batch.unfinished()
    again = EnvironmentBatch(spec, 3, 2)
    again.replay(episodes)
    np.testing.assert_array_equal(again.masks, at_bookmark)
    np.testing.assert_array_equal(again.unfinished()[1].mask, at_bookmark[1])
    assert not np.array_equal(batch.masks, at_bookmark)
    other = EnvironmentBatch(spec, 3, 2)
    episodes[1].mask[:] = ~episodes[1].mask
    with pytest.raises(ReplayError, match="diverged"):
        other.replay(episodes)
