"""Random networks with samples that they acted on, and their gradients in single and double precision."""

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from v3core.config import PolicyConfig, PPOConfig
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentSpec, StateGraphSpec, check_environment, state_graph
from v3core.environments.action_space import action_spec
from v3core.policy import Gating, GATMoEPolicy
from v3core.policy.gat import GraphAttention
from v3core.training.eager import EagerBackend
from v3core.training.losses import Samples
from v3core.training.native_backend import NativeBackend
from v3core.training.optimizer import Adam, FlatParameters

OBSERVATIONS: dict[str, tuple[spaces.Space[Any], dict[str, int] | None]] = {
    "features": (spaces.Box(-1, 1, (5,)), None),
    "groups": (spaces.Box(-1, 1, (130,)), None),
    "categories": (spaces.MultiDiscrete([2, 5, 3]), None),
    "grid": (spaces.Box(0, 255, (5, 4, 3), np.uint8), {"object": 4, "colour": 3, "state": 2}),
    "dict": (spaces.Dict({"place": spaces.Discrete(7), "speed": spaces.Box(-1, 1, (3,))}), None),
}
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "multi_discrete": spaces.MultiDiscrete([2, 3, 2]),
    "multi_binary": spaces.MultiBinary(3),
    "continuous": spaces.Box(-1, 1, (2,)),
}
COEFFICIENTS = {
    **{"load_balance": 0.02, "expert_balance": 0.01, "z_loss": 0.01, "diversity": 0.1},
    **{"consistency": 0.1, "gate_entropy": 0.05, "entropy": 0.01},
}
NEAR = 2e-6
"""Numbers this near to 0 may be on its other side in single precision."""
CONFIG = PPOConfig(max_grad_norm=1e30)
"""Without clipping, so that a step leaves the gradient as it is."""


def spec_of(observation: str, action: str) -> EnvironmentSpec:
    """An environment's specification, of one kind of observations and one of actions."""
    if observation == "mission":
        graph = check_environment("BabyAI-GoToObj-v0", allow_import=False).graph
    else:
        space, categories = OBSERVATIONS[observation]
        graph = state_graph(space, categories)
    return EnvironmentSpec(EnvironmentSetup("Test-v0"), graph, action_spec(ACTIONS[action]))


def observations_of(graph: StateGraphSpec, batch: int, generator: torch.Generator) -> Tensor:
    """Random observations that the graph's parts can have."""
    columns = []
    for part in graph.parts:
        if part.kind == "grid":
            cells = [torch.randint(size, (batch, part.nodes), generator=generator) for size in part.categories]
            columns.append(torch.stack(cells, 2).flatten(1))
        elif part.kind == "categories":
            cells = [torch.randint(size, (batch,), generator=generator) for size in part.categories]
            columns.append(torch.stack(cells, 1))
        elif part.kind == "words":
            columns.append(torch.randint(3, (batch, part.size), generator=generator) // 2)
        else:
            columns.append(3 * torch.randn(batch, part.size, generator=generator))
    return torch.cat([column.float() for column in columns], 1).to(getattr(torch, graph.dtype))


class Case:
    """One policy whose parameters are all at work: computed by torch, by the library, and by torch in doubles."""

    def __init__(
        self, observation: str, action: str, gating: Gating, seed: int, *, bias: bool = False, **sizes: Any
    ) -> None:
        spec = spec_of(observation, action)
        self.graph = spec.graph
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        policy = GATMoEPolicy(spec, PolicyConfig(**sizes))
        for parameter in policy.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        policy.gating = gating
        if bias:
            policy.move_bias(0.1 * torch.randn(len(policy.expert_bias)))
        policy.tokens.update_normalisation(observations_of(self.graph, 20, self.generator).float())
        self.policy = policy
        self.eager = self._torch(policy)
        self.native = NativeBackend(policy, self.eager.parameters, self.eager.optimizer, spec.graph)
        self.native.prepare()

    def double(self) -> EagerBackend:
        """The same network in double precision."""
        return self._torch(copy.deepcopy(self.policy).double())

    @staticmethod
    def _torch(policy: GATMoEPolicy) -> EagerBackend:
        parameters = FlatParameters(policy)
        return EagerBackend(policy, parameters, Adam(parameters.values, 0.0))

    def samples(self, batch: int, *, masks: bool = False) -> Samples:
        """Samples that the policy acted on, with log-probabilities that are a little off."""
        policy, generator = self.policy, self.generator
        observations = observations_of(self.graph, batch, generator)
        noise = policy.routing_noise((batch,), generator)
        allowed = self._masks(batch) if masks else None
        with torch.no_grad():
            output = self.eager.act(observations, noise)
            outputs = policy.actions.masked(output.outputs, allowed)
            actions = policy.actions.sample(outputs, policy.actions.noise((batch,), generator))
            log_probs, _ = policy.actions.log_prob_and_entropy(outputs, actions)
        advantages, targets, off = torch.randn(3, batch, generator=generator)
        moved = (output.gates + 0.1 * torch.rand(output.gates.shape, generator=generator)).contiguous()
        successors = torch.arange(1, batch + 1)
        successors[torch.rand(batch, generator=generator) < 0.2] = -1
        successors[-1] = -1
        return Samples(
            observations, actions, log_probs + 0.1 * off, advantages, targets, moved, noise, successors, allowed
        )

    def _masks(self, batch: int) -> Tensor | None:
        """Random masks that leave every component a value; None where actions are numbers."""
        sizes = self.policy.actions.spec.sizes
        if not sizes:
            return None
        parts = []
        for size in sizes:
            part = torch.rand(batch, size, generator=self.generator) < 0.7
            part[part.sum(1) == 0, 0] = True
            parts.append(part)
        return torch.cat(parts, 1)


def as_double(samples: Samples) -> Samples:
    """The same samples in double precision, but for what is counted."""
    named = {field.name: getattr(samples, field.name) for field in fields(samples)}
    reals = {name: rows.double() for name, rows in named.items() if rows is not None and rows.dtype == torch.float32}
    return replace(samples, **reals)


def torch_gradient(
    backend: EagerBackend,
    samples: Samples,
    chosen: Tensor,
    coefficients: dict[str, float] = COEFFICIENTS,
    config: PPOConfig = CONFIG,
) -> tuple[dict[str, Tensor], Tensor]:
    """Statistics and gradient of a minibatch by torch."""
    backend.parameters.gradient.zero_()
    total, terms = backend.loss(samples, chosen, coefficients, config)
    total.backward()  # type: ignore[no-untyped-call]
    gradient = backend.parameters.gradient.clone()
    norms = backend.policy.experts.gradient_norms().clone()
    return {**terms, "grad_norm": gradient.norm(), "expert_grad_norms": norms}, gradient


def native_gradient(
    case: Case,
    samples: Samples,
    chosen: Tensor,
    coefficients: dict[str, float] = COEFFICIENTS,
    config: PPOConfig = CONFIG,
) -> tuple[dict[str, Tensor], Tensor]:
    """Statistics and gradient of a minibatch by one step of the library, whose learning rate is 0."""
    terms = case.native.gradient_step(samples, chosen, coefficients, config)
    return {name: term.clone() for name, term in terms.items()}, case.eager.parameters.gradient.clone()


def decided(backend: EagerBackend, samples: Samples) -> Tensor:
    """What comparing numbers decides of each sample, [batch, columns]; where numbers are nearly equal, rounding does.

    That is the experts that take part, the one with the largest gate, and the side of PPO's bounds on the ratio.
    """
    policy = backend.policy
    with torch.no_grad():
        backend.prepare()
        output = backend.act(samples.observations, samples.noise)
        outputs = policy.actions.masked(output.outputs, samples.masks)
        log_probs, _ = policy.actions.log_prob_and_entropy(outputs, samples.actions)
    ratio, clip = (log_probs - samples.log_probs).exp(), CONFIG.clip
    found = [(ratio > 1 + clip)[:, None], (ratio < 1 - clip)[:, None]]
    if policy.gating.routing != "topk":
        found.append(output.gates.argmax(1, keepdim=True))
    if policy.gating.routing not in ("softmax", "gumbel"):
        found.append(output.gates > 1e-30)
    return torch.cat([part.long() for part in found], 1)


def clear(case: Case, double: EagerBackend, samples: Samples, exact: Samples) -> Tensor:
    """Which samples, with their successors, are decided alike in single and double precision, [batch]."""
    expected = decided(double, exact)
    same = torch.stack([(decided(each, samples) == expected).all(1) for each in (case.eager, case.native)]).all(0)
    same &= _smallest_scores(double, exact, case.graph) > NEAR
    return same & torch.where(samples.successors >= 0, same[samples.successors.clamp(min=0)], True)


def _smallest_scores(double: EagerBackend, samples: Samples, graph: StateGraphSpec) -> Tensor:
    """The smallest size of what goes into a leaky ReLU, whose slope changes at 0, of each sample, [batch]."""
    receivers, senders = map(torch.from_numpy, np.nonzero(graph.neighbours))
    found = [torch.full((len(samples.observations),), torch.inf, dtype=torch.float64)]

    def look(module: GraphAttention, given: tuple[Tensor], _: Tensor) -> None:
        nodes = given[0]
        if module.version == "gatv2":
            left, right = module._project(nodes).flatten(1, 2)
        else:
            values = torch.einsum("oi,inb->onb", module.weight, nodes)
            values = values.view(module.heads, -1, *values.shape[1:])
            left, right = ((values * each.unsqueeze(-1)).sum(1) for each in (module.sender, module.receiver))
        found.append((left[:, senders] + right[:, receivers]).abs().amin((0, 1)))

    hooks = [m.register_forward_hook(look) for m in double.policy.modules() if isinstance(m, GraphAttention)]
    with torch.no_grad():
        double.policy.values(samples.observations)
    for hook in hooks:
        hook.remove()
    return torch.stack(found).amin(0)
