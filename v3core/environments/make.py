"""Making environments, with the observations that the policy takes."""

from typing import Any

import gymnasium
from gymnasium import spaces

from v3core.environment_setup import EnvironmentSetup, setup_of
from v3core.environments.builders import builder_for, built_graph
from v3core.environments.graph_spec import minigrid_graph, state_graph
from v3core.environments.types import StateGraphSpec
from v3core.environments.wrappers import is_minigrids, wrap
from v3core.errors import V3Error


def make_environment(env: EnvironmentSetup | str) -> gymnasium.Env[Any, Any]:
    """One environment, in its wrappers.

    A MiniGrid observes the cells before the agent, its direction and its mission; in version 1 of what is seen, with a
    graph that is registered for it, or in wrappers that take no texts, the cells alone. Wrappers of MiniGrid take its
    whole observation; all others what the policy would be given without them.

    Args:
        env: which; an id alone is made as it was registered.

    Raises:
        Exception: whatever gymnasium or the environment's own code raises; `check_environment` puts it in a sentence.
    """
    setup = setup_of(env)
    if setup.env_id.startswith(("MiniGrid-", "BabyAI-")):
        import minigrid  # noqa: F401  registers its ids
    args: dict[str, Any] = dict(setup.args)
    made = gymnasium.make(setup.env_id, disable_env_checker=True, **args)
    inner = [text for text in setup.wrappers if is_minigrids(text)]
    outer = [text for text in setup.wrappers if text not in inner]
    made = wrap(made, inner)
    if not is_minigrid(made):
        return wrap(made, outer)
    from v3core.environments.minigrid_view import speed_up

    speed_up(made)
    if setup.view >= 2 and _is_whole(made.observation_space) and builder_for(made) is None:
        try:
            wrapped = wrap(made, outer)
        except V3Error:
            wrapped = None  # most wrappers of observations take no text
        if wrapped is not None and wrapped.observation_space == made.observation_space:
            return wrapped
    if isinstance(made.observation_space, spaces.Dict) and "image" in made.observation_space.spaces:
        from minigrid.wrappers import ImgObsWrapper

        made = ImgObsWrapper(made)  # type: ignore[no-untyped-call]
    return wrap(made, outer)


def _is_whole(space: spaces.Space[Any]) -> bool:
    """Whether observations are those of a MiniGrid, its image perhaps in another form."""
    if not isinstance(space, spaces.Dict) or set(space.spaces) != {"image", "direction", "mission"}:
        return False
    from minigrid.core.mission import MissionSpace

    return isinstance(space["direction"], spaces.Discrete) and isinstance(space["mission"], MissionSpace)


def graph_of(env: gymnasium.Env[Any, Any]) -> StateGraphSpec:
    """The state graph of an environment made by `make_environment`: a registered one, or that of its space.

    Raises:
        V3Error: if the policy cannot take its observations.
    """
    own = built_graph(env)
    if own is not None:
        return own
    space = env.observation_space
    if isinstance(space, spaces.Dict) and is_minigrid(env) and _is_whole(space):
        return minigrid_graph(space, _categories() if _is_symbolic_grid(env, space["image"]) else None)
    return state_graph(space, _categories() if _is_symbolic_grid(env, space) else None)


def is_minigrid(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether it is a MiniGrid or BabyAI world, wrapped or not."""
    return any(cls.__module__.startswith("minigrid.") for cls in type(env.unwrapped).__mro__)


def _is_symbolic_grid(env: gymnasium.Env[Any, Any], space: spaces.Space[Any]) -> bool:
    """A MiniGrid may also have been wrapped to draw pixels, in the same shape and type: only its size tells."""
    if not is_minigrid(env) or not isinstance(space, spaces.Box):
        return False
    world: Any = env.unwrapped
    view = (world.agent_view_size, world.agent_view_size)
    return space.shape[:2] in {view, (world.width, world.height)}


def _categories() -> dict[str, int]:
    """Channels of a MiniGrid cell and how many values each has."""
    from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, OBJECT_TO_IDX, STATE_TO_IDX

    # A cell that shows the agent holds its direction in the channel that otherwise holds a door's state.
    return {
        "object": max(OBJECT_TO_IDX.values()) + 1,
        "colour": max(COLOR_TO_IDX.values()) + 1,
        "state": max(len(STATE_TO_IDX), len(DIR_TO_VEC)),
    }
