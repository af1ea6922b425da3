"""Observations as node features: the first layer, one module for each kind of state graph."""

import torch
from torch import Tensor, nn

from v3core.environments import StateGraphSpec

CLIP = 10.0
"""Normalised values are clipped to ±10, so that one odd observation cannot blow up an update."""


class VectorTokens(nn.Module):
    """A node per feature: an embedding that says which feature it is, plus its normalised value times a direction.

    The feature tokenizer of Gorishniy et al., 2021 (arXiv:2106.11959). Values are normalised by running mean and
    variance, kept as buffers. They change only in `update_normalisation`, which the trainer calls between an update
    and the next rollout: acting and learning see the same network.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.randn(width, features, 1))
        self.direction = nn.Parameter(torch.randn(width, features, 1))
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(features, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, features, batch] of observations [batch, features]."""
        scale = (self.variance + 1e-8).rsqrt().float()
        values = ((observations - self.mean.float()) * scale).clamp(-CLIP, CLIP)
        return torch.addcmul(self.identity, self.direction, values.t().contiguous())

    @torch.no_grad()
    def update_normalisation(self, observations: Tensor) -> None:
        """Take observations [n, features] into the running statistics (Chan et al., 1979)."""
        batch = observations.double()
        variance, mean = torch.var_mean(batch, dim=0, correction=0)
        total = self.count + len(batch)
        weight = len(batch) / total
        shift = mean - self.mean
        self.mean += shift * weight
        self.variance.copy_(self.variance * (1 - weight) + variance * weight + shift**2 * weight * (1 - weight))
        self.count.copy_(total)


class GridTokens(nn.Module):
    """A node per cell: the sum of an embedding per channel value and one for the cell's place.

    Channels are categories (object, colour, state): they are looked up, never scaled as if they were intensities.
    """

    offsets: Tensor

    def __init__(self, cells: int, categories: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(cells, width))
        self.channels = nn.ParameterList(torch.randn(size, width) for size in categories)
        strides = [1]
        for size in reversed(categories[1:]):
            strides.insert(0, strides[0] * size)
        self.register_buffer("strides", torch.tensor(strides), persistent=False)
        self.strides: Tensor

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, cells, batch] of observations [batch, columns, rows, channels]."""
        # One table of all combinations is smaller than one batch, and one look-up is faster than one per channel.
        table = self.channels[0]
        for channel in list(self.channels)[1:]:
            table = (table.unsqueeze(1) + channel).flatten(0, 1)
        combination = (observations.flatten(1, 2).long() * self.strides).sum(-1)
        nodes = nn.functional.embedding(combination, table) + self.position
        return nodes.permute(2, 1, 0).contiguous()

    def update_normalisation(self, observations: Tensor) -> None:
        """Nothing: categories have no mean."""


def tokens_for(spec: StateGraphSpec, width: int) -> VectorTokens | GridTokens:
    """The first layer for a state graph."""
    if spec.kind == "vector":
        return VectorTokens(spec.nodes, width)
    return GridTokens(spec.nodes, spec.categories, width)
