"""The available environments, and whether the policy supports one, or all environments of a run and its phases."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import gymnasium
from gymnasium import error, spaces
from gymnasium.envs.registration import parse_env_id, registry

from v3core.curriculum import Curriculum, setup_at
from v3core.environment_setup import EnvironmentSetup, setup_of
from v3core.environments.action_space import action_spec
from v3core.environments.describe import actions_differ, graph_words
from v3core.environments.make import graph_of, import_minigrid, make_or_explain
from v3core.environments.nethack.ids import PACKAGES, import_package, is_installed, package_of
from v3core.environments.nethack.making import names_of_actions
from v3core.environments.tasks import TaskEnvironment, with_task
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error, suggestion
from v3core.messages import _
from v3core.paths import COMMAND
from v3core.phrases import one_of

# They give no reward, or need further packages.
_OFFERED = ("gymnasium.envs.classic_control", "gymnasium.envs.box2d", "gymnasium.envs.toy_text")
_MAX_LISTED = 8
_LEFT_OUT = (
    *("MiniGrid-Playground", "MiniGrid-WFC", "MiniHack-Navigation-Custom", "MiniHack-Skill-Custom", "MiniHack-Boxoban"),
    *("MiniHack-LavaCrossing", "MiniHack-SimpleCrossing", "MiniGrid-MultiRoom-N10-", "MiniGrid-LavaCrossingS19"),
)
"""They need further packages, files or arguments, or an older MiniGrid; the last two are there once minihack is."""
_NETHACK = {"nle": "NetHackScore-v0", "minihack": "MiniHack-Room-5x5-v0"}
"""An id of each package, which imports it."""
_UNSEEDED = "NetHackChallenge"
"""It refuses seeds."""


def known_environments() -> list[str]:
    """Ids worth offering: classic control, Box2D and toy text, MiniGrid, NetHack and MiniHack, newest versions only.

    Read from the registry, so nothing is created. Others may also be supported: see `check_environment`.
    """
    import_minigrid()
    for package in filter(is_installed, PACKAGES):
        with suppress(V3Error):  # a page is shown without them where they cannot be loaded
            import_package(_NETHACK[package])
    newest: dict[str, tuple[int, str]] = {}
    for env_id, spec in registry.items():
        entry = str(spec.entry_point)
        classic = entry.startswith(_OFFERED) and "tabular" not in env_id
        grid = env_id.startswith("MiniGrid-") and not env_id.startswith(_LEFT_OUT)
        game = package_of(env_id) is not None and not env_id.startswith((*_LEFT_OUT, _UNSEEDED))
        if (classic or grid or game) and spec.namespace is None:
            newest[spec.name] = max(newest.get(spec.name, (-1, "")), (spec.version or 0, env_id))
    families = ("MiniHack", "NetHack", "MiniGrid")  # the last one first
    return sorted(
        (env_id for _, env_id in newest.values()),
        key=lambda env_id: ([env_id.startswith(family) for family in families], env_id),
    )


def matching_environments(text: str) -> list[str]:
    """Ids that contain `text`, or all of its words, ignoring case: suggestions for what was meant.

    Those that are offered, or if there are none, any other that is registered. None for what is itself an id, has a
    module in front, or has less than two letters.
    """
    words = text.lower().split()
    if ":" in text or len("".join(words)) < 2:
        return []
    offered = known_environments()
    if text.strip() in registry:
        return []
    found = [env_id for env_id in sorted(registry) if all(word in env_id.lower() for word in words)]
    return [env_id for env_id in offered if env_id in found] or found


def check_environment(env: EnvironmentSetup | str, *, allow_import: bool) -> EnvironmentSpec:
    """State graph and actions of an environment that the policy can take. Creates one to look at its spaces.

    Args:
        env: the environment, or its Gymnasium id, e.g. `CartPole-v1`; `module:Env-v0` imports `module` first.
        allow_import: whether that form, and wrappers of the form `module:Class`, may be used. A page must not run code
            that a visitor names.

    Raises:
        V3Error: one sentence that says why it cannot be trained on, and what to do.
    """
    setup = setup_of(env)
    if setup.imports and not allow_import:
        what, option, instead = (_("Environment"), "env", _("registered id"))
        if ":" not in setup.env_id:
            what, option, instead = (_("Wrapper"), "wrapper", _("wrapper of Gymnasium"))
        raise V3Error(
            "{what} '{imports}' imports code, which is only possible from the command line; train with `{command} "
            "train --{option}`, or choose a {instead}.",
            what=what,
            imports=setup.imports[0],
            command=COMMAND,
            option=option,
            instead=instead,
        )
    for one in setup.tasks or (setup,):
        _check_id(one.env_id)
    made = make_or_explain(setup)
    try:
        return spec_of(setup, made)
    finally:
        made.close()


def spec_of(setup: EnvironmentSetup, made: gymnasium.Env[Any, Any]) -> EnvironmentSpec:
    """State graph and actions of an environment that was made; V3Error if the policy cannot take them."""
    if isinstance(made, TaskEnvironment):
        return _spec_of_tasks(setup, made)
    try:
        actions = action_spec(made.action_space)
        if package_of(setup.env_id) is not None:
            actions = replace(actions, names=names_of_actions(made))
        return EnvironmentSpec(setup, graph_of(made), actions)
    except V3Error as reason:
        raise V3Error("The policy does not support {setup}: {reason}", setup=setup, reason=reason) from None


def _spec_of_tasks(setup: EnvironmentSetup, made: TaskEnvironment) -> EnvironmentSpec:
    """State graph and actions of several environments as one; V3Error names two that differ in them."""
    specs = [spec_of(task, env) for task, env in zip(setup.tasks, made.environments, strict=True)]
    first = specs[0]
    actions = first.actions
    for name, spec in zip(setup.task_names, specs, strict=True):
        differ = None
        if spec.graph != first.graph:
            differ = _(
                "observations differ: {graph_words}, and {graph_words2}",
                graph_words=graph_words(spec.graph),
                graph_words2=graph_words(first.graph),
            )
        elif not spec.actions.is_like(actions):
            differ = _("actions differ: {difference}", difference=actions_differ(spec.actions, actions))
        if differ is not None:
            raise V3Error(
                "{name} and {task_names} cannot be trained on at once, because their {differ}; choose environments "
                "with the same observations and actions.",
                name=name,
                task_names=setup.task_names[0],
                differ=differ,
            )
        actions = actions if actions.names else spec.actions
    if not made.identified:
        return replace(first, environment=setup, actions=actions)
    is_dict = isinstance(made.environments[0].observation_space, spaces.Dict)
    return EnvironmentSpec(setup, with_task(first.graph, setup.task_names, is_dict=is_dict), actions)


def _check_id(env_id: str) -> None:
    """Refuse unregistered ids; an id with a module is registered only after its import."""
    if not env_id.strip():
        raise V3Error("No environment given; give an id such as CartPole-v1.")
    if ":" in env_id:
        if not re.fullmatch(r"[\w.]+:[^:]+", env_id):
            raise V3Error("'{env_id}' is not an environment id; write module:Name-v0.", env_id=env_id)
        return
    if env_id in registry:
        return  # without importing more: a worker's start is waited for
    import_package(env_id)
    import_minigrid()
    if env_id in registry:
        return
    try:
        stem = None if parse_env_id(env_id)[2] is None else env_id.rpartition("-v")[0]
    except error.Error:  # malformed
        stem = None
    versions = [known for known in registry if known.rpartition("-v")[0] == (stem or env_id)]
    if versions:
        missing = _("has no version") if stem is None else _("does not exist in this version")
        raise V3Error(
            "Environment '{env_id}' {missing}; use {versions}.",
            env_id=env_id,
            missing=missing,
            versions=one_of(sorted(versions)),
        )
    matches = matching_environments(env_id)
    if len(matches) > _MAX_LISTED:
        matches = [*matches[:_MAX_LISTED], _("one of {value} more", value=len(matches) - _MAX_LISTED)]
    hint = _("Did you mean {matches}?", matches=one_of(matches)) if matches else suggestion(env_id, registry)
    if not hint:
        hint = _("Give an id such as CartPole-v1, or module:Name-v0 for an environment registered by your own module.")
    raise V3Error("There is no environment '{env_id}'. {hint}", env_id=env_id, hint=hint)


def environments_of(run: EnvironmentSetup, curricula: Iterable[Curriculum]) -> list[tuple[EnvironmentSetup, str]]:
    """Each environment that a run trains on once, with the phase that names it.

    The run's own is first, and is left out if every phase names another, or gives it other arguments.
    """
    named = [
        (setup_at(run, curriculum, index), phase.name)
        for curriculum in curricula
        for index, phase in enumerate(curriculum.phases)
    ]
    is_used = not named or any(setup == run for setup, _ in named)
    found = [(run, "")] if is_used else []
    for setup, phase_name in named:
        if all(setup != known for known, _ in found):
            found.append((setup, phase_name))
    return found


def imports_of(run: EnvironmentSetup, curricula: Iterable[Curriculum]) -> set[str]:
    """The names in a run and all its curricula that import code."""
    return {*run.imports, *(name for setup, _ in environments_of(run, curricula) for name in setup.imports)}


def check_run(run: EnvironmentSetup | str, *curricula: Curriculum, allow_import: bool) -> EnvironmentSpec:
    """The state graph and actions that one policy needs for every environment of a run, under any of its curricula.

    V3Error if one of them cannot be trained on, or a phase's differs in its observations or actions.
    """
    (first, _phase), *others = environments_of(setup_of(run), curricula)
    spec = check_environment(first, allow_import=allow_import)
    actions = spec.actions
    for setup, phase in others:
        other = check_environment(setup, allow_import=allow_import)
        if other.graph != spec.graph:
            raise V3Error(
                "Phase '{phase}' trains on {setup}, whose observations differ from those of {run}; they must be the "
                "same in every phase.",
                phase=phase,
                setup=setup,
                run=first,
            )
        if not other.actions.is_like(actions):
            raise V3Error(
                "Phase '{phase}' trains on {setup}, whose actions differ from those of {run}: {difference}; they must "
                "be the same in every phase.",
                phase=phase,
                setup=setup,
                run=first,
                difference=actions_differ(other.actions, actions),
            )
        actions = actions if actions.names else other.actions
    return replace(spec, actions=actions)
