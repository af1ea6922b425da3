"""The terms that training minimises, each a mean over its samples and without its coefficient."""

import torch
from torch import Tensor

from v3core.policy.actions import ActionDistribution


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


def load_balance_loss(gates: Tensor) -> Tensor:
    """Load balance of Switch (Fedus et al., 2021, arXiv:2101.03961, eq. 4 to 6): N·Σ f_i·P_i.

    f_i is the share of samples whose largest gate is expert i and carries no gradient; P_i is the mean gate of
    expert i. The value is 1 at balance and N when one expert takes all.

    Args:
        gates: probabilities of the experts, [batch, experts].
    """
    experts = gates.shape[1]
    shares = torch.nn.functional.one_hot(gates.detach().argmax(1), experts).to(gates.dtype).mean(0)
    return experts * (shares * gates.mean(0)).sum()


def expert_balance_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """Expert-level balance of DeepSeekMoE (Dai et al., 2024, arXiv:2401.06066): Σ f_i·P_i.

    f_i = N/(k·T)·(samples that chose expert i), without gradient; P_i = mean probability of expert i. 1 at balance.

    Args:
        probabilities: softmax over all experts, [batch, experts].
        chosen: which experts each sample uses, [batch, experts].
    """
    uses = chosen.to(probabilities.dtype)
    shares = uses.mean(0) / uses.sum(1).mean() * chosen.shape[1]
    return (shares * probabilities.mean(0)).sum()


def z_loss(router_logits: Tensor) -> Tensor:
    """Router z-loss (Zoph et al., 2022, ST-MoE, arXiv:2202.08906): mean of logsumexp(logits)²."""
    return router_logits.logsumexp(1).square().mean()


def diversity_loss(expert_outputs: Tensor, actions: ActionDistribution) -> Tensor:
    """How alike the experts act: mean Bhattacharyya coefficient over all pairs of experts and all samples.

    1 if every expert would act the same on every sample, 0 if no two experts ever agree; 0 for a single expert.
    The project's own term.

    Args:
        expert_outputs: [experts, batch, outputs].
        actions: what they are parameters of.
    """
    one, other = torch.triu_indices(len(expert_outputs), len(expert_outputs), 1, device=expert_outputs.device)
    if not len(one):
        return expert_outputs.new_zeros(())
    return actions.overlap(expert_outputs[one], expert_outputs[other]).mean()


def gate_entropy(gates: Tensor) -> Tensor:
    """Mean entropy of the gates [batch, experts], nats. Experts that are off add nothing, and get no gradient."""
    return -(gates * gates.clamp(min=torch.finfo(gates.dtype).tiny).log()).sum(1).mean()


def consistency_loss(gates: Tensor, next_gates: Tensor) -> Tensor:
    """Temporal consistency: mean of Σ_i (g_i(t + 1) − g_i(t))² over real successive steps of one episode.

    Args:
        gates: at a step, [pairs, experts].
        next_gates: at the step that really followed it in the same environment and episode, [pairs, experts].
    """
    return (next_gates - gates).square().sum(1).mean()


def normalised_gates(gates: Tensor) -> Tensor:
    """Gates [..., experts] as shares that sum to 1: those of top-k with raw probabilities do not by themselves."""
    return gates / gates.sum(-1, keepdim=True)
