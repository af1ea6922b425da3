"""Experts in one batched product against one module each."""

import pytest
import torch
from torch import nn

from v3core.policy.network import Experts

EXPERTS, WIDTH, HIDDEN, OUTPUTS, BATCH = 3, 6, 5, 4, 7


def experts_and_modules():
    torch.manual_seed(0)
    experts = Experts(EXPERTS, WIDTH, HIDDEN, OUTPUTS)
    for parameter in experts.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    modules = []
    for index in range(EXPERTS):
        module = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, OUTPUTS))
        module[0].weight.data = experts.weight_in.data[index].t().clone()
        module[0].bias.data = experts.bias_in.data[index, 0].clone()
        module[2].weight.data = experts.weight_out.data[index].t().clone()
        module[2].bias.data = experts.bias_out.data[index, 0].clone()
        modules.append(module)
    return experts, modules


def test_outputs_hidden_and_gradients_equal_those_of_one_module_each():
    experts, modules = experts_and_modules()
    scene = torch.randn(BATCH, WIDTH, requires_grad=True)
    scene_of_modules = scene.detach().clone().requires_grad_()
    outputs, hidden = experts(scene)
    assert outputs.shape == (EXPERTS, BATCH, OUTPUTS)
    assert hidden.shape == (EXPERTS, BATCH, HIDDEN)
    expected = torch.stack([module(scene_of_modules) for module in modules])
    torch.testing.assert_close(outputs, expected, atol=1e-6, rtol=1e-5)
    expected_hidden = torch.stack([module[1](module[0](scene_of_modules)) for module in modules])
    torch.testing.assert_close(hidden, expected_hidden, atol=1e-6, rtol=1e-5)
    direction = torch.randn_like(outputs)
    outputs.backward(direction)
    expected.backward(direction)
    torch.testing.assert_close(scene.grad, scene_of_modules.grad, atol=1e-5, rtol=1e-5)
    first = torch.stack([module[0].weight.grad.t() for module in modules])
    torch.testing.assert_close(experts.weight_in.grad, first, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(experts.bias_in.grad[:, 0], torch.stack([module[0].bias.grad for module in modules]))
    second = torch.stack([module[2].weight.grad.t() for module in modules])
    torch.testing.assert_close(experts.weight_out.grad, second, atol=1e-5, rtol=1e-5)
    last = torch.stack([module[2].bias.grad for module in modules])
    torch.testing.assert_close(experts.bias_out.grad[:, 0], last, atol=1e-5, rtol=1e-5)


def test_each_expert_starts_orthogonal_and_nearly_silent():
    experts = Experts(EXPERTS, 8, 8, 4)
    for index in range(EXPERTS):
        first = experts.weight_in.detach()[index]
        torch.testing.assert_close(first.t() @ first, 2 * torch.eye(8), atol=1e-5, rtol=1e-5)
        second = experts.weight_out.detach()[index]
        torch.testing.assert_close(second.t() @ second, 1e-4 * torch.eye(4), atol=1e-8, rtol=1e-5)
    assert not torch.equal(experts.weight_out[0], experts.weight_out[1])
    assert not any(parameter.any() for name, parameter in experts.named_parameters() if name.startswith("bias"))


@pytest.mark.parametrize("hidden", [3, 16])
def test_takes_any_hidden_width(hidden):
    outputs, activations = Experts(2, WIDTH, hidden, OUTPUTS)(torch.randn(BATCH, WIDTH))
    assert outputs.shape == (2, BATCH, OUTPUTS)
    assert activations.shape == (2, BATCH, hidden)
