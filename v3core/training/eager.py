"""The backend with torch's eager mode: acting, and gradient steps by autograd. The reference, and the interface."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from v3core.config import PPOConfig
from v3core.policy import GATMoEPolicy, PolicyOutput
from v3core.training.losses import (
    ROUTING_LOSSES,
    Routed,
    Samples,
    at,
    clipped_policy_loss,
    normalised_gates,
    recorded_as,
    value_loss,
)
from v3core.training.optimizer import Adam, FlatParameters
from v3core.training.sequences import sequences_of

DORMANT = 0.025
"""A unit is dormant if its mean activity is at most this share of its layer's mean (Sokar et al., 2023)."""


class Acted(NamedTuple):
    """What acting needs of the policy's outputs, by the names of `PolicyOutput`."""

    outputs: Tensor  # parameters of the action distribution, [batch, outputs]
    values: Tensor  # [batch]
    gates: Tensor  # [batch, experts]
    memory: Tensor | None = None  # after it, [batch, size]; None of a policy without


class EagerBackend:
    """What computes a policy, and learns by an optimiser that shares its parameters; other backends inherit from it.

    It acts and learns in turns; nothing else changes the parameters meanwhile.
    """

    name = "eager"

    def __init__(self, policy: GATMoEPolicy, parameters: FlatParameters, optimizer: Adam) -> None:
        self.policy, self.parameters, self.optimizer = policy, parameters, optimizer

    def prepare(self) -> None:
        """Take note of parameters and normalisation: needed before acting whenever these have changed.

        Learning from what was acted needs no other; the gradient steps themselves read the parameters again.
        """

    def act(self, observations: Tensor, noise: Tensor | None = None, memory: Tensor | None = None) -> Acted:
        """The outputs of the policy for observations [batch, size] with routing noise [batch, columns].

        `memory` [batch, size of it] is what it remembers before; None at the beginning of episodes.
        """
        output: PolicyOutput = self.policy(observations, noise, memory)
        return Acted(output.outputs, output.values, output.gates, output.memory)

    def decide(self, observations: Tensor, masks: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Actions [batch, components] for observations [batch, size], without routing noise; nothing is remembered.

        `masks` [batch, mask size] are true for actions that are allowed, None if all are. `noise`, from
        `policy.actions.noise`, determines the sample; without it the most likely actions.
        """
        return self.choose(self.act(observations), masks, noise)

    def choose(self, acted: Acted, masks: Tensor | None, noise: Tensor | None) -> Tensor:
        """The actions that `decide` takes, given what the policy says of the observations."""
        actions = self.policy.actions
        outputs = actions.masked(acted.outputs, masks)
        return actions.mode(outputs) if noise is None else actions.sample(outputs, noise)

    def forward(self, samples: Samples, chosen: Tensor, places: Tensor | None = None) -> PolicyOutput:
        """What the policy says of a minibatch, to be differentiated; `places` as of `gradient_step`."""
        follow = sequences_of(samples, chosen, places)
        output: PolicyOutput = self.policy(samples.observations[chosen], at(samples.noise, chosen), follow)
        return output

    def look(self, observations: Tensor, noise: Tensor | None = None, memory: Tensor | None = None) -> PolicyOutput:
        """As `act`, with what each expert says; without scene and hidden activations."""
        output: PolicyOutput = self.policy(observations, noise, memory)
        return output

    def values(self, observations: Tensor, memory: Tensor | None = None) -> Tensor:
        """Values [batch] of observations [batch, size], in units of the reward scale; `memory` as of `act`."""
        return self.policy.values(observations, memory)

    def gradient_step(
        self,
        samples: Samples,
        chosen: Tensor,
        coefficients: Mapping[str, float],
        config: PPOConfig,
        places: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """One step of Adam on the `chosen` samples, [batch], of a whole rollout.

        Of a policy with memory they are pieces of consecutive steps: `places` [length, pieces] are true where a piece
        has a step, and `chosen` these in order.

        `coefficients` are those of the losses, by the names of their knobs; omitted losses have 0. Returns losses and
        statistics by the names of `Update`: scalars, and `expert_grad_norms` [experts]. Nothing is waited for: they may
        still be in progress on a GPU.
        """
        total, terms = self.loss(samples, chosen, coefficients, config, places)
        self.parameters.gradient.zero_()
        total.backward()  # type: ignore[no-untyped-call]
        norms = self.policy.experts.gradient_norms()
        norm = self.parameters.clip_gradient(config.max_grad_norm)
        self.optimizer.step()
        return {**terms, "grad_norm": norm, "expert_grad_norms": norms}

    def loss(
        self,
        samples: Samples,
        chosen: Tensor,
        coefficients: Mapping[str, float],
        config: PPOConfig,
        places: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What is minimised, and the statistics of it by name. No time is spent on a loss whose coefficient is 0."""
        policy = self.policy
        output = self.forward(samples, chosen, places)
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
        routed, unused = Routed(policy, output, samples, chosen, config.balance_on), total.new_zeros(())
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
            # Total variation distance between the gates when acting and now.
            moved = normalised_gates(output.gates) - normalised_gates(samples.gates[chosen])
            terms["router_shift"] = 0.5 * moved.abs().sum(1).mean()
        return total, {name: term.detach() for name, term in terms.items()}

    @torch.no_grad()
    def health(self, samples: Samples, most: int) -> dict[str, Any]:
        """Statistics of the network's activations over the first `most` samples, by the names of `Update`.

        `dormant_share`: share of dormant units of the scene embedding and the experts (Sokar et al., arXiv:2302.12902);
        a unit's activity is its mean absolute value divided by its layer's mean. `gated_dormant_share`: the same, but
        the hidden units of all experts are one layer, each with its value times the gate. `node_distance`: mean over
        pairs of nodes of 1 − cosine of their embeddings (MAD, Chen et al., arXiv:1909.03211); NaN for a graph of one
        node.
        """
        nodes = self.policy.nodes(samples.observations[:most])
        output = self.policy.of_nodes(nodes, at(samples.noise, slice(most)), at(samples.memory, slice(most)))
        scene, hidden = output.scene.abs().mean(-2), output.hidden.abs()
        gated = torch.einsum("be,ebu->eu", output.gates, hidden) / len(output.gates)
        return {
            "dormant_share": _dormant_share(scene, *hidden.mean(-2)),
            "gated_dormant_share": _dormant_share(scene, gated.flatten()),
            "node_distance": node_distance(nodes),
        }


def _dormant_share(*layers: Tensor) -> float:
    """Share of dormant units among all layers; each [units], their mean activities."""
    return float(torch.cat([layer <= DORMANT * layer.mean() for layer in layers]).float().mean())


def node_distance(embeddings: Tensor) -> float:
    """Mean of 1 − cosine over the pairs of nodes of a state, and over states; embeddings [width, nodes, batch].

    NaN for one node. Cosines of all pairs follow from the sum of the unit vectors u: (|Σu|² − Σ|u|²)/(N(N − 1)).
    """
    count = embeddings.shape[1]
    if count < 2:
        return float("nan")
    units = torch.nn.functional.normalize(embeddings, dim=0)
    cosines = (units.sum(1).square().sum(0) - units.square().sum((0, 1))) / (count * (count - 1))
    return float(1 - cosines.mean())
