"""Environments: which can be trained on, how they are made, and the state graph of their observations. No torch."""

from v3core.environments.batch import EnvironmentBatch, EnvironmentFailureError, ReplayError, Steps
from v3core.environments.builders import register_graph
from v3core.environments.encode import encode
from v3core.environments.graph_spec import state_graph
from v3core.environments.history import UnfinishedEpisode
from v3core.environments.make import make_environment
from v3core.environments.registry import check_environment, known_environments, matching_environments
from v3core.environments.run_spec import check_run
from v3core.environments.types import ActionSpec, EnvironmentSpec, NodePart, StateGraphSpec

__all__ = [
    "ActionSpec",
    "EnvironmentBatch",
    "EnvironmentFailureError",
    "EnvironmentSpec",
    "NodePart",
    "ReplayError",
    "StateGraphSpec",
    "Steps",
    "UnfinishedEpisode",
    "check_environment",
    "check_run",
    "encode",
    "known_environments",
    "make_environment",
    "matching_environments",
    "register_graph",
    "state_graph",
]
