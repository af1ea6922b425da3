"""The graph attention layer against the dense formula of the paper."""

import numpy as np
import pytest
import torch

from v3core.environments import check_environment
from v3core.policy.gat import GraphAttention, _MixNeighbours

WIDTH, HEADS, BATCH = 8, 2, 3
COMPLETE = np.ones((5, 5), dtype=np.bool_)
GRID = check_environment("MiniGrid-Empty-Random-5x5-v0", allow_import=False).neighbours
CHAIN = np.eye(4, dtype=np.bool_) | np.eye(4, k=1, dtype=np.bool_)  # not symmetric: node i sees i and i + 1


def layer_and_nodes(adjacency, dtype=torch.float32):
    torch.manual_seed(0)
    layer = GraphAttention(adjacency, WIDTH, HEADS).to(dtype)
    for parameter in layer.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # biases and gains too
    return layer, torch.randn(WIDTH, len(adjacency), BATCH, dtype=dtype)


def dense_attention_and_output(layer, nodes, adjacency):
    """One node, one head, one pair at a time: eq. 1 to 5 of Veličković et al., 2018."""
    count, head_width = len(adjacency), WIDTH // HEADS
    attention, output = torch.zeros(BATCH, HEADS, count, count), torch.empty_like(nodes)
    for b in range(BATCH):
        x = nodes[:, :, b].t()
        normed = torch.nn.functional.layer_norm(x, (WIDTH,), layer.norm_gain.flatten(), layer.norm_bias.flatten())
        z = normed @ layer.weight.t()
        for i in range(count):
            mixed = []
            for h in range(HEADS):
                part = slice(h * head_width, (h + 1) * head_width)
                senders = np.flatnonzero(adjacency[i]).tolist()
                scores = [
                    torch.nn.functional.leaky_relu(
                        layer.receiver[h, :, 0] @ z[i, part] + layer.sender[h, :, 0] @ z[j, part], 0.2
                    )
                    for j in senders
                ]
                weights = torch.stack(scores).softmax(0)
                attention[b, h, i, senders] = weights
                mixed.append(sum(weight * z[j, part] for weight, j in zip(weights, senders, strict=True)))
            output[:, i, b] = x[i] + torch.nn.functional.elu(torch.cat(mixed) + layer.bias.flatten())
    return attention, output


@pytest.mark.parametrize("adjacency", [COMPLETE, GRID, CHAIN], ids=["complete", "grid", "chain"])
def test_equals_the_dense_formula(adjacency):
    layer, nodes = layer_and_nodes(adjacency)
    with torch.no_grad():
        attention, output = dense_attention_and_output(layer, nodes, adjacency)
        torch.testing.assert_close(layer.attention(nodes), attention, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(layer(nodes), output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("adjacency", [COMPLETE, GRID, CHAIN], ids=["complete", "grid", "chain"])
def test_attends_to_neighbours_only(adjacency):
    layer, nodes = layer_and_nodes(adjacency)
    attention = layer.attention(nodes)
    assert (attention[..., ~torch.from_numpy(adjacency)] == 0).all()
    assert (attention[..., torch.from_numpy(adjacency)] > 0).all()
    torch.testing.assert_close(attention.sum(3), torch.ones(BATCH, HEADS, len(adjacency)))


def test_a_node_that_is_no_neighbour_changes_nothing():
    layer, nodes = layer_and_nodes(GRID)
    changed = nodes.clone()
    changed[:, 48] += 1  # the far corner from cell 0
    before, after = layer(nodes), layer(changed)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 40], after[:, 40])  # a neighbour of cell 48


@pytest.mark.parametrize("adjacency", [COMPLETE, CHAIN], ids=["complete", "chain"])
def test_gradient_of_the_mixing_step(adjacency):
    layer, nodes = layer_and_nodes(adjacency, torch.float64)
    weights, values = (part.detach().requires_grad_() for part in layer._attend(nodes))
    assert torch.autograd.gradcheck(lambda w, v: _MixNeighbours.apply(w, v, layer.senders), (weights, values))
