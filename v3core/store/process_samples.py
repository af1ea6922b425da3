"""What a run's process did with its time, a row per stretch of training: `v3core.insight.slowness`."""

from dataclasses import fields

from sqlalchemy import func, insert, select

from v3core.insight.slowness import ProcessSample
from v3core.store.database import Database, reading
from v3core.store.schema import Transaction, process_samples

_FIELDS = [field.name for field in fields(ProcessSample)]


def add_process_sample(tx: Transaction, run_id: str, sample: ProcessSample) -> None:
    """Record a stretch of a run, after those recorded before."""
    c = process_samples.c
    number = select(func.coalesce(func.max(c.number), 0) + 1).where(c.run_id == run_id).scalar_subquery()
    tx.execute(insert(process_samples).values(run_id=run_id, number=number, **vars(sample)))


def read_process_samples(source: Database | Transaction, run_id: str) -> list[ProcessSample]:
    """All stretches of a run, oldest first; those whose length is no positive number are left out."""
    c = process_samples.c
    query = select(*(c[name] for name in _FIELDS)).where(c.run_id == run_id, c.seconds > 0).order_by(c.number)
    with reading(source) as tx:
        return [ProcessSample(**row) for row in tx.execute(query).mappings()]


def sampled_seconds(source: Database | Transaction, run_id: str) -> float:
    """How much of a run's time its samples cover."""
    query = select(func.coalesce(func.sum(process_samples.c.seconds), 0.0)).where(process_samples.c.run_id == run_id)
    with reading(source) as tx:
        return float(tx.execute(query).scalar_one())


def newest_process_sample(source: Database | Transaction, run_id: str) -> int:
    """The number of a run's newest sample, 0 without any."""
    query = select(func.coalesce(func.max(process_samples.c.number), 0)).where(process_samples.c.run_id == run_id)
    with reading(source) as tx:
        return int(tx.execute(query).scalar_one())
