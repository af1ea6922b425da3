"""Knock-out: episodes of a policy without one of its experts, those of all experts side by side."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from v3core.environments import EnvironmentSpec
from v3core.environments.batch import seeds_of
from v3core.environments.evaluation_seeds import AT_ONCE, EVALUATION_SEED
from v3core.errors import V3Error
from v3core.insight.removals import ALL_EXPERTS
from v3core.interruption import never
from v3core.policy import GATMoEPolicy
from v3core.policy.routing import gate_weights
from v3core.training.eager import Acted, EagerBackend
from v3core.training.hooks import EvaluationEpisode
from v3core.training.inference import evaluate

_NOTHING_LEFT = 1e-6
"""Share of the gates that the other experts must have to be renormalised."""
USUAL_EPISODES = 10
_SHARE = 5
"""A run that does not say how many plays a fifth of its episodes at most, with those of all experts."""
_SIDE_BY_SIDE = 128
"""Environments at most."""


def gates_without(policy: GATMoEPolicy, removed: Tensor, gates: Tensor, router_logits: Tensor) -> Tensor:
    """Gates [batch, experts] with that of one expert each at 0 and the others renormalised to the same sum.

    `removed` [batch] are the experts, `ALL_EXPERTS` where none is removed. Where the expert had all the weight there is
    nothing to renormalise: there the routing in force chooses among the other experts by their router logits
    [batch, experts]. For softmax both are the same.
    """
    experts = torch.arange(gates.shape[1], device=gates.device)
    kept = gates.masked_fill(experts == removed.unsqueeze(1), 0)
    whole, left = gates.sum(1, keepdim=True), kept.sum(1, keepdim=True)
    found = kept * (whole / left)
    alone = (left <= _NOTHING_LEFT * whole).squeeze(1).nonzero().squeeze(1)
    if len(alone):
        others = experts[:-1] + (experts[:-1] >= removed[alone].unsqueeze(1))
        bias = policy.expert_bias[others] if policy.uses_bias else None
        weights = gate_weights(router_logits[alone].gather(1, others), policy.gating, bias=bias)
        found[alone] = torch.zeros_like(gates[alone]).scatter(1, others, weights)
    return found


class WithoutExperts(EagerBackend):
    """Acts with a policy without some of its experts: the batch is in as many equal parts, each without one.

    With `ALL_EXPERTS`, by the same computation, with all.
    """

    def __init__(self, backend: EagerBackend, experts: Sequence[int]) -> None:
        super().__init__(backend.policy, backend.parameters, backend.optimizer)
        self._backend = backend
        self._experts = torch.tensor(experts, device=backend.policy.router.weight.device)

    def prepare(self) -> None:
        self._backend.prepare()

    def act(self, observations: Tensor, noise: Tensor | None = None, memory: Tensor | None = None) -> Acted:
        policy, output = self.policy, self._backend.look(observations, noise, memory)
        removed = self._experts.repeat_interleave(len(observations) // len(self._experts))
        gates = gates_without(policy, removed, output.gates, output.router_logits)
        # What the shared experts say stays.
        outputs = output.outputs + policy.mixed(gates - output.gates, output.expert_outputs)
        return Acted(outputs, output.values, gates, output.memory)


def episodes_at_end(asked: int | None, *, trained: int, experts: int) -> int:
    """Episodes without each expert at the end of a run of `trained` episodes; 0 for none."""
    if experts < 2:
        return 0
    if asked is not None:
        return asked
    fitting = min(USUAL_EPISODES, trained // _SHARE // (experts + 1))
    return fitting if fitting > 1 else 0  # one shows nothing


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
    experts, tasks = backend.policy.router.out_features, len(spec.environment.tasks)
    if experts < 2:
        raise V3Error("The policy has only one expert, so none can be removed.")
    played: dict[int, tuple[EvaluationEpisode, ...]] = dict.fromkeys((ALL_EXPERTS, *range(experts)), ())
    for first in range(0, episodes, AT_ONCE):
        count = min(AT_ONCE, episodes - first)
        parts = _SIDE_BY_SIDE // count
        for start in range(0, len(played), parts):
            removed = list(played)[start : start + parts]
            found = evaluate(
                WithoutExperts(backend, removed),
                spec,
                count * len(removed),
                seed + first,
                sampled=sampled,
                interrupted=interrupted,
                resets=seeds_of(count, seed, first // AT_ONCE, tasks=tasks, first=first) * len(removed),
                at_once=_SIDE_BY_SIDE,
                alike=len(removed),
            )
            for part, expert in enumerate(removed):
                own = found[part * count : (part + 1) * count]
                played[expert] += tuple(replace(one, number=first + at) for at, one in enumerate(own, start=1))
    return played
