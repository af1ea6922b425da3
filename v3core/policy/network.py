"""The policy, end to end differentiable: state graph → GAT → scene embedding → router → experts → action logits."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from v3core.config import PolicyConfig
from v3core.curriculum import Routing
from v3core.environments import StateGraphSpec
from v3core.policy.experts import Experts
from v3core.policy.gat import GraphAttention
from v3core.policy.initial import linear
from v3core.policy.routing import gate_weights
from v3core.policy.tokens import tokens_for


class PolicyOutput(NamedTuple):
    """What the policy says of a batch of observations."""

    logits: Tensor
    """Action logits [batch, actions]: the experts' logits weighted by their gates."""
    values: Tensor
    """Expected discounted return [batch], in units of the reward scale."""
    gates: Tensor
    """Gate weights [batch, experts]."""
    router_logits: Tensor
    """[batch, experts], before temperature and routing."""


class GATMoEPolicy(nn.Module):
    """A mixture of experts that a graph attention network guides, with a value head on the same graph network."""

    routing: Routing = "softmax"
    """How router logits become gate weights. Set per rollout; no parameter depends on it."""
    temperature: float = 1.0
    """Router logits are divided by it. Set per rollout."""

    def __init__(self, spec: StateGraphSpec, actions: int, config: PolicyConfig) -> None:
        super().__init__()
        width = config.width
        self.tokens = tokens_for(spec, width)
        self.gat = nn.Sequential(*(GraphAttention(spec.neighbours, width, config.heads) for _ in range(config.layers)))
        # The order of nodes is fixed by the observation space, so all of them side by side lose nothing.
        self.readout = linear(spec.nodes * width, width, 2**0.5)
        # Small logits: every expert has a like share at first, under either routing.
        self.router = linear(width, config.experts, 0.1)
        self.experts = Experts(config.experts, width, width, actions)
        # A readout of its own: on the scene embedding, the value loss would bend what router and experts read.
        self.value = nn.Sequential(
            linear(spec.nodes * width, width, 2**0.5),
            nn.Tanh(),
            linear(width, width, 2**0.5),
            nn.Tanh(),
            linear(width, width, 2**0.5),
            nn.Tanh(),
            linear(width, 1, 1.0),
        )

    def forward(self, observations: Tensor) -> PolicyOutput:
        """Everything the policy says of observations [batch, *observation shape]."""
        nodes = self._nodes(observations)
        scene = torch.tanh(self.readout(nodes))
        router_logits = self.router(scene)
        gates = gate_weights(router_logits, self.routing, self.temperature)
        logits = (gates.t().unsqueeze(2) * self.experts(scene)).sum(0)
        return PolicyOutput(logits, self.value(nodes).squeeze(1), gates, router_logits)

    def embed(self, observations: Tensor) -> Tensor:
        """Scene embeddings [batch, width] of observations [batch, *observation shape]."""
        return torch.tanh(self.readout(self._nodes(observations)))

    def _nodes(self, observations: Tensor) -> Tensor:
        """All node features side by side, [batch, width · nodes]."""
        nodes: Tensor = self.gat(self.tokens(observations))
        return nodes.flatten(0, 1).t()

    def update_normalisation(self, observations: Tensor) -> None:
        """Take observations [n, *observation shape] into the running statistics, between update and rollout only."""
        self.tokens.update_normalisation(observations)
