"""Rows of hidden runs, which are being imported or deleted and therefore incomplete."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from v3core.store.run_row import RunRow
from v3core.store.run_tables import RUN_TABLES
from v3core.store.runs import remove_run, runs_in, update_run
from v3core.store.schema import HIDDEN, Transaction, commands, episodes, evaluations, expert_loads, revisions, runs

REMOVED_EPISODES = 20_000
"""Episodes deleted in one commit: less than a second, so that no worker waits long."""


def begin_import(tx: Transaction, values: dict[str, Any]) -> bool:
    """Insert a hidden run with these columns of `runs`; False if it is there already, hidden too.

    Its process, in the columns from host to pid_started, is the one that imports it.
    """
    try:
        with tx.begin_nested():
            tx.execute(insert(runs).values(values | {"status": HIDDEN}))
    except IntegrityError:
        return False
    return True


def hide_run(tx: Transaction, run_id: str, process: dict[str, Any], *, only_in: Collection[str]) -> bool:
    """Hide a run, to be deleted by this process; returns whether it was in one of the statuses `only_in`."""
    return update_run(tx, run_id, process | {"status": HIDDEN}, only_in=only_in)


def show_run(tx: Transaction, run: RunRow) -> None:
    """Undo `hide_run`; `run` is as it was before."""
    names = ("status", "host", "machine", "boot_id", "pid_namespace", "pid", "pid_started")
    update_run(tx, run.id, {name: getattr(run, name) for name in names}, only_in={HIDDEN})


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


def hidden_runs(tx: Transaction) -> list[RunRow]:
    """The hidden runs: a process is at them, or died over it."""
    return runs_in(tx, {HIDDEN})


def find_hidden(tx: Transaction, run_id: str) -> RunRow | None:
    """The hidden run of that id."""
    return next((run for run in hidden_runs(tx) if run.id == run_id), None)


def remove_hidden_part(tx: Transaction, run_id: str) -> bool:
    """Delete some rows of a hidden run, the run itself at last; returns whether there are more."""
    first = tx.execute(
        select(episodes.c.episode).where(episodes.c.run_id == run_id).order_by(episodes.c.episode).limit(1)
    )
    oldest = first.scalar_one_or_none()
    if oldest is None:
        remove_run(tx, run_id, only_in={HIDDEN})
        return False
    for table in (expert_loads, evaluations, episodes):
        tx.execute(delete(table).where(table.c.run_id == run_id, table.c.episode < oldest + REMOVED_EPISODES))
    return True
