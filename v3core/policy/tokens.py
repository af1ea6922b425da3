"""Observations as node features: the first layer, one module for each kind of node in a state graph."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from v3core.environments import NodePart, StateGraphSpec
from v3core.environments.graph_spec import image_cells

CLIP = 10.0
"""Normalised values are clipped to ±10, so that one odd observation cannot blow up an update."""


class Tokens(nn.Module):
    """Node features of flat observations: a module for each part of the state graph, side by side."""

    def __init__(self, graph: StateGraphSpec, width: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(KINDS[part.kind](part, width) for part in graph.parts)
        self._columns = [slice(part.start, part.start + part.size) for part in graph.parts]

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, nodes, batch] of flat observations [batch, size]."""
        nodes = [part(observations[:, columns]) for part, columns in zip(self.parts, self._columns, strict=True)]
        # Parts made row by row come as transposed views: `cat` turns them as it copies.
        return nodes[0].contiguous() if len(nodes) == 1 else torch.cat(nodes, dim=1)

    def update_normalisation(self, observations: Tensor) -> None:
        """Take observations [n, size] into the running statistics of those parts that have any.

        Only between an update and the next rollout: acting and learning see the same network.
        """
        for part, columns in zip(self.parts, self._columns, strict=True):
            if isinstance(part, FeatureTokens):
                part.update_normalisation(observations[:, columns])


class FeatureTokens(nn.Module):
    """A node per feature, or per group of them: which it is, plus its normalised values times learned directions.

    The feature tokenizer of Gorishniy et al., 2021 (arXiv:2106.11959). Values are normalised by running mean and
    variance, kept as buffers.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, part: NodePart, width: int) -> None:
        super().__init__()
        self.group, self.nodes = part.group, part.nodes
        self.padding = part.nodes * part.group - part.size
        self.identity = nn.Parameter(torch.randn(width, part.nodes, 1))
        directions = (width, part.nodes, 1) if part.group == 1 else (part.nodes, width, part.group)
        self.direction = nn.Parameter(torch.randn(*directions) / math.sqrt(part.group))
        self.register_buffer("mean", torch.zeros(part.size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(part.size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, nodes, batch] of observations [batch, features]."""
        scale = (self.variance + 1e-8).rsqrt().float()
        values = ((observations - self.mean.float()) * scale).clamp(-CLIP, CLIP)
        if self.group == 1:
            return torch.addcmul(self.identity, self.direction, values.t().contiguous())
        values = nn.functional.pad(values, (0, self.padding)).view(-1, self.nodes, self.group)
        return (self.direction @ values.permute(1, 2, 0)).transpose(0, 1) + self.identity

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

    strides: Tensor

    def __init__(self, part: NodePart, width: int) -> None:
        super().__init__()
        self.cells, self.depth = part.nodes, len(part.categories)
        self.position = nn.Parameter(torch.randn(part.nodes, width))
        self.channels = nn.ParameterList(torch.randn(size, width) for size in part.categories)
        strides = [math.prod(part.categories[channel + 1 :]) for channel in range(self.depth)]
        self.register_buffer("strides", torch.tensor(strides), persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, cells, batch], a view, of observations [batch, columns · rows · channels]."""
        # One table of all combinations is smaller than one batch, and one look-up is faster than one per channel.
        table = self.channels[0]
        for channel in list(self.channels)[1:]:
            table = (table.unsqueeze(1) + channel).flatten(0, 1)
        combination = (observations.view(-1, self.cells, self.depth).long() * self.strides).sum(-1)
        return (nn.functional.embedding(combination, table) + self.position).permute(2, 1, 0)


class ImageTokens(nn.Module):
    """A node per cell of the feature map that a small convolutional network makes of an image."""

    def __init__(self, part: NodePart, width: int) -> None:
        super().__init__()
        self.shape = part.shape
        self.low, self.scale = part.low, 1.0 / (part.high - part.low)
        height, columns, channels = part.shape
        rows, cells = image_cells(height, columns)
        layers: list[nn.Module] = []
        while (height, columns) != (rows, cells):
            layers += [nn.Conv2d(channels, 32, 3, stride=2, padding=1), nn.ReLU()]
            height, columns, channels = math.ceil(height / 2), math.ceil(columns / 2), 32
        self.stem = nn.Sequential(*layers, nn.Conv2d(channels, width, 3, padding=1))
        self.position = nn.Parameter(torch.randn(width, part.nodes, 1))

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, cells, batch] of observations [batch, height · width · channels]."""
        images = observations.view(-1, *self.shape).permute(0, 3, 1, 2)
        features: Tensor = self.stem((images.float() - self.low) * self.scale)
        return features.flatten(2).permute(1, 2, 0) + self.position


class CategoryTokens(nn.Module):
    """A node per component: an embedding for each of its values."""

    offsets: Tensor

    def __init__(self, part: NodePart, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(sum(part.categories), width))
        offsets = [sum(part.categories[:component]) for component in range(len(part.categories))]
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, components, batch], a view, of observations [batch, components]."""
        return nn.functional.embedding(observations.long() + self.offsets, self.table).permute(2, 1, 0)


class WordTokens(nn.Module):
    """One node for a text: the sum of an embedding for each of its words, over the root of their number."""

    def __init__(self, part: NodePart, width: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.randn(width))
        self.table = nn.Parameter(torch.randn(part.size, width))

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, 1, batch], a view, of how often each word is in the texts, [batch, words]."""
        counts = observations.to(self.table.dtype)
        scale = counts.sum(1, keepdim=True).clamp(min=1).rsqrt()
        return torch.addmm(self.identity, counts * scale, self.table).unsqueeze(1).permute(2, 1, 0)


class HubToken(nn.Module):
    """The global node of a key: it observes nothing, and gathers what the nodes of its part send it."""

    def __init__(self, part: NodePart, width: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.randn(width, part.nodes, 1))

    def forward(self, observations: Tensor) -> Tensor:
        """Node features [width, 1, batch] of observations [batch, 0]."""
        return self.identity.expand(-1, -1, len(observations))


KINDS: Mapping[str, Callable[[NodePart, int], nn.Module]] = {
    "features": FeatureTokens,
    "grid": GridTokens,
    "image": ImageTokens,
    "categories": CategoryTokens,
    "words": WordTokens,
    "hub": HubToken,
}
"""What makes the nodes of each kind of part, of some width."""
