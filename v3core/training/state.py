"""All that changes while a run trains, and how it goes into a checkpoint and out again."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from v3core.config import RunConfig
from v3core.curriculum import Settings
from v3core.environments import StateGraphSpec
from v3core.errors import V3Error
from v3core.policy import GATMoEPolicy
from v3core.training.checkpoint import load_checkpoint
from v3core.training.statistics import ReturnScale


class TrainingState:
    """Policy, optimiser, random generators and counters of one run, seeded from its config."""

    def __init__(self, config: RunConfig, spec: StateGraphSpec, actions: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.policy = GATMoEPolicy(spec, actions, config.policy)
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=config.base.lr, eps=1e-5, fused=True)
        self.return_scale = ReturnScale()
        self.generator = torch.Generator().manual_seed(config.seed)
        """Where sampled actions come from."""
        self.random = np.random.default_rng(config.seed)
        """Where the order of minibatches comes from."""
        self.completed = 0
        """Complete episodes."""
        self.step = 0
        """Environment steps, all environments together."""
        self.updates = 0
        """PPO updates."""
        self.phase: int | None = None
        """Index of the phase last announced; None before the first."""

    @property
    def lr(self) -> float:
        """The learning rate that the next optimiser step uses."""
        return float(self.optimizer.param_groups[0]["lr"])

    def apply(self, settings: Settings) -> None:
        """Hand a phase's settings to the modules that use them."""
        self.policy.routing = settings.routing
        self.policy.temperature = settings.temperature
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that loading a checkpoint never runs code."""
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "return_scale": self.return_scale.state_dict(),
            "torch_generator": self.generator.get_state(),
            "numpy_generator": self.random.bit_generator.state,
            "completed": self.completed,
            "step": self.step,
            "updates": self.updates,
            "phase": self.phase,
        }

    def load(self, path: Path) -> None:
        """Go on where a checkpoint was written.

        Raises:
            V3Error: naming the file, if it is damaged or belongs to a run of another environment or network.
        """
        state = load_checkpoint(path)
        try:
            self.policy.load_state_dict(state["policy"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.return_scale.load_state_dict(state["return_scale"])
            self.generator.set_state(state["torch_generator"])
            self.random.bit_generator.state = state["numpy_generator"]
            self.completed, self.step, self.updates = state["completed"], state["step"], state["updates"]
            self.phase = state["phase"]
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise V3Error(
                f"Checkpoint {path} does not fit this run: it belongs to another environment or network size."
            ) from None
