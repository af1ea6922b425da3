"""Environments: which are supported, how they are created, and the state graph of their observations. No torch."""

from v3core.environments.batch import EnvironmentBatch, EnvironmentFailureError, ReplayError, Steps
from v3core.environments.encode import encode
from v3core.environments.graph_spec import register_graph, state_graph
from v3core.environments.make import make_environment
from v3core.environments.registry import (
    check_environment,
    check_run,
    known_environments,
    matching_environments,
)
from v3core.environments.types import ActionSpec, EnvironmentSpec, NodePart, StateGraphSpec
from v3core.environments.unfinished import UnfinishedEpisode

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
