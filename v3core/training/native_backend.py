"""The network computed by the native library; losses, routing and optimiser are those of the eager backend."""

import os

from torch import Tensor

from v3core.environments import StateGraphSpec
from v3core.errors import V3Error
from v3core.native.passes import NativeNetwork, not_covered
from v3core.policy import GATMoEPolicy, PolicyOutput
from v3core.training.backend import Samples, at
from v3core.training.eager import EagerBackend
from v3core.training.optimizer import Adam, FlatParameters


class NativeBackend(EagerBackend):
    """A `Backend` whose passes through the network are one call each."""

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

    def act(self, observations: Tensor, noise: Tensor | None) -> PolicyOutput:
        """As `Backend` says."""
        return self._network(observations, noise)

    def values(self, observations: Tensor) -> Tensor:
        """As `Backend` says."""
        return self._network(observations, None).values

    def forward(self, samples: Samples, chosen: Tensor) -> PolicyOutput:
        """As the eager one; the network reads the chosen rows where they are."""
        return self._network(samples.observations, at(samples.noise, chosen), chosen)


VARIABLE = "V3_NATIVE"
"""1 computes the network with the native library where it can; otherwise torch does."""


def choose_backend(
    policy: GATMoEPolicy, parameters: FlatParameters, optimizer: Adam, graph: StateGraphSpec
) -> tuple[EagerBackend, str | None]:
    """The backend that was asked for, or the eager one and a sentence that says why not."""
    if os.environ.get(VARIABLE) != "1":
        return EagerBackend(policy, parameters, optimizer), None
    if reason := not_covered(policy, graph):
        sentence = f"Torch computes the network, because the native library does not cover it: {reason}."
        return EagerBackend(policy, parameters, optimizer), sentence
    try:
        return NativeBackend(policy, parameters, optimizer, graph), None
    except V3Error as error:
        return EagerBackend(policy, parameters, optimizer), str(error)
