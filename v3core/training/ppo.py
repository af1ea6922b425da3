"""Learning: one PPO update from one rollout."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from v3core.config import PPOConfig
from v3core.policy import GATMoEPolicy
from v3core.training.losses import categorical_entropy, clipped_policy_loss, load_balance_loss, value_loss

LEAST_DEVIATION = 0.2
"""In units of the value head, which predicts returns divided by their running deviation."""


@dataclass(frozen=True)
class Samples:
    """A rollout as learned from: its steps in any order, K = T·N of them."""

    observations: Tensor
    """[K, *observation shape]"""
    actions: Tensor
    """[K]"""
    log_probs: Tensor
    """Of the actions when they were taken, [K]."""
    advantages: Tensor
    """Normalised over the rollout, [K]."""
    targets: Tensor
    """Of the value head, [K]."""


@dataclass(frozen=True)
class Coefficients:
    """Weights of the terms that a phase owns."""

    load_balance: float
    entropy: float


@dataclass(frozen=True)
class UpdateStatistics:
    """What one update did: means over its gradient steps, named as in `EpisodeRecord`."""

    policy_loss: float
    value_loss: float
    load_balance_loss: float
    action_entropy: float
    total_loss: float
    approx_kl: float
    clip_fraction: float
    grad_norm: float
    load_balance: float
    """Coefficient that the loss used."""
    entropy: float
    """Coefficient that the loss used."""


class NonFiniteLossError(Exception):
    """The loss or its gradient became infinite or not a number. The policy is as it was before that gradient step."""


def normalised(advantages: Tensor) -> Tensor:
    """Advantages with mean 0 and deviation 1; those that hardly differ are left small.

    Once every action does equally well, advantages are the value head's noise. Blown up to deviation 1 they would
    push a solved policy about at random, so they are never divided by less than `LEAST_DEVIATION`.
    """
    centred = advantages - advantages.mean()
    return centred / centred.square().mean().sqrt().clamp(min=LEAST_DEVIATION)


def update(
    policy: GATMoEPolicy,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    coefficients: Coefficients,
    config: PPOConfig,
    random: np.random.Generator,
) -> UpdateStatistics:
    """Several passes of clipped PPO over the samples, shuffled anew each pass.

    A rollout that a boundary cut to less than a minibatch gets proportionally fewer passes, at least one: a handful
    of samples must not be learned by heart. Minibatches of a pass are of even size, for the same reason.

    Raises:
        NonFiniteLossError: before the gradient step that would have spoilt the policy.
    """
    count = len(samples.actions)
    enough = min(config.minibatch, config.environments * config.rollout_steps)
    passes = max(1, round(config.epochs * min(1, count / enough)))
    minibatches = max(1, round(count / config.minibatch))
    parameters = list(policy.parameters())
    rows: list[list[float]] = []
    for _ in range(passes):
        order = torch.from_numpy(random.permutation(count))
        for chosen in order.tensor_split(minibatches):
            total, terms = _loss(policy, samples, chosen, coefficients, config)
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm).item()
            if not math.isfinite(total.item()) or not math.isfinite(norm):
                raise NonFiniteLossError
            optimizer.step()
            rows.append([*terms.tolist(), norm])
    means: list[float] = np.mean(rows, axis=0).tolist()
    return UpdateStatistics(*[*means, coefficients.load_balance, coefficients.entropy])


def _loss(
    policy: GATMoEPolicy, samples: Samples, chosen: Tensor, coefficients: Coefficients, config: PPOConfig
) -> tuple[Tensor, Tensor]:
    """What is minimised, and the statistics of one gradient step in the order of `UpdateStatistics`."""
    output = policy(samples.observations[chosen])
    log_probs = output.logits.log_softmax(1)
    actions = samples.actions[chosen].unsqueeze(1)
    log_ratio = log_probs.gather(1, actions).squeeze(1) - samples.log_probs[chosen]
    ratio = log_ratio.exp()
    policy_term = clipped_policy_loss(ratio, samples.advantages[chosen], config.clip)
    value_term = value_loss(output.values, samples.targets[chosen])
    balance_term = load_balance_loss(output.gates, coefficients.load_balance)
    entropy = categorical_entropy(log_probs)
    total = policy_term + config.value_coefficient * value_term + balance_term - coefficients.entropy * entropy
    with torch.no_grad():
        # Schulman's estimator k3 (joschu.net/blog/kl-approx.html): never negative, little variance.
        approx_kl = (ratio - 1 - log_ratio).mean()
        clipped = ((ratio - 1).abs() > config.clip).float().mean()
    terms = (policy_term, value_term, balance_term, entropy, total, approx_kl, clipped)
    return total, torch.stack([term.detach() for term in terms])
