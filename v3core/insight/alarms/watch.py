"""Applying the rules to the episodes of a run as they come: raising alarms, keeping them up, clearing them."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from v3core.curriculum import Curriculum, PhaseStart
from v3core.insight.alarms.plan import Plan
from v3core.insight.alarms.rules import CERTAIN, EVALUATION_GAP, RULES, Rule
from v3core.insight.alarms.window import NEEDED, Before, Episodes, Window
from v3core.messages import _
from v3core.rollup import LONGEST_WINDOW, Integers

_TOGETHER = 256
"""Episodes that are looked at in one step, so that memory stays bounded."""


@dataclass
class Alarm:
    """A rule that held, from its first to its newest episode."""

    rule: str
    phase: str
    first_episode: int
    last_episode: int
    value: float
    threshold: float
    detail: str
    is_cleared: bool = False
    """Whether it has not held for a whole window since."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation after `episode` complete episodes."""

    episode: int
    returns: Sequence[float]


@dataclass(frozen=True)
class Began:
    """Phase `phase` began after `episode` complete episodes."""

    episode: int
    phase: int
    start: PhaseStart


@dataclass(frozen=True)
class Edited:
    """Another curriculum is in force after `episode` complete episodes."""

    episode: int
    curriculum: Curriculum


Mark = Evaluated | Began | Edited


@dataclass
class Watch:
    """The alarms of one run.

    What is found depends on episodes and marks alone, not on how many are handed over at a time.
    """

    plan: Plan
    experts: int
    alarms: list[Alarm] = field(default_factory=list)
    """All so far, oldest first."""

    def __post_init__(self) -> None:
        self._length = self.plan.config.length
        self._width = self._length.mean_window(0, 0) if self._length.steps is None else LONGEST_WINDOW
        self._before = Before(self.experts)
        self._marks: deque[Mark] = deque()
        self._open: dict[str, Alarm] = {}
        self._changed: set[int] = set()

    def mark(self, mark: Mark) -> None:
        """Take note of what happened after the episodes that were recorded so far. From any thread."""
        self._marks.append(mark)

    def watch(self, rows: Episodes) -> None:
        """Look at further episodes, and at what was marked up to the newest."""
        self.catch_up()
        done = 0
        while done < len(rows):
            end = min(len(rows), done + _TOGETHER)
            if self._marks:
                end = min(end, int(np.searchsorted(rows.number, self._marks[0].episode, side="right")))
            end = self._in_one_width(rows, done, end)
            self._look(rows.part(done, end))
            self.catch_up()
            done = end

    def catch_up(self) -> None:
        """Look at what was marked up to the newest episode."""
        while self._next_mark_is_due:
            self._take(self._marks.popleft())

    def changed(self) -> list[Alarm]:
        """Alarms that are new or other than at the last call, oldest first."""
        changed, self._changed = self._changed, set()
        return [alarm for alarm in self.alarms if id(alarm) in changed] if changed else []

    @property
    def _next_mark_is_due(self) -> bool:
        return bool(self._marks) and self._marks[0].episode <= self._before.count

    def _in_one_width(self, rows: Episodes, done: int, end: int) -> int:
        """Takes the width at place `done`; returns where, up to `end`, it becomes another.

        Where steps end a run, each episode brings another projection of how many there will be. Once full, a window
        gets wider by one episode at most, so that what was kept for the one before is enough.
        """
        if self._length.steps is None:
            return end
        steps = rows.values[done:end, NEEDED.index("step")].tolist()
        for place, step in enumerate(steps, start=done):
            if math.isfinite(step):
                width = self._length.mean_window(int(rows.number[place]), int(step))
                if place > done and width != self._width:
                    return place
                self._width = width
        return end

    def _take(self, mark: Mark) -> None:
        if isinstance(mark, Began):
            self.plan = self.plan.begun(mark.phase, mark.start)
        elif isinstance(mark, Edited):
            self.plan = self.plan.revised(mark.curriculum, mark.episode)
        else:
            self._compare(mark)

    def _look(self, rows: Episodes) -> None:
        window = Window(rows, self._before, self.plan, self._width)
        found: list[tuple[int, int, Alarm]] = []
        for order, rule in enumerate(RULES.values()):
            found += [(alarm.first_episode, order, alarm) for alarm in self._apply(rule, window)]
        for _first, _order, alarm in sorted(found, key=lambda entry: entry[:2]):
            self.alarms.append(alarm)
            self._note(alarm)
        self._before = window.after()

    def _apply(self, rule: Rule, window: Window) -> Iterator[Alarm]:
        """Keep up, clear or raise the alarms of one rule; yields those that are new."""
        if rule.measure is None or rule.tell is None:
            return
        values = rule.measure(window)
        held = np.flatnonzero(rule.holds(values))
        alarm, allowed = self._open.get(rule.name), None
        for place in _ends_of_spans(held, window.number, self._width, alarm.last_episode if alarm else None):
            begin, end = place
            if begin is None:
                assert alarm is not None
            else:
                if alarm is not None:
                    self._clear(alarm)
                if rule.when is not None:
                    allowed = rule.when(window) if allowed is None else allowed
                    raised = held[(held >= begin) & (held <= end)]
                    raised = raised[allowed[raised]]
                    if not len(raised):
                        alarm = None
                        continue
                    begin = int(raised[0])
                alarm = Alarm(
                    rule.name, window.rows.phases[begin], int(window.number[begin]), 0, 0.0, rule.threshold, ""
                )
                self._open[rule.name] = alarm
                yield alarm
            alarm.last_episode = int(window.number[end])
            alarm.value = float(values[end])
            alarm.detail = rule.tell(window, end)
            self._note(alarm)
        alarm = self._open.get(rule.name)
        if alarm is not None and int(window.number[-1]) - alarm.last_episode >= self._width:
            self._clear(alarm)

    def _compare(self, evaluation: Evaluated) -> None:
        """An evaluation with the episodes before it."""
        rule, before = RULES[EVALUATION_GAP], self._before
        returns = np.asarray([value for value in evaluation.returns if math.isfinite(value)])
        mean, spread = before.mean[0], before.spread
        if not len(returns) or not math.isfinite(mean) or not spread > 0:
            return
        gap, own = mean - returns.mean(), before.values[-self._width :, 0]
        noise = math.sqrt(returns.var() / len(returns) + np.nanvar(own) / len(own))
        alarm = self._open.get(rule.name)
        if gap / spread < rule.threshold or gap <= CERTAIN * noise:
            if alarm is not None:
                self._clear(alarm)
            return
        if alarm is None:
            first = evaluation.episode
            alarm = Alarm(rule.name, before.phase or "", first, first, 0.0, rule.threshold, "")
            self._open[rule.name] = alarm
            self.alarms.append(alarm)
        alarm.last_episode, alarm.value = evaluation.episode, float(gap / spread)
        alarm.detail = _(
            "The evaluation at episode {episode} has a mean return of {mean:.4g}, training {training:.4g}",
            episode=evaluation.episode,
            mean=returns.mean(),
            training=mean,
        )
        self._note(alarm)

    def _clear(self, alarm: Alarm) -> None:
        alarm.is_cleared = True
        del self._open[alarm.rule]
        self._note(alarm)

    def _note(self, alarm: Alarm) -> None:
        self._changed.add(id(alarm))


def _ends_of_spans(
    held: NDArray[np.intp], number: Integers, width: int, last: int | None
) -> Iterator[tuple[int | None, int]]:
    """First and last places of the spans in which a rule held, None for one that continues from episode `last`.

    Two are apart if it did not hold for a whole window between them.
    """
    if not len(held):
        return
    episodes = number[held]
    before = np.concatenate(([last if last is not None else -width - 1], episodes[:-1]))
    starts = np.flatnonzero(episodes - before > width)
    if not len(starts) or starts[0] > 0:
        end = held[starts[0] - 1] if len(starts) else held[-1]
        yield None, int(end)
    for one, two in zip(starts, [*starts[1:], len(held)], strict=False):
        yield int(held[one]), int(held[two - 1])
