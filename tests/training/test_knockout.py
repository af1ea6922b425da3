"""Episodes without an expert: its gate is 0, the others share its weight, and nothing else changes."""

import gymnasium
import pytest
import torch

from tests.environments.scored import Scored
from tests.training.conftest import ONE_PHASE
from v3core.config import EvaluationConfig, PolicyConfig
from v3core.environments import check_environment
from v3core.errors import V3Error
from v3core.insight.removals import ALL_EXPERTS
from v3core.interruption import Interrupted
from v3core.policy import Gating, GATMoEPolicy
from v3core.training import knockout
from v3core.training.eager import EagerBackend
from v3core.training.inference import load_policy
from v3core.training.knockout import WithoutExperts, episodes_at_end, gates_without, knock_out
from v3core.training.trainer import train

ROUTINGS = [
    Gating("softmax"),
    Gating("sparsemax", temperature=0.05),
    Gating("entmax15", temperature=0.1),
    Gating("topk", top_k=1),
    Gating("topk", top_k=2, top_k_weights="probabilities"),
    Gating("topk", top_k=3, top_k_weights="sigmoid"),
    Gating("gumbel"),
]


@pytest.fixture
def policy():
    torch.manual_seed(0)
    spec = check_environment("CartPole-v1", allow_import=False)
    policy = GATMoEPolicy(spec, PolicyConfig(width=8, heads=1, layers=1, experts=4, shared_experts=1))
    with torch.no_grad():
        policy.router.weight *= 20
        policy.experts.weight_out *= 100
    return policy


@pytest.mark.parametrize("gating", ROUTINGS, ids=lambda gating: f"{gating.routing}-{gating.top_k_weights}")
def test_the_others_are_renormalised_or_chosen_among(policy, gating):
    policy.gating = gating
    output = policy(torch.randn(200, 4))
    gates = output.gates
    for expert in range(4):
        found = gates_without(policy, torch.full((200,), expert), gates, output.router_logits)
        assert (found[:, expert] == 0).all()
        others = [other for other in range(4) if other != expert]
        alone = gates[:, others].sum(1) == 0
        torch.testing.assert_close(found[~alone].sum(1), gates[~alone].sum(1))
        # The others keep their proportions.
        for one in others:
            for other in others:
                torch.testing.assert_close(
                    found[~alone, one] * gates[~alone, other], found[~alone, other] * gates[~alone, one]
                )
        # Where it had all the weight, the routing chooses among the others: the best of them takes part.
        best = output.router_logits[:, others].argmax(1)
        assert (found[alone][:, others].argmax(1) == best[alone]).all()
        assert (found[alone].sum(1) > 0).all()
        untouched = gates[:, expert] == 0
        torch.testing.assert_close(found[untouched], gates[untouched])
    if gating.routing == "topk" and gating.top_k == 1:
        assert ((gates > 0).sum(1) == 1).all(), "so that the case above was met"


def test_each_part_of_a_batch_acts_without_its_expert(policy):
    """As a policy whose router never heard of it; the shared expert stays."""
    observations = torch.randn(50, 4)
    backend = EagerBackend(policy, None, None)
    acted = WithoutExperts(backend, [ALL_EXPERTS, 1, 3]).act(observations.repeat(3, 1))
    expected = [policy(observations).outputs]
    for expert in (1, 3):
        bias = policy.router.bias.detach().clone()
        with torch.no_grad():
            policy.router.bias[expert] = -1e9
        expected.append(policy(observations).outputs)
        policy.router.bias.data = bias
    torch.testing.assert_close(acted.outputs, torch.cat(expected))
    assert not torch.allclose(*expected[1:], rtol=0.1)


@pytest.mark.parametrize("bias", [False, True])
def test_experts_are_removed_side_by_side_as_one_by_one(policy, bias):
    policy.gating = Gating("topk", top_k=1)
    policy.uses_bias = bias
    policy.expert_bias[:] = torch.randn(4)
    output = policy(torch.randn(200, 4))
    removed = torch.arange(200) % 5 - 1
    found = gates_without(policy, removed, output.gates, output.router_logits)
    for expert in range(-1, 4):
        rows = removed == expert
        alone = gates_without(policy, removed[rows], output.gates[rows], output.router_logits[rows])
        torch.testing.assert_close(found[rows], alone)
        if expert == ALL_EXPERTS:
            torch.testing.assert_close(found[rows], output.gates[rows])


@pytest.fixture
def trained(small_run, recorder):
    def make(knockout=0, **changes):
        config = small_run(**{"evaluate": 2, "curriculum": None} | changes)
        config = config.model_copy(update={"evaluation": EvaluationConfig(episodes=2, knockout=knockout)})
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
        return hooks.saved[-1][0], hooks

    return make


def test_an_expert_that_is_never_used_changes_no_episode(trained):
    path, _ = trained()
    policy = load_policy(path)
    policy.network.gating = Gating("topk", top_k=1)
    with torch.no_grad():
        policy.network.router.bias[0] += 1e6  # all weight on the first, 0 on the others
    played = knock_out(policy.backend, policy.spec, 5)
    assert played.keys() == {ALL_EXPERTS, 0, 1, 2, 3}
    assert played[1] == played[2] == played[3] == played[ALL_EXPERTS]
    with torch.no_grad():  # the next best now does the opposite of the first
        experts = policy.network.experts
        experts.bias_out[0, 0], experts.bias_out[1, 0] = torch.tensor([9.0, -9.0]), torch.tensor([-9.0, 9.0])
        policy.network.router.bias[1] += 1e3
    played = knock_out(policy.backend, policy.spec, 5)
    assert played[0] != played[ALL_EXPERTS]
    assert played[1] == played[ALL_EXPERTS]


@pytest.mark.parametrize("sampled", [False, True])
def test_all_play_the_same_episodes_however_many_are_side_by_side(trained, monkeypatch, sampled):
    """They begin alike, and chance is the same for all: without an expert that is never used nothing differs."""
    path, _ = trained()
    policy = load_policy(path)
    policy.network.gating = Gating("topk", top_k=1)
    with torch.no_grad():
        policy.network.router.bias[0] += 1e6
    at_once = knock_out(policy.backend, policy.spec, 18, sampled=sampled)
    assert at_once[1] == at_once[2] == at_once[3] == at_once[ALL_EXPERTS]
    assert at_once[0] != at_once[ALL_EXPERTS]
    assert [one.number for one in at_once[2]] == list(range(1, 19))
    assert at_once[ALL_EXPERTS] == policy.evaluate(18, sampled=sampled)
    monkeypatch.setattr(knockout, "_SIDE_BY_SIDE", 33)
    assert knock_out(policy.backend, policy.spec, 18, sampled=sampled) == at_once


def test_of_several_tasks_all_play_the_same_however_many_episodes(trained):
    """More than are side by side, whose number is no multiple of the tasks."""
    for longest in (2, 3, 5):
        gymnasium.register(f"UpTo{longest}-v0", entry_point=Scored, kwargs={"longest": longest})
    policy = load_policy(trained(env="UpTo2-v0 + UpTo3-v0 + UpTo5-v0", curriculum=ONE_PHASE)[0])
    played = knock_out(policy.backend, policy.spec, 36)
    assert list(played[ALL_EXPERTS]) == list(policy.evaluate(12)), "12 of each task"
    assert len({episode.task for episode in played[0]}) == 3
    assert [episode.task for episode in played[0]] == [episode.task for episode in played[ALL_EXPERTS]]


def test_a_stop_ends_it(trained):
    policy = load_policy(trained()[0])
    with pytest.raises(Interrupted):
        knock_out(policy.backend, policy.spec, 3, interrupted=lambda: True)


def test_a_run_knocks_out_at_its_end_if_asked_and_trains_the_same(trained):
    _, without = trained()
    path, hooks = trained(knockout=3)
    assert without.evaluations[-1].knockouts == {}
    knockouts = hooks.evaluations[-1].knockouts
    assert knockouts.keys() == {ALL_EXPERTS, 0, 1, 2, 3}
    assert {len(played) for played in knockouts.values()} == {3}
    assert without.episodes == hooks.episodes
    assert without.evaluations[-1].episodes == hooks.evaluations[-1].episodes
    policy = load_policy(path)
    assert knock_out(policy.backend, policy.spec, 3) == knockouts


def test_of_two_experts_each_can_be_removed(trained):
    path, hooks = trained(knockout=3, experts=2)
    played = hooks.evaluations[-1].knockouts
    assert played.keys() == {ALL_EXPERTS, 0, 1}
    policy = load_policy(path)
    assert knock_out(policy.backend, policy.spec, 3) == played


def test_what_normalises_observations_may_have_changed_since(trained):
    policy = load_policy(trained()[0])
    before = knock_out(policy.backend, policy.spec, 3)
    with torch.no_grad():
        policy.backend.parameters.values.mul_(3)
    policy.network.tokens.update_normalisation(torch.full((10_000, 4), 3.0))
    played = knock_out(policy.backend, policy.spec, 3)
    assert played[ALL_EXPERTS] == policy.evaluate(3) != before[ALL_EXPERTS]


def test_a_run_that_does_not_say_plays_ten_or_a_fifth_of_its_episodes(trained):
    _, hooks = trained(knockout=None, episodes=60)
    assert {len(played) for played in hooks.evaluations[-1].knockouts.values()} == {60 // 5 // 5}
    _, short = trained(knockout=None, episodes=49)
    assert short.evaluations[-1].knockouts == {}, "one episode would show nothing"
    of = episodes_at_end
    assert [of(None, trained=260, experts=4), of(None, trained=4000, experts=4)] == [10, 10]
    assert [of(None, trained=1000, experts=64), of(None, trained=260, experts=1)] == [3, 0]
    assert [of(7, trained=12, experts=4), of(0, trained=260, experts=4), of(7, trained=260, experts=1)] == [7, 0, 0]


def test_torch_and_the_library_look_alike(trained):
    policy = load_policy(trained()[0])
    observations = torch.randn(30, 4)
    eager = EagerBackend(policy.network, policy.backend.parameters, policy.backend.optimizer)
    assert type(policy.backend) is not EagerBackend
    with torch.inference_mode():
        found, expected = policy.backend.look(observations), eager.look(observations)
        for name in ("outputs", "values", "gates", "router_logits", "expert_outputs"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), msg=name)
        torch.testing.assert_close(found.outputs, policy.backend.act(observations).outputs)


def test_one_expert_cannot_be_removed(trained):
    path, hooks = trained(knockout=3, experts=1)
    assert hooks.evaluations[-1].knockouts == {}
    policy = load_policy(path)
    with pytest.raises(V3Error, match="only one expert"):
        knock_out(policy.backend, policy.spec, 1)
