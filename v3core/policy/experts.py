"""The experts: small networks of one shape, evaluated together."""

import torch
from torch import Tensor, nn

from v3core.policy.initial import orthogonal


class Experts(nn.Module):
    """E two-layer networks from the scene embedding to action logits, as stacked tensors: two batched products."""

    def __init__(self, experts: int, width: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.weight_in = nn.Parameter(torch.stack([orthogonal(width, hidden, 2**0.5) for _ in range(experts)]))
        self.bias_in = nn.Parameter(torch.zeros(experts, 1, hidden))
        # Near-zero logits at first: the untrained policy tries every action.
        self.weight_out = nn.Parameter(torch.stack([orthogonal(hidden, actions, 0.01) for _ in range(experts)]))
        self.bias_out = nn.Parameter(torch.zeros(experts, 1, actions))

    def forward(self, scene: Tensor) -> Tensor:
        """Action logits of every expert, [experts, batch, actions], for scene embeddings [batch, width]."""
        inputs = scene.expand(len(self.weight_in), *scene.shape)
        hidden = torch.tanh(torch.baddbmm(self.bias_in, inputs, self.weight_in))
        return torch.baddbmm(self.bias_out, hidden, self.weight_out)
