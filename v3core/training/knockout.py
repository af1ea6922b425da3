"""Knock-out: episodes of a policy without one of its experts."""

from collections.abc import Callable

import torch
from torch import Tensor

from v3core.environments import EnvironmentSpec
from v3core.errors import V3Error
from v3core.insight.removals import ALL_EXPERTS
from v3core.interruption import never
from v3core.policy import GATMoEPolicy
from v3core.policy.routing import gate_weights
from v3core.training.eager import Acted, EagerBackend
from v3core.training.hooks import EvaluationEpisode
from v3core.training.inference import EVALUATION_SEED, evaluate

_NOTHING_LEFT = 1e-6
"""Share of the gates that the other experts must have to be renormalised."""


def gates_without(policy: GATMoEPolicy, expert: int, gates: Tensor, router_logits: Tensor) -> Tensor:
    """Gates [batch, experts] with that of an expert at 0 and the others renormalised to the same sum.

    Where the expert had all the weight there is nothing to renormalise: there the routing in force chooses among the
    other experts by their router logits [batch, experts]. For softmax both are the same.
    """
    others = [other for other in range(gates.shape[1]) if other != expert]
    kept = torch.zeros_like(gates)
    kept[:, others] = gates[:, others]
    whole, left = gates.sum(1, keepdim=True), kept.sum(1, keepdim=True)
    bias = policy.expert_bias[others] if policy.uses_bias else None
    rerouted = torch.zeros_like(gates)
    rerouted[:, others] = gate_weights(router_logits[:, others], policy.gating, bias=bias)
    return torch.where(left > _NOTHING_LEFT * whole, kept * (whole / left), rerouted)


class WithoutExpert(EagerBackend):
    """Acts with a policy without one of its experts; with `ALL_EXPERTS`, by the same computation, with all."""

    def __init__(self, backend: EagerBackend, expert: int) -> None:
        super().__init__(backend.policy, backend.parameters, backend.optimizer)
        self._expert = expert

    def act(self, observations: Tensor, noise: Tensor | None = None) -> Acted:
        policy = self.policy
        output = policy(observations, noise)
        if self._expert == ALL_EXPERTS:
            return Acted(*output[:3])
        gates = gates_without(policy, self._expert, output.gates, output.router_logits)
        outputs = policy.with_shared(policy.mixed(gates, output.expert_outputs), output.scene)
        return Acted(outputs, output.values, gates)


def knock_out(
    backend: EagerBackend,
    spec: EnvironmentSpec,
    episodes: int,
    seed: int = EVALUATION_SEED,
    *,
    sampled: bool = False,
    interrupted: Callable[[], bool] = never,
) -> dict[int, tuple[EvaluationEpisode, ...]]:
    """Play the same episodes with all experts (`ALL_EXPERTS`) and without each, by expert from 0; as `evaluate`.

    Raises:
        V3Error: if there is only one expert, or the environment fails.
        Interrupted: if `interrupted()` was true.
    """
    experts = backend.policy.router.out_features
    if experts < 2:
        raise V3Error("The policy has only one expert, so none can be removed.")
    return {
        expert: evaluate(WithoutExpert(backend, expert), spec, episodes, seed, sampled=sampled, interrupted=interrupted)
        for expert in (ALL_EXPERTS, *range(experts))
    }
