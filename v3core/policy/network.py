"""The policy, differentiable end to end: state graph → GAT → scene embedding → router → experts → action."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from v3core.config import PolicyConfig
from v3core.environments import EnvironmentSpec
from v3core.policy.distributions import action_distribution, gumbel
from v3core.policy.gat import GraphLayer
from v3core.policy.memory import Memory, Sequences
from v3core.policy.routing import NOISY, Gating, gate_weights
from v3core.policy.tokens import Tokens

_VALUE_READOUT = 2
"""Modules of the value head before its memory: a readout and its activation."""


class PolicyOutput(NamedTuple):
    """The outputs of the policy for a batch of observations."""

    outputs: Tensor  # of the experts, weighted by their gates [batch, outputs]: parameters of the action distribution
    values: Tensor  # expected discounted return [batch], in units of the reward scale
    gates: Tensor  # [batch, experts]; rows sum to 1, except for top-k with the weights `probabilities`
    router_logits: Tensor  # [batch, experts], before temperature and routing
    expert_outputs: Tensor  # what each routed expert would put out by itself, [experts, batch, outputs]
    scene: Tensor  # what router and experts read: embeddings [batch, width]; with memory, what that makes of them
    hidden: Tensor  # activations of the routed experts [experts, batch, expert width]
    memory: Tensor | None = None  # after the step, [batch, size of the memory]; None without one


def orthogonal(inputs: int, outputs: int, gain: float) -> Tensor:
    """An orthogonal matrix [inputs, outputs] times `gain`, as is usual for PPO (CleanRL, Stable-Baselines3)."""
    return nn.init.orthogonal_(torch.empty(inputs, outputs), gain)


def linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights and no bias at first."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Experts(nn.Module):
    """E two-layer networks from the scene embedding to action outputs, as stacked tensors: two batched products.

    All experts read the same scene, but one plain product with their first layers side by side was slower.
    """

    def __init__(self, experts: int, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.weight_in = nn.Parameter(torch.stack([orthogonal(width, hidden, 2**0.5) for _ in range(experts)]))
        self.bias_in = nn.Parameter(torch.zeros(experts, 1, hidden))
        # Near-zero outputs at first: the untrained policy tries every action.
        self.weight_out = nn.Parameter(torch.stack([orthogonal(hidden, outputs, 0.01) for _ in range(experts)]))
        self.bias_out = nn.Parameter(torch.zeros(experts, 1, outputs))

    def forward(self, scene: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [experts, batch, outputs] and hidden activations [experts, batch, hidden], in −1 to 1, of scenes.

        Scene embeddings are [batch, width].
        """
        weight_in = self.weight_in
        hidden = torch.baddbmm(self.bias_in, scene.expand(len(weight_in), *scene.shape), weight_in).tanh()
        return torch.baddbmm(self.bias_out, hidden, self.weight_out), hidden

    def gradient_norms(self) -> Tensor:
        """Norm of the gradient of each expert's parameters, [experts]; after a backward pass."""
        own = (self.weight_in, self.bias_in, self.weight_out, self.bias_out)
        gradients = [parameter.grad.flatten(1) for parameter in own if parameter.grad is not None]
        norms: Tensor = torch.linalg.vector_norm(torch.cat(gradients, 1), dim=1)
        return norms


class GATMoEPolicy(nn.Module):
    """A mixture of experts that a graph attention network guides, with a value head on the same graph network."""

    expert_bias: Tensor
    """Added to the affinities when the top k are chosen, and only then, [experts]; moved by bias balancing."""

    def __init__(self, spec: EnvironmentSpec, config: PolicyConfig) -> None:
        super().__init__()
        width, graph = config.width, spec.graph
        scene = width if config.memory == "none" else config.memory_width or width
        self.gating = Gating()
        """Set per rollout; acting and learning from it use the same."""
        self.tokens = Tokens(graph, width)
        self.gat = nn.Sequential(
            *(GraphLayer(graph.neighbours, width, config.heads, config.graph) for _ in range(config.layers))
        )
        # The order of nodes is fixed by the observation space, so all of them side by side lose nothing.
        self.readout = linear(graph.nodes * width, width, 2**0.5)
        # Small logits: every expert has a like share at first, under any routing.
        self.router = linear(scene, config.experts, 0.1)
        sizes = (scene, config.hidden, spec.actions.outputs)
        self.experts = Experts(config.experts, *sizes)
        self.shared = Experts(config.shared_experts, *sizes) if config.shared_experts else None
        self.actions = action_distribution(spec.actions)
        # A separate readout: on the scene embedding, the value loss would distort what router and experts read.
        inputs = (graph.nodes * width, scene, width)
        layers = [layer for size in inputs for layer in (linear(size, width, 2**0.5), nn.Tanh())]
        self.value = nn.Sequential(*layers, linear(width, 1, 1.0))
        self.register_buffer("expert_bias", torch.zeros(config.experts))
        self.uses_bias = False
        """Whether any bias was ever moved: without one the choice is by the logits themselves."""
        # Last, so that everything else begins with the same weights as without it.
        self.memory = Memory(width, scene) if config.memory == "gru" else None

    def forward(
        self, observations: Tensor, noise: Tensor | None = None, memory: Tensor | Sequences | None = None
    ) -> PolicyOutput:
        """Everything the policy says of flat observations [batch, size] under routing noise [batch, columns].

        Noise that was drawn in acting is used again in learning: with other noise the probability ratio would not start
        at 1. None in evaluation. Of a policy with memory, `memory` is what it remembers before each observation,
        [batch, size of the memory], or how they follow each other; None if nothing is remembered yet.
        """
        return self.of_nodes(self.nodes(observations), noise, memory)

    def nodes(self, observations: Tensor) -> Tensor:
        """Node embeddings behind the graph layers, [width, nodes, batch], of observations [batch, size]."""
        nodes: Tensor = self.gat(self.tokens(observations))
        return nodes

    def of_nodes(
        self, embeddings: Tensor, noise: Tensor | None = None, memory: Tensor | Sequences | None = None
    ) -> PolicyOutput:
        """What the policy says given its node embeddings, [width, nodes, batch]; the others as of `forward`."""
        nodes = _side_by_side(embeddings)
        scene = torch.tanh(self.readout(nodes))
        if self.memory is None:
            return self._decided(scene, self.value(nodes), noise)
        return self.of_readouts(scene, self.value[:_VALUE_READOUT](nodes), noise, memory)

    def of_readouts(
        self, scene: Tensor, value: Tensor, noise: Tensor | None = None, memory: Tensor | Sequences | None = None
    ) -> PolicyOutput:
        """What a policy with memory says given both readouts of the graph, [batch, width]; the rest as of `forward`."""
        own, values, after = self._remembered(scene, value, memory)
        return self._decided(own, values, noise, after)

    def _decided(
        self, scene: Tensor, values: Tensor, noise: Tensor | None, memory: Tensor | None = None
    ) -> PolicyOutput:
        router_logits, gates = self._route(scene, noise)
        expert_outputs, hidden = self.experts(scene)
        outputs = self.with_shared(self.mixed(gates, expert_outputs), scene)
        return PolicyOutput(outputs, values.squeeze(1), gates, router_logits, expert_outputs, scene, hidden, memory)

    def _remembered(
        self, scene: Tensor, value: Tensor, memory: Tensor | Sequences | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What router and experts read, values [batch, 1], and the memory after it, given both readouts."""
        before = self.blank_memory(len(scene)) if memory is None else memory
        assert self.memory is not None
        assert before is not None
        states = self.memory(torch.stack((scene, value)), before)
        return states[0], self.value[_VALUE_READOUT:](states[1]), self.memory.together(states)

    def blank_memory(self, count: int) -> Tensor | None:
        """What is remembered where an episode begins, [count, size of the memory]; None without one."""
        if self.memory is None:
            return None
        return torch.zeros(count, self.memory.size, device=self.router.weight.device)

    def gates(
        self, observations: Tensor, noise: Tensor | None = None, memory: Tensor | Sequences | None = None
    ) -> Tensor:
        """Gate weights [batch, experts] of observations [batch, size], without experts and value; as of `forward`."""
        nodes = _side_by_side(self.nodes(observations))
        scene = torch.tanh(self.readout(nodes))
        if self.memory is not None:
            scene = self._remembered(scene, self.value[:_VALUE_READOUT](nodes), memory)[0]
        return self._route(scene, noise)[1]

    def values(self, observations: Tensor, memory: Tensor | None = None) -> Tensor:
        """Expected discounted return [batch] of observations [batch, size], in units of the reward scale."""
        nodes = _side_by_side(self.nodes(observations))
        if self.memory is not None:
            scene = torch.tanh(self.readout(nodes))
            return self._remembered(scene, self.value[:_VALUE_READOUT](nodes), memory)[1].squeeze(1)
        values: Tensor = self.value(nodes)
        return values.squeeze(1)

    def multiply_adds(self) -> int:
        """About how many of one observation's forward pass; without those of its node features, which images need most.

        A parameter of the graph network is used once for each node, any other once.
        """
        per_node = sum(parameter.numel() for parameter in self.gat.parameters())
        tokens = sum(parameter.numel() for parameter in self.tokens.parameters())
        nodes = self.readout.in_features // self.readout.out_features
        return sum(parameter.numel() for parameter in self.parameters()) - tokens + (nodes - 1) * per_node

    def routing_noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor | None:
        """Noise of the routing in force, [*shape, columns]; None if it has none.

        Jitter: what the router reads is multiplied by U(1 − j, 1 + j), as in Switch (arXiv:2101.03961, section 2.2
        and appendix). Gumbel: added to the logits (Jang et al., 2017, arXiv:1611.01144).
        """
        parts: list[Tensor] = []
        if self.gating.jitter > 0:
            width = self.router.in_features
            low, high = 1 - self.gating.jitter, 1 + self.gating.jitter
            parts.append(torch.empty(*shape, width, device=generator.device).uniform_(low, high, generator=generator))
        if self.gating.routing in NOISY:
            parts.append(gumbel((*shape, self.router.out_features), generator))
        return torch.cat(parts, -1) if parts else None

    @torch.no_grad()
    def move_bias(self, change: Tensor) -> None:
        """Add `change` [experts] to what is added to the affinities in the choice of the top k."""
        self.expert_bias += change
        self.uses_bias = True

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Like every module; a bias that was moved is used again."""
        result = super().load_state_dict(*args, **kwargs)
        self.uses_bias = bool(self.expert_bias.any())
        return result

    def _route(self, scene: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Router logits and gate weights, [batch, experts] both."""
        if noise is not None and self.gating.jitter > 0:
            scene = scene * noise[:, : scene.shape[1]]
        router_logits = self.router(scene)
        return router_logits, self.gates_of(router_logits, noise)

    def gates_of(self, router_logits: Tensor, noise: Tensor | None) -> Tensor:
        """Gate weights [batch, experts] by the routing in force; `noise` is that of `routing_noise`."""
        drawn = noise[:, -router_logits.shape[1] :] if noise is not None and self.gating.routing in NOISY else None
        return gate_weights(router_logits, self.gating, drawn, self.expert_bias if self.uses_bias else None)

    def with_shared(self, outputs: Tensor, scene: Tensor) -> Tensor:
        """Outputs [..., batch, outputs] plus those of the shared experts, if any, for scenes [batch, width]."""
        return outputs if self.shared is None else outputs + self.shared(scene)[0].sum(0)

    @staticmethod
    def mixed(gates: Tensor, expert_outputs: Tensor) -> Tensor:
        """The outputs [experts, batch, outputs] weighted by their gates [batch, experts]: [batch, outputs]."""
        return (gates.t().unsqueeze(2) * expert_outputs).sum(0)


def _side_by_side(embeddings: Tensor) -> Tensor:
    """All node features of a state in one row: [width, nodes, batch] to [batch, width · nodes], a view."""
    return embeddings.flatten(0, 1).t()
