"""Learning: one PPO update from one rollout."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from v3core.config import PPOConfig
from v3core.curriculum import Settings
from v3core.interruption import leave_if, never
from v3core.policy import Gating, GATMoEPolicy, PolicyOutput
from v3core.training.adam import Adam
from v3core.training.flat import FlatParameters
from v3core.training.losses import (
    clipped_policy_loss,
    consistency_loss,
    diversity_loss,
    expert_balance_loss,
    gate_entropy,
    load_balance_loss,
    normalised_gates,
    value_loss,
    z_loss,
)

LEAST_DEVIATION = 0.2
"""In units of the value head, which predicts returns divided by their running deviation."""

DORMANT = 0.025
"""A unit is dormant if its mean activity is at most this share of its layer's mean (Sokar et al., 2023)."""


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
    """Index of the sample that really followed in the same episode, −1 where there is none, [K]."""
    masks: Tensor | None = None
    """Which actions were allowed, [K, mask size]; None if all were."""


@dataclass(frozen=True)
class Coefficients:
    """Weights of the terms that a phase owns, named as its settings."""

    load_balance: float = 0.0
    expert_balance: float = 0.0
    z_loss: float = 0.0
    diversity: float = 0.0
    consistency: float = 0.0
    gate_entropy: float = 0.0
    entropy: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> "Coefficients":
        """Those of a phase."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class UpdateStatistics:
    """What one update did: means over its gradient steps, named as in `EpisodeRecord`."""

    policy_loss: float
    value_loss: float
    load_balance_loss: float
    expert_balance_loss: float
    router_z_loss: float
    diversity_loss: float
    consistency_loss: float
    gate_entropy_loss: float
    action_entropy: float
    total_loss: float
    approx_kl: float
    clip_fraction: float
    router_shift: float
    grad_norm: float
    dormant_share: float
    expert_grad_norms: tuple[float, ...]

    @classmethod
    def nothing(cls, experts: int) -> "UpdateStatistics":
        """Of a rollout that nothing was learned from: NaN throughout."""
        return cls.of([math.nan] * (len(fields(cls)) - 2), math.nan, [math.nan] * experts)

    @classmethod
    def of(cls, steps: Sequence[float], dormant_share: float, expert_grad_norms: Sequence[float]) -> "UpdateStatistics":
        """From the means over the gradient steps, in the order of the fields above."""
        names = [field.name for field in fields(cls)]
        means = dict(zip(names, steps, strict=False))
        return cls(**means, dormant_share=dormant_share, expert_grad_norms=tuple(expert_grad_norms))


class NonFiniteUpdateError(Exception):
    """A loss or gradient of the update was infinite or not a number; the policy must be restored."""


def normalised(advantages: Tensor) -> Tensor:
    """Advantages with mean 0 and deviation 1; those that hardly differ are left small.

    Once every action does equally well, advantages are the value head's noise. Blown up to deviation 1 they would
    push a solved policy about at random, so they are never divided by less than `LEAST_DEVIATION`.
    """
    centred = advantages - advantages.mean()
    return centred / centred.square().mean().sqrt().clamp(min=LEAST_DEVIATION)


def update(
    policy: GATMoEPolicy,
    parameters: FlatParameters,
    optimizer: Adam,
    samples: Samples,
    coefficients: Coefficients,
    config: PPOConfig,
    random: np.random.Generator,
    interrupted: Callable[[], bool] = never,
) -> UpdateStatistics:
    """Several passes of clipped PPO over the samples, shuffled anew each pass.

    A rollout that a boundary cut to less than a minibatch gets proportionally fewer passes, at least one: a handful
    of samples must not be learned by heart. Minibatches of a pass are of even size, for the same reason.

    Nothing is copied from the device before the end, so a GPU is never waited for between gradient steps.

    Raises:
        NonFiniteUpdateError: the policy and the optimiser are spoilt then.
        LeftEarlyError: if `interrupted` said so, asked before every gradient step; they are half updated then.
    """
    count = len(samples.actions)
    enough = min(config.minibatch, config.environments * config.rollout_steps)
    passes = max(1, round(config.epochs * min(1, count / enough)))
    minibatches = max(1, round(count / config.minibatch))
    rows: list[Tensor] = []
    for _ in range(passes):
        order = torch.from_numpy(random.permutation(count)).to(samples.actions.device)
        for chosen in order.tensor_split(minibatches):
            leave_if(interrupted)
            total, terms = _loss(policy, samples, chosen, coefficients, config)
            parameters.gradient.zero_()
            total.backward()  # type: ignore[no-untyped-call]
            norms = policy.experts.gradient_norms()
            norm = parameters.clip_gradient(config.max_grad_norm)
            optimizer.step()
            rows.append(torch.cat((torch.stack([*terms, norm]), norms)))
    steps = torch.stack(rows).cpu().numpy()
    if not np.isfinite(steps).all():
        raise NonFiniteUpdateError
    means: list[float] = steps.mean(0, dtype=np.float64).tolist()
    experts = len(norms)
    return UpdateStatistics.of(means[:-experts], _dormant_share(policy, samples, config.minibatch), means[-experts:])


def _loss(
    policy: GATMoEPolicy, samples: Samples, chosen: Tensor, coefficients: Coefficients, config: PPOConfig
) -> tuple[Tensor, Sequence[Tensor]]:
    """What is minimised, and the statistics of one gradient step in the order of `UpdateStatistics`."""
    noise = None if samples.noise is None else samples.noise[chosen]
    output = policy(samples.observations[chosen], noise)
    masks = None if samples.masks is None else samples.masks[chosen]
    outputs = policy.actions.masked(output.outputs, masks)
    log_probs, entropies = policy.actions.log_prob_and_entropy(outputs, samples.actions[chosen])
    log_ratio = log_probs - samples.log_probs[chosen]
    ratio = log_ratio.exp()
    policy_term = clipped_policy_loss(ratio, samples.advantages[chosen], config.clip)
    value_term = value_loss(output.values, samples.targets[chosen])
    entropy = entropies.mean()
    routing_terms = _routing_terms(policy, output, samples, chosen, coefficients)
    total = policy_term + config.value_coefficient * value_term
    if coefficients.entropy:
        total = total - coefficients.entropy * entropy
    zero = torch.zeros((), device=total.device)
    for term in routing_terms:
        if term is not None:
            total = total + term
    with torch.no_grad():
        # Schulman's estimator k3 (joschu.net/blog/kl-approx.html): never negative, little variance.
        approx_kl = (ratio - 1 - log_ratio).mean()
        clipped = ((ratio - 1).abs() > config.clip).float().mean()
        # Total variation between the gates as acted and as they are now.
        shift = 0.5 * (normalised_gates(output.gates) - normalised_gates(samples.gates[chosen])).abs().sum(1).mean()
    terms = (
        policy_term,
        value_term,
        *(zero if term is None else term for term in routing_terms),
        entropy,
        total,
        approx_kl,
        clipped,
        shift,
    )
    return total, [term.detach() for term in terms]


def _routing_terms(
    policy: GATMoEPolicy, output: PolicyOutput, samples: Samples, chosen: Tensor, coefficients: Coefficients
) -> tuple[Tensor | None, ...]:
    """The routing's losses with their coefficients; None, and no time spent, where the coefficient is 0."""
    gating = policy.gating
    # Top-k gates tell nothing of the experts that were not chosen: the papers' losses take all probabilities.
    probabilities = (output.router_logits / gating.temperature).softmax(1) if gating.routing == "topk" else output.gates

    def consistency() -> Tensor:
        following = samples.successors[chosen]
        pairs = following >= 0
        after = following[pairs]
        if not len(after):
            return output.gates.new_zeros(())
        noise = None if samples.noise is None else samples.noise[after]
        return consistency_loss(
            normalised_gates(output.gates[pairs]), normalised_gates(policy.gates(samples.observations[after], noise))
        )

    def diversity() -> Tensor:
        masks = None if samples.masks is None else samples.masks[chosen]
        return diversity_loss(policy.actions.masked(output.expert_outputs, masks), policy.actions)

    c = coefficients
    return (
        c.load_balance * load_balance_loss(probabilities) if c.load_balance else None,
        c.expert_balance * expert_balance_loss(probabilities, _chosen(output.gates, gating))
        if c.expert_balance
        else None,
        c.z_loss * z_loss(output.router_logits) if c.z_loss else None,
        c.diversity * diversity() if c.diversity else None,
        c.consistency * consistency() if c.consistency else None,
        -c.gate_entropy * gate_entropy(probabilities) if c.gate_entropy else None,
    )


def _chosen(gates: Tensor, gating: Gating) -> Tensor:
    """Which experts each sample counts as a use of, [batch, experts]: the chosen of top-k, else the largest gate.

    Where every expert takes part, counting all of them would make the loss a constant.
    """
    if gating.routing == "topk":
        return gates > 0
    return torch.nn.functional.one_hot(gates.argmax(1), gates.shape[1]).bool()


@torch.no_grad()
def _dormant_share(policy: GATMoEPolicy, samples: Samples, at_most: int) -> float:
    """Share of dormant units of the scene embedding and the experts' hidden layers (Sokar et al., arXiv:2302.12902).

    A unit's activity is its mean absolute value over the samples, divided by its layer's mean.
    """
    noise = None if samples.noise is None else samples.noise[:at_most]
    output = policy(samples.observations[:at_most], noise)
    layers = torch.cat((output.scene.abs().mean(0), output.hidden.abs().mean(1).flatten()))
    means = torch.cat(
        (
            output.scene.abs().mean().expand(output.scene.shape[1]),
            output.hidden.abs().mean((1, 2)).repeat_interleave(output.hidden.shape[2]),
        )
    )
    return float((layers <= DORMANT * means).float().mean())
