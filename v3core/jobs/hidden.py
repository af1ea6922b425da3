"""Runs that no list shows: being imported or deleted, in several commits so that others can write in between.

Their row names the process that is at it. If that dies, whoever looks at the runs next removes what is left.
"""

import shutil

from v3core.jobs.files import run_folder
from v3core.jobs.identity import is_alive, process_of
from v3core.store.database import Database
from v3core.store.hidden_rows import find_hidden, hidden_runs, remove_hidden_part
from v3core.store.run_row import RunRow


def remove_abandoned(database: Database) -> list[str]:
    """Remove hidden runs whose process, on this machine, has died; returns their ids."""
    with database.read() as tx:
        dead = [run.id for run in hidden_runs(tx) if _is_dead(run)]
    for run_id in dead:
        remove_hidden(database, run_id)
    return dead


def remove_hidden(database: Database, run_id: str) -> None:
    """Delete the files of a hidden run, then its rows: by its row its files are found."""
    with database.read() as tx:
        if find_hidden(tx, run_id) is None:
            return
    shutil.rmtree(run_folder(run_id, database.data_dir), ignore_errors=True)
    more = True
    while more:
        with database.write() as tx:
            more = remove_hidden_part(tx, run_id)


def _is_dead(run: RunRow) -> bool:
    return is_alive(process_of(run)) is False
