"""The terms that training minimises, each a mean over its samples and without its coefficient.

A knob with a loss is found here by its name: to add one, write the loss and put it into `ROUTING_LOSSES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from v3core.config import BalanceOn
from v3core.curriculum.knobs import SPARSE as SPARSE
from v3core.policy import GATMoEPolicy, PolicyOutput
from v3core.policy.distributions import ActionDistribution


@dataclass(frozen=True)
class Samples:
    """A rollout as learned from: its steps in any order, K = T·N of them."""

    observations: Tensor  # [K, size]
    actions: Tensor  # [K, components]
    log_probs: Tensor  # of the actions when they were taken, [K]
    advantages: Tensor  # normalised over the rollout, [K]
    targets: Tensor  # of the value head, [K]
    gates: Tensor  # as acted, [K, experts]
    noise: Tensor | None  # of the router, as acted, [K, columns]
    successors: Tensor  # index of the sample that followed in the same episode, −1 if there is none, [K]
    masks: Tensor | None = None  # which actions were allowed, [K, mask size]; None if all were
    memory: Tensor | None = None  # of the policy before the step, as acted, [K, size of it]; None without one
    begins: Tensor | None = None  # whether the step is the first of an episode that began in the rollout, [K]


def at(rows: Tensor | None, chosen: Tensor | slice | int) -> Tensor | None:
    """The chosen rows of what not every rollout has."""
    return None if rows is None else rows[chosen]


def clipped_policy_loss(ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO's clipped surrogate (Schulman et al., 2017, arXiv:1707.06347, eq. 7), negated to be minimised.

    `ratio` is new over old probability of the action taken, [batch] like the advantages; it earns nothing
    beyond 1 ± clip.
    """
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


def value_loss(values: Tensor, targets: Tensor) -> Tensor:
    """Half the mean squared error of values [batch]."""
    return 0.5 * (values - targets).square().mean()


def load_balance_loss(probabilities: Tensor) -> Tensor:
    """Load balance of Switch (Fedus et al., 2021, arXiv:2101.03961, eq. 4 to 6): N·Σ f_i·P_i.

    f_i is the share of samples whose largest probability is that of expert i and carries no gradient; P_i is the mean
    probability of expert i, of probabilities [batch, experts]. 1 at balance, and N when one expert takes all.
    """
    experts = probabilities.shape[1]
    shares = torch.nn.functional.one_hot(probabilities.detach().argmax(1), experts).to(probabilities.dtype).mean(0)
    return experts * (shares * probabilities.mean(0)).sum()


def expert_balance_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """Expert-level balance of DeepSeekMoE (Dai et al., 2024, arXiv:2401.06066): Σ f_i·P_i.

    f_i = N/(k·T)·(samples that chose expert i), without gradient; P_i = mean probability of expert i. 1 at balance.
    Both arguments are [batch, experts]: the softmax over all experts, and which of them each sample uses.
    """
    uses = chosen.to(probabilities.dtype)
    shares = uses.mean(0) / uses.sum(1).mean() * chosen.shape[1]
    return (shares * probabilities.mean(0)).sum()


def z_loss(router_logits: Tensor) -> Tensor:
    """Router z-loss (Zoph et al., 2022, ST-MoE, arXiv:2202.08906): mean of logsumexp(logits)²."""
    return router_logits.logsumexp(1).square().mean()


def diversity_loss(expert_outputs: Tensor, actions: ActionDistribution) -> Tensor:
    """How alike the experts act by their outputs [experts, batch, outputs]: the project's own term.

    The mean Bhattacharyya coefficient over all pairs of experts and all samples: 1 if every expert would act the same
    on every sample, 0 if no two experts ever agree; 0 for a single expert.
    """
    one, other = torch.triu_indices(len(expert_outputs), len(expert_outputs), 1, device=expert_outputs.device)
    if not len(one):
        return expert_outputs.new_zeros(())
    return actions.overlap(expert_outputs[one], expert_outputs[other]).mean()


def gate_entropy(gates: Tensor) -> Tensor:
    """Mean entropy of the gates [batch, experts], nats. Experts that are off add nothing, and get no gradient."""
    return -(gates * gates.clamp(min=torch.finfo(gates.dtype).tiny).log()).sum(1).mean()


def consistency_loss(gates: Tensor, next_gates: Tensor) -> Tensor:
    """Temporal consistency: mean of Σ_i (g_i(t + 1) − g_i(t))² over pairs of steps, both [pairs, experts].

    Step t + 1 really followed step t in the same environment and episode.
    """
    return (next_gates - gates).square().sum(1).mean()


def normalised_gates(gates: Tensor) -> Tensor:
    """Gates [..., experts] as shares that sum to 1: those of top-k with raw probabilities do not by themselves."""
    return gates / gates.sum(-1, keepdim=True)


@dataclass(frozen=True)
class Routed:
    """What the losses of the routing are computed from: what the policy says of a minibatch, and what followed it."""

    policy: GATMoEPolicy
    output: PolicyOutput
    samples: Samples  # the whole rollout
    chosen: Tensor  # which of its samples the minibatch is, [batch]
    balance_on: BalanceOn

    @cached_property
    def probabilities(self) -> Tensor:
        """Of the experts, [batch, experts]: the softmax over all of them, as in the papers of the losses.

        A gate of exactly 0 has no gradient, so that a loss of it could never bring its expert back. With `gates` they
        are read nevertheless, except those of top-k, which say nothing of the experts that were not chosen.
        """
        gating = self.policy.gating
        if gating.routing == "topk" or (gating.routing in SPARSE and self.balance_on == "softmax"):
            return (self.output.router_logits / gating.temperature).softmax(1)
        return self.output.gates

    @property
    def used(self) -> Tensor:
        """Which experts each sample counts as a use of, [batch, experts]: the chosen of top-k, else the largest gate.

        If every expert takes part, counting all of them would make the loss a constant.
        """
        gates = self.output.gates
        if self.policy.gating.routing == "topk":
            return gates > 0
        return torch.nn.functional.one_hot(gates.argmax(1), gates.shape[1]).bool()

    def diversity(self) -> Tensor:
        """`diversity_loss` of what the experts would do with the actions that were allowed."""
        actions = self.policy.actions
        return diversity_loss(actions.masked(self.output.expert_outputs, at(self.samples.masks, self.chosen)), actions)

    def consistency(self) -> Tensor:
        """`consistency_loss` over the steps of the minibatch that have a successor; 0 if none has."""
        following = self.samples.successors[self.chosen]
        pairs = following >= 0
        after = following[pairs]
        if not len(after):
            return self.output.gates.new_zeros(())
        memory = at(self.output.memory, pairs)
        gates = self.policy.gates(self.samples.observations[after], at(self.samples.noise, after), memory)
        return consistency_loss(normalised_gates(self.output.gates[pairs]), normalised_gates(gates))


ROUTING_LOSSES: Mapping[str, Callable[[Routed], Tensor]] = {
    "load_balance": lambda routed: load_balance_loss(routed.probabilities),
    "expert_balance": lambda routed: expert_balance_loss(routed.probabilities, routed.used),
    "z_loss": lambda routed: z_loss(routed.output.router_logits),
    "diversity": Routed.diversity,
    "consistency": Routed.consistency,
    "gate_entropy": lambda routed: -gate_entropy(routed.probabilities),
}
"""The loss of each knob by the knob's name, minimised times the knob's value; added up in this order."""


def recorded_as(knob: str) -> str:
    """Name under which the loss of a knob is recorded."""
    return "router_z_loss" if knob == "z_loss" else f"{knob}_loss"
