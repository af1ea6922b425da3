"""Deleting a run, with its rows and files."""

import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from v3core.errors import V3Error
from v3core.jobs.control.kinds import COMMANDS, check, named
from v3core.jobs.files import DELETED, run_folder
from v3core.jobs.housekeeping import remove_hidden
from v3core.jobs.identity import current, is_alive, process_of
from v3core.jobs.lifecycle import Status
from v3core.paths import COMMAND
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, hide_run, show_run, stored_status


def delete(database: Database, run_id: str) -> None:
    """Delete a run that has ended or waits in the queue: its rows, log and checkpoints.

    No list shows it any more, then its folder is set aside in one step: if that cannot be done, nothing is deleted.
    Its rows are deleted in several commits, so that workers can write in between.

    Raises:
        V3Error: also if it has a process, or a file cannot be deleted.
    """
    folder = run_folder(run_id, database.data_dir)
    aside = folder.with_name(f"{DELETED}{run_id}")
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        check("delete", run)
        deletable: Collection[Any] = COMMANDS["delete"].when
        if run.status == Status.UNREADABLE:
            if is_alive(process_of(run)):
                raise V3Error(f"{named(run)} still has process {run.pid}; end it before you delete the run.")
            run = replace(run, status=stored_status(tx, run_id))
            deletable = {run.status}
        hide_run(tx, run_id, vars(current()), only_in=deletable)
    try:
        _set_aside(run, folder, aside)
    except BaseException:
        with database.write() as tx:
            show_run(tx, run)
        raise
    remove_hidden(database, run_id)
    try:
        # A link is the user's way to keep files elsewhere: only the link is removed.
        aside.unlink() if aside.is_symlink() else shutil.rmtree(aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise V3Error(
            f"{named(run)} is deleted, but not all of its files: {error.strerror or error} ({error.filename}); fix "
            f"this and remove them with: {COMMAND} tidy --delete."
        ) from None


def _set_aside(run: RunRow, folder: Path, aside: Path) -> None:
    try:
        if aside.exists():  # an earlier run of this id, whose files could not all be deleted
            shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise V3Error(
            f"{named(run)} is not deleted: its folder {folder} cannot be removed: {error.strerror or error}."
        ) from None
