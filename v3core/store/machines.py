"""What is set for each machine that uses the database: how many runs train there at once."""

from sqlalchemy import delete, insert, select

from v3core.store.schema import Transaction, machines


def read_slots(tx: Transaction, machine: str) -> int | None:
    """How many runs may train at once on that machine; None if nobody has said."""
    return tx.execute(select(machines.c.slots).where(machines.c.machine == machine)).scalar_one_or_none()


def write_slots(tx: Transaction, machine: str, host: str, slots: int | None) -> None:
    """Set it, under the name that the machine has now; None forgets it."""
    tx.execute(delete(machines).where(machines.c.machine == machine))
    if slots is not None:
        tx.execute(insert(machines).values(machine=machine, host=host, slots=slots))
