"""Attention over neighbour lists, one neighbour at a time, with gradients by hand.

Autograd would keep a tensor [width, degree, nodes, batch] for each step; here only the weights
[heads, degree, nodes, batch] are kept and the rest is computed again, which on these sizes is faster too: it stays in
the cache. Tensors are [heads, head width, nodes, batch] unless said otherwise.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

NEGATIVE_SLOPE = 0.2
"""Of the leaky ReLU on attention scores, as in both papers."""
PAIRS_IN_CACHE = 2**18
"""Numbers in a tensor of all pairs up to which a complete graph is treated in one piece: 1 MiB."""


def edge_lists(adjacency: NDArray[np.bool_]) -> tuple[Tensor, Tensor | None]:
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
    """Attention weights [heads, degree, nodes, batch] of GATv2.

    Args:
        left: l, what a node shows as a sender.
        right: r, what it looks for as a receiver.
        score: a, [heads, head width, 1].
        senders: [degree, nodes].
        padding: [degree, nodes, 1] or None.
        complete: whether every node is a neighbour of every node, in the same order.
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
    """GATv2's attention and weighted sum, of l and r in one tensor [2, heads, head width, nodes, batch].

    The other arguments are those of `gatv2_attention`.
    """

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
