"""The whole policy: shapes, the switch of routing, and that every part learns."""

import pytest
import torch

from v3core.environments import check_environment


def test_shapes_and_gates(env_id, build_policy, observations_for):
    policy = build_policy(env_id, experts=5)
    output = policy(observations_for(env_id, 7))
    assert output.logits.shape == (7, 3)
    assert output.values.shape == (7,)
    assert output.gates.shape == output.router_logits.shape == (7, 5)
    torch.testing.assert_close(output.gates.sum(1), torch.ones(7))


def test_action_logits_are_the_gated_sum_of_the_experts(env_id, build_policy, observations_for):
    policy = build_policy(env_id)
    observations = observations_for(env_id, 6)
    output, of_experts = policy(observations), policy.experts(policy.embed(observations))
    for sample in range(6):
        expected = sum(output.gates[sample, e] * of_experts[e, sample] for e in range(4))
        torch.testing.assert_close(output.logits[sample], expected)


def test_stacked_experts_equal_one_network_after_another(build_policy):
    experts = build_policy("CartPole-v1").experts
    scene = torch.randn(5, 16)
    for e, logits in enumerate(experts(scene)):
        hidden = torch.tanh(scene @ experts.weight_in[e] + experts.bias_in[e])
        torch.testing.assert_close(logits, hidden @ experts.weight_out[e] + experts.bias_out[e])


def test_one_state_dict_serves_every_routing(env_id, build_policy, observations_for):
    soft, sparse = build_policy(env_id, seed=1), build_policy(env_id, seed=2)
    soft.routing, sparse.routing, sparse.temperature = "softmax", "sparsemax", 0.5
    sparse.load_state_dict(soft.state_dict())
    assert (sparse.routing, sparse.temperature) == ("sparsemax", 0.5)
    observations = observations_for(env_id, 8)
    assert torch.equal(soft(observations).router_logits, sparse(observations).router_logits)
    assert not torch.equal(soft(observations).gates, sparse(observations).gates)


def test_the_temperature_is_read(env_id, build_policy, observations_for):
    policy = build_policy(env_id)
    observations = observations_for(env_id, 8)
    policy.temperature = 1.0
    warm = policy(observations)
    policy.temperature = 0.1
    torch.testing.assert_close(policy(observations).gates, torch.softmax(warm.router_logits / 0.1, 1))


def test_a_sample_does_not_depend_on_the_batch_it_is_in(env_id, build_policy, observations_for):
    policy = build_policy(env_id)
    observations = observations_for(env_id, 9)
    torch.testing.assert_close(policy(observations).logits[4:5], policy(observations[4:5]).logits, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("routing", ["softmax", "sparsemax"])
def test_the_untrained_policy_is_undecided(env_id, routing, build_policy, observations_for):
    policy = build_policy(env_id)
    policy.routing = routing
    output = policy(observations_for(env_id, 32))
    assert output.logits.softmax(1).max() < 0.4
    assert (output.gates.mean(0) > 0.1).all()


def test_sizes_follow_the_config(build_policy):
    policy = build_policy("CartPole-v1", width=8, heads=2, layers=3, experts=6)
    assert len(policy.gat) == 3
    assert policy.experts.weight_in.shape[0] == policy.router.out_features == 6
    assert check_environment("CartPole-v1", allow_import=False).nodes * 8 == policy.readout.in_features
