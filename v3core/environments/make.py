"""Creating environments, with their wrappers and with observations that the policy supports."""

import importlib
import inspect
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import error, spaces
from gymnasium.envs.registration import load_env_creator, registry
from gymnasium.wrappers import OrderEnforcing

from v3core.environment_setup import (
    NETHACK_WRAPPERS,
    EnvironmentSetup,
    Wrapper,
    format_args,
    parse_wrapper,
    setup_of,
)
from v3core.environments.graph_spec import builder_for, built_graph, minigrid_graph, state_graph
from v3core.environments.nethack.arguments import REFUSED
from v3core.environments.nethack.ids import PACKAGES, package_of
from v3core.environments.nethack.making import make_game, with_view
from v3core.environments.situations import check_name, computed, registered_for
from v3core.environments.state_words import MINIGRID_CELL
from v3core.environments.tasks import TaskEnvironment
from v3core.environments.types import StateGraphSpec
from v3core.errors import V3Error, suggestion
from v3core.messages import Message, _
from v3core.phrases import all_of, listed


def make_environment(env: EnvironmentSetup | str, *, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """One environment, in its wrappers; with a render mode, which it must have, it can be drawn.

    A MiniGrid observes the cells before the agent, its direction and its mission; in version 1 of what is seen, with a
    graph that is registered for it, or in wrappers that take no texts, the cells alone. Wrappers of MiniGrid take its
    whole observation; all others what the policy would be given without them.

    A NetHack or MiniHack observes its surroundings: `nethack.surroundings`.

    A bare id is created as registered. Raises whatever gymnasium or the environment's own code raises;
    `make_or_explain` turns it into a sentence.
    """
    setup = setup_of(env)
    if setup.tasks:
        return _together(setup, [make_environment(task, render_mode=render_mode) for task in setup.tasks])
    _import_module_of(setup.env_id)
    if package_of(setup.env_id) is not None:
        return _nethack(setup, drawn=render_mode is not None)
    if setup.env_id.startswith(("MiniGrid-", "BabyAI-")):
        import_minigrid()
    _check_files(setup)
    args: dict[str, Any] = dict(setup.args) | ({"render_mode": render_mode} if render_mode else {})
    made = gymnasium.make(setup.env_id, disable_env_checker=True, **args)
    inner = [text for text in setup.wrappers if parse_wrapper(text).module == "minigrid.wrappers"]
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


def _import_module_of(env_id: str) -> None:
    """Import the module that an id names, so that what it registers is known."""
    module = env_id.rpartition(":")[0]
    if module and module not in PACKAGES:
        importlib.import_module(module)


_FILES = {"xml_file": _("it reads a file; register an environment with it in a module of your own")}
"""Arguments of Gymnasium's own environments that cannot be given, with the reason."""


def _check_files(setup: EnvironmentSetup) -> None:
    """Refuse arguments that have an environment open a window or read a file: a page must not do that to a server."""
    if setup.args.get("render_mode") == "human":
        raise V3Error("its argument 'render_mode' is not allowed to be human, because it opens a window; remove it.")
    for name in setup.args if _is_shipped(setup.env_id) else ():
        if name in _FILES:
            raise V3Error("its argument '{name}' is not allowed, because {reason}.", name=name, reason=_FILES[name])


def _is_shipped(env_id: str) -> bool:
    """Whether it is an environment of Gymnasium's."""
    spec = registry.get(env_id.rpartition(":")[2])
    return spec is not None and str(spec.entry_point).startswith("gymnasium.")


def _nethack(setup: EnvironmentSetup, *, drawn: bool) -> gymnasium.Env[Any, Any]:
    """A NetHack or MiniHack; wrappers of V3 Lab's take it as it comes, all others what the policy would see of it."""
    inner = [text for text in setup.wrappers if parse_wrapper(text).module == NETHACK_WRAPPERS]
    made = wrap(with_view(make_game(setup, drawn=drawn), setup), inner)
    return wrap(made, [text for text in setup.wrappers if text not in inner])


def _together(setup: EnvironmentSetup, environments: list[gymnasium.Env[Any, Any]]) -> TaskEnvironment:
    """Several environments as one."""
    inside = [without_order_enforcing(env) for env in environments]
    return TaskEnvironment(inside, setup.task_names, identified=setup.identifies_tasks)


def without_order_enforcing(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """The environment without the check that it is reset before it is stepped, which whoever steps it sees to."""
    outer: Any = env
    while isinstance(outer, gymnasium.Wrapper):
        if type(outer.env) is OrderEnforcing:
            outer.env = outer.env.env
        outer = outer.env
    return env.env if type(env) is OrderEnforcing else env


def import_minigrid() -> None:
    """Register the ids of MiniGrid, which takes a while."""
    import minigrid  # noqa: F401


MAX_ARGUMENT_LETTERS = 114
"""Of the arguments in an error."""


def make_or_explain(setup: EnvironmentSetup) -> gymnasium.Env[Any, Any]:
    """Create one environment, turning any exception of its own code into a V3Error."""
    env_id = setup.env_id
    if setup.tasks:
        return _together(setup, [make_or_explain(task) for task in setup.tasks])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make_environment(setup)
    except V3Error as problem:
        raise V3Error("Environment {setup} cannot be created: {problem}", setup=setup, problem=problem) from problem
    except ModuleNotFoundError as problem:
        # gymnasium wraps a failed `module:` import in its own error, which no longer names the module.
        missing = problem.name or getattr(problem.__cause__, "name", None)
        if missing is None:  # raised by its own code, as by one that lacks files
            raise V3Error(_cannot_be_created(setup, _sentence(problem))) from problem
        raise V3Error(
            "Environment {env_id} needs the Python package '{missing}', which is not installed; install it, or "
            "choose another environment.",
            env_id=env_id,
            missing=missing,
        ) from None
    except error.DependencyNotInstalled as problem:
        raise V3Error(
            "Environment {env_id} needs a package that is not installed: {sentence}",
            env_id=env_id,
            sentence=_sentence(problem),
        ) from problem
    except (Exception, SystemExit) as problem:  # an environment's own code may raise anything
        raise V3Error(_argument_problem(setup, problem) or _cannot_be_created(setup, _sentence(problem))) from problem


def _cannot_be_created(setup: EnvironmentSetup, problem: str) -> Message:
    if not setup.args:
        return _("Environment {setup} cannot be created: {problem}", setup=setup.env_id, problem=problem)
    return _(
        "Environment {env_id} cannot be created with {arguments}: {problem}",
        env_id=setup.env_id,
        arguments=format_args(setup.args)[:MAX_ARGUMENT_LETTERS],
        problem=problem,
    )


def _sentence(problem: BaseException) -> str:
    said = str(problem).partition(_CREATED_BY_GYMNASIUM)[0]
    first = (said.strip().splitlines() or [type(problem).__name__])[0].strip()
    return first if first.endswith((".", "!", "?")) else f"{first}."


def _is_whole(space: spaces.Space[Any]) -> bool:
    """Whether observations are those of a MiniGrid, its image perhaps in another form."""
    if not isinstance(space, spaces.Dict) or set(space.spaces) != {"image", "direction", "mission"}:
        return False
    from minigrid.core.mission import MissionSpace

    return isinstance(space["direction"], spaces.Discrete) and isinstance(space["mission"], MissionSpace)


def graph_of(env: gymnasium.Env[Any, Any]) -> StateGraphSpec:
    """The state graph of an environment made by `make_environment`: a registered one, or that of its space.

    With the situations that are declared for it. A V3Error says why the policy cannot take its observations, or which
    situation cannot be computed or recorded.
    """
    graph = _graph_alone(env)
    declared = registered_for(env.spec.id if env.spec is not None else "")
    if declared:
        graph = replace(graph, situations={**graph.situations, **declared})
    seen = graph.seen(np.zeros((2, graph.size), dtype=graph.dtype))
    for name, situation in graph.situations.items():
        check_name(name)
        computed(name, situation, seen, 2)  # rather before a run than in it
    return graph


def _graph_alone(env: gymnasium.Env[Any, Any]) -> StateGraphSpec:
    if (own := built_graph(env)) is not None:
        return own
    space = env.observation_space
    if isinstance(space, spaces.Dict) and is_minigrid(env) and _is_whole(space):
        return minigrid_graph(space, _categories() if _is_symbolic_grid(env, space["image"]) else None)
    return state_graph(space, _categories() if _is_symbolic_grid(env, space) else None)


def is_minigrid(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether it is a MiniGrid or BabyAI world, wrapped or not, or several of them."""
    if isinstance(env, TaskEnvironment):
        return all(map(is_minigrid, env.environments))
    return any(cls.__module__.startswith("minigrid.") for cls in type(env.unwrapped).__mro__)


def _is_symbolic_grid(env: gymnasium.Env[Any, Any], space: spaces.Space[Any]) -> bool:
    """A MiniGrid may also be wrapped to return pixels, in the same shape and type: only the size differs."""
    if not is_minigrid(env) or not isinstance(space, spaces.Box):
        return False
    world: Any = env.unwrapped
    view = (world.agent_view_size, world.agent_view_size)
    return space.shape[:2] in {view, (world.width, world.height)}


def _categories() -> dict[str, int]:
    """Channels of a MiniGrid cell and how many values each has."""
    from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, OBJECT_TO_IDX, STATE_TO_IDX

    # A cell that shows the agent holds its direction in the channel that otherwise holds a door's state.
    states = max(len(STATE_TO_IDX), len(DIR_TO_VEC))
    sizes = max(OBJECT_TO_IDX.values()) + 1, max(COLOR_TO_IDX.values()) + 1, states
    return dict(zip(MINIGRID_CELL, sizes, strict=True))


_STATISTICS = _("keeps running statistics that checkpoints lack; remove it: V3 Lab normalises observations itself")
_REFUSED = {
    "NormalizeObservation": _STATISTICS,
    "NormalizeReward": _STATISTICS,
    "Autoreset": _("resets automatically; remove it: V3 Lab resets environments itself"),
    "RecordVideo": _("writes files; remove it"),
    "HumanRendering": _("opens a window; remove it"),
    "RenderCollection": _("keeps every frame; remove it"),
    "vector": _("is a module of wrappers for vector environments, which V3 Lab creates itself"),
}
"""Wrappers of gymnasium.wrappers that are refused, with the reason."""


def wrap(env: gymnasium.Env[Any, Any], texts: Iterable[str]) -> gymnasium.Env[Any, Any]:
    """The environment in wrappers, the first innermost; a V3Error names one that is unknown or cannot be applied."""
    for text in texts:
        wrapper = parse_wrapper(text)
        kind = _class_of(wrapper)
        try:
            env = kind(env, *wrapper.arguments, **wrapper.keywords)
        except (Exception, SystemExit) as problem:  # its own code may raise anything
            raise V3Error(
                "Wrapper {text} cannot be applied: {reason}", text=text, reason=_reason(problem, kind)
            ) from problem
    return env


def _class_of(wrapper: Wrapper) -> Any:
    own = wrapper.module == "gymnasium.wrappers"
    if own and (reason := _REFUSED.get(wrapper.name)):
        raise V3Error("Wrapper {name} {reason}.", name=wrapper.name, reason=reason)
    try:
        module = importlib.import_module(wrapper.module)
    except (Exception, SystemExit) as problem:
        raise V3Error(
            "Wrapper {module}:{name} cannot be imported: {reason}",
            module=wrapper.module,
            name=wrapper.name,
            reason=_reason(problem, None),
        ) from problem
    kind = getattr(module, wrapper.name, None)
    if inspect.isclass(kind) and issubclass(kind, gymnasium.Wrapper):
        return kind
    known = [name for name, value in vars(module).items() if _is_wrapper(value) and not (own and name in _REFUSED)]
    has = _("It has {value}.", value=listed(sorted(known)[:40])) if known else _("It has none.")
    hint = suggestion(wrapper.name, known) or has
    raise V3Error(
        "There is no wrapper '{name}' in {module}. {hint}", name=wrapper.name, module=wrapper.module, hint=hint
    )


def _is_wrapper(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, gymnasium.Wrapper) and value is not gymnasium.Wrapper


def _reason(problem: BaseException, kind: Any) -> str:
    text = " ".join(str(problem).split())[:200].rstrip(".") or type(problem).__name__
    if isinstance(problem, TypeError) and kind is not None:
        names = [name for name in inspect.signature(kind).parameters if name != "env"]
        if not names:
            return _("{text}; it accepts no arguments.", text=text)
        return _("{text}; it accepts {value}.", text=text, value=listed(list(names)))
    return f"{text}."


_CREATED_BY_GYMNASIUM = " was raised from the environment creator"
"""Begins what gymnasium adds to a TypeError, which ends with arguments that nobody gave, such as V3 Lab's own."""
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
_SET_ITSELF = re.compile(r"got multiple values for (?:keyword )?argument '(\w+)'")
_MISSING = re.compile(
    rf"missing \d+ required (?:positional|keyword-only) arguments?: (.+?)(?:{_CREATED_BY_GYMNASIUM}|$)"
)


def _argument_problem(setup: EnvironmentSetup, problem: BaseException) -> str | None:
    """What is wrong with the arguments, as a sentence, if that is why the environment could not be created."""
    if not isinstance(problem, TypeError):
        return None
    known = _arguments_of(setup.env_id)
    takes = _("it accepts {known}", known=listed(list(known))) if known else _("it accepts none")
    unknown = _UNKNOWN.search(str(problem))
    if unknown and unknown[1] in setup.args:
        hint = suggestion(unknown[1], known)
        # Two whole templates: a stored sentence is found by what stands around its values, none of which is empty.
        refused = _("Environment {env_id} has no argument '{unknown}'; {takes}.")
        if hint:
            refused = _("Environment {env_id} has no argument '{unknown}'; {takes}. {hint}")
        return refused.filled(env_id=setup.env_id, unknown=unknown[1], takes=takes, hint=hint)
    twice = _SET_ITSELF.search(str(problem))
    if twice and twice[1] in setup.args:
        return _(
            "Environment {env_id} sets its argument '{name}' itself; leave it out.", env_id=setup.env_id, name=twice[1]
        )
    if missing := _MISSING.search(str(problem)):
        names = re.findall(r"'(\w+)'", missing[1])
        refused_ones = _refused_arguments(setup.env_id)
        if forbidden := next((name for name in names if name in refused_ones), None):
            return _(
                "Environment {env_id} needs the argument {name}, which is not allowed, because {reason}.",
                env_id=setup.env_id,
                name=forbidden,
                reason=refused_ones[forbidden],
            )
        given = " ".join(f"--env-arg {name}=…" for name in names)
        return _(
            "Environment {env_id} needs the argument {names}; give {given}.",
            env_id=setup.env_id,
            names=all_of(names),
            given=given,
        )
    return None


def _arguments_of(env_id: str) -> list[str]:
    """Names of the arguments of a registered environment, as far as its code shows; may be empty."""
    spec = registry.get(env_id.rpartition(":")[2])
    if spec is None or spec.entry_point is None:
        return []
    try:
        maker: Any = spec.entry_point if callable(spec.entry_point) else load_env_creator(spec.entry_point)
        names = ["max_episode_steps"]
        for part in maker.__mro__ if inspect.isclass(maker) else (maker,):
            parameters = inspect.signature(part.__init__ if inspect.isclass(part) else part).parameters.values()
            names += [
                parameter.name
                for parameter in parameters
                if parameter.name != "self" and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
            ]
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                break  # it passes nothing on to those it derives from
    except Exception:  # what another's code looks like need not be readable
        return []
    refused = _refused_arguments(env_id)
    return [name for name in dict.fromkeys(names[1:] + names[:1]) if name not in refused]


def _refused_arguments(env_id: str) -> Mapping[str, str]:
    """Arguments that an environment has and that cannot be given, with the reason."""
    return REFUSED if package_of(env_id) is not None else _FILES if _is_shipped(env_id) else {}
