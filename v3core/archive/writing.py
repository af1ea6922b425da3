"""Writing a run into one file, as a stream."""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from v3core.archive import layout
from v3core.archive.layout import Manifest, Member
from v3core.atomic_write import whole_file
from v3core.errors import V3Error
from v3core.jobs.files import log_file
from v3core.jobs.identity import this_host
from v3core.jobs.kept_replays import recorded_replays, replay_file
from v3core.jobs.retention import need_whole
from v3core.jobs.shipped_logs import read_end
from v3core.messages import _
from v3core.places import Bucket
from v3core.store.database import Database
from v3core.store.export import to_json
from v3core.store.history import read_checkpoints
from v3core.store.run_tables import RUN_TABLES, run_values, stream
from v3core.store.runs import get_run
from v3core.store.schema import SCHEMA_VERSION, Transaction

_PIECE_BYTES = 1 << 20
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""So that the same content makes the same bytes."""


@dataclass(frozen=True)
class Written:
    """What went into an archive."""

    episodes: int
    checkpoints: int
    missing: int
    """Checkpoints that were skipped because their file is missing."""
    bytes: int
    """Size of the archive."""


def write_archive(database: Database, run_id: str, target: Path) -> Written:
    """Write a run with its configuration, curricula, records, checkpoints, replays and log to `target`.

    The records are those of one moment, also while the run trains. The file appears whole or not at all.

    Raises:
        V3Error: for an unknown run, a name that ends otherwise, a place that cannot be written, or a run too large
            for an archive to be imported again.
    """
    if target.suffix.lower() != layout.SUFFIX:
        raise V3Error(
            "'{name}' is not an archive name; use the extension {suffix}.", name=target.name, suffix=layout.SUFFIX
        )
    with database.read() as tx:
        need_whole(get_run(tx, run_id), _("cannot be archived"))
        with whole_file(target) as unfinished:
            with zipfile.ZipFile(unfinished, "w") as archive:
                return_ = _Writer(archive).write(database, tx, run_id)
            size = unfinished.stat().st_size
    return Written(*return_, size)


class _Writer:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: list[Member] = []

    def write(self, database: Database, tx: Transaction, run_id: str) -> tuple[int, int, int]:
        """Everything; returns how many episodes and checkpoints, and how many checkpoints are gone."""
        values = run_values(tx, run_id)
        kept = {field.name: values[field.name] for field in layout.RUN_MEMBER_FIELDS}
        self._add(layout.RUN, [to_json(kept, indent=1).encode()])
        self._add(layout.CONFIG, [values["config"].encode()])
        there, missing = {}, 0
        for row in read_checkpoints(tx, run_id):
            name = f"checkpoints/{Path(row.path).name}"
            if self._add_file(name, database.place.bring(database.data_dir / row.path)):
                there[row.path] = name
            else:
                missing += 1
        for member, table in layout.TABLE_MEMBERS.items():
            self._add(member, _lines(table, stream(tx, table, run_id), there))
        for episode in recorded_replays(database, run_id):
            file = replay_file(database, run_id, episode)
            self._add_file(f"replays/{file.name}", database.place.bring(file))
        if isinstance(database.place, Bucket):
            self._add(f"logs/{layout.LOG_NAMES[0]}", [read_end(database.place, run_id)], zipfile.ZIP_STORED)
        else:
            for name in layout.LOG_NAMES:
                self._add_file(f"logs/{name}", log_file(run_id, database.data_dir).with_name(name))
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            run_id=run_id,
            host=values["host"] or this_host(),
            made_at=datetime.now(UTC),
            members=tuple(self._members),
        )
        self._add(layout.MANIFEST, [manifest.model_dump_json(indent=1).encode()])
        return values["episode"], len(there), missing

    def _add_file(self, name: str, file: Path) -> bool:
        """Add a file unchanged if it exists; returns whether it does."""
        try:
            source = file.open("rb")
        except FileNotFoundError:
            return False
        with source:
            # Not compressed: weights hardly shrink, and a log is small.
            self._add(name, iter(lambda: source.read(_PIECE_BYTES), b""), zipfile.ZIP_STORED)
        return True

    def _add(self, name: str, pieces: Iterable[bytes], compression: int = zipfile.ZIP_DEFLATED) -> None:
        info = zipfile.ZipInfo(name, _ZIP_TIME)
        info.compress_type = compression
        info.external_attr = 0o644 << 16
        digest, size = hashlib.sha256(), 0
        with self._archive.open(info, "w", force_zip64=True) as member:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                member.write(piece)
        self._members.append(Member(name=name, bytes=size, sha256=digest.hexdigest()))
        total = sum(member.bytes for member in self._members)
        if size > layout.MAX_MEMBER_BYTES or total > layout.MAX_BYTES:
            raise V3Error(
                "The run is too large for one archive: '{name}' alone has {size:,} bytes, all members so far "
                "{total:,}; copy the database and the run's folder instead.",
                name=name,
                size=size,
                total=total,
            )


def _lines(table: str, rows: Iterable[tuple[Any, ...]], checkpoints: dict[str, str]) -> Iterator[bytes]:
    """The names of the columns, then a line for each row, many lines to a piece."""
    fields = RUN_TABLES[table].fields
    path = next((place for place, field in enumerate(fields) if field.name == "path"), None)
    lines = [to_json([field.name for field in fields])]
    for row in rows:
        values = list(row)
        if path is not None and table == "checkpoints":
            if values[path] not in checkpoints:
                continue
            values[path] = checkpoints[values[path]]
        lines.append(to_json(values, separators=(",", ":")))
        if len(lines) >= 1000:
            yield _joined(lines)
            lines = []
    yield _joined(lines)


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
