"""Action distributions without torch: what recorded outputs of the policy and of its experts mean.

The same as `v3core.policy.distributions`, which acts; the tests compare them.
"""

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.messages import with_minus

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ActionFacts:
    """What a policy's outputs say of actions."""

    kind: str
    """`discrete`, `multi_discrete`, `multi_binary` or `continuous`."""
    sizes: tuple[int, ...] = ()
    """Values per component; 2 for each switch."""
    starts: tuple[int, ...] = ()
    """(multi_)discrete: the environment's number for the first value of each component."""
    centre: tuple[float, ...] = ()
    """continuous: the action, in units of the environment, for an output of 0."""
    span: tuple[float, ...] = ()
    """continuous: how much of the environment's units is an output of 1."""
    deviation: tuple[float, ...] = ()
    """continuous: of each number around its mean, in the environment's units."""
    low: tuple[float, ...] = ()
    """continuous: lower bounds; −∞ if there is none."""
    high: tuple[float, ...] = ()
    """continuous: upper bounds; ∞ if there is none."""
    names: tuple[str, ...] = ()
    """discrete: what each action is called, where the environment says so."""

    @property
    def is_continuous(self) -> bool:
        """Whether actions are numbers."""
        return self.kind == "continuous"

    @classmethod
    def from_plain(cls, facts: dict[str, Any]) -> "ActionFacts":
        """From `vars` of another, by way of JSON.

        Raises:
            TypeError: if it is anything else.
        """
        found = cls(facts["kind"], **{name: tuple(values) for name, values in facts.items() if name != "kind"})
        if not all(map(is_name, found.names)):
            raise TypeError(found.names)
        return found


def is_name(value: Any) -> bool:
    """Whether it is the name of an action as environments have it, such as `FAR_N`."""
    return isinstance(value, str) and re.fullmatch(r"\w{1,40}", value) is not None


def exact(value: Any) -> str:
    """A number of the network: the shortest text that identifies it among the numbers of single precision."""
    number = np.float32(value)
    return with_minus(str(int(number)) if number.is_integer() and abs(number) < 2**24 else str(number))


def probabilities(facts: ActionFacts, outputs: NDArray[Any], masks: NDArray[np.bool_] | None = None) -> list[Floats]:
    """Of each component the probabilities of its values, [..., values], for outputs [..., outputs]; not continuous.

    Masks [..., mask size] are true for allowed actions.
    """
    found = []
    allowed = list(_parts(masks, facts.sizes)) if masks is not None else [None] * len(facts.sizes)
    values = np.asarray(outputs, dtype=np.float64)
    if facts.kind == "multi_binary":
        logits: Iterator[Floats] = (np.stack((np.zeros_like(one), one), -1) for one in np.moveaxis(values, -1, 0))
    else:
        logits = _parts(values, facts.sizes)
    for part, free in zip(logits, allowed, strict=True):
        shown = part if free is None else np.where(free, part, -np.inf)
        with np.errstate(invalid="ignore", over="ignore"):
            weights = np.exp(shown - shown.max(-1, keepdims=True))
            found.append(weights / weights.sum(-1, keepdims=True))
    return found


def most_probable(facts: ActionFacts, outputs: NDArray[Any], masks: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """The most probable value of each component, from 0, [..., components]; of numbers the means, in their own units.

    Of values that are equally probable it is the first.
    """
    if facts.is_continuous:
        return in_units(facts, outputs)
    return np.stack([part.argmax(-1) for part in probabilities(facts, outputs, masks)], -1)


def in_units(facts: ActionFacts, outputs: NDArray[Any]) -> Floats:
    """Means [..., outputs] of continuous actions in the environment's units."""
    values = np.asarray(outputs, dtype=np.float64)
    if not facts.span:
        return values
    return np.array(facts.centre) + np.array(facts.span) * values


def mean_distance(facts: ActionFacts, one: NDArray[Any], other: NDArray[Any]) -> Floats:
    """Mahalanobis distance of the means of two continuous distributions, [...], for outputs [..., outputs]."""
    span, deviation = np.array(facts.span), np.array(facts.deviation)
    distance: Floats = np.linalg.norm((np.asarray(one, np.float64) - other) * span / deviation, axis=-1)
    return distance


@functools.cache
def normal_distances() -> tuple[Floats, Floats]:
    """Distances of means in deviations, and the root of the Jensen-Shannon divergence in bits at each, by quadrature.

    1 − E[log2(1 + q(x)/p(x))] with x ~ p, which is the same for x ~ q by symmetry. Interpolated linearly, the root is
    good to 1e-4.
    """
    at, x = np.linspace(0, 16, 801), np.linspace(-10, 10, 2001)
    density = np.exp(-0.5 * x**2)
    log_ratio = at[:, None] * x - 0.5 * at[:, None] ** 2
    mean = np.logaddexp(0, log_ratio) @ (density / density.sum()) / math.log(2)
    return at, np.sqrt((1 - mean).clip(0, 1))


def _parts(values: NDArray[Any], sizes: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    first = 0
    for size in sizes:
        yield values[..., first : first + size]
        first += size
