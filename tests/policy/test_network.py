"""The whole policy: shapes, the switch of routing, and that every part learns."""

import pytest
import torch

from v3core.environments import check_environment
from v3core.policy import Gating

ROUTINGS = ["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel"]


def test_shapes_and_gates(env_id, build_policy, observations_for):
    policy = build_policy(env_id, experts=5)
    output = policy(observations_for(env_id, 7))
    assert output.outputs.shape == (7, policy.actions.spec.outputs)
    assert output.values.shape == (7,)
    assert output.gates.shape == output.router_logits.shape == (7, 5)
    assert output.expert_outputs.shape == (5, 7, policy.actions.spec.outputs)
    assert output.scene.shape == (7, 16)
    assert output.hidden.shape == (5, 7, 16)
    torch.testing.assert_close(output.gates.sum(1), torch.ones(7))


def test_outputs_are_the_gated_sum_of_the_experts(env_id, build_policy, observations_for):
    output = build_policy(env_id)(observations_for(env_id, 6))
    for sample in range(6):
        expected = sum(output.gates[sample, e] * output.expert_outputs[e, sample] for e in range(4))
        torch.testing.assert_close(output.outputs[sample], expected)


def test_shared_experts_are_always_on(build_policy, observations_for):
    policy = build_policy("CartPole-v1", shared_experts=2)
    observations = observations_for("CartPole-v1", 6)
    output = policy(observations)
    routed = (output.gates.t().unsqueeze(2) * output.expert_outputs).sum(0)
    shared, _ = policy.shared(output.scene)
    assert shared.shape[0] == 2
    torch.testing.assert_close(output.outputs, routed + shared[0] + shared[1])


def test_one_state_dict_serves_every_routing(env_id, build_policy, observations_for):
    observations = observations_for(env_id, 8)
    first = build_policy(env_id, seed=1)
    with torch.no_grad():
        first.router.weight *= 20
    gates = []
    for routing in ROUTINGS:
        policy = build_policy(env_id, seed=2)
        policy.gating = Gating(routing=routing, alpha=1.3)
        policy.load_state_dict(first.state_dict())
        assert policy.gating.routing == routing
        output = policy(observations)
        torch.testing.assert_close(output.router_logits, first(observations).router_logits)
        gates.append(output.gates)
    different = [not torch.equal(gates[0], other) for other in gates[1:]]
    assert different == [True, True, True, True, False]  # Gumbel without noise is softmax


@pytest.mark.parametrize("routing", ROUTINGS)
def test_the_temperature_is_read(build_policy, observations_for, routing):
    policy = build_policy("CartPole-v1")
    observations = observations_for("CartPole-v1", 8)
    with torch.no_grad():
        policy.router.weight *= 10
    policy.gating = Gating(routing=routing)
    warm = policy(observations).gates
    policy.gating = Gating(routing=routing, temperature=0.1)
    assert policy(observations).gates.max(1).values.mean() > warm.max(1).values.mean()


def test_alpha_leads_from_softmax_to_sparsemax(build_policy, observations_for):
    policy = build_policy("CartPole-v1")
    observations = observations_for("CartPole-v1", 8)
    with torch.no_grad():
        policy.router.weight *= 30
    gates = {}
    for name, gating in {
        "softmax": Gating("softmax"),
        "sparsemax": Gating("sparsemax"),
        1.0: Gating("entmax", alpha=1.0),
        2.0: Gating("entmax", alpha=2.0),
    }.items():
        policy.gating = gating
        gates[name] = policy(observations).gates
    torch.testing.assert_close(gates[1.0], gates["softmax"])
    torch.testing.assert_close(gates[2.0], gates["sparsemax"])


def test_jitter_multiplies_what_the_router_reads(build_policy, observations_for):
    policy = build_policy("CartPole-v1")
    observations = observations_for("CartPole-v1", 400)
    assert policy.routing_noise((4,), torch.Generator()) is None
    policy.gating = Gating(jitter=0.1)
    noise = policy.routing_noise((400,), torch.Generator().manual_seed(0))
    assert noise.shape == (400, 16)
    assert 0.9 <= noise.min() < 0.91
    assert 1.09 < noise.max() <= 1.1
    output = policy(observations, noise)
    torch.testing.assert_close(output.router_logits, policy.router(output.scene * noise))
    assert not torch.equal(policy(observations).router_logits, output.router_logits)  # none without noise


def test_gumbel_noise_is_added_to_the_logits(build_policy, observations_for):
    policy = build_policy("CartPole-v1")
    policy.gating = Gating("gumbel", temperature=0.5, jitter=0.1)
    noise = policy.routing_noise((5,), torch.Generator().manual_seed(0))
    assert noise.shape == (5, 16 + 4)
    output = policy(observations_for("CartPole-v1", 5), noise)
    expected = ((output.router_logits + noise[:, 16:]) / 0.5).softmax(1)
    torch.testing.assert_close(output.gates, expected)


def test_a_moved_bias_changes_the_choice_and_not_the_weights(build_policy, observations_for):
    policy = build_policy("CartPole-v1")
    policy.gating = Gating("topk", top_k=1, top_k_weights="probabilities")
    observations = observations_for("CartPole-v1", 8)
    before = policy(observations)
    policy.move_bias(torch.tensor([0.0, 0.0, 5.0, 0.0]))
    after = policy(observations)
    assert (after.gates[:, 2] > 0).all()
    torch.testing.assert_close(after.gates[:, 2], before.router_logits.softmax(1)[:, 2])
    other = build_policy("CartPole-v1", seed=3)
    other.load_state_dict(policy.state_dict())
    assert other.uses_bias


def test_a_sample_does_not_depend_on_the_batch_it_is_in(env_id, build_policy, observations_for):
    policy = build_policy(env_id)
    observations = observations_for(env_id, 9)
    torch.testing.assert_close(
        policy(observations).outputs[4:5], policy(observations[4:5]).outputs, atol=1e-6, rtol=1e-5
    )


def test_the_shorter_ways_say_the_same(env_id, build_policy, observations_for):
    policy = build_policy(env_id)
    observations = observations_for(env_id, 5)
    output = policy(observations)
    torch.testing.assert_close(policy.gates(observations), output.gates)
    torch.testing.assert_close(policy.values(observations), output.values)


@pytest.mark.parametrize("routing", ["softmax", "sparsemax"])
def test_the_untrained_policy_is_undecided(env_id, routing, build_policy, observations_for):
    policy = build_policy(env_id)
    policy.gating = Gating(routing)
    output = policy(observations_for(env_id, 32))
    assert output.outputs.softmax(1).max() < 1.3 / policy.actions.spec.outputs
    assert (output.gates.mean(0) > 0.1).all()


def test_sizes_follow_the_config(build_policy):
    policy = build_policy("CartPole-v1", width=8, heads=2, layers=3, experts=6, expert_width=20)
    assert len(policy.gat) == 3
    assert policy.router.out_features == 6
    assert policy.experts.weight_in.shape == (6, 8, 20)
    assert check_environment("CartPole-v1", allow_import=False).graph.nodes * 8 == policy.readout.in_features


@pytest.mark.parametrize("graph", ["gatv1", "gatv2", "mlp"])
@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-Empty-5x5-v0", "Blackjack-v1", "CarRacing-v3", "Pendulum-v1"])
def test_every_parameter_gets_a_gradient(build_policy, env, graph):
    """From outputs and values, for every kind of graph; with sharp, unequal gates nothing is hidden by symmetry."""
    spec = check_environment(env, allow_import=False)
    policy = build_policy(env, graph=graph, shared_experts=1)
    torch.manual_seed(0)
    if spec.graph.dtype == "uint8":
        limit = min(min(part.categories or (255,)) for part in spec.graph.parts if part.size)
        observations = torch.randint(0, limit, (64, spec.graph.size), dtype=torch.uint8)
    else:
        limits = [part.categories[0] if part.categories else 1 for part in spec.graph.parts if part.size]
        observations = torch.randn(64, spec.graph.size)
        if limits != [1] * len(limits):
            observations = torch.stack([torch.randint(0, limit, (64,)) for limit in limits], 1).float()
    output = policy(observations)
    (output.outputs.square().sum() + output.values.square().sum() + output.gates.square().sum()).backward()
    for name, parameter in policy.named_parameters():
        if name == "actions.log_std":
            continue  # of the distribution, not of its outputs
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, f"{name} gets no gradient"


@pytest.mark.parametrize(("routing", "reached"), [("softmax", [True] * 4), ("sparsemax", [True, True, False, False])])
def test_the_gradient_does_not_reach_an_expert_whose_gate_is_zero(build_policy, observations_for, routing, reached):
    """Nor its weights in the router: "end to end" has this limit, as the claim `end_to_end` says."""
    policy = build_policy("CartPole-v1")
    policy.gating = Gating(routing=routing)
    with torch.no_grad():
        policy.router.weight *= 0.1
        policy.router.bias[:] = torch.tensor([3.0, 2.9, 0.0, 0.0])
    output = policy(observations_for("CartPole-v1", 20))
    assert (output.gates > 0).any(0).tolist() == reached
    (output.outputs.square().sum() + output.values.square().sum()).backward()
    parts = [policy.router.weight, policy.router.bias, *policy.experts.parameters()]
    for part in parts:
        assert part.grad is not None
        found = part.grad.reshape(4, -1)
        assert (found != 0).any(1).tolist() == reached


def test_without_messages_a_node_hears_of_itself_alone(build_policy, observations_for):
    observations = observations_for("CartPole-v1", 4).requires_grad_()
    for graph, hears in (("mlp", False), ("gatv1", True), ("gatv2", True)):
        policy = build_policy("CartPole-v1", graph=graph)
        nodes = policy.gat(policy.tokens(observations))
        (gradient,) = torch.autograd.grad(nodes[:, 0].sum(), observations)
        assert (gradient[:, 1:].abs().sum() > 0) == hears


def test_a_single_wide_expert_matches_the_parameters_of_four(build_policy):
    four = sum(parameter.numel() for parameter in build_policy("CartPole-v1", width=32).parameters())
    one = build_policy("CartPole-v1", width=32, experts=1, expert_width=4 * 32)
    assert sum(parameter.numel() for parameter in one.parameters()) == pytest.approx(four, rel=0.01)
