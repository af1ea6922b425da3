"""All parameters of a module as one vector, and Adam over it by torch's fused kernel.

A small network's gradient step is many short operations, one for each parameter: laid out flat, zeroing, the norm,
clipping and Adam are one operation each. The module's parameters become views, so nothing else notices.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-5


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


class Adam:
    """`torch.optim.Adam(fused=True)` of a single parameter, to the bit, its checkpoints included.

    It calls torch's functional form because making a `torch.optim.Optimizer` imports torch's compiler, which nothing
    here uses and which takes a third of a worker's start.
    """

    def __init__(self, values: Tensor, lr: float) -> None:
        """Optimise `values`, a leaf with a gradient; `lr` is the learning rate of the next step."""
        self.lr = lr
        self._values = values
        self._step = torch.zeros((), device=values.device)
        self._exp_avg = torch.zeros_like(values)
        self._exp_avg_sq = torch.zeros_like(values)

    @torch.no_grad()
    def step(self) -> None:
        """Move the values by their gradient."""
        assert self._values.grad is not None
        adam(
            [self._values],
            [self._values.grad],
            [self._exp_avg],
            [self._exp_avg_sq],
            [],
            [self._step],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.lr,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    @property
    def moments(self) -> dict[str, Tensor]:
        """Number of steps, and the moving averages of the gradient and its square, by torch's names; not copies."""
        return {"step": self._step, "exp_avg": self._exp_avg, "exp_avg_sq": self._exp_avg_sq}

    def state_dict(self) -> dict[str, Any]:
        """As `torch.optim.Adam` writes it, which can load it; its tensors are no copies."""
        group = {
            "lr": self.lr,
            "betas": BETAS,
            "eps": EPSILON,
            "weight_decay": 0.0,
            "amsgrad": False,
            "maximize": False,
            "foreach": None,
            "capturable": False,
            "differentiable": False,
            "fused": True,
            "decoupled_weight_decay": False,
            "params": [0],
        }
        return {"state": {0: self.moments}, "param_groups": [group]}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict`, or `torch.optim.Adam`, has written.

        Raises:
            KeyError, RuntimeError: if it is of other values.
        """
        (group,) = state["param_groups"]
        self.lr = float(group["lr"])
        for name, moment in self.moments.items():
            if state["state"]:
                moment.copy_(state["state"][0][name])
            else:  # torch keeps nothing before the first step
                moment.zero_()
