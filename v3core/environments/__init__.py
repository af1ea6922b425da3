"""Environments: which can be trained on, how they are made, and the state graph of their observations. No torch."""

from v3core.environments.graph_spec import MAX_FEATURES, StateGraphSpec, state_graph
from v3core.environments.make import make_environment, make_vector_env, seed_environments
from v3core.environments.registry import check_environment, known_environments

__all__ = [
    "MAX_FEATURES",
    "StateGraphSpec",
    "check_environment",
    "known_environments",
    "make_environment",
    "make_vector_env",
    "seed_environments",
    "state_graph",
]
