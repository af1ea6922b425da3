"""A policy's network as the library computes it, on the same memory as the policy's own parameters."""

import ctypes
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from v3core.environments import StateGraphSpec
from v3core.native import library
from v3core.native.layouts import MAX_CHANNELS, Batch, ExpertBlock, Layer, Network, Part
from v3core.policy import GATMoEPolicy, PolicyOutput
from v3core.policy.gat import GraphAttention, GraphLayer
from v3core.policy.network import Experts
from v3core.policy.tokens import CategoryTokens, FeatureTokens, GridTokens, HubToken, WordTokens

KINDS = (FeatureTokens, GridTokens, CategoryTokens, WordTokens, HubToken)
"""Parts that are covered, in the order of `PartKind`."""
GRAPHS = ("gatv1", "gatv2", "mlp")
"""In the order of `GraphKind`."""


def not_covered(policy: GATMoEPolicy, graph: StateGraphSpec) -> str | None:
    """What of a network the library cannot compute; None if it covers all."""
    if policy.router.weight.device.type != "cpu":
        return f"it is on {policy.router.weight.device.type}"
    for part, module in zip(graph.parts, policy.tokens.parts, strict=True):
        if not isinstance(module, KINDS):
            return f"its observations have a part of kind {part.kind}"
        if part.kind in ("grid", "categories") and len(part.categories) > MAX_CHANNELS:
            return f"a part of kind {part.kind} has more than {MAX_CHANNELS} categories"
    return None


class NativeNetwork:
    """Forward and backward passes of a policy's network by the library; routing and losses are torch's."""

    def __init__(self, policy: GATMoEPolicy, graph: StateGraphSpec, values: Tensor, gradient: Tensor) -> None:
        """Take over a policy whose parameters are views of `values`, and their gradients of `gradient`.

        Raises:
            V3Error: if the library cannot be loaded.
        """
        assert not_covered(policy, graph) is None
        self.policy, self.values, self.gradient = policy, values, gradient
        self._library = library.load()
        edges = np.nonzero(graph.neighbours)[1].astype(np.int64)
        first_edge = np.concatenate(([0], graph.neighbours.sum(1).cumsum())).astype(np.int64)
        self._features: list[tuple[FeatureTokens, Tensor, Tensor]] = []
        parts = [self._part(graph, place) for place in range(len(graph.parts))]
        graph_layers = [layer for layer in policy.gat if isinstance(layer, GraphLayer)]
        layers = [self._layer(layer) for layer in graph_layers]
        first = graph_layers[0]
        self._alive: list[Any] = [edges, first_edge, (Part * len(parts))(*parts), (Layer * len(layers))(*layers)]
        description = Network(
            width=policy.readout.out_features,
            nodes=graph.nodes,
            heads=first.conv.heads if isinstance(first.conv, GraphAttention) else 1,
            layers=len(layers),
            hidden=policy.experts.weight_in.shape[2],
            outputs=policy.actions.spec.outputs,
            graph=GRAPHS.index(first.graph),
            parts=len(parts),
            observation_size=graph.size,
            part=self._alive[2],
            layer=self._alive[3],
            routed=self._experts(policy.experts),
            shared=self._experts(policy.shared),
            readout=self._at(policy.readout.weight),
            readout_bias=self._at(policy.readout.bias),
            router=self._at(policy.router.weight),
            router_bias=self._at(policy.router.bias),
            first_edge=first_edge.ctypes.data,
            senders=edges.ctypes.data,
        )
        linears = [layer for layer in policy.value if isinstance(layer, nn.Linear)]
        for place, layer in enumerate(linears):
            description.value[2 * place : 2 * place + 2] = self._at(layer.weight), self._at(layer.bias)
        self._handle = self._library.v3_create(ctypes.addressof(description))
        self._kept = 0
        """Number of the forward pass that a backward pass may follow."""

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self._library.v3_destroy(self._handle)

    def __call__(self, observations: Tensor, noise: Tensor | None, chosen: Tensor | None = None) -> PolicyOutput:
        """As `GATMoEPolicy.forward`, but without scene and hidden activations.

        Args:
            observations: [rows, size].
            noise: of the routing, [batch, columns].
            chosen: which rows are the batch, [batch]; all of them if left out.
        """
        size = len(observations) if chosen is None else len(chosen)
        jitter = None if noise is None or self.policy.gating.jitter == 0 else noise.contiguous()
        batch = Batch(
            observations=observations.data_ptr(),
            chosen=None if chosen is None else chosen.data_ptr(),
            jitter=None if jitter is None else jitter.data_ptr(),
            jitter_step=0 if jitter is None else jitter.shape[1],
            size=size,
            bytes=observations.dtype == torch.uint8,
        )
        assert observations.is_contiguous()
        for module, mean, scale in self._features:
            mean.copy_(module.mean)
            scale.copy_((module.variance + 1e-8).rsqrt())
        if torch.is_grad_enabled():
            alive = (observations, chosen, jitter)
            found = _Pass.apply(self.values, self, batch, alive)  # type: ignore[no-untyped-call]
        else:
            found = self.forward(batch, keep=False)
        logits, expert_outputs, shared, values = found
        gates = self.policy.gates_of(logits, noise)
        outputs = self.policy.mixed(gates, expert_outputs)
        if self.policy.shared is not None:
            outputs = outputs + shared
        return PolicyOutput(outputs, values, gates, logits, expert_outputs, values, values)

    def forward(self, batch: Batch, *, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Router logits [batch, experts], outputs [experts, batch, outputs] and [batch, outputs], values [batch]."""
        policy, size = self.policy, batch.size
        experts, outputs = policy.router.out_features, policy.actions.spec.outputs
        found = (
            torch.empty(size, experts),
            torch.empty(experts, size, outputs),
            torch.empty(size, outputs),
            torch.empty(size),
        )
        wrong = self._library.v3_forward(
            self._handle, self.values.data_ptr(), ctypes.addressof(batch), keep, *(t.data_ptr() for t in found)
        )
        if wrong:
            raise IndexError("an observation names a category that the network does not have")
        self._kept += 1
        return found

    def backward(self, batch: Batch, number: int, gradients: tuple[Tensor | None, ...]) -> None:
        """Add the parameters' gradients to `gradient`, given those of what forward pass `number` returned."""
        assert number == self._kept, "another forward pass came between"
        contiguous = [None if given is None else given.contiguous() for given in gradients]
        pointers = [None if given is None else given.data_ptr() for given in contiguous]
        self._library.v3_backward(
            self._handle, self.values.data_ptr(), ctypes.addressof(batch), *pointers, self.gradient.data_ptr()
        )

    @property
    def kept(self) -> int:
        """Number of the newest forward pass."""
        return self._kept

    def _at(self, parameter: Tensor) -> int:
        """Where a parameter begins in the vector of all of them."""
        return (parameter.data_ptr() - self.values.data_ptr()) // self.values.element_size()

    def _experts(self, experts: Experts | None) -> ExpertBlock:
        if experts is None:
            return ExpertBlock()
        names = ("weight_in", "bias_in", "weight_out", "bias_out")
        return ExpertBlock(len(experts.weight_in), **{name: self._at(getattr(experts, name)) for name in names})

    def _layer(self, layer: GraphLayer) -> Layer:
        norm = {name: self._at(getattr(layer, name)) for name in ("norm_gain", "norm_bias")}
        return Layer(**norm, **{name: self._at(parameter) for name, parameter in layer.conv.named_parameters()})

    def _part(self, graph: StateGraphSpec, place: int) -> Part:
        part, module = graph.parts[place], self.policy.tokens.parts[place]
        first_node = sum(earlier.nodes for earlier in graph.parts[:place])
        found = Part(
            kind=KINDS.index(type(module)), nodes=part.nodes, first_node=first_node, start=part.start, size=part.size
        )
        found.group = part.size if part.kind == "words" else part.group
        found.channels = len(part.categories)
        match module:
            case FeatureTokens():
                self._features.append((module, torch.zeros(part.size), torch.ones(part.size)))
                found.mean, found.scale = (values.data_ptr() for values in self._features[-1][1:])
                found.identity, found.table[0] = self._at(module.identity), self._at(module.direction)
            case GridTokens():
                found.categories[: len(part.categories)] = part.categories
                found.identity = self._at(module.position)
                found.table[: len(part.categories)] = [self._at(channel) for channel in module.channels]
            case CategoryTokens():
                found.categories[: len(part.categories)] = module.offsets.tolist()
                found.table[0], found.rows = self._at(module.table), len(module.table)
            case WordTokens():
                found.identity, found.table[0] = self._at(module.identity), self._at(module.table)
            case HubToken():
                found.identity = self._at(module.identity)
        return found


class _Pass(torch.autograd.Function):
    """A forward pass that torch can differentiate: its backward pass adds to the vector of gradients by itself."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, network: NativeNetwork, batch: Batch, alive: Any) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        found = network.forward(batch, keep=True)
        ctx.network, ctx.batch, ctx.alive, ctx.number = network, batch, alive, network.kept
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, None, None, None]:
        ctx.network.backward(ctx.batch, ctx.number, gradients)
        return None, None, None, None
