"""Statistics of episodes against a plain loop, and of returns against numpy."""

import dataclasses
from itertools import pairwise, permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from v3core.training.statistics import EpisodeStatistics, RecentRouting, ReturnScale, explained_variance


def rollout_of(gates, ended):
    """A rollout of rewards 0, of which only this is known."""
    return SimpleNamespace(gates=gates, rewards=np.zeros(ended.shape), ended=ended, successes={}, tasks={}, facts={})


def random_rollout(random, steps, environments, experts):
    gates = random.dirichlet(np.full(experts, 0.5), (steps, environments))
    gates[random.random(gates.shape) < 0.2] = 0
    gates[..., 0] += 1 - gates.sum(2)
    return SimpleNamespace(
        gates=torch.from_numpy(gates),
        successes={},
        tasks={},
        facts={},
        rewards=random.normal(size=(steps, environments)),
        ended=random.random((steps, environments)) < 0.3,
    )


def persistence(winners):
    """Kappa of the experts of an episode, with the chance counted over all pairs of two different steps."""
    pairs = [one == other for place, one in enumerate(winners) for other in winners[place + 1 :]]
    if not pairs or all(pairs):
        return np.nan
    kept, chance = np.mean([one == other for one, other in pairwise(winners)]), np.mean(pairs)
    return (kept - chance) / (1 - chance)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 4), st.integers(0, 9999))
def test_an_episode_is_summed_over_its_own_steps_across_rollouts(lengths, environments, experts, seed):
    random = np.random.default_rng(seed)
    statistics = EpisodeStatistics(environments, experts)
    own_steps = [[] for _ in range(environments)]
    for steps in lengths:
        rollout = random_rollout(random, steps, environments, experts)
        found = iter(statistics.finished(rollout))
        for step in range(steps):
            for env in range(environments):
                own_steps[env].append((rollout.rewards[step, env], rollout.gates[step, env].numpy()))
                if not rollout.ended[step, env]:
                    continue
                rewards, gates = zip(*own_steps[env], strict=True)
                own_steps[env] = []
                steps_into_rollout, episode = next(found)
                assert steps_into_rollout == (step + 1) * environments
                assert episode.length == len(rewards)
                assert episode.return_ == pytest.approx(sum(rewards))
                assert episode.loads == pytest.approx(np.mean(gates, axis=0))
                assert sum(episode.loads) == pytest.approx(1)
                winners = [gate.argmax() for gate in gates]
                assert episode.hard_loads == pytest.approx([winners.count(e) / len(winners) for e in range(experts)])
                entropies = [-sum(p * np.log(p) for p in gate if p > 0) for gate in gates]
                assert episode.routing_entropy == pytest.approx(np.mean(entropies))
                loads = np.mean(gates, axis=0)
                of_loads = -sum(load * np.log(load) for load in loads if load > 0)
                assert episode.load_entropy == pytest.approx(of_loads)
                assert episode.specialisation == pytest.approx(of_loads - np.mean(entropies), abs=1e-9)
                assert episode.effective_experts == pytest.approx(np.exp(of_loads))
                assert episode.support == pytest.approx(np.mean([(gate > 0).sum() for gate in gates]))
                assert episode.load_cv == pytest.approx(loads.std() / loads.mean())
                gaps = [np.diff(np.sort(gate)[-2:]) for gate in gates] if experts > 1 else [[np.nan]]
                close = np.mean([gap[0] < 0.05 for gap in gaps]) if experts > 1 else np.nan
                assert episode.close_choice_share == pytest.approx(close, nan_ok=True)
                assert episode.expert_persistence == pytest.approx(persistence(winners), nan_ok=True)
                assert episode.dead_experts == sum(load < 0.01 for load in loads)
        assert next(found, None) is None


def test_gates_that_do_not_sum_to_1_count_by_their_shares():
    """As those of top-k whose weights are `probabilities`."""
    random = np.random.default_rng(4)
    rollout = random_rollout(random, 30, 2, 3)
    less = rollout.gates * torch.from_numpy(random.uniform(0.2, 1, (30, 2, 1)))
    smaller = SimpleNamespace(**vars(rollout) | {"gates": less})
    for (_, found), (_, wanted) in zip(
        EpisodeStatistics(2, 3).finished(smaller), EpisodeStatistics(2, 3).finished(rollout), strict=True
    ):
        assert found.loads == pytest.approx(wanted.loads)
        assert found.routing_entropy == pytest.approx(wanted.routing_entropy)
        assert found.close_choice_share == wanted.close_choice_share


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 9999))
def test_the_return_scale_is_the_deviation_of_all_targets(sizes, seed):
    random = np.random.default_rng(seed)
    batches = [random.normal(7, 3, size) for size in sizes]
    scale = ReturnScale()
    assert scale.scale == 1
    for batch in batches:
        scale.update(batch)
    assert scale.scale == pytest.approx(max(np.concatenate(batches).std(), 1e-2))


def test_targets_that_are_all_alike_do_not_blow_rewards_up():
    scale = ReturnScale()
    scale.update(np.zeros(100))
    assert scale.scale >= 1e-2


def test_the_return_scale_survives_a_checkpoint():
    scale, restored = ReturnScale(), ReturnScale()
    scale.update(np.arange(10.0))
    restored.load_state_dict(scale.state_dict())
    assert restored.scale == scale.scale


def test_explained_variance():
    targets = np.array([1.0, 2.0, 3.0, 4.0])
    assert explained_variance(targets, targets) == 1
    assert explained_variance(np.full(4, 2.5), targets) == 0
    assert explained_variance(-targets, targets) == pytest.approx(-3)
    assert np.isnan(explained_variance(targets, np.ones(4)))


def test_success_is_recorded_where_the_environment_says_so():
    statistics = EpisodeStatistics(2, 2)
    rollout = SimpleNamespace(
        gates=torch.full((1, 2, 2), 0.5),
        rewards=np.zeros((1, 2)),
        ended=np.array([[True, True]]),
        successes={(0, 1): True},
        tasks={(0, 1): "B"},
        facts={(0, 0): {"score": 3.0, "cause": "time limit"}},
    )
    episodes = [episode for _, episode in statistics.finished(rollout)]
    assert [episode.success for episode in episodes] == [None, 1.0]
    assert [episode.task for episode in episodes] == [None, "B"]
    assert [episode.facts for episode in episodes] == ['{"score": 3, "cause": "time limit"}', None]


def test_steps_acted_in_the_phase_before_are_reported():
    """A phase begins after three steps: the first environment has two steps under way then, the second none."""
    statistics = EpisodeStatistics(2, 2)

    def rollout(*ends):
        ended = np.array(ends, dtype=np.bool_)
        gates = torch.full((*ended.shape, 2), 0.5)
        return rollout_of(gates, ended)

    first = statistics.finished(rollout((1, 0), (0, 0), (0, 1)))
    statistics.begin_phase()
    second = statistics.finished(rollout((0, 1), (1, 0), (1, 0)))
    assert [(episode.length, episode.phase_steps) for _, episode in first] == [(1, 1), (3, 3)]
    assert [(episode.length, episode.phase_steps) for _, episode in second] == [(1, 1), (4, 2), (1, 1)]


def test_nothing_is_known_of_the_routing_of_an_observation_that_is_no_number():
    gates = torch.full((2, 1, 2), 0.5)
    gates[0] = float("nan")
    rollout = rollout_of(gates, np.array([[False], [True]]))
    ((_, episode),) = EpisodeStatistics(1, 2).finished(rollout)
    assert np.isnan([episode.routing_entropy, episode.support, episode.load_cv, *episode.loads]).all()
    assert np.isnan([*episode.hard_loads, episode.load_entropy, episode.specialisation]).all()
    assert episode.dead_experts is None


def played(experts, count=3):
    """A rollout of one environment and one episode, in which these experts have the largest gate."""
    gates = torch.from_numpy(0.9 * np.eye(count)[np.array(experts)] + 0.1 / count)[:, None]
    ended = np.arange(len(experts))[:, None] == len(experts) - 1
    return rollout_of(gates, ended)


def persistence_of(experts):
    ((_, episode),) = EpisodeStatistics(1, 3).finished(played(experts))
    return episode.expert_persistence


def test_persistence_is_1_kept_0_by_chance_and_negative_if_avoided():
    assert persistence_of([0] * 50 + [1] * 50) == pytest.approx(1, abs=0.03)
    assert persistence_of([0, 1] * 50) == pytest.approx(-1, abs=0.03)
    assert np.mean([persistence_of(order) for order in permutations([0, 0, 0, 1, 1, 2])]) == pytest.approx(0, abs=1e-12)
    assert np.isnan([persistence_of([2, 2, 2]), persistence_of([1])]).all()


def test_a_checkpoint_of_before_leaves_the_persistence_of_its_episodes_unknown():
    """Those in progress; the next ones are known. A checkpoint of now continues where it was."""
    experts = [0, 0, 1, 1, 1]
    whole = persistence_of(experts)
    statistics = EpisodeStatistics(1, 3)
    rollout = played(experts)
    first = SimpleNamespace(**vars(rollout) | {name: vars(rollout)[name][:2] for name in ("gates", "rewards", "ended")})
    rest = SimpleNamespace(**vars(rollout) | {name: vars(rollout)[name][2:] for name in ("gates", "rewards", "ended")})
    assert statistics.finished(first) == []
    state = statistics.state_dict()
    older = {**state, "under_way": {name: sums for name, sums in state["under_way"].items() if name != "kept"}}
    del older["newest_expert"]
    for kept, known in ((state, True), (older, False)):
        resumed = EpisodeStatistics(1, 3)
        resumed.load_state_dict(kept)
        ((_, episode),) = resumed.finished(rest)
        assert episode.expert_persistence == pytest.approx(whole if known else np.nan, nan_ok=True)
        assert episode.hard_loads == pytest.approx((0.4, 0.6, 0.0))
        ((_, following),) = resumed.finished(rollout)
        assert following.expert_persistence == pytest.approx(whole)


def episodes_of(*each):
    """Episodes of one environment and three experts, each a list of the experts that have all of the gate."""
    statistics, found = EpisodeStatistics(1, 3), []
    for experts in each:
        gates = torch.from_numpy(np.eye(3)[np.array(experts)])[:, None]
        ended = np.arange(len(experts))[:, None] == len(experts) - 1
        said = {"successes": {}, "tasks": {}, "facts": {}}
        rollout = SimpleNamespace(gates=gates, rewards=np.zeros(ended.shape), ended=ended, **said)
        found += [episode for _, episode in statistics.finished(rollout)]
    return found


def counted(recent, episodes):
    """The values of all of them, one after the other."""
    return [recent.add(episode) for episode in episodes]


def test_an_expert_is_dead_by_the_steps_of_a_window_not_by_those_of_each_episode():
    """Each episode uses one expert. Expert 2 has a third of the episodes, but 4 of 808 steps: it is dead."""
    recent = RecentRouting()
    episodes = episodes_of(*[[0] * 100, [1] * 100, [2]] * 4)
    assert {episode.dead_experts for episode in episodes} == {2}
    assert [each["recent_dead_experts"] for each in counted(recent, episodes)] == [None] * 9 + [1] * 3
    assert recent.add(episodes_of([2] * 5)[0])["recent_dead_experts"] == 0  # now 9 of 809


def test_specialisation_between_episodes_is_seen_by_the_pooled_value_alone():
    episodes = episodes_of(*[[0] * 10, [1] * 30] * 5)
    assert {episode.specialisation for episode in episodes} == {0}
    expected = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert counted(RecentRouting(), episodes)[-1]["recent_specialisation"] == pytest.approx(expected)


def test_the_window_of_routing_survives_a_checkpoint_and_does_not_count_what_is_no_number():
    before, (two, three) = episodes_of(*[[0] * 4] * 9), episodes_of([1, 1, 2], [2] * 2)
    recent, resumed = RecentRouting(), RecentRouting()
    counted(recent, before)
    resumed.load(recent.state())
    assert resumed.add(two) == recent.add(two)
    broken = recent.add(dataclasses.replace(three, loads=(np.nan,) * 3, routing_entropy=np.nan))
    assert broken["recent_dead_experts"] is None
    assert np.isnan(broken["recent_specialisation"])


def test_the_window_of_routing_is_the_newest_hundred_episodes_of_the_phase_in_force():
    recent = RecentRouting()
    of_one, of_two = episodes_of(*[[0] * 4] * 20), episodes_of(*[[1] * 4] * 110)
    values = [each["recent_dead_experts"] for each in counted(recent, [*of_one, *of_two])]
    assert values[19:119] == [2] + [1] * 99
    assert values[119:] == [2] * 11
    recent.begin_phase()
    assert [each["recent_dead_experts"] for each in counted(recent, of_one[:11])] == [None] * 9 + [2] * 2


def test_an_episode_that_began_in_another_phase_is_in_no_window():
    """Its steps before the boundary would keep an expert alive that the phase has none for."""
    recent, (own, straddling) = RecentRouting(), episodes_of([0] * 4, [1] * 40)
    straddling = dataclasses.replace(straddling, phase_steps=3)
    assert recent.add(straddling)["recent_dead_experts"] is None
    values = [each["recent_dead_experts"] for each in counted(recent, [own] * 9 + [straddling, own, straddling])]
    assert values == [None] * 10 + [2] * 2
