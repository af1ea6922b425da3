"""What each expert does on the states of an evaluation: plain data, and the projection of states to two axes."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.messages import _

Floats = NDArray[np.float64]

Actions = Mapping[str, Any]
"""An action distribution, averaged over states. `probabilities` of the values of each component and the number of its
`first` value, with the `names` of actions that have some; or the probability that each switch is `on`; or `mean` and
`deviation` of each number, in units of the environment."""


@dataclass(frozen=True)
class ExpertProfile:
    """One expert on the states of an evaluation."""

    load: float | None
    """Its mean gate; those of all experts sum to 1."""
    hard_load: float | None
    """Share of the states at which its gate is the largest."""
    actions: Actions
    """Its action distribution if it acted alone, averaged over all states: the same states for every expert."""
    used_actions: Actions | None
    """The same, averaged with its gates as weights: what it does where it is used. None if it is not used at all."""
    distances: tuple[float | None, ...]
    """Jensen-Shannon distance to each expert, 0 to itself; see `ActionDistribution.jensen_shannon`."""


@dataclass(frozen=True)
class StateMap:
    """States on the two axes along which their scene embeddings vary most. All lists have an entry per state."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    expert: tuple[int, ...]
    """The one with the largest gate, from 0."""
    gate: tuple[float, ...]
    """Its gate."""
    number: tuple[int, ...]
    """Number of the evaluation's episode, from 1."""
    step: tuple[int, ...]
    """Step of that episode, from 0."""
    explained: tuple[float, ...]
    """Share of the variance along each of the two axes."""
    gates: tuple[tuple[tuple[int, float], ...], ...] = ()
    """The largest gates of each state, each an expert from 0 and its gate. Earlier versions recorded none."""
    features: tuple[str, ...] = ()
    """Names of the features of a state that can be listed."""
    values: tuple[tuple[float | str, ...], ...] = ()
    """Their values in each state."""
    scenario: tuple[int, ...] = ()
    """Place of its scenario in `scenarios`; empty if the environment names none."""
    scenarios: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(vars(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "StateMap":
        """From what `to_json` gave.

        Raises:
            ValueError: if it is anything else.
        """
        try:
            lists = json.loads(text)
            found = cls(**{name: _READ[name](lists[name]) for name in _READ if name in lists})
        except (TypeError, AttributeError, OverflowError, KeyError) as error:
            raise ValueError(str(error)) from None
        always = (found.x, found.y, found.expert, found.gate, found.number, found.step)
        newer = (found.gates, found.values, found.scenario)
        if {len(states) for states in always} | {len(states) for states in newer if states} != {len(found.x)}:
            raise ValueError(_("lists of different lengths"))
        if any(len(state) != len(found.features) for state in found.values):
            raise ValueError(_("values without a feature"))
        if not all(0 <= place < len(found.scenarios) for place in found.scenario):
            raise ValueError(_("a scenario without a name"))
        return found


def _each(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda values: tuple(map(read, values))


def _gate(pair: Any) -> tuple[int, float]:
    expert, gate = pair
    return int(expert), float(gate)


_READ: Mapping[str, Callable[[Any], tuple[Any, ...]]] = {
    **dict.fromkeys(("x", "y", "gate", "explained"), _each(float)),
    **dict.fromkeys(("expert", "number", "step", "scenario"), _each(int)),
    **dict.fromkeys(("features", "scenarios"), _each(str)),
    "gates": _each(_each(_gate)),
    "values": _each(_each(lambda value: value if isinstance(value, str) else float(value))),
}
"""How the lists of a map are read; others are ignored."""


@dataclass(frozen=True)
class ExpertReport:
    """What the experts do on a sample of the states of an evaluation."""

    states: int
    """States that it is measured on."""
    compared: int
    """States that the distances are measured on: fewer if there are many experts."""
    experts: tuple[ExpertProfile, ...]
    map: StateMap


def rounded(value: float, decimals: int = 4) -> float | None:
    """A number as it is stored; None if it is not finite."""
    return round(float(value), decimals) if math.isfinite(value) else None


def principal_axes(points: Floats) -> tuple[Floats, tuple[float, float]]:
    """Points [n, width] on their two principal axes, [n, 2], and the share of the variance along each.

    They are eigenvectors of the covariance: a singular value decomposition of all points would take ten times as long.
    An axis has no direction of its own: the largest entry of its vector is made positive, so that the same points
    always give the same picture.
    """
    centred = points - points.mean(0)
    variances, vectors = np.linalg.eigh(centred.T @ centred)  # in ascending order
    variances, axes = variances[::-1].clip(0), vectors.T[::-1][:2].copy()
    total = float(variances.sum())
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    found = np.zeros((len(points), 2))
    found[:, : len(axes)] = centred @ axes.T
    shares = [float(variance) / total if total > 0 else 0.0 for variance in variances[:2]] + [0.0, 0.0]
    return found, (shares[0], shares[1])


def closest_and_farthest(distances: Sequence[Sequence[float | None]]) -> tuple[float, float, float]:
    """Smallest, mean and largest distance of two different experts, of a matrix; NaN if there are not two."""
    values = np.array([[math.nan if value is None else value for value in row] for row in distances])
    pairs = values[np.triu_indices(len(values), 1)] if len(values) > 1 else np.empty(0)
    pairs = pairs[np.isfinite(pairs)]
    return (float(pairs.min()), float(pairs.mean()), float(pairs.max())) if len(pairs) else (math.nan,) * 3
