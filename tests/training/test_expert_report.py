"""What is recorded of the experts at each evaluation, held against the policy itself."""

import json

import numpy as np
import pytest
import torch

from v3core.config import PolicyConfig
from v3core.environments import check_environment
from v3core.environments.batch import EnvironmentBatch
from v3core.environments.evaluation_seeds import EVALUATION_SEED
from v3core.insight.experts import StateMap, principal_axes
from v3core.policy import Gating, GATMoEPolicy
from v3core.training import expert_report as module
from v3core.training.checkpoint import load_checkpoint
from v3core.training.expert_report import StateSample, expert_report
from v3core.training.inference import evaluate, load_policy
from v3core.training.trainer import train

SPARSE = {"name": "sparse", "phases": [{"name": "only", "routing": "topk", "top_k": 1}]}


@pytest.fixture
def evaluated(small_run, recorder):
    """Trains a small run with an evaluation at its end; its newest checkpoint and what the hooks were given."""

    def make(env="CartPole-v1", **changes):
        config = small_run(env, **{"evaluate": 3, "curriculum": SPARSE} | changes)
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
        return hooks.saved[-1][0], hooks.evaluations[-1]

    return make


def visited(path, episodes):
    """All states of an evaluation with a checkpoint, and the policy."""
    loaded = load_policy(path)
    sample = StateSample(0, most=10**6)
    evaluate(loaded.backend, loaded.spec, episodes, sample=sample)
    return loaded.network, sample.states()


def test_what_the_experts_do_is_what_the_policy_says_of_the_states_of_the_evaluation(evaluated):
    path, evaluation = evaluated()
    report = evaluation.experts
    policy, (observations, _, places) = visited(path, 3)
    assert report.states == len(observations) == sum(played.length for played in evaluation.episodes)
    with torch.no_grad():
        output = policy(torch.from_numpy(observations))
    gates = output.gates.double() / output.gates.double().sum(1, keepdim=True)
    chances = output.expert_outputs.double().softmax(-1)
    for number, expert in enumerate(report.experts):
        used = gates[:, number]
        assert expert.load == pytest.approx(float(used.mean()), abs=1e-5)
        assert expert.hard_load == pytest.approx(float((gates.argmax(1) == number).double().mean()), abs=1e-6)
        assert expert.actions["probabilities"][0] == pytest.approx(chances[number].mean(0).tolist(), abs=1e-4)
        if used.sum() > 0:
            weighted = (used[:, None] * chances[number]).sum(0) / used.sum()
            assert expert.used_actions["probabilities"][0] == pytest.approx(weighted.tolist(), abs=1e-4)
        else:
            assert expert.used_actions is None
        for other in range(len(report.experts)):
            p, q = chances[number].numpy(), chances[other].numpy()
            divergence = 0.5 * (p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q))).sum(1)
            assert expert.distances[other] == pytest.approx(np.sqrt(divergence.clip(0)).mean(), abs=1e-4)
    assert sum(expert.load for expert in report.experts) == pytest.approx(1, abs=1e-4)
    assert {expert.used_actions is None for expert in report.experts} >= {False}
    # The map: every state with its episode, step and expert.
    assert list(zip(report.map.number, report.map.step, strict=True)) == [tuple(place) for place in places.tolist()]
    assert report.map.expert == tuple(gates.argmax(1).tolist())
    assert np.array(report.map.values) == pytest.approx(observations, rel=1e-4)
    assert len(report.map.gates) == report.states
    for place, kept in enumerate(report.map.gates):
        assert kept[0] == (report.map.expert[place], report.map.gate[place])
        assert dict(kept) == pytest.approx(
            {expert: gate for expert, gate in enumerate(gates[place].tolist()) if gate >= 0.0005}, abs=1e-3
        )
    assert (report.map.scenario, report.map.scenarios) == ((), ())
    assert StateMap.from_json(report.map.to_json()) == report.map


def test_a_state_has_the_scenario_of_its_episode(evaluated):
    _, evaluation = evaluated("BabyAI-GoToLocal-v0", evaluate=4, episodes=2)
    states = evaluation.experts.map
    named = {number: states.scenarios[place] for number, place in zip(states.number, states.scenario, strict=True)}
    spec = check_environment("BabyAI-GoToLocal-v0", allow_import=False)
    batch = EnvironmentBatch(spec, 4, EVALUATION_SEED, 0)
    assert named == dict(enumerate(batch.scenarios, 1))
    batch.close()


def test_maps_of_earlier_versions_are_read_and_odd_ones_are_not():
    old = {"x": [0, 1], "y": [0, 1], "expert": [0, 1], "gate": [1, 1], "number": [1, 1], "step": [0, 1]}
    old |= {"explained": [0.5, 0.2]}
    assert StateMap.from_json(json.dumps(old | {"unknown": 3})).gates == ()
    for odd in (
        {"gates": [[[0, 1]]]},
        {"gates": [[[0]], [[0]]]},
        {"features": ["a"], "values": [[1], [1, 2]]},
        {"values": [1, 2]},
        {"scenario": [0, 2], "scenarios": ["a", "b"]},
        {"scenario": [0, -1], "scenarios": ["a", "b"]},
        {"x": [0]},
        {"x": None},
    ):
        with pytest.raises(ValueError):  # noqa: PT011  what it says is not shown
            StateMap.from_json(json.dumps(old | odd))


def test_masks_and_shared_experts_count(evaluated, build_masked):
    """An expert never does what is forbidden, and always does what the shared experts add."""
    policy, sample, allowed, spec = build_masked
    report = expert_report(policy, sample, spec)
    for expert in report.experts:
        for value, possible in enumerate(allowed):
            assert (expert.actions["probabilities"][0][value] > 0) == possible
    silent = [expert.actions for expert in report.experts]
    with torch.no_grad():
        policy.shared.bias_out[0, 0, 0] += 5
    louder = expert_report(policy, sample, spec)
    for expert, before in zip(louder.experts, silent, strict=True):
        assert expert.actions["probabilities"][0][0] > before["probabilities"][0][0]


@pytest.fixture
def build_masked():
    """A policy with a shared expert over seven actions, of which two are forbidden in every state."""
    spec = check_environment("MiniGrid-Empty-5x5-v0", allow_import=False)
    torch.manual_seed(3)
    policy = GATMoEPolicy(spec, PolicyConfig(width=16, heads=4, layers=1, experts=3, shared_experts=1))
    allowed = np.array([True, True, True, False, True, True, False])
    sample = StateSample(0)
    random = np.random.default_rng(0)
    for step in range(10):
        seen = random.integers(0, 3, (2, spec.graph.size)).astype(spec.graph.dtype)
        sample.offer(seen, np.tile(allowed, (2, 1)), first=0, step=step)
    return policy, sample, allowed.tolist(), spec


def test_states_are_sampled_evenly_and_no_state_twice():
    counts = np.zeros(400)
    for seed in range(200):
        sample = StateSample(seed, most=20)
        for step in range(100):
            over = {3} if step >= 50 else ()
            rows = np.arange(4, dtype=np.float32)[:, None] * 100 + step
            sample.offer(rows, None, first=0, step=step, over=over)
        found, masks, places = sample.states()
        assert masks is None
        assert len(found) == 20 == len({tuple(place) for place in places.tolist()})
        assert (found[:, 0] == (places[:, 0] - 1) * 100 + places[:, 1]).all()
        assert places.tolist() == sorted(places.tolist())
        counts[found[:, 0].astype(int)] += 1
    assert counts[350:].sum() == 0  # after the end of that episode
    # Each of 350 states is expected 200 · 20 / 350 = 11.4 times; five deviations of a binomial are 16.
    assert abs(counts[:350] - 200 * 20 / 350).max() < 17


def test_a_sample_remembers_what_was_allowed_from_the_first_mask_on():
    sample = StateSample(0)
    sample.offer(np.zeros((2, 1), np.float32), None, first=0, step=0)
    sample.offer(np.zeros((2, 1), np.float32), np.array([[True, False], [False, True]]), first=0, step=1)
    _, masks, _ = sample.states()
    assert masks.tolist() == [[True, True], [True, False], [True, True], [False, True]]


def test_what_was_allowed_and_remembered_stays_with_its_state():
    sample = StateSample(0, most=20)
    for step in range(100):
        rows = np.arange(4, dtype=np.float32)[:, None] * 100 + step
        remembered = torch.from_numpy(np.tile(rows, (1, 3)))
        sample.offer(rows, np.concatenate([rows % 2 == 0, rows % 3 == 0], axis=1), remembered, first=16, step=step)
    memory = sample.memory()
    found, masks, places = sample.states()
    assert (memory == found).all()
    assert memory.shape == (20, 3)
    assert places.dtype == np.int64
    assert (masks == np.concatenate([found % 2 == 0, found % 3 == 0], axis=1)).all()
    assert (found[:, 0] == (places[:, 0] - 17) * 100 + places[:, 1]).all()


@pytest.mark.parametrize(("limit", "kept"), [(1000, 12), (1, 1)])
def test_of_large_observations_fewer_states_are_kept(monkeypatch, limit, kept):
    """Twice as many are held for a while; one is kept of the largest ones."""
    monkeypatch.setattr(module, "MAX_SAMPLE_BYTES", limit)
    sample = StateSample(0)
    for step in range(40):
        sample.offer(np.full((2, 10), step, np.float32), None, first=0, step=step)
    assert len(sample.states()[0]) == kept


def test_scenarios_of_episodes_that_begin_later_do_not_replace_those_before():
    sample = StateSample(0)
    sample.name(["left", "right"], first=0)
    sample.name(["", "up"], first=2)
    assert [sample.scenario(number) for number in range(6)] == ["", "left", "right", "", "up", ""]


@pytest.mark.parametrize(("gating", "used"), [(Gating(), 3), (Gating(routing="topk", top_k=1), 1)])
def test_in_a_single_state_an_expert_that_is_used_does_what_it_would_alone(gating, used):
    """However small its gate; of one that is not used nothing is said."""
    spec = check_environment("MiniGrid-Empty-5x5-v0", allow_import=False)
    torch.manual_seed(3)
    policy = GATMoEPolicy(spec, PolicyConfig(width=16, heads=4, layers=1, experts=3))
    policy.gating = gating
    sample = StateSample(0)
    sample.offer(np.ones((1, spec.graph.size), spec.graph.dtype), None, first=0, step=0)
    experts = expert_report(policy, sample, spec).experts
    assert sum(expert.load for expert in experts) == pytest.approx(1, abs=1e-5)
    assert max(expert.load for expert in experts) < 0.9 or used == 1
    assert sum(expert.used_actions is not None for expert in experts) == used
    for expert in experts:
        if expert.used_actions is not None:
            assert expert.used_actions["probabilities"][0] == pytest.approx(expert.actions["probabilities"][0])


@pytest.mark.parametrize("chunk", [1, 7, 19])
def test_states_are_computed_in_parts_to_the_same(build_masked, monkeypatch, chunk):
    policy, sample, _, spec = build_masked
    whole = expert_report(policy, sample, spec)
    monkeypatch.setattr(module, "_CHUNK", chunk)
    parts = expert_report(policy, sample, spec)
    assert (parts.states, parts.compared, parts.map.number, parts.map.step) == (
        20,
        20,
        whole.map.number,
        whole.map.step,
    )
    for one, other in zip(parts.experts, whole.experts, strict=True):
        assert one.load == pytest.approx(other.load, abs=1e-5)
        assert one.distances == pytest.approx(other.distances, abs=1e-3)
        assert one.actions["probabilities"][0] == pytest.approx(other.actions["probabilities"][0], abs=1e-3)


@pytest.mark.parametrize("experts", [1, 64])
def test_one_expert_and_many(evaluated, monkeypatch, experts):
    monkeypatch.setattr(module, "MAX_COMPARED_NUMBERS", 2016 * 2 * 40)
    _, evaluation = evaluated(experts=experts, evaluate=8)
    report = evaluation.experts
    assert len(report.experts) == experts
    assert {len(expert.distances) for expert in report.experts} == {experts}
    assert (report.compared, report.states > 40) == (report.states if experts == 1 else 40, True)
    distances = np.array([expert.distances for expert in report.experts])
    assert (distances == distances.T).all()
    assert (np.diag(distances) == 0).all()
    assert ((distances >= 0) & (distances <= 1)).all()
    assert experts == 1 or distances.max() > 0


def test_continuous_actions_have_distances_too(evaluated):
    _, evaluation = evaluated("Pendulum-v1", episodes=2, rollout_steps=128, evaluate=2)
    for expert in evaluation.experts.experts:
        assert set(expert.actions) == {"mean", "deviation"}
        assert -2 <= expert.actions["mean"][0] <= 2
    assert 0 < max(evaluation.experts.experts[0].distances) < 1


def test_states_that_are_no_numbers_are_left_out():
    spec = check_environment("CartPole-v1", allow_import=False)
    policy = GATMoEPolicy(spec, PolicyConfig(width=8, heads=1, layers=1, experts=2))
    sample = StateSample(0)
    sample.offer(np.array([[0, 0, 0, 0], [np.nan] * 4], np.float32), None, first=0, step=0)
    assert expert_report(policy, sample, spec).states == 1
    nothing = StateSample(0)
    assert expert_report(policy, nothing, spec) is None
    nothing.offer(np.full((2, 4), np.nan, np.float32), None, first=0, step=0)
    assert expert_report(policy, nothing, spec) is None


def test_it_is_the_same_whatever_else_was_drawn_and_changes_nothing(evaluated):
    """Neither torch's global generator nor numpy's has a part in it, and it moves no weight and no generator."""
    path, evaluation = evaluated()
    torch.manual_seed(123)
    np.random.seed(5)
    state = torch.random.get_rng_state()
    again_path, again = evaluated()
    assert again == evaluation
    assert torch.equal(torch.random.get_rng_state(), state)
    one, other = load_checkpoint(path), load_checkpoint(again_path)
    assert all(torch.equal(one["policy"][name], other["policy"][name]) for name in one["policy"])


def test_the_axes_are_the_principal_ones():
    random = np.random.default_rng(0)
    points = random.normal(size=(300, 2)) @ np.array([[5.0, 0, 0, 0], [0, 0, 2.0, 0]]) + 3
    found, explained = principal_axes(points)
    assert found[:, 0] == pytest.approx(points[:, 0] - points[:, 0].mean(), abs=0.2)
    assert explained[0] == pytest.approx(25 / 29, abs=0.05)
    assert sum(explained) == pytest.approx(1)
    turned, _ = principal_axes(points[::-1])
    assert turned[::-1] == pytest.approx(found)
    for few in (points[:1], points[:, :1], np.ones((5, 3))):
        flat, shares = principal_axes(few)
        assert flat.shape == (len(few), 2)
        assert np.isfinite(flat).all()
        assert np.isfinite(shares).all()
