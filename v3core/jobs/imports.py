"""Clearing away imports that did not come to their end."""

import shutil

from v3core.jobs.files import run_folder
from v3core.jobs.identity import ProcessIdentity, is_alive
from v3core.store.database import Database
from v3core.store.imports import find_import, imports_of, remove_hidden
from v3core.store.runs import RunRow


def remove_dead_imports(db: Database) -> list[str]:
    """Remove what processes of this machine that died over an import have left; returns the runs' ids."""
    with db.read() as tx:
        dead = [run.id for run in imports_of(tx) if _is_dead(run)]
    for run_id in dead:
        remove_import(db, run_id)
    return dead


def remove_import(db: Database, run_id: str) -> None:
    """Delete the files of a hidden run, then its rows: the rows are what its files are found by."""
    with db.read() as tx:
        if find_import(tx, run_id) is None:
            return
    shutil.rmtree(run_folder(run_id, db.data_dir), ignore_errors=True)
    with db.write() as tx:
        remove_hidden(tx, run_id)


def _is_dead(run: RunRow) -> bool:
    return is_alive(ProcessIdentity(run.host or "", run.boot_id or "", run.pid, run.pid_started)) is False
