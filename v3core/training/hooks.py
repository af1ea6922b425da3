"""What the trainer reports and what it asks, while it trains. No torch: whoever records need not load it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from v3core.curriculum import Curriculum


@dataclass(frozen=True)
class EpisodeRecord:
    """One complete episode: how it went, the update that learned from its end, and the settings really in force."""

    episode: int
    """Number of the episode, from 1 without gaps, in order of completion."""
    phase: str
    """Name of the phase in force in the rollout in which it ended."""
    return_: float
    """Undiscounted sum of the environment's own rewards."""
    length: int
    """Steps of the episode."""
    step: int
    """Environment steps of the whole run when it ended, all environments together."""

    # Means over the gradient steps of the update that learned from the rollout in which the episode ended.
    policy_loss: float
    value_loss: float
    """Half the mean squared error of the value head, in units of the reward scale."""
    load_balance_loss: float
    """Switch loss with its coefficient: equals the coefficient at balance."""
    action_entropy: float
    """Entropy of the action distribution, nats."""
    total_loss: float
    """What was minimised: policy + value + load balance − entropy bonus, each with its coefficient."""
    approx_kl: float
    """Mean of (ratio − 1) − log ratio: how far the policy moved from the one that acted, nats."""
    clip_fraction: float
    """Share of samples whose probability ratio left the clip range, 0 to 1."""
    grad_norm: float
    """Norm of the gradient before clipping."""

    # Effective values: read back from the optimiser, the router and the loss, not from the plan.
    lr: float
    temperature: float
    routing: str
    load_balance: float
    """Coefficient of the load-balance loss."""
    entropy: float
    """Coefficient of the entropy bonus."""

    # Routing as acted, over the episode's own steps.
    routing_entropy: float
    """Mean entropy of the gate weights, nats."""
    loads: tuple[float, ...]
    """Mean gate weight of each expert; sums to 1."""
    hard_loads: tuple[float, ...]
    """Share of steps at which the expert had the largest weight; sums to 1."""


@dataclass(frozen=True)
class PhaseChange:
    """A phase came into force. The first is phase 0 at episode 0, the start of the run."""

    phase: int
    """Index of the phase, from 0."""
    name: str
    planned: int | None
    """Completed episodes at which the curriculum asked for it; None if it names no episode."""
    episode: int
    """Completed episodes when it really came into force."""
    step: int
    """Environment steps of the whole run at that moment."""


@dataclass(frozen=True)
class Edit:
    """A new curriculum asked for while the run trains."""

    id: int
    curriculum: Curriculum


@dataclass(frozen=True)
class Orders:
    """What was asked of the run since it was last looked at."""

    stop: bool = False
    """Write a checkpoint and end."""
    edits: tuple[Edit, ...] = ()
    """Oldest first; each is applied or rejected before the next rollout."""


class TrainingHooks(Protocol):
    """Whoever runs the trainer. Every call is made on the trainer's thread."""

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        """Episodes of the rollout just learned from, which may be none; `step` counts the whole run's steps."""

    def phase_changed(self, change: PhaseChange) -> None:
        """A phase comes into force with the next rollout."""

    def orders(self) -> Orders:
        """Called once between an update and the next rollout: must be cheap."""
        ...

    def edit_applied(self, edit: Edit, episode: int) -> None:
        """The edit is in force from the next rollout on; `episode` episodes are complete."""

    def edit_rejected(self, edit: Edit, reason: str) -> None:
        """The edit was refused; `reason` is one sentence."""

    def checkpoint_path(self, episode: int) -> Path:
        """Where to write the checkpoint for this count of completed episodes; its folder exists."""
        ...

    def checkpoint_saved(self, path: Path, episode: int, step: int) -> None:
        """The checkpoint is complete on disk. Every episode up to it was handed to `record` before."""
