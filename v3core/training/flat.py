"""All parameters of a module in one stretch of memory, and all their gradients in another.

A small network's gradient step is many short operations, one for each parameter: laid out flat, zeroing, the norm,
clipping and Adam are one operation each. The module's parameters become views, so nothing else notices.
"""

import torch
from torch import Tensor, nn


class FlatParameters:
    """A module's parameters and gradients as two vectors of equal length."""

    def __init__(self, module: nn.Module) -> None:
        """Move the parameters of `module` into one vector; it must be on its device already."""
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.values = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
        self.gradient = torch.zeros_like(self.values)
        self.values.grad = self.gradient
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            parameter.data = self.values.data[start:end].view_as(parameter)
            # Backward adds to a gradient that is there already, in place: so it stays a view.
            parameter.grad = self.gradient[start:end].view_as(parameter)
            start = end

    def clip_gradient(self, largest: float) -> Tensor:
        """Scale the gradient down to norm `largest` if it is longer; returns its norm before, as a scalar."""
        norm: Tensor = torch.linalg.vector_norm(self.gradient)
        self.gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0))
        return norm
