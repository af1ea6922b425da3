"""The latest returns of a run and its speed, kept while it trains so that no page has to compute them."""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from v3core.curriculum import Length
from v3core.rollup import LONGEST_WINDOW, trailing_mean
from v3core.store.bulk import floats, newest_rows
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.schema import Transaction, episodes, runs
from v3core.store.trunks import of_run

SPEED_WINDOW_SECONDS = 10.0
POINTS = 64
"""Episodes at most that `read_pace` reads."""
PACE_SECONDS = 60.0
PACE_ROLLOUTS = 10
PACE_EPISODES = 30
PACE_MARKS = 2000
"""About this many marks are kept per run, a tenth of them in the last tenth."""


class RecentReturns:
    """The newest returns of one phase: what its mean return is of. Those of another phase never count."""

    def __init__(self, window: int) -> None:
        self.window = window
        """How many of them at most; may be set to another, up to `LONGEST_WINDOW`, as the run advances."""
        self._returns: deque[float | None] = deque(maxlen=max(window, LONGEST_WINDOW))
        self._phase: str | None = None

    def add(self, value: float | None, phase: str) -> None:
        """Count one more episode, which may be the first of a phase."""
        if phase != self._phase:
            self._phase = phase
            self._returns.clear()
        self._returns.append(value)

    @property
    def count(self) -> int:
        """How many there are: fewer than the window early in a phase."""
        return min(len(self._returns), self.window)

    @property
    def latest(self) -> float | None:
        """That of the newest episode."""
        return self._returns[-1] if self._returns else None

    @property
    def mean(self) -> float | None:
        """Mean of those that are finite; None if none is."""
        if not self.count:
            return None
        mean = float(trailing_mean(floats(list(self._returns)), self.count, newest=1)[0])
        return None if math.isnan(mean) else mean


def recent_returns(tx: Transaction, run_id: str, window: int | None = None) -> RecentReturns:
    """The newest returns that are recorded, of the newest phase, at most `window` of them.

    By default as many as the mean return of the run is over now; others are kept, for when it is over more.
    """
    most = window or LONGEST_WINDOW
    if window is None:
        c = runs.c
        row = tx.execute(select(c.episodes, c.steps, c.episode, c.step).where(c.id == run_id)).one()
        window = Length(row.episodes, row.steps).mean_window(row.episode, row.step)
    found = RecentReturns(window)
    for value, phase in newest_rows(tx, run_id, [episodes.c.return_, episodes.c.phase], most):
        found.add(value, phase)
    return found


@dataclass(frozen=True)
class MeanReturn:
    """Of the newest episodes of the phase in force."""

    value: float | None
    """None if none of them is finite."""
    count: int
    """How many they are."""


def read_mean(tx: Transaction, run: RunRow) -> MeanReturn:
    """The mean return of a run over `RunRow.mean_window`, of its episodes.

    `RunRow.mean_return` is what was recorded with the newest one: of a run that an earlier version trained, and that
    its steps end, over up to 100.
    """
    found = recent_returns(tx, run.id, run.mean_window)
    return MeanReturn(found.mean, found.count)


@dataclass(frozen=True)
class _Mark:
    """Where a run was at the end of a rollout."""

    seconds: float
    """Of training since its worker began."""
    step: int
    episode: int


class Pace:
    """How many episodes a run ends in a second, for saying how long the rest of it takes.

    Its steps per second over the newest tenth of its training, at least a minute and ten rollouts, divided by the mean
    length of its newest tenth of episodes, at least thirty. Steps are steadier than episodes, whose length changes as
    the policy learns; whole rollouts, because episodes are recorded in bursts. A worker that has just begun has less;
    pauses, and the time before the first rollout ended, do not count.
    """

    def __init__(self) -> None:
        self._marks: list[_Mark] = []
        self._paused = 0.0
        self._began: float | None = None

    def mark(self, seconds: float, step: int, episode: int) -> None:
        """A rollout ended at `seconds` of a steady clock, with this many steps and completed episodes of the run."""
        now = seconds - self._paused
        if self._began is None:
            self._began = now
        # This many marks are enough, however long the run is.
        marks, trained = self._marks, now - self._began
        if len(marks) > 1 and marks[-1].seconds - marks[-2].seconds < trained / PACE_MARKS:
            marks.pop()
        marks.append(_Mark(now, step, episode))
        needed = min(self._since_time(), self._since_episode())
        if needed > len(marks) // 2:  # rarely, because what is left moves up
            del marks[:needed]

    def skip(self, seconds: float) -> None:
        """The run was paused for so long."""
        self._paused += seconds

    @property
    def episodes_per_second(self) -> float | None:
        """None before there are two rollouts with an episode between them."""
        if not self._marks:
            return None
        newest = self._marks[-1]
        one, two = self._marks[self._since_time()], self._marks[self._since_episode()]
        passed, steps = newest.seconds - one.seconds, newest.step - one.step
        episodes, length = newest.episode - two.episode, newest.step - two.step
        return steps / passed * episodes / length if passed > 0 and steps > 0 and episodes > 0 and length > 0 else None

    def _since_time(self) -> int:
        """The mark that the steps per second are counted from."""
        newest = self._marks[-1]
        assert self._began is not None
        until = newest.seconds - max(PACE_SECONDS, (newest.seconds - self._began) / 10)
        place = bisect_right(self._marks, until, key=lambda mark: mark.seconds) - 1
        return max(0, min(place, len(self._marks) - 1 - PACE_ROLLOUTS))

    def _since_episode(self) -> int:
        """The mark that the length of episodes is taken from."""
        newest = self._marks[-1].episode
        until = newest - max(PACE_EPISODES, newest // 10)
        return max(0, bisect_right(self._marks, until, key=lambda mark: mark.episode) - 1)


class Speed:
    """How fast a counter goes up, over the last ten seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def measure(self, seconds: float, count: int) -> float | None:
        """Per second, given that the counter is at `count` at `seconds` of a steady clock; None at the first sample."""
        self._samples.append((seconds, count))
        while len(self._samples) > 2 and seconds - self._samples[1][0] >= SPEED_WINDOW_SECONDS:
            self._samples.popleft()
        first_seconds, first_count = self._samples[0]
        return (count - first_count) / (seconds - first_seconds) if seconds > first_seconds else None


def read_pace(database: Database, run_id: str, episode: int) -> list[tuple[int, int, datetime]]:
    """Number, step and time of the end of at most 64 episodes, evenly chosen up to `episode`, oldest first."""
    count = min(POINTS, episode)
    wanted = sorted({1 + round(place * (episode - 1) / max(1, count - 1)) for place in range(count)})
    c = episodes.c
    with database.read() as tx:
        query = select(c.episode, c.step, c.at).where(of_run(tx, episodes, run_id), c.episode.in_(wanted))
        query = query.order_by(c.episode)
        return [(row.episode, row.step, row.at) for row in tx.execute(query)]
