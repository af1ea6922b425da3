"""Several runs as archives in a folder, with a record of what they are beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from v3core.archive.layout import SUFFIX, file_name
from v3core.archive.writing import write_archive
from v3core.atomic_write import whole_folder
from v3core.jobs.several import Outcome, for_each
from v3core.store.database import Database
from v3core.store.export import to_json
from v3core.store.run_row import RunRow

RECORD = "experiment.json"


def archive_all(database: Database, runs: Sequence[RunRow], record: dict[str, Any], folder: Path) -> Outcome:
    """Write an archive of each run into a new folder, which appears as a whole or not at all.

    `record` is written beside them, with their file names and the reasons of those that could not be archived.

    Returns which runs are in it, and why others are not.

    Raises:
        V3Error: if the folder exists or cannot be written.
    """
    files = {run.id: file_name(run, SUFFIX.removeprefix(".")) for run in runs}
    with whole_folder(folder) as unfinished:
        outcome = for_each(runs, lambda run_id: write_archive(database, run_id, unfinished / files[run_id]))
        archives = {run_id: files[run_id] for run_id in outcome.done}
        content = record | {"archives": archives, "not_archived": outcome.refused}
        (unfinished / RECORD).write_text(to_json(content, indent=1) + "\n", encoding="utf-8")
    return outcome
