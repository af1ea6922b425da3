"""Policies with memory: the library computes the graph up to its readouts, torch the rest; against torch alone."""

from dataclasses import replace

import pytest
import torch

from tests.native.networks import CONFIG, OBSERVATIONS, Case, as_double, observations_of
from v3core.policy import Gating
from v3core.training.eager import EagerBackend
from v3core.training.sequences import pieces

COEFFICIENTS = {"load_balance": 0.02, "z_loss": 0.01, "diversity": 0.1, "consistency": 0.1, "entropy": 0.01}
STEPS, ENVIRONMENTS = 23, 3


@pytest.fixture(autouse=True)
def native(monkeypatch):
    """Use the native library."""
    monkeypatch.setenv("V3_NATIVE", "1")


def samples_of(case):
    """Of a rollout: some episodes begin in it, and each piece with a memory of its own."""
    samples = case.samples(STEPS * ENVIRONMENTS)
    begins = torch.rand(len(samples.actions), generator=case.generator) < 0.1
    memory = torch.randn(len(begins), case.policy.memory.size, generator=case.generator)
    return replace(samples, begins=begins, memory=memory)


def gradient_of(backend, samples, chosen, places):
    backend.parameters.gradient.zero_()
    total, terms = backend.loss(samples, chosen, COEFFICIENTS, CONFIG, places)
    total.backward()
    return terms, backend.parameters.gradient.clone()


@pytest.mark.parametrize("sizes", [{}, {"memory_width": 9, "shared_experts": 1}, {"graph": "gatv2", "layers": 1}])
@pytest.mark.parametrize("observation", [*sorted(OBSERVATIONS), "mission"])
def test_a_step_is_as_exact_as_torchs(observation, sizes):
    gating = Gating(routing="entmax15", jitter=0.1)
    case = Case(observation, "discrete", gating, 3, width=16, heads=2, experts=3, memory="gru", **sizes)
    samples = samples_of(case)
    own = torch.from_numpy(pieces(STEPS, ENVIRONMENTS, 8))[:, torch.randperm(9, generator=case.generator)[:6]]
    places = own >= 0
    chosen = own[places]
    terms, expected = gradient_of(case.double(), as_double(samples), chosen, places)
    eager_terms, eager = gradient_of(case.eager, samples, chosen, places)
    found_terms, found = gradient_of(case.native, samples, chosen, places)
    for name, value in terms.items():
        error, its_error = ((each[name] - value).abs().item() for each in (eager_terms, found_terms))
        assert its_error <= 10 * error + 1e-5 * value.abs().item() + 1e-6, name
    start, whole = 0, expected.norm().item()
    for name, parameter in case.policy.named_parameters():
        part = slice(start, start := start + parameter.numel())
        error, its_error = ((each[part] - expected[part]).norm().item() for each in (eager, found))
        assert its_error <= 10 * error + 1e-5 * (expected[part].norm().item() + whole), name
        assert expected[part].norm() > 0 or "hub" in name, name
    assert torch.equal(gradient_of(case.native, samples, chosen, places)[1], found)  # to the bit


@pytest.mark.parametrize("observation", [*sorted(OBSERVATIONS), "mission"])
def test_acting_is_torchs_and_reads_changed_weights(observation):
    case = Case(observation, "continuous", Gating(routing="topk", top_k=1), 1, width=16, memory="gru")
    for _ in range(2):
        case.native.prepare()
        for batch in (1, 8, 37):
            observations = observations_of(case.graph, batch, case.generator)
            memory = torch.randn(batch, case.policy.memory.size, generator=case.generator)
            with torch.inference_mode():
                for before in (memory, None):
                    found, expected = (each.act(observations, None, before) for each in (case.native, case.eager))
                    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
                values = case.native.values(observations, memory), case.eager.values(observations, memory)
                torch.testing.assert_close(*values, rtol=1e-4, atol=1e-5)
        case.eager.parameters.values.data.mul_(0.9)


def test_a_step_moves_all_parameters_as_torch_does():
    case = Case("features", "discrete", Gating(), 1, width=16, memory="gru")
    samples = samples_of(case)
    own = torch.from_numpy(pieces(STEPS, ENVIRONMENTS, 64))
    places = own >= 0
    expected = EagerBackend.gradient_step(case.double(), as_double(samples), own[places], COEFFICIENTS, CONFIG, places)
    found = case.native.gradient_step(samples, own[places], COEFFICIENTS, CONFIG, places)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name].double(), value.double(), rtol=1e-4, atol=1e-6)


def test_a_category_that_there_is_not_is_an_error():
    case = Case("categories", "discrete", Gating(), 1, width=16, memory="gru")
    observations = observations_of(case.graph, 4, case.generator)
    observations[3, 1] = 200
    case.native.prepare()
    with torch.inference_mode(), pytest.raises(IndexError, match="category"):
        case.native.act(observations)
