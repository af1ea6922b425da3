"""TensorBoard's event files, written without TensorBoard.

The format: records of a length, the length's checksum, the data and its checksum (TFRecord), each data an `Event` of
TensorFlow's event.proto. A million episodes of fifty numbers are 1.5 GB of it, whose CRC32C takes plain Python minutes,
as it does TensorBoard's own writer; here numpy encodes and sums many records of one length at once.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from v3core.atomic_write import whole_folder
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.run_tables import RUN_TABLES, Kind, stream, wide_episodes, wide_fields
from v3core.store.runs import get_run
from v3core.store.schema import Transaction

CHUNK_EPISODES = 2000

_STEP, _RETURN, _AT = (
    [field.name for field in RUN_TABLES["evaluations"].fields].index(name) for name in ("episode", "return", "at")
)
_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, reflected."""


def export_tensorboard(database: Database, run_ids: Sequence[str], folder: Path) -> int:
    """Write each run's event file into a folder of its own, named by the run and its id, in a new folder.

    Every number of an episode is a scalar at that step, named as its column; an evaluation's mean return is
    `evaluation_mean_return`. TensorBoard keeps 32 bits of each. What was not recorded is left out, not zero.

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
    tags = [names[place] for place in scalars]
    episode, at = names.index("episode"), names.index("at")
    output.write(_record(struct.pack("<Bd", 1 << 3 | 1, run.created_at.timestamp()) + _text(3, b"brain.Event:2")))
    rows = wide_episodes(tx, run.id, run.experts)
    count = 0
    while chunk := list(islice(rows, CHUNK_EPISODES)):
        output.writelines(
            scalar_records(
                np.array([row[episode] for row in chunk]),
                np.array([row[at].timestamp() for row in chunk]),
                tags,
                [[row[place] for place in scalars] for row in chunk],
            )
        )
        count += len(chunk)
    for (step, time), results in groupby(stream(tx, "evaluations", run.id), key=lambda row: (row[_STEP], row[_AT])):
        returns = [math.nan if row[_RETURN] is None else row[_RETURN] for row in results]
        mean = sum(returns) / len(returns)
        output.writelines(
            scalar_records(np.array([step]), np.array([time.timestamp()]), ["evaluation_mean_return"], [[mean]])
        )
    return count


def scalar_records(
    steps: NDArray[np.int64], times: NDArray[np.float64], tags: Sequence[str], values: Sequence[Sequence[Any]]
) -> list[bytes]:
    """One record per step, with all its scalars.

    Args:
        steps: [n].
        times: [n] seconds since 1970.
        tags: [m] names.
        values: [n][m] numbers; None is left out.
    """
    absent = np.array([[value is None for value in row] for row in values])
    with np.errstate(over="ignore"):  # beyond 32 bits is infinite
        numbers: NDArray[np.float32] = np.array(values, dtype=np.float64).astype(np.float32)
    records: list[bytes] = [b""] * len(steps)
    # Records of one layout together: the same length of the step, the same scalars.
    widths = np.array([len(_varint(int(step))) for step in steps])
    layouts, which = np.unique(np.column_stack([widths, absent]), axis=0, return_inverse=True)
    for layout, (_width, *missing) in enumerate(layouts):
        rows = np.flatnonzero(which.reshape(-1) == layout)
        kept = [place for place, gone in enumerate(missing) if not gone]
        encoded = _encode(steps[rows], times[rows], [tags[place] for place in kept], numbers[rows][:, kept])
        for row, record in zip(rows, encoded, strict=True):
            records[row] = record
    return records


def _encode(
    steps: NDArray[np.int64], times: NDArray[np.float64], tags: list[str], numbers: NDArray[np.float32]
) -> Iterator[bytes]:
    """Records that differ only in numbers: [n] steps of one length, [n] times, [n, m] values."""
    prefixes = []
    for tag in tags:
        value = _text(1, tag.encode()) + bytes([2 << 3 | 5])  # Summary.Value: tag, then simple_value
        prefixes.append(bytes([1 << 3 | 2]) + _varint(len(value) + 4) + value)
    summary = sum(map(len, prefixes)) + 4 * len(tags)
    step = np.array([list(_varint(int(number))) for number in steps], dtype=np.uint8)
    count = len(steps)

    def constant(part: bytes) -> NDArray[np.uint8]:
        return np.broadcast_to(np.frombuffer(part, np.uint8), (count, len(part)))

    def raw(column: NDArray[Any]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(column).view(np.uint8).reshape(count, -1)

    parts = [
        constant(bytes([1 << 3 | 1])),
        raw(times.astype("<f8")),
        constant(bytes([2 << 3 | 0])),
        step,
        constant(bytes([5 << 3 | 2]) + _varint(summary)),
    ]
    for place, prefix in enumerate(prefixes):
        parts += [constant(prefix), raw(numbers[:, place].astype("<f4"))]
    data = np.concatenate(parts, axis=1)
    length = struct.pack("<Q", data.shape[1])
    head = length + struct.pack("<I", int(_masked(_crc32c(np.frombuffer(length, np.uint8)[None]))[0]))
    foot = raw(_masked(_crc32c(data)).astype("<u4"))
    whole = np.concatenate([constant(head), data, foot], axis=1)
    return (row.tobytes() for row in whole)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    sums = [_masked(_crc32c(np.frombuffer(part, np.uint8)[None]))[0] for part in (length, data)]
    return length + struct.pack("<I", int(sums[0])) + data + struct.pack("<I", int(sums[1]))


def _crc32c(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Checksums of [n, length] bytes, one per row."""
    state = np.full(len(data), 0xFFFFFFFF, np.uint32)
    for column in np.ascontiguousarray(data.T):
        state = _TABLE[(state ^ column) & 0xFF] ^ (state >> np.uint32(8))
    return ~state


def _masked(sums: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """TFRecord's masking, so that sums of data that holds sums stay good ones."""
    turned = (sums >> np.uint32(15)) | (sums << np.uint32(17))
    return turned + np.uint32(0xA282EAD8)


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ np.uint32(_POLYNOMIAL), table >> np.uint32(1))
    return table.astype(np.uint32)


_TABLE = _table()


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _text(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content
