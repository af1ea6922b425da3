"""Graph attention, laid out for small graphs in large batches.

Node features are [width, nodes, batch] here, batch last: each step below is then one long vector operation, where
with the batch first it would be thousands of 4×4 products. Edges are a list of neighbours per node, so a grid costs
nine edges a cell and not one per pair of cells. The results are those of PyTorch Geometric's GATConv and GATv2Conv;
the tests compare them. It takes a quarter to half of their time (`benchmarks/gat.py`).

Gradients are by hand, one neighbour at a time. Autograd would keep a tensor [width, degree, nodes, batch] for each
step; here only the weights [heads, degree, nodes, batch] are kept and the rest is computed again, which on these sizes
is faster too: it stays in the cache. Tensors are [heads, head width, nodes, batch] unless said otherwise.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

NEGATIVE_SLOPE = 0.2
"""Of the leaky ReLU on attention scores, as in both papers."""
PAIRS_IN_CACHE = 2**18
"""Numbers in a tensor of all pairs up to which a complete graph is treated in one piece: 1 MiB."""


class GraphAttention(nn.Module):
    """One multi-head graph attention convolution, the heads' outputs side by side plus a bias.

    For head h and an edge i ← j, with α_i = softmax_j(e_ij):

    gatv1 (Veličković et al., 2018, arXiv:1710.10903): e_ij = LeakyReLU(r_h·z_i + s_h·z_j), out_i = Σ_j α_ij z_j with
    z = W x.
    gatv2 (Brody et al., 2022, arXiv:2105.14491): e_ij = a_h·LeakyReLU(W_r x_i + b_r + W_l x_j + b_l),
    out_i = Σ_j α_ij (W_l x_j + b_l).

    `adjacency` [nodes, nodes] is true where the row's node sees the column's, itself included. `width_out`, of features
    per node, is a multiple of `heads`.
    """

    senders: Tensor  # of the k-th edge of each node, [degree, nodes]; nodes of lower degree are padded
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
        senders, padding = _edge_lists(adjacency)
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

    def attention(self, nodes: Tensor) -> Tensor:
        """The weights α with which `forward` mixes neighbours, [heads, degree, nodes, batch]; 0 at padding.

        That of edge k of a node is for its sender `senders[k]`. Of the same node features [width_in, nodes, batch].
        """
        if self.version == "gatv2":
            left, right = self._project(nodes)
            return gatv2_attention(left, right, self.score, self.senders, self.padding, self.complete)
        return self._attend(nodes)[0]

    def _score_vectors(self) -> nn.Parameter:
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
    """A pre-norm layer with a residual: x + ELU(conv(LayerNorm(x))), of the same width in and out.

    `mlp` puts a linear layer per node in place of the attention, so that nodes send no messages: the control without a
    graph.
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

    def attention(self, nodes: Tensor) -> Tensor | None:
        """The weights α of `GraphAttention.attention` for what `forward` takes in; None without attention."""
        return self.conv.attention(self._normalised(nodes)) if isinstance(self.conv, GraphAttention) else None

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
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(width_out, width_in)))


def _edge_lists(adjacency: NDArray[np.bool_]) -> tuple[Tensor, Tensor | None]:
    """The senders of every node, padded with the node itself, and the padding's mask."""
    degrees = adjacency.sum(1)
    senders = np.repeat(np.arange(len(adjacency))[None], degrees.max(), axis=0)
    for node, row in enumerate(adjacency):
        senders[: degrees[node], node] = np.flatnonzero(row)
    padded = torch.from_numpy(np.arange(degrees.max())[:, None] >= degrees)
    padding = torch.zeros(padded.shape).masked_fill(padded, -torch.inf).unsqueeze(2)
    return torch.from_numpy(senders), padding if padded.any() else None


def _neighbour(values: Tensor, senders: Tensor, edge: int, complete: bool, scratch: Tensor) -> Tensor:
    """The values of the `edge`-th neighbour of each node. In a complete graph it is the same node for all: a view."""
    return values.narrow(2, edge, 1) if complete else torch.index_select(values, 2, senders[edge], out=scratch)


def _scratch(like: Tensor) -> Tensor:
    """Scratch memory for a loop over neighbours: allocating it at each step would cost more than the arithmetic."""
    return torch.empty(like.shape, dtype=like.dtype, device=like.device)


def _send_back(to_values: Tensor, gradient: Tensor, senders: Tensor, edge: int, complete: bool) -> None:
    """Add what receivers say of their `edge`-th neighbour to the gradient of that neighbour."""
    if complete:
        to_values.select(2, edge).add_(gradient.sum(2))
    else:
        to_values.index_add_(2, senders[edge], gradient)


def _mix(weights: Tensor, values: Tensor, senders: Tensor, complete: bool) -> Tensor:
    """out_i = Σ_k α_ik · values of the k-th neighbour of i, for weights [heads, degree, nodes, batch]."""
    mixed = torch.zeros(values.shape, dtype=values.dtype, device=values.device)
    scratch = _scratch(values)
    for edge in range(len(senders)):
        mixed.addcmul_(weights[:, edge].unsqueeze(1), _neighbour(values, senders, edge, complete, scratch))
    return mixed


class MixNeighbours(torch.autograd.Function):
    """The weighted sum over neighbours: weights [heads, degree, nodes, batch], values, senders [degree, nodes]."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor, senders: Tensor, complete: bool) -> Tensor:
        ctx.save_for_backward(weights, values, senders)
        ctx.complete = complete
        return _mix(weights, values, senders, complete)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        weights, values, senders = ctx.saved_tensors
        if ctx.complete and _fits(values):
            pairs = gradient.unsqueeze(2) * values.unsqueeze(3)
            to_weights = pairs.sum(1)
            return to_weights, torch.mul(weights.unsqueeze(1), gradient.unsqueeze(2), out=pairs).sum(3), None, None
        to_weights = torch.empty_like(weights)
        to_values = torch.zeros(values.shape, dtype=values.dtype, device=values.device)
        scratch = _scratch(values)
        for edge in range(len(senders)):
            sender = _neighbour(values, senders, edge, ctx.complete, scratch)
            to_weights[:, edge] = torch.mul(gradient, sender, out=scratch).sum(1)
            torch.mul(weights[:, edge].unsqueeze(1), gradient, out=scratch)
            _send_back(to_values, scratch, senders, edge, ctx.complete)
        return to_weights, to_values, None, None


def gatv2_attention(
    left: Tensor, right: Tensor, score: Tensor, senders: Tensor, padding: Tensor | None, complete: bool
) -> Tensor:
    """Attention weights [heads, degree, nodes, batch] of GATv2, given what nodes show as senders and seek as receivers.

    `score` is a, [heads, head width, 1]. In a complete graph all nodes are neighbours of every node, in the same order.
    """
    heads, _, count, batch = left.shape
    # LeakyReLU(x) = s x + (1 − s) ReLU(x), and ReLU(l + r) = max(l, −r) + r. A softmax over senders does not see what r
    # adds by itself, so s a·l + (1 − s) a·max(l, −r) is enough: one long operation instead of two.
    row, opposite = score.transpose(1, 2), -right
    straight = torch.bmm(NEGATIVE_SLOPE * row, left.flatten(2)).view(heads, count, batch)
    row = (1 - NEGATIVE_SLOPE) * row
    if complete and _fits(left):
        larger = torch.maximum(left.unsqueeze(3), opposite.unsqueeze(2))
        pairs = torch.bmm(row, larger.flatten(2)).view(heads, count, count, batch)
        return torch.softmax(pairs.add_(straight.unsqueeze(2)), dim=1)
    scores = left.new_empty(heads, len(senders), count, batch)
    scratch = _scratch(left)
    for edge in range(len(senders)):
        larger = torch.maximum(_neighbour(left, senders, edge, complete, scratch), opposite, out=scratch)
        scores[:, edge] = torch.bmm(row, larger.flatten(2)).view(heads, count, batch)
    scores += straight.index_select(1, senders.flatten()).view(scores.shape)
    if padding is not None:
        scores += padding
    return torch.softmax(scores, dim=1)


class GATv2Mix(torch.autograd.Function):
    """GATv2's attention and weighted sum, of l and r in one tensor [2, heads, head width, nodes, batch]."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, score: Tensor, senders: Tensor, padding: Tensor | None, complete: bool
    ) -> Tensor:
        left, right = projected.unbind()
        weights = gatv2_attention(left, right, score, senders, padding, complete)
        mixed = _mix(weights, left, senders, complete)
        ctx.save_for_backward(projected, score, senders, weights, mixed)
        ctx.complete = complete
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        projected, score, senders, weights, mixed = ctx.saved_tensors
        left, right = projected.unbind()
        # Softmax needs Σ_j α_ij ∂α_ij, which is the gradient times the output: one pass over neighbours is enough.
        mean = (gradient * mixed).sum(1)
        if ctx.complete and _fits(left):
            message, scored = _pairs_backward(gradient, mean, left, right, weights)
        else:
            message, scored = _edges_backward(gradient, mean, left, right, weights, senders, ctx.complete)
        # LeakyReLU(x) = x LeakyReLU'(x): its sum over edges needs nothing that is not here.
        to_score = (scored * projected).sum((0, 3, 4)).unsqueeze(2)
        scored *= score.unsqueeze(2)
        scored[0] += message
        return scored, to_score, None, None, None


def _fits(left: Tensor) -> bool:
    """Whether a tensor of all pairs of nodes stays in a processor's cache: few long operations then beat many."""
    return left.numel() * left.shape[2] <= PAIRS_IN_CACHE


def _pairs_backward(
    gradient: Tensor, mean: Tensor, left: Tensor, right: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """As `_edges_backward` for a complete graph, all pairs [heads, head width, senders, receivers, batch] at once."""
    gradient, left = gradient.unsqueeze(2), left.unsqueeze(3)
    pairs = gradient * left
    to_scores = pairs.sum(1).sub_(mean.unsqueeze(1)).mul_(weights)
    message = torch.mul(weights.unsqueeze(1), gradient, out=pairs).sum(3)
    torch.add(left, right.unsqueeze(2), out=pairs)
    _leaky_backward(to_scores.unsqueeze(1), pairs, out=pairs)
    scored = right.new_empty(2, *right.shape)
    torch.sum(pairs, 3, out=scored[0])
    torch.sum(pairs, 2, out=scored[1])
    return message, scored


def _edges_backward(
    gradient: Tensor, mean: Tensor, left: Tensor, right: Tensor, weights: Tensor, senders: Tensor, complete: bool
) -> tuple[Tensor, Tensor]:
    """The gradient of l as a message, and Σ ∂e LeakyReLU'(l + r) over receivers and over senders, in one tensor."""
    message, scored = torch.zeros_like(gradient), right.new_zeros(2, *right.shape)
    gathered, scratch = _scratch(left), _scratch(left)
    for edge in range(len(senders)):
        sender = _neighbour(left, senders, edge, complete, gathered)
        to_score = torch.mul(gradient, sender, out=scratch).sum(1).sub_(mean).mul_(weights[:, edge])
        torch.add(sender, right, out=gathered)
        _leaky_backward(to_score.unsqueeze(1), gathered, out=gathered)
        scored[1] += gathered
        _send_back(scored[0], gathered, senders, edge, complete)
        torch.mul(weights[:, edge].unsqueeze(1), gradient, out=scratch)
        _send_back(message, scratch, senders, edge, complete)
    return message, scored


def _leaky_backward(gradient: Tensor, at: Tensor, *, out: Tensor) -> None:
    """The gradient, the same over the head width, times the slope of the leaky ReLU at `at`."""
    torch.ops.aten.leaky_relu_backward.grad_input(gradient.expand_as(at), at, NEGATIVE_SLOPE, False, grad_input=out)
