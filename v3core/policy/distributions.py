"""Action distributions: what the policy's outputs mean, for each kind of action space.

The experts' outputs are mixed by their gates first, so a mixture puts out one distribution and not several: mixed
logits for actions that are chosen, mixed means for actions that are numbers.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from v3core.environments import ActionSpec
from v3core.insight.actions import ActionFacts, normal_distances

LOG_STD_RANGE = (-5.0, 2.0)
FAR = 1e6
"""A bound beyond it is none."""
FORBIDDEN = -1e8
"""Logit of an action that a mask forbids: its probability is 0, and so is its gradient, which −∞ would make NaN (Huang
and Ontañón, 2020, arXiv:2006.14171)."""


class ActionDistribution(nn.Module):
    """How actions [..., components] are drawn, given outputs [..., outputs]. One subclass for each kind."""

    def __init__(self, spec: ActionSpec) -> None:
        super().__init__()
        self.spec = spec

    def masked(self, outputs: Tensor, masks: Tensor | None) -> Tensor:
        """Outputs [..., outputs] of the distribution over those actions alone that the masks allow.

        Masks [..., mask size] are true for allowed actions; None allows all of them.
        """
        assert masks is None, "continuous actions have no masks"
        return outputs

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Random numbers that `sample` turns into actions, [*shape, outputs]: drawn once for a whole rollout."""
        raise NotImplementedError

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Actions [..., components] of the distribution, decided by `noise`."""
        raise NotImplementedError

    def mode(self, outputs: Tensor) -> Tensor:
        """The most likely actions [..., components]."""
        raise NotImplementedError

    def log_prob_and_entropy(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability (density, for numbers) of actions, and entropy in nats, both [...]."""
        raise NotImplementedError

    def overlap(self, one: Tensor, other: Tensor) -> Tensor:
        """Bhattacharyya coefficient ∫√(p·q) of two distributions with these outputs, [...]: 1 if they are the same.

        A. Bhattacharyya, "On a measure of divergence between two multinomial populations", Sankhyā 7 (1946).
        """
        raise NotImplementedError

    def jensen_shannon(self, one: Tensor, other: Tensor) -> Tensor:
        """Jensen-Shannon divergence of two distributions with these outputs, in bits, [...]: from 0 to 1.

        0 if they are the same, 1 if no action is possible under both. Its square root is a metric (Endres and
        Schindelin, "A new metric for probability distributions", IEEE Trans. Inf. Theory 49, 2003). Of several
        independent components it is the mean over the components, which is at most that of whole actions.
        """
        raise NotImplementedError

    def described(self, outputs: Tensor, weights: Tensor) -> dict[str, Any]:
        """The distribution with outputs [states, outputs], averaged over states with weights [states] that sum to 1.

        In the form of `v3core.insight.experts.Actions`.
        """
        raise NotImplementedError

    def to_environment(self, actions: Tensor) -> Tensor:
        """The actions [..., components] in the units of the environment."""
        return actions

    def facts(self) -> ActionFacts:
        """What its outputs mean, as plain data."""
        return ActionFacts(self.spec.kind, self.spec.sizes, self.spec.starts, names=self.spec.names)


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Samples of the standard Gumbel distribution, on the generator's device."""
    return torch.empty(shape, device=generator.device).exponential_(generator=generator).log_().neg_()


class Categorical(ActionDistribution):
    """One category, or several independent ones; outputs are their logits side by side."""

    def __init__(self, spec: ActionSpec) -> None:
        super().__init__(spec)
        self._sizes = list(spec.sizes)

    def masked(self, outputs: Tensor, masks: Tensor | None) -> Tensor:
        return outputs if masks is None else torch.where(masks, outputs, FORBIDDEN)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        # argmax(logits + Gumbel noise) is a sample of softmax(logits) (Gumbel, 1954).
        return gumbel((*shape, self.spec.outputs), generator)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        return self.mode(outputs + noise)

    def mode(self, outputs: Tensor) -> Tensor:
        if len(self.spec.sizes) == 1:
            return outputs.argmax(-1, keepdim=True)
        return torch.cat([part.argmax(-1, keepdim=True) for part in torch.split(outputs, self._sizes, -1)], -1)

    def log_prob_and_entropy(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        log_prob = entropy = torch.zeros((), device=outputs.device)
        for logits, action in zip(torch.split(outputs, self._sizes, -1), torch.split(actions, 1, -1), strict=True):
            log_probs = logits.log_softmax(-1)
            log_prob = log_prob + log_probs.gather(-1, action).squeeze(-1)
            entropy = entropy - (log_probs.exp() * log_probs).sum(-1)
        return log_prob, entropy

    def overlap(self, one: Tensor, other: Tensor) -> Tensor:
        coefficient = torch.ones((), device=one.device)
        for a, b in zip(torch.split(one, self._sizes, -1), torch.split(other, self._sizes, -1), strict=True):
            coefficient = coefficient * (0.5 * (a.log_softmax(-1) + b.log_softmax(-1))).exp().sum(-1)
        return coefficient

    def jensen_shannon(self, one: Tensor, other: Tensor) -> Tensor:
        pairs = zip(torch.split(one, self._sizes, -1), torch.split(other, self._sizes, -1), strict=True)
        return torch.stack([_divergence(a.softmax(-1), b.softmax(-1)) for a, b in pairs]).mean(0)

    def described(self, outputs: Tensor, weights: Tensor) -> dict[str, Any]:
        parts = [_mean(part.softmax(-1), weights) for part in torch.split(outputs, self._sizes, -1)]
        names = {"names": list(self.spec.names)} if self.spec.names else {}
        return {"probabilities": parts, "first": list(self.spec.starts), **names}


class Binary(ActionDistribution):
    """Independent switches; outputs are the log-odds of 1. A mask says of each switch whether it may be 0, and 1."""

    def masked(self, outputs: Tensor, masks: Tensor | None) -> Tensor:
        if masks is None:
            return outputs
        may_be_off, may_be_on = masks.view(*masks.shape[:-1], -1, 2).unbind(-1)
        return torch.where(may_be_on, torch.where(may_be_off, outputs, -FORBIDDEN), FORBIDDEN)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        # logit + logistic noise > 0 with probability sigmoid(logit).
        drawn = torch.empty(*shape, self.spec.outputs, device=generator.device).uniform_(generator=generator)
        return torch.logit(drawn, eps=1e-6)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        return self.mode(outputs + noise)

    def mode(self, outputs: Tensor) -> Tensor:
        return (outputs > 0).long()

    def log_prob_and_entropy(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        log_one, log_zero = nn.functional.logsigmoid(outputs), nn.functional.logsigmoid(-outputs)
        entropy = -(log_one.exp() * log_one + log_zero.exp() * log_zero)
        return torch.where(actions > 0, log_one, log_zero).sum(-1), entropy.sum(-1)

    def overlap(self, one: Tensor, other: Tensor) -> Tensor:
        ones = nn.functional.logsigmoid(one) + nn.functional.logsigmoid(other)
        zeros = nn.functional.logsigmoid(-one) + nn.functional.logsigmoid(-other)
        return ((0.5 * ones).exp() + (0.5 * zeros).exp()).prod(-1)

    def jensen_shannon(self, one: Tensor, other: Tensor) -> Tensor:
        a, b = (torch.stack((outputs.sigmoid(), (-outputs).sigmoid()), -1) for outputs in (one, other))
        return _divergence(a, b).mean(-1)

    def described(self, outputs: Tensor, weights: Tensor) -> dict[str, Any]:
        return {"on": _mean(outputs.sigmoid(), weights)}


class Gaussian(ActionDistribution):
    """Independent normal distributions; outputs are their means, their deviations are learned and the same everywhere.

    Actions are kept in units in which the environment's bounds are ±1; what lies beyond them is clipped by the
    environment's side, so log-probabilities are those of the unclipped numbers, as is usual for PPO. Without bounds
    (or with such as no one means, beyond ±1e6) the unit is 1 around 0; with one bound, around the number 1 inside it.
    """

    centre: Tensor
    span: Tensor

    def __init__(self, spec: ActionSpec) -> None:
        super().__init__(spec)
        self.log_std = nn.Parameter(torch.zeros(spec.outputs))
        low, high = torch.tensor(spec.low, dtype=torch.float64), torch.tensor(spec.high, dtype=torch.float64)
        has_low, has_high = low > -FAR, high < FAR
        bounded = has_low & has_high
        inside = torch.where(has_low, low + 1, torch.where(has_high, high - 1, 0.0))
        self.register_buffer("centre", torch.where(bounded, (low + high) / 2, inside).float(), persistent=False)
        self.register_buffer("span", torch.where(bounded, (high - low) / 2, 1.0).float(), persistent=False)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.empty(*shape, self.spec.outputs, device=generator.device).normal_(generator=generator)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        return outputs + self._log_std().exp() * noise

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs

    def log_prob_and_entropy(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        log_std = self._log_std()
        deviation = (actions - outputs) * torch.exp(-log_std)
        log_prob = (-0.5 * deviation.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        entropy = (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum()
        return log_prob, entropy.expand_as(log_prob)

    def overlap(self, one: Tensor, other: Tensor) -> Tensor:
        # Of two normal distributions with equal deviation: exp(−(μ₁ − μ₂)²/8σ²).
        distance = (one - other) * torch.exp(-self._log_std())
        return torch.exp(-distance.square().sum(-1) / 8)

    def jensen_shannon(self, one: Tensor, other: Tensor) -> Tensor:
        # With equal deviations it depends only on the Mahalanobis distance of the means, so one dimension is enough.
        distance = torch.linalg.vector_norm((one - other) * torch.exp(-self._log_std()), dim=-1)
        at, root = normal_distances()
        found = np.interp(distance.detach().cpu().numpy(), at, root) ** 2
        return torch.as_tensor(found).to(one)

    def described(self, outputs: Tensor, weights: Tensor) -> dict[str, Any]:
        mean = (weights.unsqueeze(1) * outputs).sum(0)
        variance = (weights.unsqueeze(1) * (outputs - mean).square()).sum(0)  # of the means, from state to state
        deviation = self.span * (variance + self._log_std().exp().square()).sqrt()
        units = (self.to_environment(mean), deviation)
        return {name: _significant(values) for name, values in zip(("mean", "deviation"), units, strict=True)}

    def to_environment(self, actions: Tensor) -> Tensor:
        # Of an observation that is not a number, neither is the action: the environment gets the middle, not the blame.
        return self.centre + self.span * torch.nan_to_num(actions, nan=0.0)

    def facts(self) -> ActionFacts:
        deviation = self.span * self._log_std().exp()
        centre, span, spread = (tuple(each.detach().cpu().tolist()) for each in (self.centre, self.span, deviation))
        return ActionFacts(self.spec.kind, (), (), centre, span, spread, self.spec.low, self.spec.high)

    def _log_std(self) -> Tensor:
        return self.log_std.clamp(*LOG_STD_RANGE)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence in bits of probabilities [..., categories]."""
    nats = torch.special.entr(0.5 * (p + q)) - 0.5 * (torch.special.entr(p) + torch.special.entr(q))
    bits: Tensor = nats.sum(-1) / math.log(2)
    return bits.clamp(0, 1)


def _mean(values: Tensor, weights: Tensor) -> list[float]:
    return [round(value, 4) for value in (weights.unsqueeze(1) * values).sum(0).tolist()]


def _significant(values: Tensor) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]


def action_distribution(spec: ActionSpec) -> ActionDistribution:
    """The distribution for a kind of action."""
    match spec.kind:
        case "discrete" | "multi_discrete":
            return Categorical(spec)
        case "multi_binary":
            return Binary(spec)
        case "continuous":
            return Gaussian(spec)
