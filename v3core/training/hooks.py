"""What the trainer reports and what it asks, while it trains. No torch: whoever records need not load it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from v3core.curriculum import Curriculum


@dataclass(frozen=True)
class EpisodeRecord:
    """One complete episode: how it went, the update that learned from its end, and the settings really in force.

    None where a setting was not used: the `alpha` of a softmax, say. NaN where there is no number: the losses of a
    rollout that nothing was learned from.
    """

    episode: int
    """Number of the episode, from 1 without gaps, in order of completion."""
    phase: str
    """Name of the phase in force in the rollout in which it ended."""
    env: str
    """The environment it was played in."""
    return_: float
    """Undiscounted sum of the environment's own rewards."""
    length: int
    """Steps of the episode."""
    phase_steps: int
    """Steps of it that were acted in `phase`: fewer than `length` where it began in the phase before."""
    success: float | None
    """1 or 0 where the environment says whether the task was solved, else None."""
    step: int
    """Environment steps of the whole run when it ended, all environments together."""

    # Means over the gradient steps of the update that learned from the rollout in which the episode ended.
    # Losses of the routing carry their coefficient, so 0 means not used.
    policy_loss: float
    value_loss: float
    """Half the mean squared error of the value head, in units of the reward scale."""
    load_balance_loss: float
    """Switch loss; equals the coefficient at balance."""
    expert_balance_loss: float
    """DeepSeekMoE's; equals the coefficient at balance."""
    router_z_loss: float
    diversity_loss: float
    consistency_loss: float
    gate_entropy_loss: float
    """−coefficient × entropy of the gates; of the softmax over all experts where the routing is top-k."""
    action_entropy: float
    """Entropy of the action distribution, nats; may be negative for actions that are numbers."""
    total_loss: float
    """What was minimised: all of the above with their coefficients."""
    approx_kl: float
    """Mean of (ratio − 1) − log ratio: how far the policy moved from the one that acted, nats."""
    clip_fraction: float
    """Share of samples whose probability ratio left the clip range, 0 to 1."""
    router_shift: float
    """Mean total variation, 0 to 1, between the gates as acted and as they are while learning."""
    grad_norm: float
    """Norm of the gradient before clipping."""
    explained_variance: float
    """1 − Var(target − value)/Var(target) of the value head over the rollout, before the update."""
    dormant_share: float
    """Share of units of scene embedding and experts that are hardly active (≤ 2.5 % of their layer's mean)."""
    rollbacks: int
    """Updates of the run so far that were undone or left out because a number was not finite."""

    # Effective values: read back from the optimiser, the router and the loss, not from the plan.
    lr: float
    temperature: float
    routing: str
    alpha: float | None
    top_k: int | None
    top_k_weights: str | None
    jitter: float
    load_balance: float
    expert_balance: float
    z_loss: float
    diversity: float
    consistency: float
    gate_entropy: float
    bias_speed: float
    entropy: float
    """Coefficient of the action-entropy bonus."""

    # Routing as acted, over the episode's own steps. Gates are taken as shares that sum to 1.
    routing_entropy: float
    """E[H(α)]: mean entropy of the gates of a step, nats."""
    load_entropy: float
    """H(E[α]): entropy of the mean gates, nats."""
    specialisation: float
    """H(E[α]) − E[H(α)]: how much the state tells of the expert, nats. 0 if every step is routed alike."""
    effective_experts: float
    """exp(H(E[α]))."""
    support: float
    """Mean number of experts with a gate above 0."""
    load_cv: float
    """Deviation of the loads over their mean; 0 at balance."""
    dead_experts: int | None
    """Experts with a load below 1 %; None where the loads are not numbers."""
    loads: tuple[float, ...]
    """Mean gate weight of each expert; sums to 1."""
    hard_loads: tuple[float, ...]
    """Share of steps at which the expert had the largest weight; sums to 1."""
    expert_grad_norms: tuple[float, ...]
    """Norm of the gradient of each expert's parameters, before clipping, mean over the update's gradient steps."""


@dataclass(frozen=True)
class EvaluationEpisode:
    """One episode played without exploration, noise or learning."""

    number: int
    """From 1; the same number starts from the same seed in every evaluation of every run."""
    return_: float
    length: int
    success: float | None


@dataclass(frozen=True)
class Evaluation:
    """Episodes played apart from training with the policy as it was after `episode` complete episodes."""

    episode: int
    step: int
    env: str
    episodes: tuple[EvaluationEpisode, ...]


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
    pause: bool = False
    """Write a checkpoint, then hold in `TrainingHooks.hold` until something else is asked."""
    checkpoint: bool = False
    """Write a checkpoint and go on."""
    edits: tuple[Edit, ...] = ()
    """Oldest first; each is applied or rejected before the next rollout."""


class TrainingHooks(Protocol):
    """Whoever runs the trainer. Every call is made on the trainer's thread."""

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        """Episodes of the rollout just learned from, which may be none; `step` counts the whole run's steps."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """The policy was evaluated; every episode up to it was handed to `record` before."""

    def update_undone(self, reason: str, in_a_row: int) -> None:
        """A rollout was not learned from, or its update undone, because a number was not finite."""

    def phase_changed(self, change: PhaseChange) -> None:
        """A phase comes into force with the next rollout."""

    def orders(self) -> Orders:
        """Called between an update and what comes next, an evaluation or a rollout: must be cheap."""
        ...

    def hold(self, episode: int) -> None:
        """Called when a pause was asked for and its checkpoint is written; returns once training is to go on.

        A stop or an edit asked for meanwhile is in the next `orders`.
        """

    def interrupted(self) -> bool:
        """Whether to leave at once, without the end of a rollout or of an evaluation.

        Asked before every step of the environments, so it must cost next to nothing.
        """
        ...

    def remark(self, message: str) -> None:
        """Something to note in the run's history, one sentence."""

    def edit_applied(self, edit: Edit, episode: int) -> None:
        """The edit is in force from the next rollout on; `episode` episodes are complete."""

    def edit_rejected(self, edit: Edit, reason: str) -> None:
        """The edit was refused; `reason` is one sentence."""

    def checkpoint_path(self, episode: int) -> Path:
        """Where to write the checkpoint for this count of completed episodes; its folder exists."""
        ...

    def checkpoint_saved(self, path: Path, episode: int, step: int) -> None:
        """The checkpoint is complete on disk. Every episode up to it was handed to `record` before."""
