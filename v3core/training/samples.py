"""A rollout as it is learned from: its steps in any order."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from v3core.training.advantages import Floats
from v3core.training.rollout import Rollout

LEAST_DEVIATION = 0.2
"""In units of the value head, which predicts returns divided by their running deviation."""


@dataclass(frozen=True)
class Samples:
    """The steps of a rollout, K = T·N of them."""

    observations: Tensor
    """[K, size]"""
    actions: Tensor
    """[K, components]"""
    log_probs: Tensor
    """Of the actions when they were taken, [K]."""
    advantages: Tensor
    """Normalised over the rollout, [K]."""
    targets: Tensor
    """Of the value head, [K]."""
    gates: Tensor
    """As acted, [K, experts]."""
    noise: Tensor | None
    """Of the router, as acted, [K, columns]."""
    successors: Tensor
    """Index of the sample that really followed in the same episode, −1 where there is none, [K]."""
    masks: Tensor | None = None
    """Which actions were allowed, [K, mask size]; None if all were."""

    @classmethod
    def of(cls, rollout: Rollout, advantages: Floats, targets: Floats, device: torch.device) -> "Samples":
        """A rollout with its advantages and targets, both [T, N]; time first where the dimensions become one."""
        steps, count = rollout.ended.shape
        successors = np.arange(count, (steps + 1) * count).reshape(steps, count)
        successors[-1] = -1
        successors[rollout.ended] = -1
        return cls(
            observations=rollout.observations.flatten(0, 1),
            actions=rollout.actions.flatten(0, 1),
            log_probs=rollout.log_probs.flatten(),
            advantages=normalised(torch.from_numpy(advantages).float().flatten()).to(device),
            targets=torch.from_numpy(targets).float().flatten().to(device),
            gates=rollout.gates.flatten(0, 1),
            noise=None if rollout.noise is None else rollout.noise.flatten(0, 1),
            masks=None if rollout.masks is None else rollout.masks.flatten(0, 1),
            successors=torch.from_numpy(successors.ravel()).to(device),
        )


def at(rows: Tensor | None, chosen: Tensor | slice) -> Tensor | None:
    """Those rows that were chosen, of what not every rollout has."""
    return None if rows is None else rows[chosen]


def normalised(advantages: Tensor) -> Tensor:
    """Advantages with mean 0 and deviation 1; those that hardly differ are left small.

    Once every action does equally well, advantages are the value head's noise. Blown up to deviation 1 they would
    push a solved policy about at random, so they are never divided by less than `LEAST_DEVIATION`.
    """
    centred = advantages - advantages.mean()
    return centred / centred.square().mean().sqrt().clamp(min=LEAST_DEVIATION)
