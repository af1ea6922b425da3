"""The interface of compute backends, such as eager torch, and the samples that they learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from v3core.config import PPOConfig
from v3core.policy import GATMoEPolicy


@dataclass(frozen=True)
class Samples:
    """A rollout as learned from: its steps in any order, K = T·N of them."""

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
    """Index of the sample that followed in the same episode, −1 if there is none, [K]."""
    masks: Tensor | None = None
    """Which actions were allowed, [K, mask size]; None if all were."""


def at(rows: Tensor | None, chosen: Tensor | slice | int) -> Tensor | None:
    """Those rows that were chosen, of what not every rollout has."""
    return None if rows is None else rows[chosen]


class Acted(NamedTuple):
    """What acting needs of the policy's outputs, by the names of `PolicyOutput`."""

    outputs: Tensor
    """Parameters of the action distribution [batch, outputs]."""
    values: Tensor
    """[batch]"""
    gates: Tensor
    """[batch, experts]"""


class Backend(Protocol):
    """What computes the network. Acting and learning in turns; nothing else changes the parameters meanwhile."""

    policy: GATMoEPolicy
    """The network: it has the parameters, the current routing and the distribution of actions."""

    def prepare(self) -> None:
        """Take note of parameters and normalisation: needed before acting whenever these have changed.

        Learning from what was acted needs no other; the gradient steps themselves read the parameters again.
        """
        ...

    def act(self, observations: Tensor, noise: Tensor | None = None) -> Acted:
        """The outputs of the policy for observations [batch, size] with routing noise [batch, columns]."""
        ...

    def values(self, observations: Tensor) -> Tensor:
        """Values [batch] of observations [batch, size], in units of the reward scale."""
        ...

    def gradient_step(
        self, samples: Samples, chosen: Tensor, coefficients: Mapping[str, float], config: PPOConfig
    ) -> dict[str, Tensor]:
        """One step of Adam on a minibatch.

        Args:
            samples: a whole rollout.
            chosen: indices of the samples in the minibatch, [batch].
            coefficients: knob to coefficient of the loss with its name; omitted losses have 0.
            config: clipping and the coefficient of the value loss.

        Returns:
            Losses and statistics by the names of `Update`: scalars, and `expert_grad_norms` [experts]. Nothing is
            waited for: they may still be in progress on a GPU.
        """
        ...

    def decide(self, observations: Tensor, masks: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Actions [batch, components] for observations [batch, size], without routing noise.

        Args:
            observations: as the environments' batch gives them.
            masks: true where an action is allowed, [batch, mask size]; None allows all of them.
            noise: from `policy.actions.noise`, which determines the sample; without it the most likely actions.
        """
        ...

    def dormant_share(self, samples: Samples, most: int) -> float:
        """Share of units that are hardly active on the first `most` samples."""
        ...
