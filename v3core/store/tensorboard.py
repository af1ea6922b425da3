"""TensorBoard's event files, written without TensorBoard.

The format: records of a length, the length's checksum, the data and its checksum (TFRecord), each data an `Event` of
TensorFlow's event.proto.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import IO

import numpy as np
from crc32c import crc32c

from v3core.atomic_write import whole_folder
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.run_tables import RUN_TABLES, Kind, stream, wide_episodes, wide_fields
from v3core.store.runs import get_run
from v3core.store.schema import Transaction

_STEP, _RETURN, _AT = (
    [field.name for field in RUN_TABLES["evaluations"].fields].index(name) for name in ("episode", "return", "at")
)

_TAGS = {"dead_experts": "experts_left_out_of_episode"}
"""Of columns whose name promises more than they have: of a tag TensorBoard shows nothing else. The column keeps its
name, by which exports and archives of before are read."""


def export_tensorboard(database: Database, run_ids: Sequence[str], folder: Path) -> int:
    """Write each run's event file into its own folder, named by the run and its id, in a new folder.

    Every number of an episode is a scalar at that step, named as its column but for `_TAGS`; an evaluation's mean
    return is `evaluation_mean_return`. TensorBoard keeps 32 bits of each. Missing values are omitted, not zero.

    Returns:
        The number of episodes written.

    Raises:
        V3Error: for an unknown run, or if the folder is there already or cannot be written.
    """
    count = 0
    with database.read() as tx:
        runs = [get_run(tx, run_id) for run_id in run_ids]
        with whole_folder(folder) as unfinished:
            for run in runs:
                name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in run.name)
                inside = unfinished / f"{name}-{run.id[:8]}"
                inside.mkdir()
                # TensorBoard finds event files by `tfevents` in their name, and orders them by the time in it.
                file = inside / f"events.out.tfevents.{int(run.created_at.timestamp()):010d}.{run.id}"
                with file.open("wb") as output:
                    count += _write_run(tx, run, output)
    return count


def _write_run(tx: Transaction, run: RunRow, output: IO[bytes]) -> int:
    fields = wide_fields(run.experts)
    names = [field.name for field in fields]
    scalars = [place for place, field in enumerate(fields) if field.kind in (Kind.FLOAT, Kind.INTEGER)]
    scalars.remove(names.index("episode"))
    heads = scalar_heads(_TAGS.get(names[place], names[place]) for place in scalars)
    episode, at = names.index("episode"), names.index("at")
    output.write(_record(_time(run.created_at) + _bytes(3, b"brain.Event:2")))
    count = 0
    for row in wide_episodes(tx, run.id, run.experts):
        output.write(scalar_record(row[episode], row[at], heads, [row[place] for place in scalars]))
        count += 1
    heads = scalar_heads(["evaluation_mean_return"])
    for (step, time), results in groupby(stream(tx, "evaluations", run.id), key=lambda row: (row[_STEP], row[_AT])):
        returns = [math.nan if row[_RETURN] is None else row[_RETURN] for row in results]
        output.write(scalar_record(step, time, heads, [sum(returns) / len(returns)]))
    return count


def scalar_heads(tags: Iterable[str]) -> list[bytes]:
    """What comes before the number of each scalar."""
    values = [_bytes(1, tag.encode()) + bytes([2 << 3 | 5]) for tag in tags]  # Summary.Value: tag, then simple_value
    return [bytes([1 << 3 | 2]) + _varint(len(value) + 4) + value for value in values]


def scalar_record(step: int, time: datetime, heads: Sequence[bytes], values: Sequence[float | None]) -> bytes:
    """A record of one step with its scalars; None is omitted."""
    with np.errstate(over="ignore"):  # beyond 32 bits is infinite
        raw = np.array(values, dtype=np.float64).astype("<f4").tobytes()
    places = zip(heads, values, range(0, len(raw), 4), strict=True)
    summary = b"".join([head + raw[at : at + 4] for head, value, at in places if value is not None])
    return _record(_time(time) + bytes([2 << 3 | 0]) + _varint(step) + _bytes(5, summary))


def _record(data: bytes) -> bytes:
    """TFRecord: the length, the data, and a checksum of each."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _checksum(length), data, _checksum(data)))


def _checksum(data: bytes) -> bytes:
    """Masked as the format requires."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _time(moment: datetime) -> bytes:
    return struct.pack("<Bd", 1 << 3 | 1, moment.timestamp())


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _bytes(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content
