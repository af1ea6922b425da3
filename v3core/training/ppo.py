"""Learning: one PPO update from one rollout."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from v3core.config import PPOConfig
from v3core.curriculum import Settings
from v3core.episode import Update
from v3core.interruption import leave_if, never
from v3core.policy import GATMoEPolicy
from v3core.training.adam import Adam
from v3core.training.flat import FlatParameters
from v3core.training.losses import (
    ROUTING_LOSSES,
    Routed,
    clipped_policy_loss,
    normalised_gates,
    recorded_as,
    value_loss,
)
from v3core.training.samples import Samples, at

DORMANT = 0.025
"""A unit is dormant if its mean activity is at most this share of its layer's mean (Sokar et al., 2023)."""


def coefficients_of(settings: Settings) -> dict[str, float]:
    """Weights of the terms that a phase owns, by the names of their knobs."""
    return {knob: getattr(settings, knob) for knob in (*ROUTING_LOSSES, "entropy")}


class NonFiniteUpdateError(Exception):
    """A loss or gradient of the update was infinite or not a number; the policy must be restored."""


def update(
    policy: GATMoEPolicy,
    parameters: FlatParameters,
    optimizer: Adam,
    samples: Samples,
    coefficients: Mapping[str, float],
    config: PPOConfig,
    random: np.random.Generator,
    interrupted: Callable[[], bool] = never,
) -> Update:
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
    steps: list[dict[str, Tensor]] = []
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
            steps.append({**terms, "grad_norm": norm, "expert_grad_norms": norms})
    return Update(**_means(steps), dormant_share=_dormant_share(policy, samples, config.minibatch))


def _loss(
    policy: GATMoEPolicy, samples: Samples, chosen: Tensor, coefficients: Mapping[str, float], config: PPOConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """What is minimised, and the statistics of one gradient step by the names under which they are recorded.

    No time is spent on a loss whose coefficient is 0.
    """
    output = policy(samples.observations[chosen], at(samples.noise, chosen))
    outputs = policy.actions.masked(output.outputs, at(samples.masks, chosen))
    log_probs, entropies = policy.actions.log_prob_and_entropy(outputs, samples.actions[chosen])
    log_ratio = log_probs - samples.log_probs[chosen]
    ratio = log_ratio.exp()
    terms = {
        "policy_loss": clipped_policy_loss(ratio, samples.advantages[chosen], config.clip),
        "value_loss": value_loss(output.values, samples.targets[chosen]),
        "action_entropy": entropies.mean(),
    }
    total = terms["policy_loss"] + config.value_coefficient * terms["value_loss"]
    if bonus := coefficients.get("entropy", 0.0):
        total = total - bonus * terms["action_entropy"]
    routed, unused = Routed(policy, output, samples, chosen), total.new_zeros(())
    for knob, loss in ROUTING_LOSSES.items():
        terms[recorded_as(knob)] = unused
        if coefficient := coefficients.get(knob, 0.0):
            terms[recorded_as(knob)] = term = coefficient * loss(routed)
            total = total + term
    terms["total_loss"] = total
    with torch.no_grad():
        # Schulman's estimator k3 (joschu.net/blog/kl-approx.html): never negative, little variance.
        terms["approx_kl"] = (ratio - 1 - log_ratio).mean()
        terms["clip_fraction"] = ((ratio - 1).abs() > config.clip).float().mean()
        # Total variation between the gates as acted and as they are now.
        moved = normalised_gates(output.gates) - normalised_gates(samples.gates[chosen])
        terms["router_shift"] = 0.5 * moved.abs().sum(1).mean()
    return total, {name: term.detach() for name, term in terms.items()}


def _means(steps: list[dict[str, Tensor]]) -> dict[str, Any]:
    """Means over the gradient steps by name: numbers, and tuples of what is [experts].

    Raises:
        NonFiniteUpdateError: if one of them is not finite.
    """
    rows = torch.stack([torch.cat([value.reshape(-1) for value in step.values()]) for step in steps]).cpu().numpy()
    if not np.isfinite(rows).all():
        raise NonFiniteUpdateError
    means = iter(rows.mean(0, dtype=np.float64).tolist())
    return {name: tuple(islice(means, len(value))) if value.ndim else next(means) for name, value in steps[0].items()}


@torch.no_grad()
def _dormant_share(policy: GATMoEPolicy, samples: Samples, at_most: int) -> float:
    """Share of dormant units of the scene embedding and the experts' hidden layers (Sokar et al., arXiv:2302.12902).

    A unit's activity is its mean absolute value over the samples, divided by its layer's mean.
    """
    output = policy(samples.observations[:at_most], at(samples.noise, slice(at_most)))
    layers = torch.cat((output.scene.abs().mean(0), output.hidden.abs().mean(1).flatten()))
    means = torch.cat(
        (
            output.scene.abs().mean().expand(output.scene.shape[1]),
            output.hidden.abs().mean((1, 2)).repeat_interleave(output.hidden.shape[2]),
        )
    )
    return float((layers <= DORMANT * means).float().mean())
