"""How the tasks of a run on several environments share its experts; pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from v3core.insight.loads import load_entropy


@dataclass(frozen=True)
class TaskResult:
    """The episodes of one task in a window."""

    task: str
    episodes: int
    steps: int
    return_: float
    """Mean over the episodes; NaN if none is a number."""
    success: float
    """Share of the episodes that solved the task; NaN where the environment does not say."""
    loads: tuple[float, ...]
    """Of each expert, pooled by steps."""


def task_specialisation(loads: ArrayLike, steps: ArrayLike) -> float:
    """Mutual information of expert and task in nats, I(E; T) = H(Σ pₜ·αₜ) − Σ pₜ·H(αₜ); Cover & Thomas, section 2.3.

    Loads [tasks, experts] are those of a task, αₜ, and its steps [tasks] give its share pₜ. At least 0, which is the
    value if all tasks use the experts alike, at most the entropy of either. NaN without tasks, or if a
    load is not a number.
    """
    shares = np.asarray(loads, dtype=np.float64)
    weights = np.asarray(steps, dtype=np.float64)
    if not weights.sum() > 0:
        return float("nan")
    weights = weights / weights.sum()
    # At least 0 by the concavity of entropy; rounding may put it a hair below. The built-in max would lose a NaN.
    return float(np.maximum(0.0, load_entropy(weights @ shares) - weights @ load_entropy(shares)))


def task_distances(loads: ArrayLike) -> NDArray[np.float64]:
    """Jensen-Shannon distances, √divergence with logarithms of base 2, of the loads of each two tasks, [tasks, tasks].

    0 if they use the experts alike, 1 if they share none (Endres & Schindelin, 2003).
    """
    shares = np.asarray(loads, dtype=np.float64)
    one, other = shares[:, None], shares[None]
    divergence = load_entropy((one + other) / 2) - (load_entropy(one) + load_entropy(other)) / 2
    return np.asarray(np.sqrt(np.clip(divergence / np.log(2), 0, 1)))


def in_order(tasks: Iterable[str], names: Sequence[str]) -> list[str]:
    """Tasks in the order in which the run names them, then those that it no longer names."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(tasks, key=lambda task: (places.get(task, len(places)), task))
