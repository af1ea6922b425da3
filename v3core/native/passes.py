"""A policy's network as the library computes it, on the same memory as the policy's own parameters."""

import ctypes
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from v3core.config import BalanceOn
from v3core.environments import StateGraphSpec
from v3core.messages import _
from v3core.native import library
from v3core.native.layouts import (
    ACTIONS,
    GRAPHS,
    MAX_CHANNELS,
    PARTS,
    ROUTINGS,
    STATISTICS,
    TOP_K_WEIGHTS,
    Adam,
    Batch,
    ExpertBlock,
    Gating,
    Layer,
    Network,
    Objective,
    Part,
    Samples,
)
from v3core.policy import GATMoEPolicy, PolicyOutput
from v3core.policy.distributions import Gaussian
from v3core.policy.gat import GraphAttention, GraphLayer
from v3core.policy.network import Experts
from v3core.policy.tokens import CategoryTokens, FeatureTokens, GridTokens, HubToken, WordTokens


def not_covered(policy: GATMoEPolicy, graph: StateGraphSpec) -> str | None:
    """What of a network the library cannot compute; None if it covers all."""
    if policy.router.weight.device.type != "cpu":
        return _("it is on {device}", device=policy.router.weight.device.type)
    for part in graph.parts:
        if part.kind not in PARTS:
            return _("its observations have a part of kind {kind}", kind=part.kind)
        if part.kind in ("grid", "categories") and len(part.categories) > MAX_CHANNELS:
            return _("a part of kind {kind} has more than {most} categories", kind=part.kind, most=MAX_CHANNELS)
    return None


def step_covers(policy: GATMoEPolicy) -> bool:
    """Whether the library has the routing and the actions of a policy; it has no memory."""
    gating = policy.gating
    return (
        policy.memory is None
        and gating.routing in ROUTINGS
        and gating.top_k_weights in TOP_K_WEIGHTS
        and policy.actions.spec.kind in ACTIONS
    )


class NativeNetwork:
    """A policy's network by the library: acting, whole gradient steps, and passes with torch's routing and losses."""

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
        actions = policy.actions.spec
        categories = np.array(actions.sizes, dtype=np.int64)
        self._alive: list[Any] = [(Part * len(parts))(*parts), (Layer * len(layers))(*layers)]
        self._alive += [edges, first_edge, categories]
        description = Network(
            width=policy.readout.out_features,
            nodes=graph.nodes,
            heads=first.conv.heads if isinstance(first.conv, GraphAttention) else 1,
            layers=len(layers),
            hidden=policy.experts.weight_in.shape[2],
            outputs=actions.outputs,
            graph=GRAPHS.index(first.graph),
            parts=len(parts),
            observation_size=graph.size,
            actions=ACTIONS.get(actions.kind, 0),
            components=actions.components,
            part=self._alive[0],
            layer=self._alive[1],
            routed=self._experts(policy.experts),
            shared=self._experts(policy.shared),
            readout=self._at(policy.readout.weight),
            readout_bias=self._at(policy.readout.bias),
            router=self._at(policy.router.weight),
            router_bias=self._at(policy.router.bias),
            log_std=self._at(policy.actions.log_std) if isinstance(policy.actions, Gaussian) else 0,
            size=values.numel(),
            categories=categories.ctypes.data,
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

    def prepare(self) -> None:
        """Read weights and normalisation: needed when either has changed. Steps read the weights again."""
        for module, mean, scale in self._features:
            mean.copy_(module.mean)
            scale.copy_((module.variance + 1e-8).rsqrt())
        self._library.v3_prepare(self._handle, self.values.data_ptr())

    def act(self, observations: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs [rows, outputs], values [rows] and gates [rows, experts] of observations [rows, size].

        Raises:
            IndexError: if an observation names a category that the network does not have.
        """
        size = len(observations)
        batch = self._batch(observations, None, noise)
        outputs = torch.empty(size, self.policy.actions.spec.outputs)
        values, gates = torch.empty(size), torch.empty(size, self.policy.router.out_features)
        pointers = (outputs.data_ptr(), values.data_ptr(), gates.data_ptr())
        _check(self._library.v3_act(self._handle, self.values.data_ptr(), batch, self._gating(), *pointers))
        return outputs, values, gates

    def step(
        self,
        observations: Tensor,
        noise: Tensor | None,
        chosen: Tensor,
        samples: Samples,
        objective: Objective,
        optimizer: Adam,
        balance_on: BalanceOn,
    ) -> Tensor:
        """One gradient step on the chosen rows; returns the statistics in the order of `Statistic`, then [experts].

        Raises:
            IndexError: if an observation names a category that the network does not have; nothing has moved then.
        """
        statistics = torch.empty(STATISTICS + self.policy.router.out_features)
        pointers = (self._handle, self.values.data_ptr(), self.gradient.data_ptr())
        structures = (self._batch(observations, chosen, noise), samples, self._gating(balance_on), objective, optimizer)
        _check(self._library.v3_step(*pointers, *structures, statistics.data_ptr()))
        return statistics

    def __call__(self, observations: Tensor, noise: Tensor | None, chosen: Tensor) -> PolicyOutput:
        """As `GATMoEPolicy.forward` of the chosen rows, to be differentiated; without scene and hidden activations.

        Args:
            observations: [rows, size].
            noise: of the routing, [rows, columns].
            chosen: which rows are the batch, [batch].
        """
        batch = self._batch(observations, chosen, noise)
        found = _Pass.apply(self.values, self, batch, (observations, chosen, noise))  # type: ignore[no-untyped-call]
        logits, expert_outputs, shared, values = found
        gates = self.policy.gates_of(logits, None if noise is None else noise[chosen])
        outputs = self.policy.mixed(gates, expert_outputs)
        if self.policy.shared is not None:
            outputs = outputs + shared
        return PolicyOutput(outputs, values, gates, logits, expert_outputs, values, values)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Router logits [batch, experts], outputs [experts, batch, outputs] and [batch, outputs], values [batch]."""
        policy, size = self.policy, batch.size
        experts, outputs = policy.router.out_features, policy.actions.spec.outputs
        found = (
            torch.empty(size, experts),
            torch.empty(experts, size, outputs),
            torch.empty(size, outputs),
            torch.empty(size),
        )
        pointers = (tensor.data_ptr() for tensor in found)
        _check(self._library.v3_forward(self._handle, self.values.data_ptr(), batch, *pointers))
        self._kept += 1
        return found

    def backward(self, batch: Batch, number: int, gradients: tuple[Tensor | None, ...]) -> None:
        """Add the parameters' gradients to `gradient`, given those of what forward pass `number` returned."""
        assert number == self._kept, "another forward pass came between"
        contiguous = [None if given is None else given.contiguous() for given in gradients]
        pointers = [None if given is None else given.data_ptr() for given in contiguous]
        self._library.v3_backward(self._handle, self.values.data_ptr(), batch, *pointers, self.gradient.data_ptr())

    def readouts(self, observations: Tensor, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both readouts of the graph, [batch, width], as `GATMoEPolicy.of_readouts` takes them.

        With `chosen` [batch] of the observations [rows, size], to be differentiated; without it of all of them, by the
        weights that were prepared.

        Raises:
            IndexError: if an observation names a category that the network does not have.
        """
        batch = self._batch(observations, chosen, None)
        if chosen is None:
            return self.readouts_forward(batch, changed=False)
        scene, value = _Readouts.apply(self.values, self, batch, (observations, chosen))  # type: ignore[no-untyped-call]
        return scene, value

    def readouts_forward(self, batch: Batch, *, changed: bool) -> tuple[Tensor, Tensor]:
        """As `readouts`; `changed` is whether parameters have changed since they were prepared."""
        scene, value = (torch.empty(batch.size, self.policy.readout.out_features) for _ in range(2))
        pointers = (scene.data_ptr(), value.data_ptr())
        _check(self._library.v3_readouts(self._handle, self.values.data_ptr(), batch, changed, *pointers))
        self._kept += 1
        return scene, value

    def readouts_backward(self, batch: Batch, number: int, gradients: tuple[Tensor | None, ...]) -> None:
        """Add the gradients of the parameters below the readouts, as `backward`."""
        assert number == self._kept, "another forward pass came between"
        contiguous = [None if given is None else given.contiguous() for given in gradients]
        pointers = [None if given is None else given.data_ptr() for given in contiguous]
        values, gradient = self.values.data_ptr(), self.gradient.data_ptr()
        self._library.v3_readouts_backward(self._handle, values, batch, *pointers, gradient)

    @property
    def kept(self) -> int:
        """Number of the newest forward pass."""
        return self._kept

    def _batch(self, observations: Tensor, chosen: Tensor | None, noise: Tensor | None) -> Batch:
        """Those rows of the observations and of the noise that were chosen; all of them if `chosen` is left out."""
        assert observations.is_contiguous()
        assert noise is None or noise.is_contiguous()
        return Batch(
            observations.data_ptr(),
            None if chosen is None else chosen.data_ptr(),
            None if noise is None else noise.data_ptr(),
            len(observations) if chosen is None else len(chosen),
            0 if noise is None else noise.shape[1],
            observations.dtype == torch.uint8,
            self.policy.gating.jitter > 0,
        )

    def _gating(self, balance_on: BalanceOn = "gates") -> Gating:
        """How the policy routes; what the losses read does not matter where there are none."""
        policy, gating = self.policy, self.policy.gating
        return Gating(
            ROUTINGS.index(gating.routing),
            gating.top_k,
            TOP_K_WEIGHTS.index(gating.top_k_weights),
            gating.temperature,
            gating.alpha,
            policy.expert_bias.data_ptr() if policy.uses_bias else None,
            balance_on == "softmax",
        )

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
            kind=PARTS.index(part.kind), nodes=part.nodes, first_node=first_node, start=part.start, size=part.size
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


def _check(wrong: int) -> None:
    if wrong:
        raise IndexError("an observation names a category that the network does not have")


class _Pass(torch.autograd.Function):
    """A forward pass that torch can differentiate: its backward pass adds to the vector of gradients by itself."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, network: NativeNetwork, batch: Batch, alive: Any) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        found = network.forward(batch)
        ctx.network, ctx.batch, ctx.alive, ctx.number = network, batch, alive, network.kept
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, None, None, None]:
        ctx.network.backward(ctx.batch, ctx.number, gradients)
        return None, None, None, None


class _Readouts(torch.autograd.Function):
    """Likewise, of a network with memory, up to its readouts."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, network: NativeNetwork, batch: Batch, alive: Any) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        found = network.readouts_forward(batch, changed=True)
        ctx.network, ctx.batch, ctx.alive, ctx.number = network, batch, alive, network.kept
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, None, None, None]:
        ctx.network.readouts_backward(ctx.batch, ctx.number, gradients)
        return None, None, None, None
