"""Graph attention, laid out for small graphs in large batches.

Node features are [width, nodes, batch] here, batch last: each step below is then one long vector operation, where
with the batch first it would be thousands of 4×4 products. Edges are a list of neighbours per node, so a grid costs
nine edges a cell and not one per pair of cells. The results are those of PyTorch Geometric's GATConv and GATv2Conv;
the tests compare them. It takes a quarter to half of their time (`benchmarks/gat.py`).
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from v3core.policy.neighbours import NEGATIVE_SLOPE, GATv2Mix, MixNeighbours, edge_lists


class GraphAttention(nn.Module):
    """One multi-head graph attention convolution, the heads' outputs side by side plus a bias.

    For head h and an edge i ← j, with α_i = softmax_j(e_ij):

    gatv1 (Veličković et al., 2018, arXiv:1710.10903): e_ij = LeakyReLU(r_h·z_i + s_h·z_j), out_i = Σ_j α_ij z_j with
    z = W x.
    gatv2 (Brody et al., 2022, arXiv:2105.14491): e_ij = a_h·LeakyReLU(W_r x_i + b_r + W_l x_j + b_l),
    out_i = Σ_j α_ij (W_l x_j + b_l).

    Args:
        adjacency: [nodes, nodes], true where the row's node sees the column's; with self-loops.
        width_in: features per node that come in.
        width_out: features per node that go out, a multiple of `heads`.
        heads: attention heads.
        version: which of the two.
    """

    senders: Tensor
    """Sender of the k-th edge of each node, [degree, nodes]. Nodes of lower degree are padded."""
    padding: Tensor | None
    """Added to scores: 0 along edges, −∞ at padding, [degree, nodes, 1]. None if all degrees are equal."""

    def __init__(
        self,
        adjacency: NDArray[np.bool_],
        width_in: int,
        width_out: int,
        heads: int,
        version: Literal["gatv1", "gatv2"],
    ) -> None:
        super().__init__()
        self.heads, self.head_width, self.version = heads, width_out // heads, version
        self.weight = _xavier(width_out, width_in)
        self.bias = nn.Parameter(torch.zeros(width_out, 1, 1))
        if version == "gatv2":
            self.weight_receiver = _xavier(width_out, width_in)
            self.bias_sender = nn.Parameter(torch.zeros(width_out, 1))
            self.bias_receiver = nn.Parameter(torch.zeros(width_out, 1))
            self.score = self._score_vectors()
        else:
            self.receiver = self._score_vectors()
            self.sender = self._score_vectors()
        senders, padding = edge_lists(adjacency)
        self.complete = bool(adjacency.all())
        self.register_buffer("senders", senders, persistent=False)
        self.register_buffer("padding", padding, persistent=False)

    def forward(self, nodes: Tensor) -> Tensor:
        """New node features [width_out, nodes, batch] of node features [width_in, nodes, batch]."""
        mixed: Tensor
        if self.version == "gatv2":
            mixed = GATv2Mix.apply(  # type: ignore[no-untyped-call]
                self._project(nodes), self.score, self.senders, self.padding, self.complete
            )
        else:
            weights, values = self._attend(nodes)
            mixed = MixNeighbours.apply(weights, values, self.senders, self.complete)  # type: ignore[no-untyped-call]
        return mixed.flatten(0, 1) + self.bias

    def _score_vectors(self) -> nn.Parameter:
        """A vector per head that scores are products with."""
        return nn.Parameter(torch.randn(self.heads, self.head_width, 1) / self.head_width**0.5)

    def _attend(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """GATv1: attention weights [heads, degree, nodes, batch] and values [heads, head width, nodes, batch]."""
        _, count, batch = nodes.shape
        # r·(W x) = (r W)·x: folding the score vectors into W makes values and scores one matrix product. The score is a
        # sum of a receiver and a sender part, so no tensor of all pairs times width is ever made.
        per_head = self.weight.view(self.heads, self.head_width, -1)
        folded = torch.cat((self.weight, (per_head * self.receiver).sum(1), (per_head * self.sender).sum(1)))
        projected = (folded @ nodes.flatten(1)).view(-1, count, batch)
        values, receiver, sender = torch.split(projected, [len(self.weight), self.heads, self.heads])
        if self.complete:
            scores = receiver.unsqueeze(1) + sender.unsqueeze(2)
        else:
            senders = sender.index_select(1, self.senders.flatten()).view(self.heads, -1, count, batch)
            scores = receiver.unsqueeze(1) + senders
        scores = nn.functional.leaky_relu(scores, NEGATIVE_SLOPE)
        if self.padding is not None:
            scores = scores + self.padding
        return torch.softmax(scores, dim=1), values.view(self.heads, self.head_width, count, batch)

    def _project(self, nodes: Tensor) -> Tensor:
        """GATv2: W_l x + b_l and W_r x + b_r by one product, [2, heads, head width, nodes, batch]."""
        _, count, batch = nodes.shape
        weights = torch.cat((self.weight, self.weight_receiver))
        offsets = torch.cat((self.bias_sender, self.bias_receiver))
        return torch.addmm(offsets, weights, nodes.flatten(1)).view(2, self.heads, self.head_width, count, batch)


class GraphLayer(nn.Module):
    """A pre-norm layer with a residual: x + ELU(conv(LayerNorm(x))).

    Args:
        adjacency: [nodes, nodes], true where the row's node sees the column's; with self-loops.
        width: features per node, a multiple of `heads`.
        heads: attention heads.
        graph: `gatv1` or `gatv2`; `mlp` puts a linear layer per node in place of the attention, so that nodes send no
            messages: the control without a graph.
    """

    def __init__(
        self, adjacency: NDArray[np.bool_], width: int, heads: int, graph: Literal["gatv1", "gatv2", "mlp"]
    ) -> None:
        super().__init__()
        self.norm_gain = nn.Parameter(torch.ones(width, 1, 1))
        self.norm_bias = nn.Parameter(torch.zeros(width, 1, 1))
        self.graph = graph
        self.conv = NodeLinear(width) if graph == "mlp" else GraphAttention(adjacency, width, width, heads, graph)

    def forward(self, nodes: Tensor) -> Tensor:
        """New node features, in and out [width, nodes, batch]."""
        return nodes + nn.functional.elu(self.conv(self._normalised(nodes)))

    def _normalised(self, nodes: Tensor) -> Tensor:
        """Layer norm over the width, which is not the last dimension here (Ba et al., 2016, arXiv:1607.06450)."""
        centred = nodes - nodes.mean(0)
        scale = (centred.square().mean(0) + 1e-5).rsqrt()
        return torch.addcmul(self.norm_bias, centred * scale, self.norm_gain)


class NodeLinear(nn.Module):
    """The same linear layer for every node."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = _xavier(width, width)
        self.bias = nn.Parameter(torch.zeros(width, 1))

    def forward(self, nodes: Tensor) -> Tensor:
        """W x + b of node features [width, nodes, batch]."""
        return torch.addmm(self.bias, self.weight, nodes.flatten(1)).view(-1, *nodes.shape[1:])


def _xavier(width_out: int, width_in: int) -> nn.Parameter:
    """Glorot and Bengio, 2010."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(width_out, width_in)))
