"""Which arguments an environment takes, and what is wrong with those it was given."""

import inspect
import re
from typing import Any

from gymnasium.envs.registration import load_env_creator, registry

from v3core.environment_setup import EnvironmentSetup, format_args
from v3core.errors import suggestion

_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.+?)(?: was raised|$)")


def argument_problem(setup: EnvironmentSetup, problem: BaseException) -> str | None:
    """What is wrong with the arguments, as a sentence, if that is why the environment could not be made."""
    if not isinstance(problem, TypeError):
        return None
    known = arguments_of(setup.env_id)
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    unknown = _UNKNOWN.search(str(problem))
    if unknown and unknown[1] in setup.args:
        hint = suggestion(unknown[1], known)
        return f"Environment {setup.env_id} has no argument '{unknown[1]}'; {takes}.{f' {hint}' if hint else ''}"
    if missing := _MISSING.search(str(problem)):
        names = re.findall(r"'(\w+)'", missing[1])
        given = " ".join(f"--env-arg {name}=…" for name in names)
        return f"Environment {setup.env_id} needs the argument {' and '.join(names)}; give {given}."
    return None


def arguments_of(env_id: str) -> list[str]:
    """Names of the arguments of an environment that is registered, as far as its code tells; may be empty."""
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
    return list(dict.fromkeys(names[1:] + names[:1]))


def with_arguments(setup: EnvironmentSetup) -> str:
    """As in ` with size=2`, for a sentence on an environment; empty without arguments."""
    return f" with {format_args(setup.args)}"[:120] if setup.args else ""
