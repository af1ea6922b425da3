"""In which situations each step of a rollout is, and how the experts' loads in them are written down."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.environments.situations import Risen, computed
from v3core.environments.types import StateGraphSpec
from v3core.errors import V3Error
from v3core.insight.situation_loads import OTHER

Floats = NDArray[np.float64]
_DECIMALS = 6


class SituationTags:
    """The situations of a state graph, and what those that look back need of the episodes in progress."""

    def __init__(self, graph: StateGraphSpec, environments: int) -> None:
        self._graph = graph
        self.names: tuple[str, ...] = (*map(str, graph.situations), str(OTHER)) if graph.situations else ()
        """The last one is of the steps in none of the others."""
        self._risen = [name for name, one in graph.situations.items() if isinstance(one, Risen)]
        self._largest = np.full((len(self._risen), environments), np.nan)
        """NaN where an episode begins."""
        self._since = np.full((len(self._risen), environments), np.inf)
        """Steps since the number rose."""
        self.failure: V3Error | None = None
        """Which situation could not be computed, and why; since then nothing is known of any."""

    def of_steps(self, observations: NDArray[Any], ended: NDArray[np.bool_]) -> Floats:
        """Which situations hold at each step, 0 or 1, [T, N, names], of flat observations [T, N, size].

        `ended` [T, N]: whether an episode was over after the step. NaN once a situation could not be computed: that
        must not end training.
        """
        if self.failure is None:
            try:
                return self._of_steps(observations, ended)
            except V3Error as failure:
                self.failure = failure
                # A resume tries again, and its first episodes begin with what is kept here.
                self._largest[:], self._since[:] = np.nan, np.inf
        return np.full((*ended.shape, len(self.names)), np.nan)

    def _of_steps(self, observations: NDArray[Any], ended: NDArray[np.bool_]) -> Floats:
        steps, count = ended.shape
        found = np.zeros((steps, count, len(self.names)))
        if not self.names:
            return found
        seen = self._graph.seen(observations.reshape(steps * count, -1))
        for place, (name, situation) in enumerate(self._graph.situations.items()):
            said = computed(name, situation, seen, steps * count).reshape(steps, count)
            if isinstance(situation, Risen):
                said = self._look_back(self._risen.index(name), said, ended) < situation.steps
            found[..., place] = said
        found[..., -1] = ~found[..., :-1].any(2)
        return found

    def _look_back(self, place: int, numbers: NDArray[Any], ended: NDArray[np.bool_]) -> Floats:
        """Steps since the number rose, [T, N]."""
        largest, since = self._largest[place], self._since[place]
        back = np.empty(numbers.shape)
        for step, number in enumerate(numbers):
            since = np.where(number > largest, 0.0, since + 1)
            largest = np.fmax(largest, number)
            back[step] = since
            largest = np.where(ended[step], np.nan, largest)
            since = np.where(ended[step], np.inf, since)
        self._largest[place], self._since[place] = largest, since
        return back

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"names": list(self.names), "largest": self._largest.copy(), "since": self._since.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from `state_dict`; False if it is of other situations, by their names in order: they begin here."""
        if tuple(state.get("names", ())) != self.names or state["largest"].shape != self._largest.shape:
            return False
        self._largest[:], self._since[:] = state["largest"], state["since"]
        return True


def situations_as_text(names: Sequence[str], steps: Floats, sums: Floats) -> str | None:
    """As it is stored: JSON, each situation of an episode to its steps and the mean gate of each expert in them.

    `steps` [names] and `sums` [names, experts] are those of the episode; NaN where they are not known. Situations
    without a step are left out; None if nothing is known.
    """
    if not names or not np.isfinite(steps).all():
        return None
    found = {
        name: [int(count), *(None if math.isnan(load) else round(load, _DECIMALS) for load in (total / count).tolist())]
        for name, count, total in zip(names, steps.tolist(), sums, strict=True)
        if count
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
