"""Outputs and every parameter's gradient against the eager module, over random networks."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from v3core.config import PolicyConfig, PPOConfig
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentSpec, state_graph
from v3core.environments.action_space import action_spec
from v3core.policy import Gating, GATMoEPolicy
from v3core.training.backend import Samples
from v3core.training.eager import EagerBackend
from v3core.training.native_backend import NativeBackend
from v3core.training.optimizer import Adam, FlatParameters

OBSERVATIONS = {
    "features": (spaces.Box(-1, 1, (5,)), None),
    "groups": (spaces.Box(-1, 1, (130,)), None),
    "categories": (spaces.MultiDiscrete([2, 5, 3]), None),
    "grid": (spaces.Box(0, 255, (5, 4, 3), np.uint8), {"object": 4, "colour": 3, "state": 2}),
    "dict": (
        spaces.Dict({"place": spaces.Discrete(7), "speed": spaces.Box(-1, 1, (3,)), "words": spaces.Box(-9, 9, (2,))}),
        None,
    ),
}
ACTIONS = [spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3), spaces.Box(-1, 1, (2,))]
COEFFICIENTS = {
    **{"load_balance": 0.02, "expert_balance": 0.01, "z_loss": 0.01, "diversity": 0.1},
    **{"consistency": 0.1, "gate_entropy": 0.05, "entropy": 0.01},
}


def observations_of(graph, batch, generator):
    """Random observations that the graph's parts can have."""
    columns = []
    for part in graph.parts:
        if part.kind == "grid":
            cells = [torch.randint(size, (batch, part.nodes), generator=generator) for size in part.categories]
            columns.append(torch.stack(cells, 2).flatten(1))
        elif part.kind == "categories":
            cells = [torch.randint(size, (batch,), generator=generator) for size in part.categories]
            columns.append(torch.stack(cells, 1))
        else:
            columns.append(3 * torch.randn(batch, part.size, generator=generator))
    return torch.cat([column.float() for column in columns], 1).to(getattr(torch, graph.dtype))


def backends(observation, action, gating, seed, **sizes):
    """An eager and a native backend on one policy, whose parameters are all at work."""
    space, categories = OBSERVATIONS[observation]
    spec = EnvironmentSpec(EnvironmentSetup("Test-v0"), state_graph(space, categories), action_spec(action))
    torch.manual_seed(seed)
    policy = GATMoEPolicy(spec, PolicyConfig(**sizes))
    for parameter in policy.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    policy.gating = gating
    parameters = FlatParameters(policy)
    optimizer = Adam(parameters.values, 1e-3)
    native = NativeBackend(policy, parameters, optimizer, spec.graph)
    return EagerBackend(policy, parameters, optimizer), native, spec.graph


def samples_for(backend, graph, batch, seed):
    """Samples that the policy acted on, with log-probabilities that are a little off."""
    generator, policy = torch.Generator().manual_seed(seed), backend.policy
    observations = observations_of(graph, batch, generator)
    policy.update_normalisation(observations.float())
    noise = policy.routing_noise((batch,), generator)
    with torch.no_grad():
        output = backend.act(observations, noise)
        actions = policy.actions.sample(output.outputs, policy.actions.noise((batch,), generator))
        log_probs, _ = policy.actions.log_prob_and_entropy(output.outputs, actions)
    advantages, targets, off = torch.randn(3, batch, generator=generator)
    successors = torch.arange(1, batch + 1)
    successors[-1] = -1
    return Samples(observations, actions, log_probs + 0.1 * off, advantages, targets, output.gates, noise, successors)


def gradient_of(backend, samples, chosen):
    backend.parameters.gradient.zero_()
    total, terms = backend.loss(samples, chosen, COEFFICIENTS, PPOConfig())
    total.backward()
    return backend.parameters.gradient.clone(), {name: term.item() for name, term in terms.items()}


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    observation=st.sampled_from(sorted(OBSERVATIONS)),
    action=st.sampled_from(ACTIONS),
    routing=st.sampled_from(["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel"]),
    jitter=st.sampled_from([0.0, 0.2]),
    temperature=st.sampled_from([0.01, 0.5, 1.0]),
    head_width=st.integers(4, 9),
    sizes=st.fixed_dictionaries(
        {
            "graph": st.sampled_from(["gatv1", "gatv2", "mlp"]),
            "heads": st.integers(1, 3),
            "layers": st.integers(1, 3),
            "experts": st.integers(1, 64),
            "shared_experts": st.integers(0, 2),
            "expert_width": st.integers(1, 20),
        }
    ),
    batch=st.integers(1, 257),
    seed=st.integers(0, 999),
)
def test_losses_and_gradients_are_those_of_the_eager_module(
    observation, action, routing, jitter, temperature, head_width, sizes, batch, seed
):
    gating = Gating(routing=routing, temperature=temperature, jitter=jitter, alpha=1.3)
    sizes = {**sizes, "width": sizes["heads"] * head_width}
    eager, native, graph = backends(observation, action, gating, seed, **sizes)
    samples = samples_for(eager, graph, batch, seed)
    chosen = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))[: max(1, batch * 2 // 3)]
    (expected, terms), (found, native_terms) = (gradient_of(each, samples, chosen) for each in (eager, native))
    for name, value in terms.items():
        assert native_terms[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    start, size = 0, expected.norm().item()
    for name, parameter in eager.policy.named_parameters():
        end = start + parameter.numel()
        error = (found[start:end] - expected[start:end]).norm().item()
        # Both are float32: where terms cancel, the rounding of the whole gradient remains, up to 2e-5 of it so far.
        assert error <= 1e-4 * expected[start:end].norm().item() + 5e-5 * size, name
        start = end
    assert torch.equal(gradient_of(native, samples, chosen)[0], found)  # to the bit


@pytest.mark.parametrize("observation", sorted(OBSERVATIONS))
def test_acting_is_that_of_the_eager_module(observation):
    eager, native, graph = backends(observation, ACTIONS[0], Gating(), 1, width=16, shared_experts=1)
    observations = observations_of(graph, 8, torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for expected, found in zip(eager.act(observations, None)[:5], native.act(observations, None)[:5], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(native.values(observations), eager.values(observations), rtol=1e-4, atol=1e-5)


def test_an_observation_that_is_no_number_gives_no_number():
    _, native, graph = backends("features", ACTIONS[0], Gating(), 1, width=16)
    observations = observations_of(graph, 40, torch.Generator().manual_seed(1))
    observations[35, 2] = torch.nan
    with torch.inference_mode():
        output = native.act(observations, None)
    known = [sample for sample in range(40) if sample != 35]
    assert output.values[35].isnan()
    assert output.outputs[35].isnan().all()
    assert output.values[known].isfinite().all()


@pytest.mark.parametrize(("observation", "entry"), [("categories", 1), ("grid", 0), ("dict", 0)])
def test_a_category_that_there_is_not_is_an_error_and_no_memory_of_others(observation, entry):
    _, native, graph = backends(observation, ACTIONS[0], Gating(), 1, width=16)
    observations = observations_of(graph, 40, torch.Generator().manual_seed(1))
    observations[39, entry] = 200
    with torch.inference_mode(), pytest.raises(IndexError, match="category"):
        native.act(observations, None)
