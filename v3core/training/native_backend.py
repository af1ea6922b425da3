"""The backend with the native library: acting and gradient steps in one call each, torch for what the library lacks."""

import os
from collections.abc import Mapping

import torch
from torch import Tensor

from v3core.config import PPOConfig
from v3core.environments import StateGraphSpec
from v3core.errors import V3Error
from v3core.messages import _
from v3core.native import layouts
from v3core.native.library import VARIABLE
from v3core.native.passes import NativeNetwork, not_covered, step_covers
from v3core.policy import GATMoEPolicy, PolicyOutput
from v3core.training.eager import Acted, EagerBackend
from v3core.training.losses import ROUTING_LOSSES, Samples, at, recorded_as
from v3core.training.optimizer import BETAS, EPSILON, Adam, FlatParameters
from v3core.training.sequences import sequences_of

STATISTICS = (
    *("policy_loss", "value_loss", "action_entropy"),
    *(recorded_as(knob) for knob in layouts.COEFFICIENTS[1:]),
    *("total_loss", "approx_kl", "clip_fraction", "router_shift", "grad_norm"),
)
"""In the order of `Statistic` of losses.h."""
LACKING = tuple(recorded_as(knob) for knob in ROUTING_LOSSES if knob not in layouts.COEFFICIENTS)
"""Losses that the library does not have: 0 in its steps, because torch makes those with a coefficient."""


class NativeBackend(EagerBackend):
    """A backend whose steps are one call each."""

    name = "native"

    def __init__(
        self, policy: GATMoEPolicy, parameters: FlatParameters, optimizer: Adam, graph: StateGraphSpec
    ) -> None:
        """Take over a network that is covered.

        Raises:
            V3Error: if the library cannot be loaded.
        """
        super().__init__(policy, parameters, optimizer)
        self._network = NativeNetwork(policy, graph, parameters.values, parameters.gradient)

    def prepare(self) -> None:
        self._network.prepare()

    def act(self, observations: Tensor, noise: Tensor | None = None, memory: Tensor | None = None) -> Acted:
        if self.policy.memory is not None:
            output = self.look(observations, noise, memory)
            return Acted(output.outputs, output.values, output.gates, output.memory)
        if step_covers(self.policy):
            return Acted(*self._network.act(observations, noise))
        return super().act(observations, noise)

    def look(self, observations: Tensor, noise: Tensor | None = None, memory: Tensor | None = None) -> PolicyOutput:
        if self.policy.memory is not None:
            return self.policy.of_readouts(*self._network.readouts(observations), noise, memory)
        return self._network(observations, noise, torch.arange(len(observations)))

    def values(self, observations: Tensor, memory: Tensor | None = None) -> Tensor:
        return self.act(observations, memory=memory).values

    def forward(self, samples: Samples, chosen: Tensor, places: Tensor | None = None) -> PolicyOutput:
        if self.policy.memory is not None:
            follow = sequences_of(samples, chosen, places)
            readouts = self._network.readouts(samples.observations, chosen)
            return self.policy.of_readouts(*readouts, at(samples.noise, chosen), follow)
        return self._network(samples.observations, samples.noise, chosen)

    def gradient_step(
        self,
        samples: Samples,
        chosen: Tensor,
        coefficients: Mapping[str, float],
        config: PPOConfig,
        places: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """In one call, unless the library lacks the routing or a loss; with memory, torch has all but the graph."""
        used = {knob: coefficient for knob, coefficient in coefficients.items() if coefficient}
        if not step_covers(self.policy) or not used.keys() <= set(layouts.COEFFICIENTS):
            return super().gradient_step(samples, chosen, coefficients, config, places)
        rows = [getattr(samples, name) for name in layouts.SAMPLES]
        assert all(each is None or each.is_contiguous() for each in rows)
        moments = self.optimizer.moments
        statistics = self._network.step(
            samples.observations,
            samples.noise,
            chosen,
            layouts.Samples(*(None if each is None else each.data_ptr() for each in rows)),
            layouts.Objective(config.clip, config.value_coefficient, config.max_grad_norm, **used),
            layouts.Adam(
                **{name: moment.data_ptr() for name, moment in moments.items()},
                lr=self.optimizer.lr,
                beta1=BETAS[0],
                beta2=BETAS[1],
                epsilon=EPSILON,
            ),
            config.balance_on,
        )
        numbers, norms = statistics.split_with_sizes((layouts.STATISTICS, len(statistics) - layouts.STATISTICS))
        terms = dict.fromkeys(LACKING, numbers.new_zeros(()))
        return {**terms, **dict(zip(STATISTICS, numbers.unbind(), strict=True)), "expert_grad_norms": norms}


def choose_backend(
    policy: GATMoEPolicy,
    parameters: FlatParameters,
    optimizer: Adam,
    graph: StateGraphSpec,
    continues: str | None = None,
) -> tuple[EagerBackend, list[str]]:
    """The native backend if it can be used, with sentences for the run's history.

    `continues` names the backend that trained the policy so far. Its numbers are continued exactly if that was torch's,
    unless the variable asks for the library.
    """
    eager, asked = EagerBackend(policy, parameters, optimizer), os.environ.get(VARIABLE)
    found: EagerBackend
    remarks: list[str]
    if asked == "0" or (continues == eager.name and asked != "1"):
        found, remarks = eager, []
    elif reason := not_covered(policy, graph):
        found = eager
        remarks = [
            _("Torch computes the network, because the native library does not cover it: {reason}.", reason=reason)
        ]
    else:
        try:
            found, remarks = NativeBackend(policy, parameters, optimizer, graph), []
        except V3Error as error:
            found, remarks = eager, [str(error)]
    if continues not in (None, found.name):
        remarks.append(_("Continues on the {name} backend, after the {before} one.", name=found.name, before=continues))
    return found, remarks
