"""Per-episode statistics of what was acted, and running statistics of returns."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.environments.episode_facts import facts_as_text
from v3core.errors import V3Error
from v3core.insight.loads import dead_experts, load_entropy, pooled_loads
from v3core.metrics import CLOSE_MARGIN, Acted
from v3core.rollup import LONGEST_WINDOW, SHORTEST_WINDOW
from v3core.training.rollout import Played
from v3core.training.situation_tags import SituationTags, situations_as_text

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


_UNNAMED = ("steps", "return", "routing_entropy", "support", "loads", "hard_loads")
"""The sums in checkpoints of 0.2.0 and earlier, which have them as the columns of one array."""


def _per_step(gates: Floats, rewards: Floats, before: Integers) -> dict[str, Floats]:
    """What episodes are summed up from, each of shape [T, N, columns], by the names that checkpoints know.

    Gates [T, N, experts] are normalised, NaN for an observation that is not a number; rewards are [T, N]. `before`
    [T, N] is the expert with the largest gate at the step before in the same episode, −1 for its first step.
    """
    unknown = np.isnan(gates).any(2)
    entropy = -np.where(gates > 0, gates * np.log(np.where(gates > 0, gates, 1.0)), 0.0).sum(2)
    support = (gates > 0).sum(2, dtype=np.float64)
    hard = np.eye(gates.shape[2])[gates.argmax(2)]
    entropy[unknown] = support[unknown] = np.nan
    hard[unknown] = np.nan
    kept = (gates.argmax(2) == before).astype(np.float64)
    close = np.full(rewards.shape, np.nan)  # of a single expert there is no margin
    if gates.shape[2] > 1:
        second, largest = np.moveaxis(np.partition(gates, -2, axis=2)[..., -2:], 2, 0)
        close = (largest - second < CLOSE_MARGIN).astype(np.float64)
    kept[unknown] = close[unknown] = np.nan
    return {
        "steps": np.ones((*rewards.shape, 1)),
        "return": rewards[..., None],
        "routing_entropy": entropy[..., None],
        "support": support[..., None],
        "kept": kept[..., None],
        "close": close[..., None],
        "loads": gates,
        "hard_loads": hard,
    }


class EpisodeStatistics:
    """Sums of the episodes in progress, carried from rollout to rollout."""

    def __init__(self, environments: int, experts: int, tags: SituationTags | None = None) -> None:
        """Of episodes that begin now; with `tags` the loads of the experts in each situation are kept apart."""
        self._tags = tags if tags is not None and tags.names else None
        shape = (0, environments)
        parts = _per_step(np.empty((*shape, experts)), np.empty(shape), np.empty(shape, dtype=np.int64))
        if self._tags is not None:
            parts |= _by_situation(np.empty((*shape, experts)), np.empty((*shape, len(self._tags.names))))
        ends = np.cumsum([part.shape[2] for part in parts.values()])
        self._columns = {
            name: slice(end - part.shape[2], end) for (name, part), end in zip(parts.items(), ends, strict=True)
        }
        self._under_way = np.zeros((environments, ends[-1]))
        self._before_phase = np.zeros(environments)
        self._newest_expert = np.full(environments, -1)
        """The one with the largest gate at the last step of an episode in progress; −1 where one begins."""

    @property
    def situations_failure(self) -> V3Error | None:
        """Why the situations of episodes are no longer known."""
        return None if self._tags is None else self._tags.failure

    def begin_phase(self) -> None:
        """From now on steps are acted in another phase; an episode in progress belongs to the one it ends in."""
        self._before_phase = self._sums("steps")[:, 0].copy()

    def _sums(self, name: str) -> Floats:
        return self._under_way[:, self._columns[name]]

    def state_dict(self) -> dict[str, Any]:
        return {
            "under_way": {name: self._sums(name).copy() for name in self._columns},
            "before_phase": self._before_phase.copy(),
            "newest_expert": self._newest_expert.copy(),
            **({} if self._tags is None else {"situations": self._tags.state_dict()}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint of as many environments and experts, perhaps of an older version."""
        self._before_phase[:] = state["before_phase"]
        self._newest_expert[:] = state.get("newest_expert", -1)
        same = self._tags is not None and self._tags.load_state_dict(state.get("situations", {}))
        kept = state["under_way"]
        if not isinstance(kept, dict):
            ends = np.cumsum([self._sums(name).shape[1] for name in _UNNAMED])
            kept = dict(zip(_UNNAMED, np.split(kept, ends[:-1], axis=1), strict=True))
        if not same:
            kept = {name: sums for name, sums in kept.items() if not name.startswith("situation_")}
        # What that version did not sum up is unknown for the episodes in progress.
        unknown = np.where(kept["steps"] > 0, np.nan, 0.0)
        for name in self._columns:
            self._sums(name)[:] = kept.get(name, unknown)

    def finished(self, rollout: Played) -> list[tuple[int, Acted]]:
        """The episodes that ended in this rollout, in order of completion; ties by environment.

        Each with the environment steps of the rollout up to the step that ended it, all environments together.
        """
        gates = rollout.gates.double().cpu().numpy()
        gates = gates / gates.sum(2, keepdims=True)
        per_step = _per_step(gates, rollout.rewards, self._experts_before(gates, rollout.ended))
        if self._tags is not None:
            seen = rollout.observations.cpu().numpy()
            per_step |= _by_situation(gates, self._tags.of_steps(seen, rollout.ended))
        columns = np.concatenate(list(per_step.values()), axis=2)
        episodes: list[tuple[int, Acted]] = []
        starts = np.zeros(len(self._under_way), dtype=np.int64)
        for step, env in np.argwhere(rollout.ended).tolist():
            sums = self._under_way[env] + columns[starts[env] : step + 1, env].sum(0)
            self._under_way[env] = 0.0
            starts[env] = step + 1
            success = rollout.successes.get((step, env))
            before, self._before_phase[env] = self._before_phase[env], 0.0
            task = rollout.tasks.get((step, env))
            facts = facts_as_text(rollout.facts.get((step, env), {}))
            acted = self._summary(sums, int(sums[self._columns["steps"]][0] - before), success, task, facts)
            episodes.append(((step + 1) * len(starts), acted))
        for env, start in enumerate(starts):
            self._under_way[env] += columns[start:, env].sum(0)
        return episodes

    def _experts_before(self, gates: Floats, ended: NDArray[np.bool_]) -> Integers:
        """The expert with the largest gate at the step before in the same episode, −1 without one, [T, N]."""
        hard = np.where(ended, -1, gates.argmax(2))
        before = np.concatenate((self._newest_expert[None], hard))
        self._newest_expert = before[-1].copy()
        return before[:-1]

    def _summary(
        self, sums: Floats, phase_steps: int, success: bool | None, task: str | None, facts: str | None
    ) -> Acted:
        total = {name: sums[columns] for name, columns in self._columns.items()}
        (length,) = total["steps"]
        means = {name: values / length for name, values in total.items()}
        (entropy,), (support,), loads = means["routing_entropy"], means["support"], means["loads"]
        of_loads = float(load_entropy(loads))
        persistence = _persistence(float(total["kept"][0]), total["hard_loads"], length)
        return Acted(
            return_=float(total["return"][0]),
            length=int(length),
            phase_steps=phase_steps,
            success=None if success is None else float(success),
            task=task,
            facts=facts,
            situations=self._situations(total),
            routing_entropy=float(entropy),
            load_entropy=of_loads,
            # At least 0 by the concavity of entropy; rounding may put it a hair below.
            specialisation=max(0.0, of_loads - float(entropy)) if math.isfinite(of_loads) else math.nan,
            effective_experts=math.exp(of_loads),
            support=float(support),
            load_cv=float(loads.std() / loads.mean()),
            expert_persistence=persistence,
            close_choice_share=float(means["close"][0]),
            dead_experts=dead_experts(loads),
            loads=tuple(loads.tolist()),
            hard_loads=tuple(means["hard_loads"].tolist()),
        )

    def _situations(self, total: dict[str, Floats]) -> str | None:
        if self._tags is None:
            return None
        names = self._tags.names
        steps, sums = total["situation_steps"], total["situation_loads"]
        return situations_as_text(names, steps, sums.reshape(len(names), -1))


def _by_situation(gates: Floats, tags: Floats) -> dict[str, Floats]:
    """What is summed up of each situation: its steps, and in them the gates of each expert, [T, N, names · experts].

    Tags [T, N, names] say which situations hold at each step, 0 or 1; NaN where that is not known.
    """
    apart = np.where(tags[..., None] > 0, gates[..., None, :], 0.0)
    return {
        "situation_steps": tags,
        "situation_loads": apart.reshape(*tags.shape[:2], tags.shape[2] * gates.shape[2]),
    }


def _persistence(kept: float, uses: Floats, length: float) -> float:
    """(keep − chance)/(1 − chance) of an episode in which the expert was kept at so many steps.

    `uses` [experts] are the steps at which each was chosen. Chance is that of the same steps in a random order, so the
    mean over all orders is 0, however short the episode. NaN where no order would change anything.
    """
    if length < 2:
        return math.nan
    chance = float((uses * (uses - 1)).sum() / (length * (length - 1)))
    return (kept / (length - 1) - chance) / (1 - chance) if chance < 1 else math.nan


class RecentRouting:
    """How the newest episodes of the phase in force were routed, pooled by steps: `NEWEST_WINDOW`.

    An episode that was in progress when the phase began does not count: what its steps before that put on an expert
    would hide that the phase has none for it.
    """

    def __init__(self) -> None:
        self._episodes: deque[tuple[int, tuple[float, ...], float]] = deque(maxlen=LONGEST_WINDOW)
        """Steps, loads and routing entropy of each."""

    def begin_phase(self) -> None:
        """Another phase is in force from now on."""
        self._episodes.clear()

    def add(self, episode: Acted) -> dict[str, Any]:
        """Count one more; `recent_dead_experts` and `recent_specialisation` of the window that ends with it.

        Both have no value before there are enough episodes, and where an observation of them was no number.
        """
        if episode.phase_steps == episode.length:
            self._episodes.append((episode.length, episode.loads, episode.routing_entropy))
        if len(self._episodes) < SHORTEST_WINDOW:
            return {"recent_dead_experts": None, "recent_specialisation": math.nan}
        steps = np.array([length for length, *_ in self._episodes], dtype=np.float64)
        loads = pooled_loads(np.array([loads for _, loads, _ in self._episodes]), steps)
        of_loads = float(load_entropy(loads))
        of_steps = float(np.average([entropy for *_, entropy in self._episodes], weights=steps))
        if not math.isfinite(of_loads):
            return {"recent_dead_experts": None, "recent_specialisation": math.nan}
        return {"recent_dead_experts": dead_experts(loads), "recent_specialisation": max(0.0, of_loads - of_steps)}

    def state(self) -> list[tuple[int, tuple[float, ...], float]]:
        """For a checkpoint."""
        return list(self._episodes)

    def load(self, kept: Iterable[tuple[int, tuple[float, ...], float]]) -> None:
        """Continue from `state`."""
        self._episodes.extend((length, tuple(loads), entropy) for length, loads, entropy in kept)


def explained_variance(values: Floats, targets: Floats) -> float:
    """1 − Var(targets − values)/Var(targets): 1 is a perfect value head, 0 no better than a constant, NaN undefined."""
    variance = float(targets.var())
    return 1.0 - float((targets - values).var()) / variance if variance > 0 else math.nan


@dataclass
class ReturnScale:
    """Running deviation of the value head's targets; rewards are divided by it before they are learned from.

    Recorded returns are never scaled. Changes only between an update and the next rollout.
    """

    count: float = 0.0
    mean: float = 0.0
    variance: float = 1.0

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
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count, self.mean, self.variance = (float(state[key]) for key in ("count", "mean", "variance"))
