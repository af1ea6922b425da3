"""What each phase of one run was like: plain descriptions of recorded episodes, no inference across runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEAD_LOAD = 0.01
"""An expert whose mean load over a phase is below this took no part worth the name."""

TAIL_EPISODES = 100
"""How many of a phase's last episodes its closing return is the mean of."""


@dataclass(frozen=True)
class PhaseStatistics:
    """One phase of one run. Returns are undiscounted; entropies are in nats."""

    phase: str
    first_episode: int
    last_episode: int
    episodes: int
    steps: int
    """Environment steps of the phase's episodes."""
    mean_return: float
    return_deviation: float
    """Sample standard deviation over the phase's episodes; NaN for a single one."""
    closing_return: float
    """Mean return of its last 100 episodes, or of all if it has fewer."""
    mean_length: float
    routing_entropy: float
    """Mean entropy of the gate weights, E[H(α)]."""
    effective_experts: float
    """exp(H(E[α])): how many experts share the phase's total load."""
    dead_experts: int
    """Experts with a mean load below 1 %."""
    specialisation: float
    """Mean of its episodes' H(E[α]) − E[H(α)]; NaN where it was not recorded."""
    success: float
    """Share of its episodes that solved the task; NaN where the environment does not say."""
    router_shift: float
    """Mean total variation between the gates as acted and while learning; NaN where it was not recorded."""


def phase_statistics(columns: Mapping[str, NDArray[Any]], loads: NDArray[np.float64]) -> list[PhaseStatistics]:
    """Describe each phase of a run, in the order they were trained.

    Args:
        columns: arrays of equal length n: `episode`, `phase`, `return`, `length`, `routing_entropy`; and, where they
            were recorded, `phase_steps`, `specialisation`, `success`, `router_shift`.
        loads: mean gate weight per episode and expert, shape [n, experts].
    """
    phases = columns["phase"]
    return [
        _describe(str(name), columns, loads, np.flatnonzero(phases == name)) for name in dict.fromkeys(phases.tolist())
    ]


def _describe(
    name: str, columns: Mapping[str, NDArray[Any]], loads: NDArray[np.float64], rows: NDArray[np.intp]
) -> PhaseStatistics:
    returns = columns["return"][rows].astype(float)
    # Of an episode that began in the phase before, the routing is of both.
    acted = columns.get("phase_steps", columns["length"])[rows].astype(float)
    own = rows[~(acted < columns["length"][rows])]
    own = own if len(own) else rows
    mean_load = loads[own].mean(axis=0)
    present = mean_load[mean_load > 0]
    return PhaseStatistics(
        phase=name,
        first_episode=int(columns["episode"][rows[0]]),
        last_episode=int(columns["episode"][rows[-1]]),
        episodes=len(rows),
        steps=int(columns["length"][rows].sum()),
        mean_return=float(returns.mean()),
        return_deviation=float(returns.std(ddof=1)) if len(rows) > 1 else float("nan"),
        closing_return=float(returns[-TAIL_EPISODES:].mean()),
        mean_length=float(columns["length"][rows].mean()),
        routing_entropy=_known_mean(columns, "routing_entropy", own),
        effective_experts=float(np.exp(-(present * np.log(present)).sum())),
        dead_experts=int((mean_load < DEAD_LOAD).sum()),
        specialisation=_known_mean(columns, "specialisation", own),
        success=_known_mean(columns, "success", rows),
        router_shift=_known_mean(columns, "router_shift", rows),
    )


def _known_mean(columns: Mapping[str, NDArray[Any]], name: str, rows: NDArray[np.intp]) -> float:
    """Mean of the finite values; NaN where there are none."""
    values = columns[name][rows].astype(float) if name in columns else np.empty(0)
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
