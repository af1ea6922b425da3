"""Initial weights."""

import torch
from torch import Tensor, nn


def orthogonal(inputs: int, outputs: int, gain: float) -> Tensor:
    """An orthogonal matrix [inputs, outputs] times `gain`, as is usual for PPO (CleanRL, Stable-Baselines3)."""
    return nn.init.orthogonal_(torch.empty(inputs, outputs), gain)


def linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights and no bias at first."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
