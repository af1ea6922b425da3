"""Adam over one vector of parameters, by torch's fused kernel."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-5


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

    @torch.no_grad()
    def set_moments(self, moments: dict[str, Tensor]) -> None:
        """Copy them from those of another time."""
        for name, moment in self.moments.items():
            moment.copy_(moments[name])

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

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict`, or `torch.optim.Adam`, has written.

        Raises:
            KeyError, RuntimeError: if it is of other values.
        """
        (group,) = state["param_groups"]
        self.lr = float(group["lr"])
        if state["state"]:
            moments = state["state"][0]
        else:  # torch keeps nothing before the first step
            moments = {name: torch.zeros_like(moment) for name, moment in self.moments.items()}
        self.set_moments(moments)
