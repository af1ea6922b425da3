"""Gradient steps, their statistics and acting, against the eager module in single and in double precision.

Single precision cannot avoid rounding, so the error of a parameter's gradient is measured against double precision and
compared with that of the eager module in single precision. `V3_EXAMPLES=400` tries that many networks.
"""

import os
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.native.networks import (
    ACTIONS,
    COEFFICIENTS,
    CONFIG,
    OBSERVATIONS,
    Case,
    as_double,
    clear,
    native_gradient,
    observations_of,
    torch_gradient,
)
from v3core.policy import Gating, routing
from v3core.training.eager import EagerBackend
from v3core.training.optimizer import Adam

ROUTINGS = ["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel"]
TIMES = 10
"""The library's error may be this multiple of the eager module's; of single parameters, that is by chance near 0."""
ROUNDING = 1e-5
"""Plus this share of the gradient, which single precision costs where values nearly equal their targets; divided by the
temperature (0.1 at least), as the rounding of logits is."""


@pytest.fixture(autouse=True)
def native(monkeypatch):
    """Use the native library."""
    monkeypatch.setenv("V3_NATIVE", "1")


@settings(
    deadline=None,
    max_examples=int(os.environ.get("V3_EXAMPLES", "30")),
    derandomize="V3_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(
    observation=st.sampled_from([*sorted(OBSERVATIONS), "mission"]),
    action=st.sampled_from(sorted(ACTIONS)),
    gating=st.builds(
        Gating,
        routing=st.sampled_from(ROUTINGS),
        temperature=st.sampled_from([0.01, 0.5, 1.0]),
        alpha=st.sampled_from([1.0, 1.05, 1.3, 1.5, 1.9, 2.0]),
        top_k=st.integers(1, 4),
        top_k_weights=st.sampled_from(["renormalised", "probabilities", "sigmoid"]),
        jitter=st.sampled_from([0.0, 0.2]),
    ),
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
    off=st.dictionaries(st.sampled_from(sorted(COEFFICIENTS)), st.just(0.0)),
    batch=st.integers(1, 257),
    masks=st.booleans(),
    bias=st.booleans(),
    balance_on=st.sampled_from(["softmax", "gates"]),
    seed=st.integers(0, 999),
)
def test_a_step_is_as_exact_as_the_eager_one(
    observation, action, gating, head_width, sizes, off, batch, masks, bias, balance_on, seed
):
    case = Case(observation, action, gating, seed, bias=bias, **sizes, width=sizes["heads"] * head_width)
    samples = case.samples(batch, masks=masks)
    double, exact = case.double(), as_double(samples)
    coefficients, config = COEFFICIENTS | off, CONFIG.model_copy(update={"balance_on": balance_on})
    distinct = clear(case, double, samples, exact)
    chosen = torch.randperm(batch, generator=case.generator)
    chosen = chosen[distinct[chosen]][: max(1, batch * 2 // 3)]
    assume(len(chosen) >= batch / 4)
    terms, gradient = torch_gradient(double, exact, chosen, coefficients, config)
    eager_terms, eager = torch_gradient(case.eager, samples, chosen, coefficients, config)
    native_terms, native = native_gradient(case, samples, chosen, coefficients, config)
    assert native_terms.keys() == terms.keys()
    rounding = ROUNDING / max(0.1, gating.temperature)
    for name, value in terms.items():
        error, native_error = ((found[name] - value).abs().max().item() for found in (eager_terms, native_terms))
        assert native_error <= TIMES * error + rounding * value.abs().max().item() + 1e-6, name
    start, whole = 0, gradient.norm().item()
    for name, parameter in case.policy.named_parameters():
        part = slice(start, start := start + parameter.numel())
        error, native_error = ((found[part] - gradient[part]).norm().item() for found in (eager, native))
        assert native_error <= TIMES * error + rounding * (gradient[part].norm().item() + whole), name
    assert torch.equal(native_gradient(case, samples, chosen, coefficients, config)[1], native)  # to the bit


@pytest.mark.parametrize("weights", ["renormalised", "probabilities", "sigmoid"])
@pytest.mark.parametrize("name", ROUTINGS)
def test_a_step_at_ties_is_the_eager_one_that_takes_the_first(monkeypatch, name, weights):
    monkeypatch.setattr(routing, "_choose", _first_of_the_largest)
    case = Case("features", "discrete", Gating(routing=name, top_k=3, top_k_weights=weights), 1, experts=8)
    case.policy.router.weight.data.zero_()
    case.policy.router.bias.data.copy_(torch.tensor([0.0, 1, 0, 1, 0, 0, 0, 0]))
    samples = replace(case.samples(40), noise=None)
    chosen = torch.arange(30)
    terms, gradient = torch_gradient(case.double(), as_double(samples), chosen)
    native_terms, native = native_gradient(case, samples, chosen)
    for key, value in terms.items():
        torch.testing.assert_close(native_terms[key].double(), value.double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(native.double(), gradient, rtol=1e-4, atol=1e-6 * gradient.norm().item())


def _first_of_the_largest(scaled, top_k, weights, bias):
    return scaled.detach().sort(dim=-1, descending=True, stable=True).indices[..., :top_k]


@pytest.mark.parametrize("norm", [0.01, 1e30])
def test_a_step_clips_the_gradient_and_moves_the_parameters_as_torch_does(norm):
    config = CONFIG.model_copy(update={"max_grad_norm": norm})
    case = Case("features", "discrete", Gating(), 1, experts=3)
    samples, optimizer = case.samples(40), case.eager.optimizer
    values = nn.Parameter(case.eager.parameters.values.detach().clone())
    reference = Adam(values, 0.0)
    for number in range(5):
        optimizer.lr = reference.lr = 1e-2 / (number + 1)
        terms = case.native.gradient_step(samples, torch.arange(8 * number, 8 * number + 8), COEFFICIENTS, config)
        values.grad = case.eager.parameters.gradient.clone()
        assert values.grad.norm().item() == pytest.approx(min(norm, terms["grad_norm"].item()), rel=1e-4)
        reference.step()
    assert optimizer.moments["step"] == 5
    for found, expected in zip(optimizer.moments.values(), reference.moments.values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)
    torch.testing.assert_close(case.eager.parameters.values.data, values.data, rtol=1e-6, atol=1e-7)


def test_torch_does_what_a_step_lacks_and_the_library_the_rest(monkeypatch):
    """As for a routing that somebody adds."""
    calls = []
    monkeypatch.setattr(EagerBackend, "gradient_step", _counted(calls, EagerBackend.gradient_step))
    monkeypatch.setattr("v3core.native.passes.ROUTINGS", ("sparsemax",))
    case = Case("dict", "discrete", Gating(jitter=0.1), 1, experts=3, shared_experts=1)
    samples, chosen = case.samples(40), torch.arange(5, 35)
    expected_terms, expected = torch_gradient(case.eager, samples, chosen)
    terms, found = native_gradient(case, samples, chosen)
    assert len(calls) == 1
    assert terms.keys() == expected_terms.keys()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-6 * expected.norm().item())
    acted = case.native.act(samples.observations, samples.noise)
    torch.testing.assert_close(acted, case.eager.act(samples.observations, samples.noise))


def _counted(calls, function):
    return lambda *given: (calls.append(given), function(*given))[1]


@pytest.mark.parametrize("name", ROUTINGS)
@pytest.mark.parametrize("observation", [*sorted(OBSERVATIONS), "mission"])
def test_acting_is_that_of_the_eager_module(observation, name):
    case = Case(observation, "discrete", Gating(routing=name, jitter=0.1, alpha=1.3), 1, width=16, shared_experts=1)
    case.native.prepare()
    for batch in (1, 8, 37):
        observations = observations_of(case.graph, batch, case.generator)
        noise = case.policy.routing_noise((batch,), case.generator)
        for drawn in (noise, None):
            with torch.inference_mode():
                found, expected = (each.act(observations, drawn) for each in (case.native, case.eager))
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(
            case.native.values(observations), case.eager.values(observations), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
def test_an_observation_that_is_no_number_gives_no_number(spoilt):
    case = Case("features", "discrete", Gating(), 1, width=16)
    case.native.prepare()
    observations = observations_of(case.graph, 40, case.generator)
    observations[35, 2] = torch.nan
    with torch.inference_mode():
        acted = case.native.act(observations)
    known = [sample for sample in range(40) if sample != 35]
    assert acted.values[35].isnan()
    assert acted.outputs[35].isnan().all()
    assert acted.values[known].isfinite().all()


@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf, -torch.inf, 1e30])
@pytest.mark.parametrize("where", ["observations", "advantages", "targets", "log_probs", "parameters"])
@pytest.mark.parametrize("name", ROUTINGS)
def test_a_number_that_is_not_finite_is_seen_in_the_statistics_as_by_torch(name, where, spoilt):
    case = Case("features", "discrete", Gating(routing=name, alpha=1.3), 1, experts=3, width=8, heads=2)
    samples, chosen = case.samples(20), torch.arange(20)
    rows = case.policy.readout.weight.data if where == "parameters" else getattr(samples, where)
    rows.view(-1)[7] = spoilt
    seen = [
        all(term.isfinite().all() for term in gradient(samples, chosen)[0].values())
        for gradient in (
            lambda *given: torch_gradient(case.eager, *given),
            lambda *given: native_gradient(case, *given),
        )
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize(("observation", "entry"), [("categories", 1), ("grid", 0), ("dict", 0), ("mission", 0)])
def test_a_category_that_there_is_not_is_an_error_and_no_memory_of_others(observation, entry):
    case = Case(observation, "discrete", Gating(), 1, width=16)
    case.native.prepare()
    samples = case.samples(40)
    samples.observations[39, entry] = 200
    with torch.inference_mode(), pytest.raises(IndexError, match="category"):
        case.native.act(samples.observations)
    before = case.eager.parameters.values.clone()
    with pytest.raises(IndexError, match="category"):
        case.native.gradient_step(samples, torch.arange(40), COEFFICIENTS, CONFIG)
    assert torch.equal(case.eager.parameters.values, before)
    assert case.eager.optimizer.moments["step"] == 0
