"""Importing a run from an archive: completely or not at all, even if the process is killed."""

import shutil
import uuid
import zipfile
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from v3core.archive.layout import CHECKPOINT, REPLAYS, TABLE_MEMBERS
from v3core.archive.reading import ArchiveReader
from v3core.archive.rows import ArchivedRun, read_rows, read_run
from v3core.errors import V3Error
from v3core.insight.replays import from_bytes
from v3core.jobs.files import log_file, run_folder
from v3core.jobs.housekeeping import remove_abandoned, remove_hidden
from v3core.jobs.identity import NOWHERE, current
from v3core.jobs.lifecycle import ENDED, Status, status_word
from v3core.jobs.shipped_logs import put_log, rotated
from v3core.messages import _
from v3core.paths import COMMAND
from v3core.places import Bucket
from v3core.store.commands import reject_open
from v3core.store.database import Database
from v3core.store.history import IMPORT, add_event
from v3core.store.rollups import build_rollups
from v3core.store.runs import (
    begin_import,
    find_run,
    insert_rows,
    stored_status,
    update_run,
)
from v3core.store.schema import HIDDEN, TRUNK

ROWS_PER_COMMIT = 5000
"""Others may write in between: a worker must not wait for the whole of a large import."""
SPARE_BYTES = 64 << 20
"""Disk space that an import leaves free."""


def import_archive(
    database: Database, source: Path | IO[bytes], *, as_new: bool = False, allow_import: bool = False
) -> str:
    """Import a run with its records, checkpoints and log; returns its id.

    All of the archive is read and checked before anything is written. Then its rows are written in several commits
    under a status that no list shows; if this process dies, the next look at the runs removes them with their files.
    A run that had not ended becomes stopped, so that it can be resumed here.

    Args:
        database: an open store.
        source: the archive, or an open file.
        as_new: give it a new id, so that the original run is kept as well.
        allow_import: whether its environments may be of the form `module:Env-v0`.

    Raises:
        V3Error: one sentence that names the problem; then nothing was imported.
    """
    with closing(ArchiveReader(source)) as reader:
        run = read_run(reader, allow_import=allow_import)
        _check(reader, run)
        _need_space(reader, database)
        remove_abandoned(database)
        run_id = str(uuid.uuid4()) if as_new else reader.manifest.run_id
        _begin(database, run, run_id)
        try:
            _write(database, reader, run, run_id)
        except BaseException:
            remove_hidden(database, run_id)
            raise
    return run_id


def _check(reader: ArchiveReader, run: ArchivedRun) -> None:
    """Read everything once; of the files, that their checksums are right and that checkpoints are whole."""
    for table in TABLE_MEMBERS.values():
        _read(read_rows(reader, table, run))
    for member in reader.files:
        _read(reader.pieces(member.name))


def _read(parts: Iterable[object]) -> None:
    """All of it, keeping nothing."""
    deque(parts, maxlen=0)


def _need_space(reader: ArchiveReader, database: Database) -> None:
    needed = sum(member.bytes for member in reader.manifest.members)
    free = shutil.disk_usage(database.data_dir).free
    if needed + SPARE_BYTES > free:
        reader.refuse(
            _(
                "it needs up to {needed:,} bytes, but {data_dir} has only {free:,} free; free some space",
                needed=needed,
                data_dir=database.data_dir,
                free=free,
            )
        )


def _begin(database: Database, run: ArchivedRun, run_id: str) -> None:
    values = run.values | {"id": run_id, "config": run.config_json} | vars(current())
    folder = run_folder(run_id, database.data_dir)
    with database.write() as tx:
        # The folder before the rows: of an import that begins or ends meanwhile, one of the rows is seen.
        is_there = folder.exists() or folder.is_symlink() or bool(database.place.behind(folder))
        status = stored_status(tx, run_id)
        known = find_run(tx, run_id)
        if known is not None:
            raise V3Error(
                "Run {run_id} '{name}' already exists; delete it first, or import the archive under a new id "
                "(--as-new).",
                run_id=run_id[:8],
                name=known.name,
            )
        # Checked before there is a row: from then on the folder belongs to this import, and is removed if it fails.
        if is_there and status is None:
            raise V3Error(
                "The folder {folder} of a deleted run still exists; remove it with: {command} tidy --delete.",
                folder=folder,
                command=COMMAND,
            )
        if status == TRUNK:
            raise V3Error(
                "Run {run_id} is deleted, but forks of it still use its records; import the archive under a new id "
                "(--as-new), or delete these forks first.",
                run_id=run_id[:8],
            )
        if not begin_import(tx, values):
            raise V3Error(
                "Run {run_id} is being imported or deleted by another process; wait until it is done.",
                run_id=run_id[:8],
            )


def _write(database: Database, reader: ArchiveReader, run: ArchivedRun, run_id: str) -> None:
    folder = run_folder(run_id, database.data_dir)
    try:
        folder.mkdir(parents=True)
        for part in ("checkpoints", "replays"):
            (folder / part).mkdir()
        for member in reader.files:
            name = member.name.removeprefix("logs/")
            _extract(reader, member.name, folder / name)
        _put(database, run_id, folder)
    except OSError as error:
        raise V3Error(
            "The run's folder {folder} cannot be written: {value}.", folder=folder, value=error.strerror or error
        ) from None
    for table in TABLE_MEMBERS.values():
        rows = read_rows(reader, table, run)
        if table == "checkpoints":
            place = folder.relative_to(database.data_dir)
            rows = (row | {"path": str(place / row["path"])} for row in rows)
        while batch := list(islice(rows, ROWS_PER_COMMIT)):
            with database.write() as tx:
                insert_rows(tx, table, run_id, batch)
    build_rollups(database, run_id)
    _finish(database, reader, run, run_id)


def _put(database: Database, run_id: str, folder: Path) -> None:
    if not isinstance(database.place, Bucket):
        return
    log = log_file(run_id, database.data_dir)
    put_log(database.place, run_id, rotated(log), log)
    for file in (*folder.glob("checkpoints/*"), *folder.glob("replays/*")):
        database.place.put(file)
    shutil.rmtree(folder)


def _extract(reader: ArchiveReader, name: str, target: Path) -> None:
    with target.open("xb") as file:
        for piece in reader.pieces(name):
            file.write(piece)
    if CHECKPOINT.fullmatch(name) and not _is_plain(target):
        reader.refuse(_("'{name}' is not a checkpoint", name=name))
    if REPLAYS.fullmatch(name):
        try:
            from_bytes(target.read_bytes())
        except V3Error:
            reader.refuse(_("'{name}' has no replays that this V3 Lab can read", name=name))


def _is_plain(file: Path) -> bool:
    """Whether it is what torch.save writes: an archive whose members are stored as they are, with right checksums.

    Needs no torch, and unpacks nothing: a checkpoint that were a compressed bomb is refused. When it is loaded, which
    reads only tensors and plain values and never runs code, its format is checked too.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            stored = all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
            within = sum(info.file_size for info in archive.infolist()) <= file.stat().st_size
            return stored and within and archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError):
        return False


def _finish(database: Database, reader: ArchiveReader, run: ArchivedRun, run_id: str) -> None:
    manifest, now = reader.manifest, datetime.now(UTC)
    status, reason = run.values["status"], run.values["reason"]
    values: dict[str, Any] = dict(NOWHERE)
    if status not in ENDED:
        reason = _("The run was {status} when it was archived.", status=status_word(status))
        status = Status.STOPPED
        values |= {"ended_at": manifest.made_at, "traceback": None}
    message = _(
        "Imported from an archive of {made_at:%Y-%m-%d %H:%M} UTC; trained on '{host}'.",
        made_at=manifest.made_at,
        host=manifest.host,
    )
    with database.write() as tx:
        reject_open(tx, run_id, reason=_("The run was archived before the command was carried out."), now=now)
        add_event(tx, run_id, actor="user", kind=IMPORT, message=message, now=now)
        update_run(tx, run_id, values | {"status": status, "reason": reason}, only_in={HIDDEN})
