"""Environments stepped side by side: order, seeds, ends, and trouble in one sentence."""

import re
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, EnvironmentFailureError, EnvironmentSpec, check_environment
from v3core.environments.action_space import action_spec
from v3core.environments.make import graph_of, make_environment
from v3core.errors import V3Error
from v3core.messages import translated

REAL = [
    "CartPole-v1",
    "Pendulum-v1",
    "LunarLander-v3",
    "FrozenLake-v1",
    "Blackjack-v1",
    "MiniGrid-DoorKey-5x5-v0",
    "CarRacing-v3",
]


def actions_for(spec, count, random):
    if spec.actions.kind == "continuous":
        return random.uniform(-1, 1, (count, spec.actions.components)).astype(np.float32)
    return random.integers(0, spec.actions.sizes, (count, spec.actions.components))


def play(env_id, steps, *seeds, count=3):
    """Everything that a batch gives under random actions."""
    spec = check_environment(env_id, allow_import=False)
    batch = EnvironmentBatch(spec, count, *seeds)
    random = np.random.default_rng(0)
    seen = [batch.observations.copy()]
    for _ in range(steps):
        taken = batch.step(actions_for(spec, count, random))
        seen += [batch.observations.copy(), taken.rewards.copy(), taken.terminated.copy(), taken.truncated.copy()]
    batch.close()
    return seen


@pytest.mark.parametrize("env_id", REAL)
def test_one_seed_makes_the_same_episodes_and_another_others(env_id):
    steps = 10 if env_id == "CarRacing-v3" else 100
    first, again, other = (play(env_id, steps, *seeds) for seeds in ((1,), (1,), (2,)))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_it_gives_what_gymnasium_gives():
    """Against environments stepped one by one with Gymnasium alone."""
    spec = check_environment("CartPole-v1", allow_import=False)
    batch = EnvironmentBatch(spec, 3, 5)
    seeds = np.random.SeedSequence((5,)).generate_state(3).tolist()
    envs = [gymnasium.make("CartPole-v1") for _ in seeds]
    latest = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
    random = np.random.default_rng(0)
    for _ in range(200):
        np.testing.assert_array_equal(batch.observations, np.stack(latest).astype(np.float32))
        actions = random.integers(0, 2, (3, 1))
        taken = batch.step(actions)
        for number, env in enumerate(envs):
            latest[number], reward, terminated, truncated, _ = env.step(actions[number, 0])
            assert (taken.rewards[number], taken.terminated[number], taken.truncated[number]) == (
                reward,
                terminated,
                truncated,
            )
            assert (number in taken.finals) == (terminated or truncated)
            if terminated or truncated:
                np.testing.assert_array_equal(taken.finals[number], latest[number])
                latest[number] = env.reset()[0]


def test_neighbouring_seeds_share_no_environment():
    spec = check_environment("CartPole-v1", allow_import=False)
    one, two = (EnvironmentBatch(spec, 8, seed).observations for seed in (1, 2))
    assert not {tuple(row) for row in one} & {tuple(row) for row in two}
    assert len(np.unique(one, axis=0)) == 8


def test_a_minigrid_observes_categories_untouched_and_says_success():
    spec = check_environment("MiniGrid-Empty-5x5-v0", allow_import=False)
    batch = EnvironmentBatch(spec, 1, 1)
    assert batch.observations.dtype == np.uint8
    assert batch.observations.max() <= 10
    found = {}
    for action in (2, 2, 1, 2, 2):  # forward, forward, right, forward, forward: the goal
        found = batch.step(np.array([[action]])).successes
    assert found == {0: True}
    for _ in range(100):
        taken = batch.step(np.array([[0]]))
        if taken.finals:
            assert taken.truncated[0]
            assert taken.successes == {0: False}
            return
    pytest.fail("the time limit never came")


class Playful(gymnasium.Env):
    """Well-behaved until told otherwise: `at` step `give` replaces or spoils what it returns."""

    def __init__(self, at=37, give=None, length=1000, observation=None, on_reset=False):
        self.observation_space = observation or spaces.Box(-1, 1, (3,))
        self.action_space = spaces.Discrete(2)
        self.at, self.give, self.length, self.on_reset = at, give, length, on_reset

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        if self.on_reset:
            return self.give(self), {}
        return self.observation_space.sample() * 0, {}

    def step(self, action):
        self.steps += 1
        usual = (self.observation_space.sample() * 0, 1.0, self.steps >= self.length, False, {})
        return self.give(usual) if self.give and self.steps == self.at else usual


def raises(error):
    def give(_):
        raise error

    return give


@pytest.fixture
def batch_of():
    """Registers `Playful` with arguments and makes a batch of it."""

    def make(count=2, **kwargs):
        gymnasium.register("Playful-v0", entry_point=Playful, kwargs=kwargs, disable_env_checker=True)
        env = make_environment("Playful-v0")
        spec = EnvironmentSpec(EnvironmentSetup("Playful-v0"), graph_of(env), action_spec(env.action_space))
        return EnvironmentBatch(spec, count, 1)

    yield make
    gymnasium.registry.pop("Playful-v0", None)


TROUBLE = [
    (
        raises(RuntimeError("the motor\nburned")),
        "step(action) raised RuntimeError: the motor burned; fix the environment",
    ),
    (raises(SystemExit(3)), "step(action) raised SystemExit: 3; fix the environment"),
    (raises(AssertionError()), "step(action) raised AssertionError; fix the environment"),
    (lambda usual: (np.zeros(4), *usual[1:]), "the observation has shape (4,), not (3,)"),
    (lambda usual: (None, *usual[1:]), "the observation has shape (), not (3,)"),
    (lambda usual: (usual[0], None, *usual[2:]), "step(action) returned None as the reward; it must be a number"),
    (
        lambda usual: (usual[0], "1.5", *usual[2:]),
        "step(action) returned the string '1.5' as the reward; it must be a number",
    ),
    (
        lambda usual: (usual[0], np.ones(1), *usual[2:]),
        "step(action) returned an array of shape (1,) as the reward; it",
    ),
    (
        lambda usual: (usual[0], np.complex128(1 + 2j), *usual[2:]),
        "step(action) returned (1+2j) as the reward; it must be a number",
    ),
    (lambda usual: usual[:4], "step(action) returned 4 values; it must return five values: observation"),
    (
        lambda usual: (*usual[:2], np.zeros(2), *usual[3:]),
        "returned an array of shape (2,) as terminated; it must be True or",
    ),
    (lambda usual: (*usual[:2], None, *usual[3:]), "returned None as terminated; it must be True or False"),
    (lambda usual: (*usual[:3], "no", {}), "returned the string 'no' as truncated; it must be True or False"),
    (lambda usual: (*usual[:3], 0.5, {}), "returned 0.5 as truncated; it must be True or False"),
    (lambda usual: (*usual[:2], True, False, None), "step(action) returned None as info; it must be a dict"),
    (lambda usual: (*usual[:4], None), "step(action) returned None as info; it must be a dict"),
    (lambda usual: (*usual[:4], []), "step(action) returned 0 values as info; it must be a dict"),
    (lambda usual: usual[0], "step(action) returned an array of shape (3,); it must return five values"),
    (lambda usual: None, "step(action) returned None; it must return five values"),
]


@pytest.mark.parametrize(("give", "what"), TROUBLE, ids=[what for _, what in TROUBLE])
def test_trouble_names_environment_copy_and_step_in_one_sentence(batch_of, give, what):
    batch = batch_of(give=give)
    nothing = np.zeros((2, 1), dtype=np.int64)
    for _ in range(36):
        batch.step(nothing)
    with pytest.raises(EnvironmentFailureError) as failure:
        batch.step(nothing)
    sentence = str(failure.value)
    assert sentence.startswith("Environment Playful-v0, copy 1, failed at step 37: ")
    assert what in sentence
    assert sentence.endswith("; fix the environment.") or "; it must " in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_what_an_environment_returned_is_said_in_the_readers_language(batch_of):
    batch = batch_of(give=lambda usual: (*usual[:4], {1}), at=1)
    with pytest.raises(EnvironmentFailureError) as failure:
        batch.step(np.zeros((2, 1), dtype=np.int64))
    chinese = translated(failure.value, "zh_CN")
    assert "在第 1 步失败：step(action) 返回的 info 是类型为 set 的值" in chinese
    assert not re.search(r"returned|must|value", chinese)


@pytest.mark.parametrize("value", [True, np.True_, 1, np.array(True)])
def test_ends_and_rewards_may_be_numbers_of_any_kind(batch_of, value):
    batch = batch_of(give=lambda usual: (usual[0], np.array(2.5, np.float32), value, value, {}), at=1)
    taken = batch.step(np.zeros((2, 1), dtype=np.int64))
    assert (taken.rewards.tolist(), taken.terminated.tolist(), taken.truncated.tolist()) == (
        [2.5, 2.5],
        [True, True],
        [True, True],
    )


def test_an_environment_that_does_not_close_spoils_nothing(batch_of, monkeypatch):
    batch = batch_of()
    monkeypatch.setattr(Playful, "close", lambda self: 1 / 0)
    batch.close()


def test_a_reset_that_raises_is_reported(batch_of):
    with pytest.raises(
        EnvironmentFailureError, match=r"copy 1, failed at its first reset: reset\(seed=…\) raised OSError: no map; fix"
    ):
        batch_of(give=raises(OSError("no map")), on_reset=True)


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (np.zeros(3, np.float32), "reset(seed=…) returned an array of shape (3,); it must return two values: observat"),
        # Unpacked, they would be an observation and an info.
        (np.zeros(2, np.float32), "reset(seed=…) returned an array of shape (2,); it must return two values"),
        ((np.zeros(3), {}, {}), "reset(seed=…) returned 3 values; it must return two values"),
        ((np.zeros(3), None), "reset(seed=…) returned None as info; it must be a dict"),
        ((np.zeros(3), np.zeros(3)), "reset(seed=…) returned an array of shape (3,) as info; it must be a dict"),
        (None, "reset(seed=…) returned None; it must return two values"),
        ("ab", "reset(seed=…) returned the string 'ab'; it must return two values"),
    ],
)
def test_a_reset_of_another_api_is_named(batch_of, monkeypatch, result, what):
    monkeypatch.setattr(Playful, "reset", lambda self, *, seed=None, options=None: self.give)
    with pytest.raises(EnvironmentFailureError) as failure:
        batch_of(give=result)
    assert f"copy 1, failed at its first reset: {what}" in str(failure.value)


def test_actions_that_change_are_named(batch_of, monkeypatch):
    """The first reset is as it was made for, the second has another action."""

    def reset(self, *, seed=None, options=None):
        self.action_space = spaces.Discrete(2 if seed is not None else 3)
        self.steps = 0
        return np.zeros(3, np.float32), {}

    monkeypatch.setattr(Playful, "reset", reset)
    batch = batch_of(length=2)
    nothing = np.zeros((2, 1), dtype=np.int64)
    batch.step(nothing)
    with pytest.raises(
        EnvironmentFailureError, match=r"its action_space is Discrete\(3\) after .* and was Discrete\(2\)"
    ):
        batch.step(nothing)


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (True, True),
        (np.False_, False),
        (1, True),
        (0.0, False),
        (np.float32(1), True),
        (np.array(True), True),
        (0.1, None),
        (2, None),
        (float("nan"), None),
        (None, None),
        ("yes", None),
        (np.ones(2), None),
        ([True], None),
    ],
)
def test_only_true_and_false_are_a_success(batch_of, value, counts):
    batch = batch_of(give=lambda usual: (*usual[:2], True, False, {"success": value}), at=1)
    assert batch.step(np.zeros((2, 1), dtype=np.int64)).successes == ({} if counts is None else {0: counts, 1: counts})
    assert (batch.odd_end is None) == (counts is not None)
    if counts is None:
        assert batch.odd_end.startswith("step(action) returned info['success'] = ")
        assert batch.odd_end.endswith("; the success of such an episode is not recorded.")


def test_of_two_words_on_success_the_one_that_counts_is_taken(batch_of):
    info = {"is_success": 0.5, "success": True}
    batch = batch_of(give=lambda usual: (*usual[:2], True, False, info), at=1)
    assert batch.step(np.zeros((2, 1), dtype=np.int64)).successes == {0: True, 1: True}
    assert batch.odd_end is None


def test_an_interrupt_is_no_trouble_of_the_environment(batch_of):
    batch = batch_of(give=raises(KeyboardInterrupt()), at=1)
    with pytest.raises(KeyboardInterrupt):
        batch.step(np.zeros((2, 1), dtype=np.int64))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_passed_on(batch_of, value):
    batch = batch_of(give=lambda usual: (np.full(3, value, np.float32), value, *usual[2:]), at=1)
    taken = batch.step(np.zeros((2, 1), dtype=np.int64))
    np.testing.assert_array_equal(taken.rewards, [value, value])
    np.testing.assert_array_equal(batch.observations, np.full((2, 3), value))


def test_the_shortest_episode_has_one_step(batch_of):
    batch = batch_of(length=1)
    for _ in range(3):
        assert set(batch.step(np.zeros((2, 1), dtype=np.int64)).finals) == {0, 1}


def test_success_is_what_info_says(batch_of):
    batch = batch_of(give=lambda usual: (*usual[:2], True, False, {"is_success": np.bool_(True)}), at=2)
    batch.step(np.zeros((2, 1), dtype=np.int64))
    assert batch.step(np.zeros((2, 1), dtype=np.int64)).successes == {0: True, 1: True}


def test_the_example_of_the_documentation_works(tmp_path, monkeypatch):
    """Its module is written as the page shows it, named on the command line's way, and stepped."""
    page = (Path(__file__).parents[2] / "docs" / "environments.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    (tmp_path / "my_envs.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    spec = check_environment("my_envs:Warehouse-v0", allow_import=True)
    assert [(part.kind, part.nodes, part.categories) for part in spec.graph.parts] == [("grid", 24, (6, 3))]
    batch = EnvironmentBatch(spec, 2, 1)
    for _ in range(20):
        batch.step(np.zeros((2, 1), dtype=np.int64))
    gymnasium.registry.pop("Warehouse-v0")
    sys.modules.pop("my_envs")


def test_a_builder_that_fails_is_reported():
    from v3core.environments import register_graph, state_graph
    from v3core.environments.graph_spec import _builders

    try:
        register_graph("CartPole-v0", lambda env: 1 / 0)
        with pytest.raises(V3Error, match="its graph builder 'CartPole-v0' raised ZeroDivisionError"):
            check_environment("CartPole-v0", allow_import=False)
        register_graph("CartPole-v0", lambda env: 7)
        with pytest.raises(
            V3Error, match="its graph builder 'CartPole-v0' returned a int, not a StateGraphSpec or a dict"
        ):
            check_environment("CartPole-v0", allow_import=False)
        register_graph("CartPole-v0", lambda env: state_graph(spaces.Text(5)))
        with pytest.raises(V3Error, match="does not support CartPole-v0: its observations are a Text, which has no"):
            check_environment("CartPole-v0", allow_import=False)
    finally:
        _builders.pop("CartPole-v0", None)
