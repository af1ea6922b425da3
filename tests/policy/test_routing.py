"""Router logits to gate weights."""

import math

import entmax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from v3core.policy import routing as routings
from v3core.policy.distributions import gumbel
from v3core.policy.routing import Gating

ROUTINGS = ["softmax", "sparsemax", "entmax15", "entmax", "gumbel"]
LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=16)


def gate_weights(logits, noise=None, bias=None, **settings):
    return routings.gate_weights(logits, Gating(**settings), noise, bias)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, [0.75, 0.25, 0.0, 0.0]), (0.5, [1.0, 0.0, 0.0, 0.0])])
def test_sparsemax_worked_example(temperature, expected):
    gates = gate_weights(torch.tensor([[2.0, 1.5, 1.0, 0.5]]), routing="sparsemax", temperature=temperature)
    assert gates[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_sparsemax_keeps_more_than_two_experts_when_they_are_close():
    gates = gate_weights(torch.tensor([0.02, 0.0, 0.01, 0.0]), routing="sparsemax")
    assert (gates > 0.2).all()
    assert -(gates * gates.log()).sum() > math.log(2)  # the published top-2 "sparsemax" could never exceed ln 2


def test_sparsemax_gives_exact_zeros_and_softmax_none():
    logits = torch.tensor([3.0, 0.0, -1.0])
    assert (gate_weights(logits, routing="sparsemax") == 0).sum() == 2
    assert (gate_weights(logits, routing="softmax") > 0).all()


@pytest.mark.parametrize("routing", ROUTINGS)
@given(logits=LOGITS, temperature=st.floats(0.05, 10))
def test_gates_are_a_distribution_in_the_order_of_the_logits(routing, logits, temperature):
    gates = gate_weights(torch.tensor(logits), routing=routing, temperature=temperature)
    assert (gates >= 0).all()
    assert gates.sum().item() == pytest.approx(1, abs=1e-5)
    order = sorted(range(len(logits)), key=logits.__getitem__)
    assert (gates[order].diff() >= -1e-6).all()


@pytest.mark.parametrize("routing", ROUTINGS)
@given(logits=LOGITS, temperature=st.floats(0.1, 10), factor=st.floats(0.1, 1))
def test_a_lower_temperature_is_never_less_sharp(routing, logits, temperature, factor):
    tensor = torch.tensor(logits)
    warm, cold = (
        gate_weights(tensor, routing=routing, temperature=t).max() for t in (temperature, temperature * factor)
    )
    assert cold >= warm - 1e-5


@pytest.mark.parametrize("routing", ROUTINGS)
@given(logits=LOGITS)
def test_as_temperature_goes_to_zero_the_best_expert_takes_all(routing, logits):
    best = max(logits)
    if sum(value > best - 0.1 for value in logits) > 1:
        return
    gates = gate_weights(torch.tensor(logits), routing=routing, temperature=1e-3)
    assert gates[logits.index(best)] == pytest.approx(1, abs=1e-6)


@given(logits=LOGITS)
def test_sparsemax_is_the_projection_onto_the_simplex(logits):
    """Against the formula of Martins and Astudillo (2016), in plain Python."""
    ordered = sorted(logits, reverse=True)
    support = max(k for k in range(1, len(ordered) + 1) if 1 + k * ordered[k - 1] > sum(ordered[:k]))
    threshold = (sum(ordered[:support]) - 1) / support
    expected = [max(value - threshold, 0) for value in logits]
    assert gate_weights(torch.tensor(logits), routing="sparsemax").tolist() == pytest.approx(expected, abs=1e-4)


def test_uniform_routing_ignores_the_logits_and_trains_no_router():
    logits = torch.tensor([[50.0, 0.0, -3.0, 1.0]], requires_grad=True)
    gates = gate_weights(logits, routing="uniform", temperature=0.1)
    assert gates.tolist() == [[0.25] * 4]
    assert not gates.requires_grad


def test_random_routing_draws_each_expert_alike_and_one_at_a_time():
    logits = torch.tensor([9.0, 0.0, 0.0, 0.0]).expand(8000, 4)
    noise = gumbel((8000, 4), torch.Generator().manual_seed(1))
    gates = gate_weights(logits, noise=noise, routing="random")
    assert sorted(gates.unique().tolist()) == [0, 1]
    assert (gates.sum(1) == 1).all()
    assert gates.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.02)
    assert gate_weights(logits, routing="random")[0].tolist() == [0.25] * 4  # as in an evaluation


# The entmax family against package `entmax`.

ORACLES = {
    "sparsemax": (entmax.sparsemax, {"routing": "sparsemax"}),
    "entmax15": (entmax.entmax15, {"routing": "entmax15"}),
    **{
        f"entmax {alpha}": (
            lambda z, dim, alpha=alpha: entmax.entmax_bisect(z, alpha=alpha, dim=dim, n_iter=100),
            {"routing": "entmax", "alpha": alpha},
        )
        for alpha in (1.05, 1.3, 1.5, 1.7, 1.99, 2.0)
    },
}


def cases(dtype):
    torch.manual_seed(0)
    for experts in (1, 2, 3, 4, 8, 16, 64):
        yield f"random {experts}", torch.randn(32, experts, dtype=dtype) * 2
        yield f"equal {experts}", torch.full((2, experts), 0.7, dtype=dtype)
        yield f"ties {experts}", torch.randint(0, 3, (32, experts)).to(dtype) / 2
        yield f"large {experts}", torch.randint(-10, 11, (32, experts)).to(dtype) * 1e3
    yield "equal and large", torch.full((2, 8), 1e4, dtype=dtype)
    yield "more dimensions", torch.randn(2, 3, 5, 8, dtype=dtype)
    yield "one dimension", torch.randn(8, dtype=dtype)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_values_and_gradients_equal_those_of_package_entmax(name, dtype):
    oracle, arguments = ORACLES[name]
    atol = 2e-6 if dtype == torch.float32 else 1e-9
    for case, logits in cases(dtype):
        # The oracle works in double precision: in single, its bisection is less exact than what it judges.
        reference = logits.clone().double().requires_grad_()
        ours = logits.clone().requires_grad_()
        gates, expected = gate_weights(ours, **arguments), oracle(reference, dim=-1)
        assert gates.dtype == dtype
        torch.testing.assert_close(gates.double(), expected, atol=atol, rtol=0, msg=lambda m, c=case: f"{c}: {m}")
        direction = torch.randn(logits.shape, dtype=dtype)
        gates.backward(direction)
        expected.backward(direction.double())
        # Where a gate is within rounding of 0 the slope p^(2 − α) is steep: there both are right about another point.
        clear = ((expected > 1e-7) | (expected == 0)).all(-1) & ((gates > 0) == (expected > 0)).all(-1)
        torch.testing.assert_close(
            ours.grad[clear].double(),
            reference.grad[clear],
            atol=1e-4 if dtype == torch.float32 else 1e-7,
            rtol=0,
            msg=lambda m, c=case: f"{c}: {m}",
        )


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8, 2.0])
def test_the_gradient_is_that_of_finite_differences(alpha):
    torch.manual_seed(0)
    logits = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: gate_weights(z, routing="entmax", alpha=alpha), (logits,))


@given(logits=LOGITS, temperature=st.floats(0.1, 10))
def test_entmax_ends_exactly_in_softmax_and_in_sparsemax(logits, temperature):
    tensor = torch.tensor(logits)
    ends = {1.0: "softmax", 1.5: "entmax15", 2.0: "sparsemax"}
    for alpha, routing in ends.items():
        gates = gate_weights(tensor, routing="entmax", alpha=alpha, temperature=temperature)
        assert torch.equal(gates, gate_weights(tensor, routing=routing, temperature=temperature))


@given(logits=LOGITS, alpha=st.sampled_from([1 + 1e-5, 1.5 - 1e-5, 1.5 + 1e-5, 2 - 1e-5]))
def test_entmax_is_continuous_where_its_algorithm_changes(logits, alpha):
    tensor = torch.tensor(logits, dtype=torch.float64)
    near, at = (gate_weights(tensor, routing="entmax", alpha=a) for a in (alpha, round(alpha, 1)))
    torch.testing.assert_close(near, at, atol=2e-4, rtol=0)


@given(logits=LOGITS, alpha=st.floats(1, 2), shift=st.floats(-20, 20), seed=st.integers(0, 99))
def test_entmax_is_a_distribution_that_ignores_shifts_and_follows_permutations(logits, alpha, shift, seed):
    tensor = torch.tensor(logits, dtype=torch.float64)
    gates = gate_weights(tensor, routing="entmax", alpha=alpha)
    assert (gates >= 0).all()
    assert gates.sum().item() == pytest.approx(1, abs=1e-9)
    torch.testing.assert_close(gate_weights(tensor + shift, routing="entmax", alpha=alpha), gates, atol=1e-7, rtol=0)
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(seed))
    moved = gate_weights(tensor[order], routing="entmax", alpha=alpha)
    torch.testing.assert_close(moved, gates[order], atol=1e-9, rtol=0)


@given(logits=LOGITS, low=st.floats(1, 2), high=st.floats(1, 2))
def test_a_larger_alpha_keeps_no_more_experts(logits, low, high):
    tensor = torch.tensor(logits, dtype=torch.float64)
    wide, narrow = (gate_weights(tensor, routing="entmax", alpha=a) for a in sorted((low, high)))
    assert (narrow > 1e-9).sum() <= (wide > 0).sum()


def test_newton_reaches_the_threshold_where_each_step_drops_one_expert():
    ladder = -(0.5 ** torch.arange(64, dtype=torch.float64))  # gaps that halve: the slowest case
    for alpha in (1.6, 1.9, 1.999):
        gates = gate_weights(ladder, routing="entmax", alpha=alpha)
        expected = entmax.entmax_bisect(ladder, alpha=alpha, n_iter=200)
        torch.testing.assert_close(gates, expected, atol=1e-9, rtol=0)


# Top-k and Gumbel.

TOP_K_WEIGHTS = ["renormalised", "probabilities", "sigmoid"]


@pytest.mark.parametrize("weights", TOP_K_WEIGHTS)
@given(logits=LOGITS, top_k=st.integers(1, 20))
def test_top_k_chooses_exactly_k_of_the_best(weights, logits, top_k):
    tensor = torch.tensor(logits)
    arguments = {"routing": "topk", "top_k": top_k, "top_k_weights": weights}
    gates = gate_weights(tensor, **arguments)
    chosen = gates > 0
    assert chosen.sum() == min(top_k, len(logits))
    if not chosen.all():
        assert tensor[chosen].min() >= tensor[~chosen].max()
    if weights != "probabilities":
        assert gates.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("renormalised", [math.e / (math.e + 1), 1 / (math.e + 1), 0]),
        ("probabilities", [math.e / (math.e + 1 + math.exp(-1)), 1 / (math.e + 1 + math.exp(-1)), 0]),
        ("sigmoid", [0.7310586 / 1.2310586, 0.5 / 1.2310586, 0]),
    ],
)
def test_top_k_weights_by_hand(weights, expected):
    gates = gate_weights(torch.tensor([1.0, 0.0, -1.0]), routing="topk", top_k_weights=weights)
    assert gates.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("weights", TOP_K_WEIGHTS)
def test_gradient_of_top_k_flows_through_the_weights(weights):
    torch.manual_seed(0)
    logits = torch.randn(6, 5, dtype=torch.float64).requires_grad_()
    arguments = {"routing": "topk", "top_k_weights": weights, "temperature": 0.7}
    assert torch.autograd.gradcheck(lambda z: gate_weights(z, **arguments), (logits,))
    gate_weights(logits, **arguments).square().sum().backward()
    chosen = gate_weights(logits, **arguments) > 0
    assert (logits.grad[chosen] != 0).all()


@pytest.mark.parametrize("weights", TOP_K_WEIGHTS)
def test_the_bias_chooses_but_does_not_weigh(weights):
    logits, bias = torch.tensor([2.0, 1.0, 0.0, -1.0]), torch.tensor([-9.0, 0.0, 0.0, 9.0])
    arguments = {"routing": "topk", "top_k_weights": weights}
    gates = gate_weights(logits, bias=bias, **arguments)
    assert (gates > 0).tolist() == [False, True, False, True]
    if weights == "probabilities":
        assert torch.equal(gates[[1, 3]], logits.softmax(0)[[1, 3]])
    else:
        torch.testing.assert_close(gates[[1, 3]], gate_weights(logits[[1, 3]], **arguments))


@pytest.mark.parametrize("weights", TOP_K_WEIGHTS)
def test_top_k_of_very_low_logits_is_finite(weights):
    gates = gate_weights(torch.tensor([-1e4, -2e4, -3e4]), routing="topk", top_k_weights=weights)
    assert gates.tolist() == pytest.approx([1, 0, 0])


def test_gumbel_is_softmax_of_logits_with_noise_over_temperature():
    torch.manual_seed(0)
    logits, noise = torch.randn(7, 4), torch.randn(7, 4)
    gates = gate_weights(logits, routing="gumbel", noise=noise, temperature=0.5)
    torch.testing.assert_close(gates, ((logits + noise) / 0.5).softmax(1))
    torch.testing.assert_close(gate_weights(logits, routing="gumbel"), logits.softmax(1))


def test_gumbel_noise_at_a_low_temperature_draws_from_softmax():
    torch.manual_seed(0)
    logits = torch.tensor([1.0, 0.0, -1.0])
    noise = -torch.empty(20_000, 3).exponential_().log()
    drawn = gate_weights(logits.expand(20_000, 3), routing="gumbel", noise=noise, temperature=0.01).mean(0)
    torch.testing.assert_close(drawn, logits.softmax(0), atol=0.015, rtol=0)
