"""Per-episode statistics of what was acted, and running statistics of returns."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from v3core.insight.loads import dead_experts, load_entropy
from v3core.metrics import Acted
from v3core.training.rollout import Played

Floats = NDArray[np.float64]


class Finished(NamedTuple):
    """One complete episode."""

    steps: int
    """Environment steps of the rollout up to the step that ended it, all environments together."""
    acted: Acted


class EpisodeStatistics:
    """Sums of the episodes in progress, carried from rollout to rollout."""

    def __init__(self, environments: int, experts: int) -> None:
        # Columns: 1 per step, reward, gate entropy, experts in use, gate shares, one-hot of the largest gate.
        self._experts = experts
        self._under_way = np.zeros((environments, 4 + 2 * experts))
        self._before_phase = np.zeros(environments)

    def begin_phase(self) -> None:
        """From now on steps are acted in another phase; an episode in progress belongs to the one it ends in."""
        self._before_phase = self._under_way[:, 0].copy()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; arrays."""
        return {"under_way": self._under_way.copy(), "before_phase": self._before_phase.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint of as many environments and experts."""
        self._under_way[:], self._before_phase[:] = state["under_way"], state["before_phase"]

    def finished(self, rollout: Played) -> list[Finished]:
        """The episodes that ended in this rollout, in order of completion; ties by environment."""
        gates = rollout.gates.double().cpu().numpy()
        gates = gates / gates.sum(2, keepdims=True)
        entropy = -np.where(gates > 0, gates * np.log(np.where(gates > 0, gates, 1.0)), 0.0).sum(2)
        hard = np.eye(self._experts)[gates.argmax(2)]
        support = (gates > 0).sum(2, dtype=np.float64)
        # Of an observation that is not a number, nothing about the routing is known.
        unknown = np.isnan(gates).any(2)
        entropy[unknown] = support[unknown] = np.nan
        hard[unknown] = np.nan
        columns = np.concatenate(
            (
                np.ones((*entropy.shape, 1)),
                rollout.rewards[..., None],
                entropy[..., None],
                support[..., None],
                gates,
                hard,
            ),
            axis=2,
        )
        episodes: list[Finished] = []
        starts = np.zeros(len(self._under_way), dtype=np.int64)
        for step, env in np.argwhere(rollout.ended).tolist():
            sums = self._under_way[env] + columns[starts[env] : step + 1, env].sum(0)
            self._under_way[env] = 0.0
            starts[env] = step + 1
            success = rollout.successes.get((step, env))
            before, self._before_phase[env] = self._before_phase[env], 0.0
            acted = self._summary(sums, int(sums[0] - before), success)
            episodes.append(Finished((step + 1) * len(starts), acted))
        for env, start in enumerate(starts):
            self._under_way[env] += columns[start:, env].sum(0)
        return episodes

    def _summary(self, sums: Floats, phase_steps: int, success: bool | None) -> Acted:
        length = sums[0]
        means = sums / length
        loads = means[4 : 4 + self._experts]
        of_loads = float(load_entropy(loads))
        return Acted(
            return_=float(sums[1]),
            length=int(length),
            phase_steps=phase_steps,
            success=None if success is None else float(success),
            routing_entropy=float(means[2]),
            load_entropy=of_loads,
            # At least 0 by the concavity of entropy; rounding may put it a hair below.
            specialisation=max(0.0, of_loads - float(means[2])) if math.isfinite(of_loads) else math.nan,
            effective_experts=math.exp(of_loads),
            support=float(means[3]),
            load_cv=float(loads.std() / loads.mean()),
            dead_experts=dead_experts(loads) if math.isfinite(of_loads) else None,
            loads=tuple(loads.tolist()),
            hard_loads=tuple(means[4 + self._experts :].tolist()),
        )


def explained_variance(values: Floats, targets: Floats) -> float:
    """1 − Var(targets − values)/Var(targets): 1 is a perfect value head, 0 no better than a constant, NaN undefined."""
    variance = float(targets.var())
    return 1.0 - float((targets - values).var()) / variance if variance > 0 else math.nan


class ReturnScale:
    """Running deviation of the value head's targets; rewards are divided by it before they are learned from.

    Recorded returns are never scaled. Changes only between an update and the next rollout.
    """

    def __init__(self) -> None:
        self.count = 0.0
        self.mean = 0.0
        self.variance = 1.0

    @property
    def scale(self) -> float:
        """What rewards are divided by; 1 until the first update."""
        return max(math.sqrt(self.variance), 1e-2)

    def update(self, targets: Floats) -> None:
        """Take value targets, in units of the environment's rewards, into the statistics (Chan et al., 1979)."""
        total = self.count + targets.size
        weight = targets.size / total
        shift = float(targets.mean()) - self.mean
        self.variance = self.variance * (1 - weight) + float(targets.var()) * weight + shift**2 * weight * (1 - weight)
        self.mean += shift * weight
        self.count = total

    def state_dict(self) -> dict[str, float]:
        """For a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.count, self.mean, self.variance = (float(state[key]) for key in ("count", "mean", "variance"))
