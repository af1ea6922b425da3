"""The terms that PPO minimises, each a mean over its samples."""

import torch
from torch import Tensor


def clipped_policy_loss(ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO's clipped surrogate (Schulman et al., 2017, arXiv:1707.06347, eq. 7), negated to be minimised.

    Args:
        ratio: new over old probability of the action taken, [batch].
        advantages: [batch].
        clip: the ratio earns nothing beyond 1 ± clip.
    """
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


def value_loss(values: Tensor, targets: Tensor) -> Tensor:
    """Half the mean squared error of values [batch]."""
    return 0.5 * (values - targets).square().mean()


def categorical_entropy(log_probs: Tensor) -> Tensor:
    """Mean entropy, nats, of the categorical distributions with these log-probabilities [batch, actions]."""
    return -(log_probs.exp() * log_probs).sum(1).mean()


def load_balance_loss(gates: Tensor, coefficient: float) -> Tensor:
    """Load balance of Switch (Fedus et al., 2021, arXiv:2101.03961, eq. 4 to 6): α·N·Σ f_i·P_i.

    f_i is the share of samples whose largest gate is expert i and carries no gradient; P_i is the mean gate of
    expert i. The value is α at balance and α·N when one expert takes all.

    Args:
        gates: gate weights, [batch, experts].
        coefficient: α.
    """
    experts = gates.shape[1]
    shares = torch.bincount(gates.detach().argmax(1), minlength=experts) / len(gates)
    return coefficient * experts * (shares * gates.mean(0)).sum()
