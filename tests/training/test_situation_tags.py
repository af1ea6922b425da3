"""The loads of the experts in each situation, against a plain loop, and through stops and resumes to the bit."""

import json
from dataclasses import replace
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import ONE_PHASE, reported
from tests.training.test_exact_resume import in_parts, run
from v3core.environments import NodePart, Risen, StateGraphSpec, register_situations
from v3core.training.situation_tags import SituationTags
from v3core.training.statistics import EpisodeStatistics
from v3core.training.trainer import Outcome

SITUATIONS = {
    "high": lambda seen: seen["level"][:, 0] > 2,
    "odd": lambda seen: seen["level"][:, 0] % 2 == 1,
    "risen": Risen(lambda seen: seen["level"][:, 0], 2),
}
PART = NodePart("features", 1, 0, 1, (1,), ("level",))
GRAPH = StateGraphSpec((PART,), np.ones((1, 1), dtype=np.bool_), situations=SITUATIONS)


def by_hand(levels, gates):
    """What an episode of these levels and gates has in each situation: steps, and mean gates."""
    found = {}
    largest, risen_at = levels[0], None
    for step, (level, gate) in enumerate(zip(levels, gates, strict=True)):
        if level > largest:
            largest, risen_at = level, step
        holds = {
            "high": level > 2,
            "odd": level % 2 == 1,
            "risen": risen_at is not None and step - risen_at < 2,
        }
        for name in [name for name, holding in holds.items() if holding] or ["none of these"]:
            found.setdefault(name, []).append(gate)
    return {name: [len(each), *np.mean(each, axis=0)] for name, each in found.items()}


@given(st.lists(st.integers(1, 8), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 9999))
def test_loads_are_those_of_a_plain_loop_across_rollouts(lengths, environments, seed):
    random = np.random.default_rng(seed)
    statistics = EpisodeStatistics(environments, 3, SituationTags(GRAPH, environments))
    own_steps = [[] for _ in range(environments)]
    for steps in lengths:
        levels = random.integers(0, 5, (steps, environments, 1)).astype(np.float32)
        gates = random.dirichlet(np.ones(3), (steps, environments))
        ended = random.random((steps, environments)) < 0.3
        rollout = SimpleNamespace(
            observations=torch.from_numpy(levels),
            gates=torch.from_numpy(gates),
            **{"rewards": np.zeros(ended.shape), "ended": ended, "successes": {}, "tasks": {}, "facts": {}},
        )
        resumed = EpisodeStatistics(environments, 3, SituationTags(GRAPH, environments))
        resumed.load_state_dict(statistics.state_dict())
        found = iter(statistics.finished(rollout))
        again = [episode for _, episode in resumed.finished(rollout)]
        for step in range(steps):
            for env in range(environments):
                own_steps[env].append((levels[step, env, 0], gates[step, env]))
                if ended[step, env]:
                    _, episode = next(found)
                    expected = by_hand(*zip(*own_steps[env], strict=True))
                    own_steps[env] = []
                    recorded = json.loads(episode.situations)
                    assert recorded.keys() == expected.keys()
                    assert all(recorded[name] == pytest.approx(expected[name], abs=1e-6) for name in recorded)
                    assert again.pop(0).situations == episode.situations, "resumed between two rollouts"


def test_where_gates_are_not_numbers_loads_are_unknown():
    statistics = EpisodeStatistics(1, 2, SituationTags(GRAPH, 1))
    said = {
        "successes": {},
        "tasks": {},
        "facts": {},
        "rewards": np.zeros((2, 1)),
        "ended": np.array([[False], [True]]),
    }
    gates = torch.tensor([[[0.5, 0.5]], [[np.nan, np.nan]]])
    levels = torch.tensor([[[4.0]], [[1.0]]])
    ((_, episode),) = statistics.finished(SimpleNamespace(observations=levels, gates=gates, **said))
    assert json.loads(episode.situations) == {"high": [1, 0.5, 0.5], "odd": [1, None, None]}


def test_of_an_older_checkpoint_the_episodes_in_progress_have_none():
    before = EpisodeStatistics(1, 2)
    statistics = EpisodeStatistics(1, 2, SituationTags(GRAPH, 1))
    said = {"successes": {}, "tasks": {}, "facts": {}, "rewards": np.zeros((1, 1))}
    step = {"observations": torch.ones(1, 1, 1), "gates": torch.ones(1, 1, 2), **said}
    before.finished(SimpleNamespace(ended=np.array([[False]]), **step))
    statistics.load_state_dict(before.state_dict())
    over = SimpleNamespace(ended=np.array([[True]]), **step)
    assert [episode.situations for _, episode in statistics.finished(over)] == [None]
    assert [episode.situations for _, episode in statistics.finished(over)] == ['{"odd":[1,0.5,0.5]}']


class Climbing(gymnasium.Env):
    """A level that goes up and down by chance, for 20 steps, and their number."""

    observation_space = spaces.Dict({"level": spaces.Box(-30, 30, (2,), np.float32)})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = self.level = 0
        return {"level": np.zeros(2, np.float32)}, {}

    def step(self, action):
        self.steps += 1
        self.level += int(self.np_random.integers(-1, 2))
        return {"level": np.array([self.level, self.steps], np.float32)}, float(action), self.steps == 20, False, {}


@pytest.fixture
def climbing():
    gymnasium.register("TestClimbing-v0", entry_point=Climbing)
    register_situations("TestClimbing-*", SITUATIONS)
    yield "TestClimbing-v0"
    register_situations("TestClimbing-*", {})
    del gymnasium.registry["TestClimbing-v0"]


def test_a_run_that_was_stopped_in_the_middle_of_episodes_records_the_same(climbing, small_run, recorder):
    config = small_run(climbing, curriculum=ONE_PHASE, episodes=12)
    whole = recorder()
    assert run(config, whole) is Outcome.COMPLETED
    texts = [json.loads(episode.situations) for episode in whole.episodes]
    assert {name for one in texts for name in one} == {"high", "odd", "risen", "none of these"}
    assert reported(*in_parts(config, recorder, 1, 1, 1)) == reported(whole)


def test_of_an_environment_that_declares_none_nothing_is_recorded(small_run, recorder):
    hooks = recorder()
    run(small_run("CartPole-v1", curriculum=ONE_PHASE, episodes=3), hooks)
    assert [episode.situations for episode in hooks.episodes] == [None] * 3


def a_step(level=1.0, ended=False):
    return SimpleNamespace(
        observations=torch.full((1, 1, 1), level),
        gates=torch.full((1, 1, 2), 0.5),
        ended=np.array([[ended]]),
        **{"rewards": np.zeros((1, 1)), "successes": {}, "tasks": {}, "facts": {}},
    )


@pytest.mark.parametrize("changed", ["renamed", "reordered"])
def test_of_a_checkpoint_with_other_names_the_episodes_in_progress_have_none(changed):
    other = {"tall" if name == "high" else name: one for name, one in SITUATIONS.items()}
    if changed == "reordered":
        other = dict(reversed(SITUATIONS.items()))
    before = EpisodeStatistics(1, 2, SituationTags(GRAPH, 1))
    before.finished(a_step(3.0))
    statistics = EpisodeStatistics(1, 2, SituationTags(replace(GRAPH, situations=other), 1))
    statistics.load_state_dict(before.state_dict())
    assert [episode.situations for _, episode in statistics.finished(a_step(ended=True))] == [None]
    assert [episode.situations for _, episode in statistics.finished(a_step(ended=True))] == ['{"odd":[1,0.5,0.5]}']


def test_one_that_fails_on_a_rare_observation_ends_no_run(climbing, small_run, recorder):
    config = small_run(climbing, curriculum=ONE_PHASE, episodes=12)
    undisturbed = recorder()
    assert run(config, undisturbed) is Outcome.COMPLETED
    calls = []

    def rare(seen):
        calls.append(1)
        return {}["no"] if len(calls) == fails_at else seen["level"][:, 0] > 2

    fails_at = 4  # the check before a run is the first
    register_situations("TestClimbing-*", {**SITUATIONS, "high": rare})
    whole = recorder()
    assert run(config, whole) is Outcome.COMPLETED
    (remark,) = [said for said in whole.remarks if "ituation" in said]
    assert remark.startswith("No situations are recorded from here on, until the run is resumed: Situation 'high' ")
    assert len(calls) == fails_at, "it is not called again"
    known = [episode.situations is not None for episode in whole.episodes]
    assert known == sorted(known, reverse=True)
    assert set(known) == {True, False}
    assert [replace(one, situations=None) for one in whole.episodes] == [
        replace(one, situations=None) for one in undisturbed.episodes
    ]
