"""Disk usage: the size of each run, deleting runs and what deleted ones have left, and reclaiming disk space."""

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from v3core.errors import V3Error
from v3core.jobs.files import DELETED, run_folder
from v3core.jobs.identity import current, is_alive, process_of
from v3core.jobs.kinds import COMMANDS, check, named
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status, status_word
from v3core.jobs.made_replays import FOLDER as MADE_REPLAYS
from v3core.jobs.made_replays import discard_of_run
from v3core.messages import _
from v3core.paths import COMMAND
from v3core.places import PlaceError, folder_bytes
from v3core.store import runs
from v3core.store.database import Database
from v3core.store.history import read_checkpoints
from v3core.store.kept_trunks import become_trunk, forks_need
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, runs_in
from v3core.store.schema import HIDDEN, Transaction

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class RunSize:
    """Bytes that a run takes."""

    database: int
    """Its rows; an estimate."""
    files: int
    """Checkpoints and log."""

    @property
    def total(self) -> int:
        """Both."""
        return self.database + self.files


def run_sizes(database: Database, run_ids: list[str]) -> dict[str, RunSize]:
    """How much each of these runs takes; cheap, also for a million episodes."""
    with database.read() as tx:
        rows = runs.database_sizes(tx)
    return {
        run_id: RunSize(rows.get(run_id, 0), database.place.bytes_in(run_folder(run_id, database.data_dir)))
        for run_id in run_ids
    }


@dataclass(frozen=True)
class Leftover:
    """A file or folder in `runs/` or `made-replays/` that belongs to nothing in the database."""

    path: Path
    bytes: int


def leftovers(database: Database) -> list[Leftover]:
    """Folders and made replays of runs that are not in the database, and unknown files among checkpoints of ended runs.

    Only names that V3 Lab uses: anything else in the folder belongs to the user.
    """
    # In this order: a run that begins meanwhile has its row before its folder.
    places = (database.data_dir / "runs", database.data_dir / MADE_REPLAYS)
    folders = [entry for place in places for entry in _entries(place) if entry.is_dir() and not entry.is_symlink()]
    behind = database.place.behind(places[0])  # of a bucket, so to say, whose folder here may have less, or more
    folders += sorted({_of_run(places[0], file) for file in behind} - {*folders})
    with database.read() as tx:
        known = runs.all_ids(tx)
        ended = {run.id: {row.path for row in read_checkpoints(tx, run.id)} for run in runs_in(tx, ENDED)}
    found = []
    for folder in folders:
        if folder.name.startswith(DELETED) or (_RUN_ID.fullmatch(folder.name) and folder.name not in known):
            found.append(folder)
        elif folder.name in ended and folder.parent.name != MADE_REPLAYS:
            kept = ended[folder.name]
            here = folder / "checkpoints"
            files = {*_entries(here), *(file for file in behind if file.parent == here)}
            strays = (file for file in sorted(files) if file.suffix in {".pt", ".tmp"})
            found += [file for file in strays if str(file.relative_to(database.data_dir)) not in kept]
    return [Leftover(path, folder_bytes(path) + _bytes_below(path, behind)) for path in found]


def _of_run(runs: Path, file: Path) -> Path:
    return runs / file.relative_to(runs).parts[0]


def _bytes_below(path: Path, behind: dict[Path, int]) -> int:
    return sum(size for file, size in behind.items() if file == path or path in file.parents)


def _entries(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir())) if folder.is_dir() else iter(())


def remove_leftovers(database: Database, found: list[Leftover]) -> list[str]:
    """Delete those that belong to nothing still; returns a sentence for each that cannot be deleted."""
    problems: list[str] = []
    for leftover in found:
        path, aside = leftover.path, leftover.path
        try:
            with database.write() as tx:  # whoever creates a fork has its folder before others see its row
                if not _belongs_to_nothing(database, tx, path):
                    continue
                if _is_checkpoint(path):
                    database.place.remove(path)
                    continue
                if path.is_dir() and not path.name.startswith(DELETED):
                    aside = path.rename(path.with_name(f"{DELETED}{path.name}"))
            # After the transaction, which others wait for: a large folder takes long.
            database.place.remove_behind(path)
            if aside.exists():
                shutil.rmtree(aside)
        except PlaceError as error:
            problems.append(error.message)
        except OSError as error:
            problems.append(_("{path} cannot be deleted: {value}.", path=path, value=error.strerror or error))
    return problems


def _is_checkpoint(path: Path) -> bool:
    return path.suffix in {".pt", ".tmp"} and not path.is_dir()


def _belongs_to_nothing(database: Database, tx: Transaction, path: Path) -> bool:
    if path.name.startswith(DELETED):
        return True
    if _RUN_ID.fullmatch(path.name):
        return runs.stored_status(tx, path.name) is None
    run_id = path.parent.parent.name
    kept = {row.path for row in read_checkpoints(tx, run_id)}
    return runs.stored_status(tx, run_id) in ENDED and str(path.relative_to(database.data_dir)) not in kept


# Runs that no list shows: being imported or deleted, in several commits so that others can write in between. Their row
# names the process working on it. If that dies, the next check of the runs removes what is left.


def remove_abandoned(database: Database) -> list[str]:
    """Remove hidden runs whose process, on this machine, has died; returns their ids."""
    with database.read() as tx:
        unneeded = runs.unneeded_trunks(tx)
    if unneeded:
        with database.write() as tx:
            runs.hide_trunks(tx, runs.unneeded_trunks(tx))
    with database.read() as tx:
        dead = [run.id for run in runs_in(tx, {HIDDEN}) if is_alive(process_of(run)) is False]
    for run_id in dead:
        remove_hidden(database, run_id)
    return dead


def remove_hidden(database: Database, run_id: str) -> None:
    """Delete the files of a hidden run, then its rows: by its row its files are found.

    The records that forks begin with stay, in a run that no list shows, and go with the last of those forks.
    """
    with database.read() as tx:
        if runs.stored_status(tx, run_id) != HIDDEN:
            return
        needed, trunk = forks_need(tx, run_id), runs.trunk_of(tx, run_id)
    folder = run_folder(run_id, database.data_dir)
    with suppress(PlaceError):  # `tidy` finds it
        database.place.remove_behind(folder)
    shutil.rmtree(folder, ignore_errors=True)
    discard_of_run(database, run_id)
    more = True
    while more:
        with database.write() as tx:
            more = runs.remove_hidden_part(tx, run_id, needed or 0)
            if needed and not more:
                if forks_need(tx, run_id) is None:  # the last of them was deleted meanwhile
                    needed, more = None, True
                else:
                    become_trunk(tx, run_id)
    if trunk is not None:
        remove_hidden(database, trunk)


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
                raise V3Error(
                    "{named} still has process {pid}; end it before you delete the run.", named=named(run), pid=run.pid
                )
            run = replace(run, status=runs.stored_status(tx, run_id))
            deletable = {run.status}
        process = vars(current())
        runs.update_run(tx, run_id, process | {"status": HIDDEN}, only_in=deletable)
    try:
        database.place.remove_behind(folder)
        _set_aside(run, folder, aside)
    except BaseException:
        with database.write() as tx:
            before = {name: getattr(run, name) for name in ("status", *process)}
            runs.update_run(tx, run_id, before, only_in={HIDDEN})
        raise
    remove_hidden(database, run_id)
    try:
        # A link is the user's way to keep files elsewhere: only the link is removed.
        aside.unlink() if aside.is_symlink() else shutil.rmtree(aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise V3Error(
            "{named} is deleted, but not all of its files: {value} ({filename}); fix this and remove them with: "
            "{command} tidy --delete.",
            named=named(run),
            value=error.strerror or error,
            filename=error.filename,
            command=COMMAND,
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
            "{named} is not deleted: its folder {folder} cannot be removed: {value}.",
            named=named(run),
            folder=folder,
            value=error.strerror or error,
        ) from None


def compact(database: Database) -> tuple[int, int]:
    """Reclaim the disk space of deleted rows; returns the bytes of the database before and after.

    A V3Error says if a run trains, which would have to wait, or there is no space for the copy that SQLite makes.
    """
    with database.read() as tx:
        active = runs_in(tx, ACTIVE)
    if active:
        raise V3Error(
            "{named} is {status} and would have to wait while the database is rewritten; compact it when no run is "
            "training.",
            named=named(active[0]),
            status=status_word(active[0].status),
        )
    return database.compact()


def in_words(size: float) -> str:
    """Bytes for people: `734 kB`, `1.23 GB`."""
    import humanize  # only here: each worker would import it at its start

    return humanize.naturalsize(size, format="%.3g")
