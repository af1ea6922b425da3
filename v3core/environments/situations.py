"""Situations: states of an environment that have a name, such as `health low`, and the experts' loads in them.

A state graph declares them by functions of many observations at once, or `register_situations` does for a graph of
another. They are recorded of what was acted and change nothing of training.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.errors import V3Error
from v3core.insight.situation_loads import OTHER
from v3core.messages import _
from v3core.phrases import unended

Seen = Mapping[str, NDArray[Any]]
"""Key of an observation, joined by dots if it is within others, to what M observations have there, [M, *shape].

Empty for a whole observation that is no Dict. Of a text there is how often each word is in it.
"""
Numbers = Callable[[Seen], NDArray[Any]]


@dataclass(frozen=True)
class Risen:
    """Holds at `steps` steps from the one at which a number is larger than ever before in its episode."""

    number: Numbers
    """Of M observations, [M]."""
    steps: int


Situation = Numbers | Risen
"""A function that says in which of M observations it holds, [M] of bool; or one that looks back within an episode."""

_registered: dict[str, dict[str, Situation]] = {}


def register_situations(pattern: str, situations: Mapping[str, Situation]) -> None:
    """Declare situations for the environments whose ids match a pattern such as `CartPole-*`.

    Call it where the environment is registered, so that worker processes know them too. Those of the longest pattern
    count, beside the ones that a graph itself declares. V3Error names a situation whose name cannot be recorded.
    """
    for name in situations:
        check_name(name)
    _registered[pattern] = dict(situations)


def registered_for(env_id: str) -> Mapping[str, Situation]:
    """What is registered for an environment; empty if nothing is."""
    found = max((pattern for pattern in _registered if fnmatchcase(env_id, pattern)), key=len, default=None)
    return {} if found is None else _registered[found]


def check_name(name: object) -> None:
    """V3Error if a situation of that name cannot be recorded."""
    if name == OTHER:
        raise V3Error(
            "No situation can be called '{name}', which stands for the steps in none of them; give it another name.",
            name=name,
        )
    try:
        str(name).encode()
    except UnicodeEncodeError:
        raise V3Error(
            "The name {name} of a situation has signs that UTF-8 cannot write; give it another name.", name=ascii(name)
        ) from None


def computed(name: str, situation: Situation, seen: Seen, count: int) -> NDArray[Any]:
    """What a situation says of `count` observations, [count]: whether it holds, or the number that rises.

    Raises:
        V3Error: naming the situation, if its function fails or returns something else.
    """
    try:
        if isinstance(situation, Risen):
            return _one_each(situation.number(seen), count, "biuf", "number")
        return _one_each(situation(seen), count, "b", "bool")
    except Exception as problem:  # a user's own code may raise anything
        raised = _("it raised {name}: {problem}", name=type(problem).__name__, problem=" ".join(str(problem).split()))
        said = problem.message if isinstance(problem, V3Error) else raised
        raise V3Error(
            "Situation '{name}' cannot be computed: {problem}; correct its function, which is given many observations "
            "at once.",
            name=name,
            problem=unended(said),
        ) from problem


def _one_each(returned: object, count: int, kinds: str, what: str) -> NDArray[Any]:
    found = np.asarray(returned)
    if found.shape != (count,) or found.dtype.kind not in kinds:
        raise V3Error(
            "it returned {dtype} of shape {shape} for {count} observations, not one {what} each",
            dtype=found.dtype,
            shape=found.shape,
            count=count,
            what=what,
        )
    return found
