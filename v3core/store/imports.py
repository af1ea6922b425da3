"""Rows of a run that comes from an archive: hidden until it is whole."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update

from v3core.store.database import Transaction
from v3core.store.run_tables import RUN_TABLES
from v3core.store.runs import RunRow, remove_run, runs_in
from v3core.store.schema import HIDDEN, commands, revisions, runs


def begin_import(tx: Transaction, values: dict[str, Any]) -> bool:
    """Insert a hidden run with these columns of `runs`; False if it is there already, hidden too.

    Its process, in the columns host, boot_id, pid and pid_started, is the one that imports it.
    """
    if tx.execute(select(runs.c.id).where(runs.c.id == values["id"])).one_or_none() is not None:
        return False
    tx.execute(insert(runs).values(values | {"status": HIDDEN}))
    return True


def insert_rows(tx: Transaction, table: str, run_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows of one of `RUN_TABLES`, by the names of its fields."""
    target = RUN_TABLES[table].table
    keys = {column.name: column.key for column in target.columns}
    if target is commands:
        mine = select(revisions.c.revision, revisions.c.id).where(revisions.c.run_id == run_id)
        ids = {row.revision: row.id for row in tx.execute(mine)}
        rows = [
            {name: value for name, value in row.items() if name != "revision"}
            | {"revision_id": ids.get(row["revision"])}
            for row in rows
        ]
    tx.execute(
        insert(target), [{"run_id": run_id, **{keys[name]: value for name, value in row.items()}} for row in rows]
    )


def finish_import(tx: Transaction, run_id: str, values: dict[str, Any]) -> None:
    """Show the run: `values` has its status."""
    tx.execute(update(runs).where(runs.c.id == run_id, runs.c.status == HIDDEN).values(values))


def imports_of(tx: Transaction) -> list[RunRow]:
    """The hidden runs: being imported, or left by a process that died over it."""
    return runs_in(tx, {HIDDEN})


def find_import(tx: Transaction, run_id: str) -> RunRow | None:
    """The hidden run of that id."""
    return next((run for run in imports_of(tx) if run.id == run_id), None)


def remove_hidden(tx: Transaction, run_id: str) -> bool:
    """Delete the rows of a hidden run; returns whether there was one."""
    return remove_run(tx, run_id, only_in={HIDDEN})
