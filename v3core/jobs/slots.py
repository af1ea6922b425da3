"""How many runs train at once on this machine: what was set, and how many do."""

import os
import re

from v3core.errors import V3Error
from v3core.jobs.identity import is_alive, is_here, process_of, this_host, this_machine
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database, reading
from v3core.store.runs import read_slots, runs_in, write_slots
from v3core.store.schema import Transaction

MAX_SLOTS = 10_000
SLOTS_VARIABLE = "V3_MAX_WORKERS"


def slots(source: Database | Transaction) -> int:
    """How many runs may train at once on this machine: what was set, or the number of cores."""
    with reading(source) as tx:
        return read_slots(tx, this_machine()) or os.cpu_count() or 1


def slots_in_use(source: Database | Transaction) -> int:
    """How many runs have a process on this machine, or are about to."""
    with reading(source) as tx:
        active = [run for run in runs_in(tx, ACTIVE) if not run.is_on_cluster]
    # A row that makes no sense takes a slot as long as its process is really there, and no longer.
    return sum(bool(is_alive(process_of(run))) if run.status == Status.UNREADABLE else is_here(run) for run in active)


def set_slots(database: Database, number: int | None) -> None:
    """Set how many runs may train at once on this machine, 1 to MAX_SLOTS; None for as many as it has cores.

    Runs that train already stay; the next look at the queue starts what a larger number allows.
    """
    if number is not None and not 1 <= number <= MAX_SLOTS:
        raise V3Error(
            "{number} runs at once is out of range; choose from 1 to {max_slots:,}.", number=number, max_slots=MAX_SLOTS
        )
    with database.write() as tx:
        write_slots(tx, this_machine(), this_host(), number)


def parse_slots(text: str) -> int | None:
    """Parse a limit: a number, or `auto` for one per core, which is None; V3Error if it is neither."""
    number = _slots_number(text)
    if number is None and text != "auto":
        raise V3Error(
            "'{text}' is not a number of runs; give one from 1 to {max_slots:,}, or `auto` for one per core.",
            text=text,
            max_slots=MAX_SLOTS,
        )
    return number


def _slots_number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= MAX_SLOTS else None


def save_requested_slots(tx: Transaction) -> None:
    """Set the limit of this machine to V3_MAX_WORKERS if that is set: the process that queues a run decides.

    The variable of any other process is ignored. A shell without it would otherwise start one run per core.
    """
    text = os.environ.get(SLOTS_VARIABLE)
    if not text:
        return
    asked = _slots_number(text)
    if asked is None:
        raise V3Error(
            "{slots_variable} is '{text}'; set it to a whole number from 1 to {max_slots:,}.",
            slots_variable=SLOTS_VARIABLE,
            text=text,
            max_slots=MAX_SLOTS,
        )
    if asked != read_slots(tx, this_machine()):
        write_slots(tx, this_machine(), this_host(), asked)
