"""Which of a run's newest episodes belong to the phase in force: a mean over them says nothing of the phase before."""

from dataclasses import dataclass

from sqlalchemy import func, select

from v3core.store.database import Database, reading
from v3core.store.schema import Transaction, episodes
from v3core.store.trunks import of_run


@dataclass(frozen=True)
class PhaseWindow:
    """Consecutive episodes of one phase: those beyond `after` up to `last`."""

    phase: str
    """Its name; empty before the first episode."""
    after: int
    last: int

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last - self.after


def read_phase_window(source: Database | Transaction, run_id: str, *, last: int, most: int) -> PhaseWindow:
    """The newest episodes up to `last` of the phase that is in force there, at most `most` of them."""
    c, after = episodes.c, max(0, last - most)
    with reading(source) as tx:
        mine = of_run(tx, episodes, run_id)
        # A thinned run keeps the last episodes of each phase: the next one that is left is of the phase of `last`.
        here = select(c.phase).where(mine, c.episode >= last).order_by(c.episode).limit(1)
        phase = tx.execute(here).scalar_one_or_none()
        others = select(func.max(c.episode)).where(mine, c.episode > after, c.episode < last, c.phase != phase)
        before = None if phase is None else tx.execute(others).scalar_one()
    return PhaseWindow(str(phase or ""), after if before is None else int(before), last)
