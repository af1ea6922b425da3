"""Wrappers that a run names, put around its environment."""

import importlib
import inspect
from collections.abc import Iterable
from typing import Any

import gymnasium

from v3core.environment_setup import Wrapper, parse_wrapper
from v3core.errors import V3Error, suggestion

_STATISTICS = "keeps running statistics that no checkpoint holds; leave it out: V3 Lab normalises them itself"
_REFUSED = {
    "NormalizeObservation": _STATISTICS,
    "NormalizeReward": _STATISTICS,
    "Autoreset": "resets by itself; leave it out: V3 Lab resets environments",
    "RecordVideo": "writes files; leave it out",
    "HumanRendering": "opens a window; leave it out",
    "RenderCollection": "keeps every picture; leave it out",
    "vector": "is a module of wrappers for vectors of environments; V3 Lab makes those itself",
}
"""Of gymnasium.wrappers: why a run cannot have them."""


def wrap(env: gymnasium.Env[Any, Any], texts: Iterable[str]) -> gymnasium.Env[Any, Any]:
    """The environment within the wrappers named, the first innermost.

    Raises:
        V3Error: naming the wrapper that there is not, or that cannot go around this environment.
    """
    for text in texts:
        wrapper = parse_wrapper(text)
        kind = _class_of(wrapper)
        try:
            env = kind(env, *wrapper.arguments, **wrapper.keywords)
        except (Exception, SystemExit) as problem:  # its own code may raise anything
            raise V3Error(f"Wrapper {text} cannot be put on: {_reason(problem, kind)}") from problem
    return env


def is_minigrids(text: str) -> bool:
    """Whether a wrapper is one of MiniGrid's, which take its whole observation."""
    return parse_wrapper(text).module == "minigrid.wrappers"


def _class_of(wrapper: Wrapper) -> Any:
    """The wrapper's class, imported."""
    own = wrapper.module == "gymnasium.wrappers"
    if own and (reason := _REFUSED.get(wrapper.name)):
        raise V3Error(f"Wrapper {wrapper.name} {reason}.")
    try:
        module = importlib.import_module(wrapper.module)
    except (Exception, SystemExit) as problem:
        raise V3Error(
            f"Wrapper {wrapper.module}:{wrapper.name} cannot be imported: {_reason(problem, None)}"
        ) from problem
    kind = getattr(module, wrapper.name, None)
    if inspect.isclass(kind) and issubclass(kind, gymnasium.Wrapper):
        return kind
    known = [name for name, value in vars(module).items() if _is_wrapper(value) and not (own and name in _REFUSED)]
    hint = suggestion(wrapper.name, known) or f"It has {', '.join(sorted(known)[:40]) or 'none'}."
    raise V3Error(f"There is no wrapper '{wrapper.name}' in {wrapper.module}. {hint}")


def _is_wrapper(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, gymnasium.Wrapper) and value is not gymnasium.Wrapper


def _reason(problem: BaseException, kind: Any) -> str:
    text = " ".join(str(problem).split())[:200].rstrip(".") or type(problem).__name__
    if isinstance(problem, TypeError) and kind is not None:
        names = [name for name in inspect.signature(kind).parameters if name != "env"]
        return f"{text}; it takes {', '.join(names) or 'no arguments'}."
    return f"{text}."
