"""One update: every part of the network learns, and nothing is learned from too little or from nonsense."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from v3core.config import PPOConfig
from v3core.environments import check_environment
from v3core.policy import Gating
from v3core.training import eager
from v3core.training.eager import node_distance
from v3core.training.losses import ROUTING_LOSSES, Samples, clipped_policy_loss, load_balance_loss, value_loss
from v3core.training.ppo import LEAST_DEVIATION, NonFiniteUpdateError, normalised, update
from v3core.training.state import TrainingState

ENVIRONMENTS = ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"]
COEFFICIENTS = {"load_balance": 0.02, "entropy": 0.01}
CONFIG = PPOConfig(environments=4, rollout_steps=16, minibatch=64, epochs=1)


@pytest.fixture
def prepared(small_run):
    """Makes a state and 64 samples that fit it."""

    def build(env, routing="softmax", count=64, **gating):
        spec = check_environment(env, allow_import=False)
        state = TrainingState(small_run(env), spec)
        state.policy.gating = Gating(routing=routing, **gating)
        generator = torch.Generator().manual_seed(0)
        if env == "CartPole-v1":
            observations = torch.randn(count, 4, generator=generator)
        else:
            observations = torch.randint(0, 4, (count, spec.graph.size), generator=generator, dtype=torch.uint8)
        noise = state.policy.routing_noise((count,), generator)
        with torch.no_grad():
            output = state.policy(observations, noise)
            actions = state.policy.actions.sample(output.outputs, state.policy.actions.noise((count,), generator))
            log_probs, _ = state.policy.actions.log_prob_and_entropy(output.outputs, actions)
        advantages, targets = torch.randn(2, count, generator=generator)
        successors = torch.arange(1, count + 1)
        successors[-1] = -1
        return state, Samples(
            observations, actions, log_probs, normalised(advantages), targets, output.gates, noise, successors
        )

    return build


def far_from_balance(state):
    """Sharp gates and experts that differ, so that every term of the routing has something to say."""
    with torch.no_grad():
        state.policy.router.weight *= 20
        state.policy.experts.weight_out *= 100


def learn(state, samples, config=CONFIG, coefficients=COEFFICIENTS):
    return update(state.backend, samples, coefficients, config, state.random)


@pytest.mark.parametrize("routing", ["softmax", "sparsemax"])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_one_update_reaches_every_parameter(prepared, env, routing):
    state, samples = prepared(env, routing)
    before = {name: parameter.detach().clone() for name, parameter in state.policy.named_parameters()}
    learn(state, samples)
    for name, parameter in state.policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, f"{name} gets no gradient"
        assert not torch.equal(before[name], parameter), f"{name} did not move"


@pytest.mark.parametrize("routing", ["softmax", "sparsemax"])
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_at_the_first_gradient_step_the_policy_is_the_one_that_acted(prepared, env, routing):
    state, samples = prepared(env, routing)
    statistics = learn(state, samples)
    assert statistics.approx_kl == pytest.approx(0, abs=1e-6)
    assert statistics.clip_fraction == 0
    assert statistics.policy_loss == pytest.approx(-samples.advantages.mean().item(), abs=1e-6)


def test_later_passes_move_away_from_it(prepared):
    state, samples = prepared("CartPole-v1")
    statistics = learn(state, samples, CONFIG.model_copy(update={"epochs": 20}))
    assert statistics.approx_kl > 1e-5


def test_the_total_is_the_sum_of_its_terms(prepared):
    state, samples = prepared("CartPole-v1")
    found = learn(state, samples)
    assert found.total_loss == pytest.approx(
        found.policy_loss + 0.5 * found.value_loss + found.load_balance_loss - 0.01 * found.action_entropy, abs=1e-6
    )
    assert found.action_entropy == pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize(("count", "steps"), [(64, 40), (60, 40), (33, 20), (8, 5), (1, 1)])
def test_a_rollout_cut_short_gets_proportionally_fewer_gradient_steps(prepared, count, steps):
    config = CONFIG.model_copy(update={"epochs": 10, "minibatch": 16})
    state, samples = prepared("CartPole-v1", count=count)
    learn(state, samples, config)
    assert state.optimizer.moments["step"] == steps


def test_every_sample_is_seen_once_a_pass_and_minibatches_are_even(prepared, monkeypatch):
    state, samples = prepared("CartPole-v1", count=37)
    seen = []
    original = state.backend.gradient_step
    monkeypatch.setattr(
        state.backend, "gradient_step", lambda s, c, *rest: seen.append(s.observations[c]) or original(s, c, *rest)
    )
    learn(state, samples, CONFIG.model_copy(update={"minibatch": 10, "environments": 1, "rollout_steps": 37}))
    assert sorted(len(batch) for batch in seen) == [9, 9, 9, 10]
    assert sorted(torch.cat(seen)[:, 0].tolist()) == sorted(samples.observations[:, 0].tolist())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["advantages", "targets"])
def test_an_update_that_is_not_finite_is_undone_without_a_trace(prepared, field, value):
    """Policy, normalisation and Adam's moments are those of the last good update."""
    state, samples = prepared("CartPole-v1")
    learn(state, samples)
    kept = state.snapshot()
    before = copy.deepcopy(state.state_dict())
    with pytest.raises(NonFiniteUpdateError):
        learn(state, dataclasses.replace(samples, **{field: torch.full((64,), value)}))
    assert not torch.isfinite(state.parameters.values).all()
    state.rollback_update(kept)
    for part in ("policy", "return_scale"):
        torch.testing.assert_close(state.state_dict()[part], before[part], rtol=0, atol=0)
    moments, kept = (dictionary["optimizer"]["state"][0] for dictionary in (state.state_dict(), before))
    torch.testing.assert_close(moments, kept, rtol=0, atol=0)
    assert math.isfinite(learn(state, samples).total_loss)


def test_an_undone_first_update_leaves_a_fresh_optimiser(prepared):
    state, samples = prepared("CartPole-v1")
    kept = state.snapshot()
    with pytest.raises(NonFiniteUpdateError):
        learn(state, dataclasses.replace(samples, targets=torch.full((64,), math.nan)))
    state.rollback_update(kept)
    assert not any(moment.any() for moment in state.optimizer.moments.values())


TERMS = {
    "load_balance": "load_balance_loss",
    "expert_balance": "expert_balance_loss",
    "z_loss": "router_z_loss",
    "diversity": "diversity_loss",
    "consistency": "consistency_loss",
    "gate_entropy": "gate_entropy_loss",
}


@pytest.mark.parametrize("routing", ["softmax", "sparsemax", "topk"])
@pytest.mark.parametrize("coefficient", TERMS)
def test_each_coefficient_adds_its_own_loss_and_no_other(prepared, routing, coefficient):
    state, samples = prepared("CartPole-v1", routing)
    far_from_balance(state)
    found = learn(state, samples, coefficients={coefficient: 0.5})
    for name, term in TERMS.items():
        assert (getattr(found, term) != 0) == (name == coefficient), term
    added = getattr(found, TERMS[coefficient])
    assert found.total_loss == pytest.approx(found.policy_loss + 0.5 * found.value_loss + added, abs=1e-5)


def test_a_loss_is_found_and_reported_by_its_knobs_name_wherever_it_stands(prepared, monkeypatch):
    """A new one is minimised times its knob's value; no number moves to another name because of it."""
    state, samples = prepared("CartPole-v1")
    far_from_balance(state)
    every, chosen = dict.fromkeys((*ROUTING_LOSSES, "sharpness"), 0.5), torch.arange(64)
    before, expected = state.backend.loss(samples, chosen, every, CONFIG)
    changed = {"sharpness": lambda routed: routed.output.gates.amax(1).mean(), **dict(reversed(ROUTING_LOSSES.items()))}
    monkeypatch.setattr(eager, "ROUTING_LOSSES", changed)
    total, found = state.backend.loss(samples, chosen, every, CONFIG)
    added = found.pop("sharpness_loss").item()
    assert added == pytest.approx(0.5 * state.policy(samples.observations).gates.amax(1).mean().item(), rel=1e-5)
    assert total.item() == pytest.approx(before.item() + added, rel=1e-5)
    assert found.pop("total_loss") == total
    assert found.keys() == expected.keys() - {"total_loss"}
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], msg=name)


def load_deviation(output):
    return output.gates.mean(0).std().item()


def mean_gate_entropy(output):
    return torch.special.entr(output.gates).sum(1).mean().item()


def change_of_gates(output):
    return (output.gates[1:] - output.gates[:-1]).square().sum(1).mean().item()


def size_of_logits(output):
    return output.router_logits.logsumexp(1).square().mean().item()


def difference_of_experts(output):
    return output.expert_outputs.softmax(2).std(0).mean().item()


def action_entropy(output):
    return torch.special.entr(output.outputs.softmax(1)).sum(1).mean().item()


@pytest.mark.parametrize(
    ("coefficient", "value", "measure", "routing", "rises"),
    [
        ("load_balance", 1.0, load_deviation, "softmax", False),
        ("expert_balance", 1.0, load_deviation, "topk", False),
        ("expert_balance", 1.0, load_deviation, "softmax", False),
        ("z_loss", 1.0, size_of_logits, "softmax", False),
        ("diversity", 1.0, difference_of_experts, "softmax", True),
        ("consistency", 1.0, change_of_gates, "softmax", False),
        ("gate_entropy", 0.5, mean_gate_entropy, "softmax", True),
        ("gate_entropy", -0.5, mean_gate_entropy, "softmax", False),
        ("entropy", 0.5, action_entropy, "softmax", True),
    ],
)
def test_each_coefficient_changes_what_it_is_about(prepared, coefficient, value, measure, routing, rises):
    """Gradient steps on one term alone."""
    state, samples = prepared("CartPole-v1", routing)
    far_from_balance(state)
    silent = dataclasses.replace(samples, advantages=torch.zeros(64))
    config = CONFIG.model_copy(update={"epochs": 100, "value_coefficient": 0.0})
    before = measure(state.policy(samples.observations))
    learn(state, silent, config, {coefficient: value})
    after = measure(state.policy(samples.observations))
    assert after > before * 1.02 if rises else after < before * 0.98, (before, after)


def test_consistency_compares_steps_that_really_followed(prepared):
    """Not shuffled neighbours: without successors there is nothing to compare."""
    state, samples = prepared("CartPole-v1")
    alone = dataclasses.replace(samples, successors=torch.full((64,), -1))
    assert learn(state, alone, coefficients={"consistency": 1.0}).consistency_loss == 0
    expected = (samples.gates[1:] - samples.gates[:-1]).square().sum(1).mean().item()
    state, samples = prepared("CartPole-v1")
    found = learn(state, samples, coefficients={"consistency": 1.0}).consistency_loss
    assert found == pytest.approx(expected, rel=1e-3)


def test_expert_gradient_norms_are_those_of_each_expert_before_clipping(prepared):
    state, samples = prepared("CartPole-v1")
    found = learn(state, samples)
    clipping = min(1.0, CONFIG.max_grad_norm / found.grad_norm)
    experts = state.policy.experts
    assert len(found.expert_grad_norms) == 4
    for expert, norm in enumerate(found.expert_grad_norms):
        own = [
            experts.weight_in.grad[expert],
            experts.bias_in.grad[expert],
            experts.weight_out.grad[expert],
            experts.bias_out.grad[expert],
        ]
        clipped = sum(part.square().sum().item() for part in own) ** 0.5
        assert norm == pytest.approx(clipped / clipping, rel=1e-3)


def test_an_expert_without_gates_gets_no_gradient_and_it_shows(prepared):
    state, samples = prepared("CartPole-v1", "topk", top_k=1)
    with torch.no_grad():
        state.policy.router.bias[:] = torch.tensor([9.0, 0.0, 0.0, 0.0])
    norms = learn(state, samples, coefficients={}).expert_grad_norms
    assert norms[0] > 0
    assert norms[1:] == (0, 0, 0)


def test_router_shift_is_the_total_variation_of_the_gates(prepared):
    state, samples = prepared("CartPole-v1")
    assert learn(state, samples).router_shift == pytest.approx(0, abs=1e-6)
    state, samples = prepared("CartPole-v1")
    moved = dataclasses.replace(samples, gates=torch.eye(4)[torch.zeros(64, dtype=torch.long)])
    expected = (1 - samples.gates[:, 0]).mean().item()
    assert learn(state, moved).router_shift == pytest.approx(expected, rel=1e-4)


def test_dormant_units_are_counted(prepared):
    state, samples = prepared("CartPole-v1")
    state.optimizer.lr = 0.0
    assert learn(state, samples).dormant_share == 0
    with torch.no_grad():
        state.policy.experts.weight_in[0, :, :8] = 0  # half of the first expert's 16 units
        state.policy.experts.bias_in[0, :, :8] = 0
    assert learn(state, samples).dormant_share == pytest.approx(8 / (16 + 4 * 16))


def test_units_of_an_expert_without_gate_are_dormant(prepared):
    """All 16 units of three of four experts: without gates they count as active, for what they compute is not used."""
    state, samples = prepared("CartPole-v1")
    state.optimizer.lr = 0.0
    assert learn(state, samples).gated_dormant_share == 0
    with torch.no_grad():
        state.policy.router.weight[:] = 0
        state.policy.router.bias[:] = torch.tensor([50.0, 0.0, 0.0, 0.0])
    update = learn(state, samples)
    assert update.dormant_share == 0
    assert update.gated_dormant_share == pytest.approx(3 * 16 / (16 + 4 * 16))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_an_update_says_how_far_it_moved_first_last_and_at_most(prepared, env):
    state, samples = prepared(env)
    state.optimizer.lr = 0.01
    config = CONFIG.model_copy(update={"epochs": 3, "minibatch": 16})
    steps = []
    inner = state.backend.gradient_step

    def noted(*arguments):
        steps.append(inner(*arguments))
        return steps[-1]

    state.backend.gradient_step = noted
    found = learn(state, samples, config)
    assert len(steps) == 12  # three passes of four minibatches
    for name in ("approx_kl", "clip_fraction", "router_shift"):
        values = [step[name].item() for step in steps]
        assert getattr(found, f"{name}_first") == pytest.approx(0, abs=1e-5)
        assert getattr(found, f"{name}_last") == pytest.approx(np.mean(values[-4:]))
        assert getattr(found, f"{name}_max") == max(values) > getattr(found, name)
        assert getattr(found, name) == pytest.approx(np.mean(values))


def test_the_distance_of_node_embeddings_is_that_of_all_pairs(prepared):
    state, samples = prepared("CartPole-v1")
    nodes = state.policy.nodes(samples.observations[:256]).detach()
    pairs = [
        1 - torch.nn.functional.cosine_similarity(nodes[:, one], nodes[:, two], dim=0).mean().item()
        for one in range(nodes.shape[1])
        for two in range(one)
    ]
    state.optimizer.lr = 0.0
    assert 0.1 < sum(pairs) / len(pairs) < 2
    assert learn(state, samples).node_distance == pytest.approx(sum(pairs) / len(pairs), rel=1e-4)
    alike = nodes[:, :1].expand(-1, 5, -1)
    assert node_distance(alike) == pytest.approx(0, abs=1e-5)
    assert math.isnan(node_distance(nodes[:, :1]))


def test_parameters_are_views_of_one_vector_and_gradients_of_another(prepared):
    state, samples = prepared("CartPole-v1")
    learn(state, samples)
    flat = torch.cat([parameter.flatten() for parameter in state.policy.parameters()])
    assert torch.equal(flat, state.parameters.values)
    gradients = torch.cat([parameter.grad.flatten() for parameter in state.policy.parameters()])
    assert torch.equal(gradients, state.parameters.gradient)


def test_flat_adam_is_adam_on_every_parameter(prepared):
    """One gradient step against torch's own clipping and Adam, parameter by parameter."""
    (ours, samples), (theirs, _) = prepared("CartPole-v1"), prepared("CartPole-v1")
    learn(ours, samples)
    plain = theirs.policy
    for parameter in plain.parameters():
        parameter.grad = None
    optimizer = torch.optim.Adam(plain.parameters(), lr=theirs.optimizer.lr, eps=1e-5)
    output = plain(samples.observations)
    log_probs, entropies = plain.actions.log_prob_and_entropy(output.outputs, samples.actions)
    total = (
        clipped_policy_loss((log_probs - samples.log_probs).exp(), samples.advantages, 0.2)
        + 0.5 * value_loss(output.values, samples.targets)
        + 0.02 * load_balance_loss(output.gates)
        - 0.01 * entropies.mean()
    )
    total.backward()
    torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
    optimizer.step()
    for (name, expected), found in zip(plain.named_parameters(), ours.policy.parameters(), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-3, msg=name)


def test_normalised_advantages():
    advantages = normalised(torch.from_numpy(np.random.default_rng(0).normal(5, 3, 100)))
    assert advantages.mean().item() == pytest.approx(0, abs=1e-9)
    assert advantages.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert normalised(torch.tensor([4.0])).tolist() == [0.0]
    assert normalised(torch.tensor([4.0, 4.0])).tolist() == [0.0, 0.0]


def test_advantages_that_hardly_differ_stay_small():
    """Blown up to deviation 1, the value head's noise would push a solved policy about at random."""
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, LEAST_DEVIATION / 10, 1000))
    assert normalised(noise).std(correction=0).item() == pytest.approx(0.1, rel=0.1)
