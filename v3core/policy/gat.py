"""Graph attention, laid out for small graphs in large batches.

Node features are [width, nodes, batch] here, batch last: each step below is then one long vector operation, where
with the batch first it would be thousands of 4×4 products. Edges are a list of neighbours per node, so a grid costs
nine edges a cell and not one per pair of cells. The result is that of the dense formula; the tests compare them.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NEGATIVE_SLOPE = 0.2
"""Of the leaky ReLU on attention scores, as in the paper."""


class GraphAttention(nn.Module):
    """One multi-head graph attention layer (Veličković et al., 2018, arXiv:1710.10903), pre-norm, with a residual.

    For head h and an edge i ← j: e_ij = LeakyReLU(r_h·z_i + s_h·z_j), α_i = softmax_j(e_ij), out_i = Σ_j α_ij z_j
    with z = W·LayerNorm(x); the heads' outputs side by side go through ELU and are added to x. The score is a sum of
    a receiver and a sender part, so no tensor of all pairs times width is ever made.
    """

    senders: Tensor
    """Sender of the k-th edge of each node, [degree, nodes]. Nodes of lower degree are padded."""
    padding: Tensor | None
    """Added to scores: 0 along edges, −∞ at padding, [degree, nodes, 1]. None if all degrees are equal."""

    def __init__(self, adjacency: NDArray[np.bool_], width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.norm_gain = nn.Parameter(torch.ones(width, 1, 1))
        self.norm_bias = nn.Parameter(torch.zeros(width, 1, 1))
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width, width)))
        self.receiver = nn.Parameter(torch.randn(heads, self.head_width, 1) / self.head_width**0.5)
        self.sender = nn.Parameter(torch.randn(heads, self.head_width, 1) / self.head_width**0.5)
        self.bias = nn.Parameter(torch.zeros(width, 1, 1))
        senders, padding = _edge_lists(adjacency)
        self.register_buffer("senders", senders, persistent=False)
        self.register_buffer("padding", padding, persistent=False)

    def forward(self, nodes: Tensor) -> Tensor:
        """New node features, in and out [width, nodes, batch]."""
        weights, values = self._attend(nodes)
        mixed: Tensor = _MixNeighbours.apply(weights, values, self.senders)  # type: ignore[no-untyped-call]
        return nodes + nn.functional.elu(mixed.flatten(0, 1) + self.bias)

    def attention(self, nodes: Tensor) -> Tensor:
        """Attention weights [batch, heads, receivers, senders] for node features [width, nodes, batch]."""
        weights, _ = self._attend(nodes)
        heads, degree, count, batch = weights.shape
        dense = weights.new_zeros(heads, count, count, batch)
        senders = self.senders.view(1, degree, count, 1).expand_as(weights)
        return dense.scatter_add(1, senders, weights).permute(3, 0, 2, 1)

    def _attend(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Attention weights [heads, degree, nodes, batch] and values [heads, head width, nodes, batch]."""
        width, count, batch = nodes.shape
        # r·(W x) = (r W)·x: folding the score vectors into W makes values and scores one matrix product.
        per_head = self.weight.view(self.heads, self.head_width, width)
        folded = torch.cat((self.weight, (per_head * self.receiver).sum(1), (per_head * self.sender).sum(1)))
        projected = (folded @ self._normalised(nodes).flatten(1)).view(-1, count, batch)
        values, receiver, sender = torch.split(projected, [width, self.heads, self.heads])
        senders = sender.index_select(1, self.senders.flatten()).view(self.heads, -1, count, batch)
        scores = nn.functional.leaky_relu(receiver.unsqueeze(1) + senders, NEGATIVE_SLOPE)
        if self.padding is not None:
            scores = scores + self.padding
        return torch.softmax(scores, dim=1), values.view(self.heads, self.head_width, count, batch)

    def _normalised(self, nodes: Tensor) -> Tensor:
        """Layer norm over the width, which is not the last dimension here (Ba et al., 2016, arXiv:1607.06450)."""
        centred = nodes - nodes.mean(0)
        scale = (centred.square().mean(0) + 1e-5).rsqrt()
        return torch.addcmul(self.norm_bias, centred * scale, self.norm_gain)


class _MixNeighbours(torch.autograd.Function):
    """out_i = Σ_k α_ik · values of the k-th neighbour of i: one neighbour at a time, so memory stays small."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor, senders: Tensor) -> Tensor:
        ctx.save_for_backward(weights, values, senders)
        mixed = torch.zeros(values.shape, dtype=values.dtype)
        for edge, sender in enumerate(senders):
            mixed.addcmul_(weights[:, edge].unsqueeze(1), values.index_select(2, sender))
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, values, senders = ctx.saved_tensors
        gradient = gradients[0]
        to_weights, to_values = torch.empty_like(weights), torch.zeros(values.shape, dtype=values.dtype)
        for edge, sender in enumerate(senders):
            to_weights[:, edge] = (gradient * values.index_select(2, sender)).sum(1)
            to_values.index_add_(2, sender, weights[:, edge].unsqueeze(1) * gradient)
        return to_weights, to_values, None


def _edge_lists(adjacency: NDArray[np.bool_]) -> tuple[Tensor, Tensor | None]:
    """The senders of every node, padded with the node itself, and the padding's mask."""
    degrees = adjacency.sum(1)
    senders = np.repeat(np.arange(len(adjacency))[None], degrees.max(), axis=0)
    for node, row in enumerate(adjacency):
        senders[: degrees[node], node] = np.flatnonzero(row)
    padded = torch.from_numpy(np.arange(degrees.max())[:, None] >= degrees)
    padding = torch.zeros(padded.shape).masked_fill(padded, -torch.inf).unsqueeze(2)
    return torch.from_numpy(senders), padding if padded.any() else None
