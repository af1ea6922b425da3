"""The experts: small networks of one shape, evaluated together."""

import torch
from torch import Tensor, nn

from v3core.policy.initial import orthogonal


class Experts(nn.Module):
    """E two-layer networks from the scene embedding to action outputs, as stacked tensors: two batched products.

    All experts read the same scene, but one plain product with their first layers side by side was slower.

    Args:
        experts: how many.
        width: of the scene embedding.
        hidden: width of each expert's hidden layer.
        outputs: numbers that each expert puts out.
    """

    def __init__(self, experts: int, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.weight_in = nn.Parameter(torch.stack([orthogonal(width, hidden, 2**0.5) for _ in range(experts)]))
        self.bias_in = nn.Parameter(torch.zeros(experts, 1, hidden))
        # Near-zero outputs at first: the untrained policy tries every action.
        self.weight_out = nn.Parameter(torch.stack([orthogonal(hidden, outputs, 0.01) for _ in range(experts)]))
        self.bias_out = nn.Parameter(torch.zeros(experts, 1, outputs))

    def forward(self, scene: Tensor) -> tuple[Tensor, Tensor]:
        """What every expert says of scene embeddings [batch, width].

        Returns:
            Outputs [experts, batch, outputs] and hidden activations [experts, batch, hidden], each in −1 to 1.
        """
        weight_in = self.weight_in
        hidden = torch.baddbmm(self.bias_in, scene.expand(len(weight_in), *scene.shape), weight_in).tanh()
        return torch.baddbmm(self.bias_out, hidden, self.weight_out), hidden

    def gradient_norms(self) -> Tensor:
        """Norm of the gradient of each expert's parameters, [experts]; after a backward pass."""
        own = (self.weight_in, self.bias_in, self.weight_out, self.bias_out)
        gradients = [parameter.grad.flatten(1) for parameter in own if parameter.grad is not None]
        norms: Tensor = torch.linalg.vector_norm(torch.cat(gradients, 1), dim=1)
        return norms
