"""One episode as the trainer reports it and as the store keeps it.

The record is made of three parts, each filled where its numbers are: what was acted, what the update did, and which
settings were in force. A field is named as its column in the store.
"""

import math
from dataclasses import dataclass, fields
from typing import Any


@dataclass(kw_only=True)
class Acted:
    """How an episode went, and its routing as acted, over its own steps. Gates are taken as shares that sum to 1."""

    return_: float
    """Undiscounted sum of the environment's own rewards."""
    length: int
    """Steps of the episode."""
    phase_steps: int
    """Steps of it that were acted in `phase`: fewer than `length` where it began in the phase before."""
    success: float | None
    """1 or 0 where the environment says whether the task was solved, else None."""
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


@dataclass(kw_only=True)
class Update:
    """The update that learned from the rollout in which the episode ended: means over its gradient steps.

    Losses of the routing carry their coefficient, so 0 means not used.
    """

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
    dormant_share: float
    """Share of units of scene embedding and experts that are hardly active (≤ 2.5 % of their layer's mean)."""
    expert_grad_norms: tuple[float, ...]
    """Norm of the gradient of each expert's parameters, before clipping."""

    @classmethod
    def nothing(cls, experts: int) -> "Update":
        """Of a rollout that nothing was learned from: NaN throughout."""
        numbers: dict[str, Any] = {field.name: math.nan for field in fields(cls)}
        return cls(**numbers | {"expert_grad_norms": (math.nan,) * experts})


@dataclass(kw_only=True)
class InForce:
    """The settings that really held: read back from the optimiser, the router and the loss, not from the plan.

    None where a setting was not used: the `alpha` of a softmax, say.
    """

    phase: str
    """Name of the phase in force in the rollout in which the episode ended."""
    env: str
    """The environment it was played in."""
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


@dataclass(kw_only=True)  # not frozen: that takes three times as long with this many fields
class EpisodeRecord(Acted, Update, InForce):
    """One complete episode: how it went, the update that learned from its end, and the settings in force.

    NaN where there is no number: the losses of a rollout that nothing was learned from.
    """

    episode: int
    """Number of the episode, from 1 without gaps, in order of completion."""
    step: int
    """Environment steps of the whole run when it ended, all environments together."""
    explained_variance: float
    """1 − Var(target − value)/Var(target) of the value head over the rollout, before the update."""
    rollbacks: int
    """Updates of the run so far that were undone or left out because a number was not finite."""
