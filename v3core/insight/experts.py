"""What each expert does on the states of an evaluation: plain data, and the projection of states to two axes."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Actions = Mapping[str, Any]
"""An action distribution, averaged over states. `probabilities` of the values of each component and the number of its
`first` value; or the probability that each switch is `on`; or `mean` and `deviation` of each number, in units of the
environment."""


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

    def to_json(self) -> str:
        return json.dumps(vars(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "StateMap":
        """From what `to_json` gave.

        Raises:
            ValueError: if it is anything else.
        """
        try:
            kinds = {"expert": int, "number": int, "step": int}
            lists = json.loads(text).items()
            read: dict[str, Any] = {name: tuple(map(kinds.get(name, float), values)) for name, values in lists}
            found = cls(**read)
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(str(error)) from None
        if len({len(getattr(found, name)) for name in ("x", "y", "expert", "gate", "number", "step")}) != 1:
            raise ValueError("lists of different lengths")
        return found


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
