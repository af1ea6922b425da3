"""Which old runs are thinned, what that frees, and what a thinned run says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from v3core.errors import V3Error
from v3core.jobs.kinds import named
from v3core.jobs.lifecycle import ENDED
from v3core.messages import Message, _
from v3core.phrases import sentences
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import database_sizes, list_runs
from v3core.store.thinning import Thinnable, thin, thinnable

MOST_DAYS = 36_500


@dataclass(frozen=True)
class Plan:
    """What thinning would do."""

    found: tuple[Thinnable, ...]
    """Runs of which something goes."""
    left: int
    """Runs of that age of which nothing can go."""
    bytes: int
    """Space in the database that is freed; an estimate."""

    @property
    def episodes(self) -> int:
        """Single episodes that go."""
        return sum(one.episodes for one in self.found)


def plan_of(database: Database, older_than_days: int, now: datetime | None = None) -> Plan:
    """The runs that ended longer ago than that, and what of them can go.

    Raises:
        V3Error: for a number of days out of bounds.
    """
    if not 0 <= older_than_days <= MOST_DAYS:
        raise V3Error("{days} days are out of range; choose from 0 to {most:,}.", days=older_than_days, most=MOST_DAYS)
    until = (now or datetime.now(UTC)) - timedelta(days=older_than_days)
    old = [run for run in list_runs(database) if run.status in ENDED and run.ended_at and run.ended_at <= until]
    with database.read() as tx:
        sizes = database_sizes(tx)
    found = [one for one in (thinnable(database, run) for run in old) if one.episodes]
    fresh = sum(one.run.thinned_at is None for one in found)
    freed = sum(sizes.get(one.run.id, 0) * one.episodes / max(1, one.run.episode) for one in found)
    return Plan(tuple(found), sum(run.thinned_at is None for run in old) - fresh, round(freed))


def carry_out(database: Database, found: Sequence[Thinnable], now: datetime | None = None) -> int:
    """Thin these runs; returns how many single episodes are gone. It cannot be undone."""
    now = now or datetime.now(UTC)
    return sum(thin(database, one, now) for one in found)


def thinned_sentence(run: RunRow) -> Message | None:
    """What a thinned run says wherever its episodes are shown or exported."""
    if run.thinned_at is None:
        return None
    return _(
        "Raw rows were thinned on {date}: of most episodes only the means of 16 are left.",
        date=f"{run.thinned_at:%Y-%m-%d}",
    )


def thinned_notice(runs: Sequence[RunRow]) -> Message | None:
    """The same of the episodes of several runs."""
    thinned = [sentence for run in runs if (sentence := thinned_sentence(run))]
    if len(thinned) < 2:
        return thinned[0] if thinned else None
    return sentences(thinned[0], _("So were those of {count} more.", count=len(thinned) - 1))


def thinned_caption(run: RunRow) -> Message | None:
    """What is said where facts, situations or results of tasks are shown, which no means of episodes keep."""
    if run.thinned_at is None:
        return None
    return _(
        "Raw rows were thinned on {date}: this is of the episodes that are left, most of them from the ends of phases.",
        date=f"{run.thinned_at:%Y-%m-%d}",
    )


def need_whole(run: RunRow, cannot: Message) -> None:
    """Raise V3Error if a run is thinned: `cannot` says of what it is not capable then, as one sentence."""
    if run.thinned_at is not None:
        raise V3Error(
            "{named} {cannot}: its raw rows were thinned on {date}, and only means of its episodes are left.",
            named=named(run),
            cannot=cannot,
            date=f"{run.thinned_at:%Y-%m-%d}",
        )
