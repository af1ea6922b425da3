"""Memory: torch's GRU is the oracle, also for the gradient through time; episodes' ends, and batches cut anywhere."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from v3core.policy.memory import UNITS, Memory, Sequences, in_a_row, kept

INPUTS, WIDTH = 5, 7


def build(seed=0):
    """A memory in double precision, with biases that are not 0."""
    torch.manual_seed(seed)
    memory = Memory(INPUTS, WIDTH).double()
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return memory


def oracle(memory, unit):
    """Torch's GRU with the weights of one of the units; its parameters are those of `PARAMETERS`, in order."""
    gru = nn.GRU(INPUTS, WIDTH).double()
    with torch.no_grad():
        gru.weight_ih_l0.copy_(memory.weight_input[unit].t())
        gru.weight_hh_l0.copy_(memory.weight_state[unit].t())
        gru.bias_ih_l0.copy_(memory.bias_input[unit, 0])
        gru.bias_hh_l0.copy_(memory.bias_state[unit, 0])
    return gru


def gradients_of(gru):
    """In the shapes of `Memory`'s parameters of one unit."""
    return {
        "weight_input": gru.weight_ih_l0.grad.t(),
        "weight_state": gru.weight_hh_l0.grad.t(),
        "bias_input": gru.bias_ih_l0.grad[None],
        "bias_state": gru.bias_hh_l0.grad[None],
    }


@pytest.mark.parametrize("lengths", [(6,), (6, 6, 6), (7, 4, 1, 7, 3), (1, 1)])
def test_padded_sequences_are_those_of_torch(lengths):
    """Outputs, and gradients of weights, of inputs, and of the memory before: a packed batch of torch's own GRU."""
    memory = build()
    steps, count = max(lengths), len(lengths)
    inputs = torch.randn(UNITS, steps, count, INPUTS, dtype=torch.float64)
    before = torch.randn(count, memory.size, dtype=torch.float64)
    weights = torch.randn(UNITS, steps, count, WIDTH, dtype=torch.float64)
    places = torch.arange(steps)[:, None] < torch.tensor(lengths)

    own_inputs, own_before = inputs.clone().requires_grad_(), before.clone().requires_grad_()
    follow = Sequences(own_before, places, torch.zeros_like(places))
    found = memory(own_inputs[:, places], follow)
    (found * weights[:, places]).sum().backward()
    found_grads = {name: parameter.grad for name, parameter in memory.named_parameters()}

    for unit in range(UNITS):
        gru = oracle(memory, unit)
        its_inputs = inputs[unit].clone().requires_grad_()
        its_before = before[:, unit * WIDTH : (unit + 1) * WIDTH].clone().requires_grad_()
        packed = nn.utils.rnn.pack_padded_sequence(its_inputs, torch.tensor(lengths), enforce_sorted=False)
        expected, _ = nn.utils.rnn.pad_packed_sequence(gru(packed, its_before[None])[0])
        torch.testing.assert_close(found[unit], expected[places])
        (expected * weights[unit] * places[..., None]).sum().backward()
        torch.testing.assert_close(own_inputs.grad[unit][places], its_inputs.grad[places])
        torch.testing.assert_close(own_before.grad[:, unit * WIDTH : (unit + 1) * WIDTH], its_before.grad)
        for name, gradient in gradients_of(gru).items():
            torch.testing.assert_close(found_grads[name][unit], gradient, msg=name)


def test_nothing_passes_the_end_of_an_episode():
    """A sequence in which an episode begins is two: neither numbers nor gradients of the first reach the second."""
    memory = build()
    inputs = torch.randn(UNITS, 7, INPUTS, dtype=torch.float64, requires_grad=True)
    before = torch.randn(1, memory.size, dtype=torch.float64, requires_grad=True)
    places = torch.ones(7, 1, dtype=torch.bool)
    begins = torch.zeros_like(places)
    begins[4] = True
    found = memory(inputs, Sequences(before, places, begins))
    blank = torch.zeros(1, memory.size, dtype=torch.float64)
    first = memory(inputs[:, :4], in_a_row(before, 4))
    second = memory(inputs[:, 4:], in_a_row(blank, 3))
    torch.testing.assert_close(found, torch.cat((first, second), 1))
    found[:, 4:].sum().backward()
    assert inputs.grad[:, :4].abs().max() == 0
    assert before.grad.abs().max() == 0
    assert (inputs.grad[:, 4:].abs().sum(2) > 0).all()


@settings(deadline=None)
@given(cut=st.integers(1, 11), seed=st.integers(0, 99))
def test_sequences_may_be_cut_anywhere(cut, seed):
    memory = build(seed)
    inputs = torch.randn(UNITS, 12, INPUTS, dtype=torch.float64)
    blank = torch.zeros(1, memory.size, dtype=torch.float64)
    whole = memory(inputs, in_a_row(blank, 12))
    first = memory(inputs[:, :cut], in_a_row(blank, cut))
    second = memory(inputs[:, cut:], in_a_row(memory.together(first)[-1:], 12 - cut))
    torch.testing.assert_close(torch.cat((first, second), 1), whole)
    state = blank
    for step in range(12):  # as it acts
        states = memory(inputs[:, step : step + 1], state)
        torch.testing.assert_close(states[:, 0], whole[:, step])
        state = memory.together(states)


def test_the_order_of_environments_does_not_matter(build_policy, observations_for, env_id):
    policy = build_policy(env_id, memory="gru")
    observations = observations_for(env_id, 12)
    memory = torch.randn(12, policy.memory.size)
    order = torch.randperm(12)
    found, expected = policy(observations[order], memory=memory[order]), policy(observations, memory=memory)
    torch.testing.assert_close(found.outputs, expected.outputs[order])
    torch.testing.assert_close(found.values, expected.values[order])
    torch.testing.assert_close(found.memory, expected.memory[order])


def test_all_else_begins_with_the_same_weights(build_policy, env_id):
    """So that runs with and without memory of one seed differ in nothing else."""
    without, with_memory = build_policy(env_id), build_policy(env_id, memory="gru")
    own = dict(with_memory.named_parameters())
    for name, parameter in without.named_parameters():
        assert torch.equal(parameter, own.pop(name)), name
    assert {name.partition(".")[0] for name in own} == {"memory"}
    assert without.memory is None
    assert without.blank_memory(3) is None
    assert not any("memory" in name for name in without.state_dict())


@pytest.mark.parametrize(
    "sizes", [{}, {"memory_width": 1}, {"memory_width": 40, "shared_experts": 2, "experts": 1}, {"graph": "mlp"}]
)
def test_router_experts_and_value_read_what_is_remembered(build_policy, observations_for, env_id, sizes):
    policy = build_policy(env_id, memory="gru", **sizes)
    observations = observations_for(env_id, 3)
    with torch.no_grad():
        policy.experts.weight_out.mul_(100)
    memory = torch.randn(3, policy.memory.size)
    width = policy.memory.width
    assert width == sizes.get("memory_width", 16)
    blank, remembered = policy(observations), policy(observations, memory=memory)
    torch.testing.assert_close(blank.memory, policy(observations, memory=policy.blank_memory(3)).memory)
    for name in ("outputs", "values", "router_logits", "scene"):
        assert not torch.allclose(getattr(blank, name), getattr(remembered, name)), name
    # One unit is for router and experts, the other for the value.
    memory[:, width:] = 0
    acting = policy(observations, memory=memory)
    torch.testing.assert_close(acting.values, blank.values)
    torch.testing.assert_close(acting.router_logits, remembered.router_logits)
    torch.testing.assert_close(policy.values(observations, memory), acting.values)
    torch.testing.assert_close(policy.gates(observations, None, memory), acting.gates)


def test_what_is_kept_for_the_next_step():
    memory = torch.ones(4, 6)
    memory[2, 3] = float("nan")
    memory[3, 5] = float("inf")
    ended = torch.tensor([False, True, False, False])
    assert torch.equal(kept(memory, ended), torch.tensor([1.0, 0, 0, 0])[:, None].expand(4, 6))
    assert kept(None, ended) is None
