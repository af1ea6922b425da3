"""Creating a NetHack or MiniHack, and the state graphs that are registered for them."""

from typing import Any

import gymnasium

from v3core.environment_setup import NETHACK_WRAPPERS, EnvironmentSetup, format_value, parse_wrapper
from v3core.environments.graph_spec import builder_for, register_graph, state_graph
from v3core.environments.nethack import published, surroundings
from v3core.environments.nethack.arguments import actions_of, check_arguments, name_of
from v3core.environments.nethack.game import DRAWN, Game
from v3core.environments.nethack.ids import import_package, package_of
from v3core.environments.nethack.published import PublishedFeatures
from v3core.environments.nethack.surroundings import Surroundings
from v3core.environments.types import StateGraphSpec
from v3core.errors import V3Error

PATTERNS = ("NetHack*", "MiniHack-*")


def make_game(setup: EnvironmentSetup, *, drawn: bool) -> gymnasium.Env[Any, Any]:
    """The game without wrappers: seeded, and asked only for what is used, unless its arguments name `observation_keys`.

    Its argument `actions` is a list of names, such as `[N, E, S, W, SEARCH]`; `max_episode_steps` replaces its own
    limit, to which gymnasium's would be added. V3Error if its package is not installed, or an argument cannot be given.
    """
    import_package(setup.env_id)
    package = package_of(setup.env_id)
    assert package is not None
    check_arguments(setup.args, package)
    args: dict[str, Any] = dict(setup.args)
    if "actions" in args:
        args["actions"] = actions_of(args["actions"])
    keys = args.get("observation_keys", list(surroundings.KEYS))
    if drawn and package == "nle":
        keys = list(dict.fromkeys([*keys, *DRAWN]))
    max_steps = args.pop("max_episode_steps", None)
    if max_steps is not None and (type(max_steps) is not int or max_steps < 1):
        raise V3Error(
            "max_episode_steps is {max_steps!r}; it must be a whole number of at least 1.", max_steps=max_steps
        )
    # The phase of the moon and the hour are those of the seed: a game repeats on another day.
    args = {"fix_moon_phase": True, **args, "observation_keys": tuple(keys)}
    made = gymnasium.make(setup.env_id, disable_env_checker=True, **args)
    game = Game(made, drawn=drawn, max_steps=max_steps)
    if "options" in setup.args:
        _begins(made, setup)
    return game


def _begins(made: gymnasium.Env[Any, Any], setup: EnvironmentSetup) -> None:
    """V3Error if a game does not begin with its options: NetHack waits for a key, and nle begins again without end."""
    try:
        made.reset()
    except RecursionError:
        made.close()
        raise V3Error(
            "NetHack does not begin a game with options={options}; name options that it has, such as [color,showexp].",
            options=format_value(setup.args["options"]),
        ) from None


def with_view(env: gymnasium.Env[Any, Any], setup: EnvironmentSetup) -> gymnasium.Env[Any, Any]:
    """What the policy sees of it: its surroundings; or all that was asked for by `observation_keys`.

    With somebody's own graph for it all that is used here, and with a wrapper of V3 Lab's that takes it as it comes the
    same.
    """
    own_graph = builder_for(env) not in PATTERNS
    takes_it = any(parse_wrapper(text).module == NETHACK_WRAPPERS for text in setup.wrappers)
    if own_graph or takes_it or "observation_keys" in setup.args:
        return env
    return Surroundings(env)


def names_of_actions(env: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    """What the actions of a NetHack or MiniHack are called; none if a wrapper may have changed them."""
    outer: Any = env
    while isinstance(outer, gymnasium.Wrapper):
        own = not type(outer).__module__.startswith(("gymnasium.", "v3core."))
        if own or isinstance(outer, gymnasium.ActionWrapper):
            return ()
        outer = outer.env
    return tuple(map(name_of, outer.actions)) if all(hasattr(action, "name") for action in outer.actions) else ()


def _graph(env: gymnasium.Env[Any, Any]) -> StateGraphSpec:
    """The graph for what an environment observes: of the surroundings, of the published features, or of its space."""
    outer: Any = env
    while isinstance(outer, gymnasium.Wrapper):
        if isinstance(outer, Surroundings | PublishedFeatures):
            if outer.observation_space != env.observation_space:
                break
            return surroundings.graph() if isinstance(outer, Surroundings) else published.graph()
        outer = outer.env
    return state_graph(env.observation_space)


for _pattern in PATTERNS:
    register_graph(_pattern, _graph)
