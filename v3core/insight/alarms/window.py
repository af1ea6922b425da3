"""Episodes as the rules of alarms see them: with trailing means, their phase, and what was before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from v3core.curriculum.knobs import KNOBS
from v3core.insight.alarms.plan import COMPARED, Plan
from v3core.metrics import DEAD_LOAD, METRICS
from v3core.rollup import SHORTEST_WINDOW, Floats, Integers, trailing_mean

MEASURED = ("return", "routing_entropy", "specialisation", "grad_norm", "approx_kl", "node_distance")
"""Metrics whose trailing means the rules read."""
NEEDED = (*MEASURED, "rollbacks", "step", "length", "phase_steps", *COMPARED)
"""Metrics that the rules read, in the order of `Episodes.values`."""
assert METRICS.keys() >= set(NEEDED)
assert KNOBS.keys() <= set(NEEDED)
USUAL = 5
"""What is usual is taken over this many windows."""
DEVIATIONS = 4.0
"""A fall of the return by a quarter of the range so far counts; early in a run the range is at least so many deviations
of a single return."""
_LOGGED = ("grad_norm", "approx_kl")
_STEPS = ("length", "phase_steps")


@dataclass(frozen=True)
class Episodes:
    """Consecutive episodes, oldest first."""

    number: Integers
    """Shape [n]."""
    values: Floats
    """Shape [n, metrics], in the order of `NEEDED`; NaN where there is no number."""
    loads: Floats
    """Shape [n, experts]."""
    phases: Sequence[str]
    """Of each."""

    def __len__(self) -> int:
        return len(self.number)

    def part(self, start: int, end: int) -> "Episodes":
        """Those at the places from `start` up to, not including, `end`."""
        return Episodes(self.number[start:end], self.values[start:end], self.loads[start:end], self.phases[start:end])


@dataclass
class Before:
    """What is known of the episodes before a window; kept from one to the next."""

    experts: int
    values: Floats = field(default_factory=lambda: np.empty((0, len(NEEDED))))
    """Of the newest episodes, as many as means reach back to, oldest first."""
    loads: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """Of the newest episodes of the phase."""
    count: int = 0
    """Episodes so far."""
    phase: str | None = None
    begun: int = 0
    """Number of the first episode of the phase."""
    at_boundary: tuple[float, float] = (math.nan, math.nan)
    """Mean return and mean routing entropy of the window that ended with the previous phase; NaN in the first."""
    mean: tuple[float, float] = (math.nan, math.nan)
    """The same at the newest episode."""
    lowest: float = math.inf
    """Of the mean return so far."""
    highest: float = -math.inf
    spread: float = math.nan
    """As of `Window.spread`, at the newest episode."""
    last_used: Integers = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Newest episode of each expert with a load that is not dead; 0 if there is none."""
    differing: dict[str, tuple[float, float]] = field(default_factory=dict)
    """As of `Plan.differing`, at the newest episode."""


class Window:
    """Some episodes, and of each what the rules measure. All arrays are [n] or [n, experts]."""

    def __init__(self, rows: Episodes, before: Before, plan: Plan, width: int) -> None:
        """`width` is the number of episodes that means are over."""
        self.rows, self.before, self.plan, self.width = rows, before, plan, width
        self.number, self.experts = rows.number, before.experts
        self.full = before.count + np.arange(1, len(rows) + 1) >= width
        """Whether that many episodes are there."""
        self._values = np.concatenate((before.values, rows.values))
        self._loads = np.concatenate((before.loads.reshape(-1, self.experts), rows.loads))
        self._changes = self._changes_of_phase()

    def raw(self, name: str) -> Floats:
        """A metric of each episode."""
        return self.rows.values[:, NEEDED.index(name)]

    def mean(self, name: str) -> Floats:
        """Its mean over the window; NaN before the window is full."""
        return self._means[:, MEASURED.index(name)]

    @cached_property
    def _means(self) -> Floats:
        return self._trailing(self._values[:, : len(MEASURED)], self.width)

    @cached_property
    def loads(self) -> Floats:
        """Loads over all steps of the window's episodes that began in the phase in force, [n, experts].

        NaN before there are `SHORTEST_WINDOW` of these, and before the window is full. Episodes whose length is not
        known count alike.
        """
        rows, kept = len(self.rows), len(self._loads) - len(self.rows)
        columns = self._values[len(self._values) - len(self._loads) :, [NEEDED.index(name) for name in _STEPS]]
        lengths, of_phase = columns.T
        began = ~(of_phase < lengths)  # also if unknown
        known = np.isfinite(self._loads) & began[:, None]
        steps = np.where(known, np.where(np.isfinite(lengths), lengths, 1.0)[:, None], np.nan)
        found = np.empty((rows, self.experts))
        for start, end in pairwise([*sorted({0, *self._changes}), rows]):
            part = slice(kept + start if start in self._changes else 0, kept + end)
            parts = (self._loads[part] * steps[part], steps[part])
            weighted, weights = (trailing_mean(each, self.width, newest=end - start) for each in parts)
            counts = np.convolve(began[part], np.ones(self.width, dtype=np.int64))[: kept + end - part.start]
            enough = counts[len(counts) - (end - start) :] >= SHORTEST_WINDOW
            found[start:end] = np.where(enough[:, None], weighted / weights, np.nan)
        return np.where(self.full[:, None], found, np.nan)

    def _trailing(self, values: Floats, width: int) -> Floats:
        means = trailing_mean(values, width, newest=len(self.rows))
        return np.where(self.full[:, None], means, np.nan)

    def usual(self, name: str) -> Floats:
        """Its geometric mean over five windows; NaN before these are full."""
        return self._usual[:, _LOGGED.index(name)]

    @cached_property
    def _usual(self) -> Floats:
        columns = self._values[:, [NEEDED.index(name) for name in _LOGGED]]
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(columns)
        means = np.exp(trailing_mean(logs, USUAL * self.width, newest=len(self.rows)))
        count = self.before.count + np.arange(1, len(self.rows) + 1)
        return np.where((count >= USUAL * self.width)[:, None], means, np.nan)

    def rise(self, name: str) -> Floats:
        """By how much a count has risen over the window."""
        column = self._values[:, NEEDED.index(name)]
        kept = len(column) - len(self.rows)
        earlier = np.concatenate((np.zeros(self.width), column))[kept : len(column)]
        return np.asarray(column[kept:] - earlier)

    # Phases: places at which another phase begins split the episodes into segments.

    def _changes_of_phase(self) -> list[int]:
        phases = [self.before.phase, *self.rows.phases]
        return [place for place in range(len(self.rows)) if phases[place] != phases[place + 1]]

    def _by_segment(self, first: float, later: Sequence[float]) -> Floats:
        """`first` up to the first change of phase, then each of `later` from its change on."""
        lengths = np.diff([0, *self._changes, len(self.rows)])
        return np.repeat(np.asarray([first, *later], dtype=np.float64), lengths)

    @cached_property
    def since_boundary(self) -> Floats:
        """Episodes of its phase up to each, itself included."""
        begun = self._by_segment(self.before.begun, [float(self.number[place]) for place in self._changes])
        return self.number - begun + 1

    @cached_property
    def at_boundary(self) -> tuple[Floats, Floats]:
        """Mean return and mean routing entropy over the window before the phase of each; NaN in the first phase."""
        entries = []
        for place, name in enumerate(("return", "routing_entropy")):
            means = self.mean(name)
            ends = [float(means[change - 1]) if change else self.before.mean[place] for change in self._changes]
            entries.append(self._by_segment(self.before.at_boundary[place], ends))
        return entries[0], entries[1]

    @cached_property
    def spread(self) -> Floats:
        """Range that the mean return has covered so far, at least four deviations of a single return; NaN if 0."""
        means = self.mean("return")
        highest = np.fmax(np.fmax.accumulate(means), self.before.highest)
        lowest = np.fmin(np.fmin.accumulate(means), self.before.lowest)
        with np.errstate(invalid="ignore"):
            widest = np.fmax(highest - lowest, DEVIATIONS * self.deviation)
            return np.where(widest > 0, widest, np.nan)

    @cached_property
    def deviation(self) -> Floats:
        """Standard deviation of the returns in the window."""
        returns = self._values[:, [0]]
        with np.errstate(invalid="ignore", over="ignore"):
            square = self._trailing(returns**2, self.width)[:, 0]
            return np.sqrt(np.maximum(square - self.mean("return") ** 2, 0.0))

    # Experts.

    @cached_property
    def ordered_loads(self) -> Floats:
        """`loads` of each episode, the largest first."""
        return -np.sort(-self.loads, axis=1)

    def last_used(self, place: int) -> Integers:
        """Newest episode up to that of `place` at which each expert was not dead; 0 if there is none."""
        used = self.rows.loads[: place + 1] >= DEAD_LOAD
        newest = np.where(used, self.number[: place + 1, None], 0).max(axis=0, initial=0)
        return np.asarray(np.maximum(newest, self.before.last_used) if len(self.before.last_used) else newest)

    # Settings.

    @cached_property
    def differing(self) -> list[dict[str, tuple[float, float]]]:
        """Of each episode the settings that are not as planned; see `Plan.differing`.

        Planned values are looked up only where the settings or the phase changed, and four times per window: a ramp
        that is planned may have no effect.
        """
        kept = len(self._values) - len(self.rows)
        settings = self._values[:, [NEEDED.index(name) for name in COMPARED]]
        steps = self._values[:, NEEDED.index("step")]
        learned = np.isfinite(self._values[:, NEEDED.index("approx_kl")])
        new = np.ones(len(settings), dtype=bool)
        if len(settings) > 1:
            one, two = settings[1:], settings[:-1]
            new[1:] = ~((one == two) | (np.isnan(one) & np.isnan(two))).all(axis=1) | ~learned[:-1]
        new[kept:] |= self.number % max(1, self.width // 4) == 0
        new[[kept + change for change in self._changes]] = True
        looked_up = np.flatnonzero(new[kept:] & learned[kept:] & np.isfinite(steps[kept:]))
        found, newest, done = [], self.before.differing, 0
        for place in looked_up.tolist():
            found += [newest] * (place - done)
            at, done = kept + place, place
            newest = self.plan.differing(
                self.rows.phases[place],
                int(self.number[place]),
                int(steps[at]),
                np.nan_to_num(steps[:at]).tolist(),
                dict(zip(COMPARED, settings[at].tolist(), strict=True)),
            )
        return [*found, *[newest] * (len(self.rows) - done)]

    def after(self) -> Before:
        """What is known to the window that follows."""
        if not len(self.rows):
            return self.before
        reach, old = (USUAL + 1) * self.width, self.before
        lowest, highest = np.fmin.reduce(self.mean("return")), np.fmax.reduce(self.mean("return"))
        means, entropies = self.at_boundary
        of_phase = len(self.rows) - self._changes[-1] if self._changes else len(self._loads)
        newest = [float(self.mean(name)[-1]) for name in ("return", "routing_entropy")]
        return Before(
            experts=self.experts,
            values=self._values[-reach:],
            loads=self._loads[-min(self.width, of_phase) :],
            count=old.count + len(self.rows),
            phase=self.rows.phases[-1],
            begun=int(self.number[-1] - self.since_boundary[-1] + 1),
            at_boundary=(float(means[-1]), float(entropies[-1])),
            mean=(newest[0], newest[1]),
            lowest=float(np.fmin(old.lowest, lowest)),
            highest=float(np.fmax(old.highest, highest)),
            spread=float(self.spread[-1]),
            last_used=self.last_used(len(self.rows) - 1),
            differing=self.differing[-1],
        )
