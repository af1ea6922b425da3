"""State graphs of a user's own environments."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import gymnasium

from v3core.environments.graph_spec import state_graph
from v3core.environments.types import StateGraphSpec
from v3core.errors import V3Error

Builder = Callable[[gymnasium.Env[Any, Any]], StateGraphSpec | dict[str, int]]
"""From an environment to its state graph, or to the channels of its symbolic grid and how many values each has."""

_builders: dict[str, Builder] = {}


def register_graph(pattern: str, builder: Builder) -> None:
    """Have environments whose id matches `pattern` (`*` stands for anything) get the graph that `builder` makes.

    Call it in the module that registers the environment, and name that on the command line: `module:Env-v0`. The
    longest pattern that matches wins.
    """
    _builders[pattern] = builder


def builder_for(env: gymnasium.Env[Any, Any]) -> str | None:
    """The pattern of the builder that is registered for an environment; None if there is none."""
    env_id = env.spec.id if env.spec is not None else ""
    return max((pattern for pattern in _builders if fnmatchcase(env_id, pattern)), key=len, default=None)


def built_graph(env: gymnasium.Env[Any, Any]) -> StateGraphSpec | None:
    """The graph that a registered builder makes of an environment; None if none is registered for it.

    Raises:
        V3Error: if the builder fails, or makes something else.
    """
    pattern = builder_for(env)
    if pattern is None:
        return None
    try:
        built: object = _builders[pattern](env)
    except Exception as problem:  # a user's own code may raise anything
        raise V3Error(f"its graph builder '{pattern}' raised {type(problem).__name__}: {problem}.") from problem
    if isinstance(built, StateGraphSpec):
        return built
    if isinstance(built, dict):
        return state_graph(env.observation_space, built)
    raise V3Error(f"its graph builder '{pattern}' gave a {type(built).__name__}, not a StateGraphSpec or a dict.")
