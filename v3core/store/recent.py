"""The newest returns and the speed of a run, kept while it trains so that no page has to compute them."""

from collections import deque
from collections.abc import Iterable

from sqlalchemy import select

from v3core.rollup import mean_window
from v3core.store.database import Transaction
from v3core.store.schema import episodes, runs

SPEED_WINDOW_SECONDS = 10.0


class RecentReturns:
    """The newest returns of a run, as far as its trailing mean reaches."""

    def __init__(self, window: int, returns: Iterable[float | None] = ()) -> None:
        """From returns, oldest first; `window` of them count."""
        self._window = deque(returns, maxlen=window)

    def add(self, value: float) -> None:
        """One more episode has ended."""
        self._window.append(value)

    @property
    def latest(self) -> float | None:
        """Return of the newest episode."""
        return self._window[-1] if self._window else None

    @property
    def mean(self) -> float | None:
        """Mean of the returns in the window; None if there is none."""
        known = [value for value in self._window if value is not None]
        return sum(known) / len(known) if known else None


def recent_returns(tx: Transaction, run_id: str) -> RecentReturns:
    """The newest returns that are recorded, in the window that fits the run's planned length."""
    window = mean_window(tx.execute(select(runs.c.episodes).where(runs.c.id == run_id)).scalar_one())
    query = (
        select(episodes.c.return_).where(episodes.c.run_id == run_id).order_by(episodes.c.episode.desc()).limit(window)
    )
    return RecentReturns(window, reversed(tx.execute(query).scalars().all()))


class Speed:
    """How fast a counter goes up, over the last ten seconds."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._samples: deque[tuple[float, int]] = deque()

    def measure(self, seconds: float, count: int) -> float | None:
        """Per second, given that the counter is at `count` at `seconds` of a steady clock; None at the first sample."""
        self._samples.append((seconds, count))
        while len(self._samples) > 2 and seconds - self._samples[1][0] >= SPEED_WINDOW_SECONDS:
            self._samples.popleft()
        first_seconds, first_count = self._samples[0]
        return (count - first_count) / (seconds - first_seconds) if seconds > first_seconds else None
