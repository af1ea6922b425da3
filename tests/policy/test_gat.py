"""Graph attention against PyTorch Geometric."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import GATConv, GATv2Conv

from v3core.policy import gat
from v3core.policy.gat import GraphAttention, GraphLayer

WIDTH_IN, WIDTH, HEADS, BATCH = 6, 8, 2, 5
COMPLETE = np.ones((4, 4), dtype=np.bool_)
PLACE = np.array([(row, column) for row in range(7) for column in range(7)])
GRID = np.abs(PLACE[:, None] - PLACE[None]).max(2) <= 1  # 8 neighbours and the cell itself
IRREGULAR = np.eye(6, dtype=np.bool_)
IRREGULAR[0] = True  # sees all
IRREGULAR[1:, 5] = True  # seen by all
IRREGULAR[3, [1, 2]] = True  # not symmetric
GRAPHS = {"complete": COMPLETE, "grid": GRID, "irregular": IRREGULAR}
VERSIONS = ["gatv1", "gatv2"]

every_graph = pytest.mark.parametrize("adjacency", GRAPHS.values(), ids=GRAPHS.keys())
every_version = pytest.mark.parametrize("version", VERSIONS)


def layer_and_peer(adjacency, version, dtype=torch.float32):
    """Our layer, the peer's with the same weights, and the parameters side by side."""
    torch.manual_seed(0)
    ours = GraphAttention(adjacency, WIDTH_IN, WIDTH, HEADS, version).to(dtype)
    if version == "gatv2":
        peer = GATv2Conv(WIDTH_IN, WIDTH // HEADS, HEADS).to(dtype)
        names = {
            "weight": peer.lin_l.weight,
            "bias_sender": peer.lin_l.bias,
            "weight_receiver": peer.lin_r.weight,
            "bias_receiver": peer.lin_r.bias,
            "score": peer.att,
            "bias": peer.bias,
        }
    else:
        peer = GATConv(WIDTH_IN, WIDTH // HEADS, HEADS).to(dtype)
        names = {"weight": peer.lin.weight, "receiver": peer.att_dst, "sender": peer.att_src, "bias": peer.bias}
    own = dict(ours.named_parameters())
    assert own.keys() == names.keys()
    assert len(list(peer.parameters())) == len(names)
    for name, theirs in names.items():
        own[name].data += 0.3 * torch.randn_like(own[name])  # biases too
        theirs.data.copy_(own[name].data.reshape(theirs.shape))
    return ours, peer, [(own[name], theirs) for name, theirs in names.items()]


def peer_edges(adjacency, batch=BATCH):
    receivers, senders = np.nonzero(adjacency)
    one = torch.from_numpy(np.stack([senders, receivers]))
    return torch.cat([one + copy * len(adjacency) for copy in range(batch)], dim=1)


def as_rows(nodes):
    """[width, nodes, batch] as the peer has it, [batch · nodes, width]."""
    return nodes.permute(2, 1, 0).reshape(-1, len(nodes))


@every_graph
@every_version
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_outputs_and_gradients_equal_those_of_pytorch_geometric(adjacency, version, dtype):
    ours, peer, parameters = layer_and_peer(adjacency, version, dtype)
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 1e-12, "rtol": 1e-12}
    nodes = torch.randn(WIDTH_IN, len(adjacency), BATCH, dtype=dtype, requires_grad=True)
    rows = as_rows(nodes.detach()).requires_grad_()
    output, expected = ours(nodes), peer(rows, peer_edges(adjacency))
    torch.testing.assert_close(as_rows(output), expected, **close)
    direction = torch.randn_like(output)
    output.backward(direction)
    expected.backward(as_rows(direction))
    torch.testing.assert_close(as_rows(nodes.grad), rows.grad, **close)
    for own, theirs in parameters:
        torch.testing.assert_close(own.grad.reshape(theirs.shape), theirs.grad, **close)


@every_version
def test_a_complete_graph_too_large_for_one_piece_is_no_other(version, monkeypatch):
    """Both ways through a complete graph are compared with the peer."""
    monkeypatch.setattr(gat, "PAIRS_IN_CACHE", 0)
    test_outputs_and_gradients_equal_those_of_pytorch_geometric(COMPLETE, version, torch.float64)


@torch.no_grad()
def attention(layer, nodes):
    """Attention weights [batch, heads, receivers, senders]."""
    weights = layer.attention(nodes)
    heads, degree, count, batch = weights.shape
    senders = layer.senders.view(1, degree, count, 1).expand_as(weights)
    return weights.new_zeros(heads, count, count, batch).scatter_add(1, senders, weights).permute(3, 0, 2, 1)


@every_graph
@every_version
def test_attention_weights_equal_those_of_pytorch_geometric(adjacency, version):
    ours, peer, _ = layer_and_peer(adjacency, version)
    nodes, count = torch.randn(WIDTH_IN, len(adjacency), BATCH), len(adjacency)
    _, (edges, weights) = peer(as_rows(nodes), peer_edges(adjacency), return_attention_weights=True)
    dense = torch.zeros(BATCH, HEADS, count, count)
    senders, receivers = edges
    dense[receivers // count, :, receivers % count, senders % count] = weights.detach()
    torch.testing.assert_close(attention(ours, nodes), dense, atol=1e-6, rtol=1e-5)


@every_version
def test_a_weight_that_moves_the_score_moves_the_attention(version):
    """GATv1 ranks senders alike for every receiver, GATv2 need not (Brody et al., 2022)."""
    ours, _, _ = layer_and_peer(COMPLETE, version)
    order = attention(ours, 3 * torch.randn(WIDTH_IN, 4, 200)).argsort(3)
    same = (order == order[:, :, :1]).all()
    assert same == (version == "gatv1")


@pytest.mark.parametrize("graph", ["gatv1", "gatv2", "mlp"])
def test_the_layer_normalises_convolves_and_adds(graph):
    torch.manual_seed(0)
    layer = GraphLayer(GRID, WIDTH, HEADS, graph)
    for parameter in layer.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    nodes = torch.randn(WIDTH, len(GRID), BATCH)
    rows = torch.nn.functional.layer_norm(
        nodes.permute(2, 1, 0), (WIDTH,), layer.norm_gain.flatten(), layer.norm_bias.flatten()
    )
    expected = nodes + torch.nn.functional.elu(layer.conv(rows.permute(2, 1, 0).contiguous()))
    torch.testing.assert_close(layer(nodes), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("graph", ["gatv1", "gatv2", "mlp"])
def test_messages_come_from_neighbours_only(graph):
    torch.manual_seed(0)
    layer = GraphLayer(GRID, WIDTH, HEADS, graph)
    nodes = torch.randn(WIDTH, len(GRID), BATCH)
    changed = nodes.clone()
    changed[:, 48] += torch.randn(WIDTH, 1)  # the far corner from cell 0
    moved = (layer(nodes) - layer(changed)).abs().amax((0, 2)) > 0
    sees = torch.from_numpy(GRID[:, 48]) if graph != "mlp" else torch.arange(len(GRID)) == 48
    assert torch.equal(moved, sees)


def test_the_mlp_is_one_linear_layer_for_every_node():
    layer = GraphLayer(GRID, WIDTH, HEADS, "mlp")
    nodes = torch.randn(WIDTH, len(GRID), BATCH)
    expected = torch.nn.functional.linear(nodes.permute(2, 1, 0), layer.conv.weight, layer.conv.bias.flatten())
    torch.testing.assert_close(layer.conv(nodes), expected.permute(2, 1, 0), atol=1e-5, rtol=1e-5)


@every_graph
@every_version
def test_runs_under_inference_mode(adjacency, version):
    layer = GraphLayer(adjacency, WIDTH, HEADS, version)
    nodes = torch.randn(WIDTH, len(adjacency), 1)
    with torch.inference_mode():
        fast = layer(nodes)
    assert torch.equal(fast, layer(nodes).detach())
