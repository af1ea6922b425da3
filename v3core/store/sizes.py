"""How much room the database takes, and each run in it."""

from sqlalchemy import select

from v3core.store.dialect import database_bytes
from v3core.store.schema import Transaction, runs

LOAD_SHARE = 0.16
"""Size of an expert's load beside that of the other columns of its episode; measured on SQLite."""
RUN_SHARE = 10.0
"""Size of a run without episodes, its events and curricula, in episodes."""


def database_sizes(tx: Transaction) -> dict[str, int]:
    """Run id to bytes, for all runs: the size of the database, shared out by episodes and experts.

    An estimate, so that it costs one small query however many episodes there are.
    """
    rows = tx.execute(select(runs.c.id, runs.c.episode, runs.c.experts)).all()
    shares = {run_id: RUN_SHARE + episode * (1 + LOAD_SHARE * experts) for run_id, episode, experts in rows}
    each = database_bytes(tx) / max(1.0, sum(shares.values()))
    return {run_id: round(share * each) for run_id, share in shares.items()}
