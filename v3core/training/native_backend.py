"""The network computed by the native library; losses, routing and optimiser are those of the eager backend."""

import os

from torch import Tensor

from v3core.environments import StateGraphSpec
from v3core.errors import V3Error
from v3core.native.library import DEFAULT, VARIABLE
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


def choose_backend(
    policy: GATMoEPolicy,
    parameters: FlatParameters,
    optimizer: Adam,
    graph: StateGraphSpec,
    continues: str | None = None,
) -> tuple[EagerBackend, list[str]]:
    """The native backend where it can be used, with sentences for the run's history.

    Args:
        policy: the network.
        parameters: its own.
        optimizer: of these.
        graph: of its observations.
        continues: name of the backend that trained it so far. Its numbers are continued exactly if that was torch's,
            unless the variable asks for the library.
    """
    eager, asked = EagerBackend(policy, parameters, optimizer), os.environ.get(VARIABLE, DEFAULT)
    if asked == "0" or (continues == eager.name and asked != "1"):
        found, remarks = eager, []
    elif reason := not_covered(policy, graph):
        found, remarks = eager, [f"Torch computes the network, because the native library does not cover it: {reason}."]
    else:
        try:
            found, remarks = NativeBackend(policy, parameters, optimizer, graph), []
        except V3Error as error:
            found, remarks = eager, [str(error)]
    if continues not in (None, found.name):
        remarks.append(f"Continues on the {found.name} backend, after the {continues} one.")
    return found, remarks
