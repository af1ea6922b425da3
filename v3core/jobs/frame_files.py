"""Frames of a replay in two files, which can be read while they are written: PNGs in a row, and where each ends."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.errors import V3Error
from v3core.phrases import all_of

MAX_BYTES = 1 << 30
"""Of the frames of one replay; later frames are left out."""
_FRAMES, _ENDS = "frames.png", "frames.index"
_END = struct.Struct("<Q")


def to_png(frame: NDArray[np.uint8]) -> bytes:
    """A frame [height, width, 3] as a PNG: in a third of the time that Pillow takes to choose a filter for each row."""
    height, width, _ = frame.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = frame.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    parts = {b"IHDR": header, b"IDAT": zlib.compress(rows.data, 1), b"IEND": b""}
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    ]
    return b"".join([b"\x89PNG\r\n\x1a\n", *chunks])


class FrameWriter:
    """Frames as lossless PNGs, one after another in one file, and where each ends in another."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._end = folder, 0
        self._shape: tuple[int, ...] = ()
        self._frames = (folder / _FRAMES).open("wb", buffering=0)
        self._ends = (folder / _ENDS).open("wb", buffering=0)

    def add(self, frame: NDArray[np.uint8]) -> None:
        """One more, [height, width, 3].

        Raises:
            V3Error: if it has another size than the first, or the frames take too much space.
            OSError: if it cannot be written.
        """
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            sizes = all_of([f"{width} × {height}" for height, width, _ in (self._shape, frame.shape)])
            raise V3Error("The environment draws frames of several sizes, {sizes}; fix its render method.", sizes=sizes)
        content = to_png(frame)
        if self._end + len(content) > MAX_BYTES:
            raise V3Error("Further frames would take more than {value} MiB; they are left out.", value=MAX_BYTES >> 20)
        _write_all(self._frames, content)
        self._end += len(content)
        _write_all(self._ends, _END.pack(self._end))

    def close(self) -> None:
        """What was added stays."""
        self._frames.close()
        self._ends.close()

    def discard(self) -> None:
        """Delete them all: they are wrong, or there is no space."""
        self.close()
        for name in (_ENDS, _FRAMES):  # in this order, so that no reader looks for what is gone
            (self._folder / name).unlink(missing_ok=True)


def _write_all(file: Any, content: Any) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def frame_count(folder: Path) -> int:
    """How many frames there are by now."""
    try:
        return (folder / _ENDS).stat().st_size // _END.size
    except OSError:
        return 0


def read_frames(folder: Path, first: int, count: int, max_bytes: int) -> list[bytes]:
    """The PNGs of `count` frames from `first` on, from 0: those that are there by now and fit, at least one if any."""
    try:
        with (folder / _ENDS).open("rb") as index, (folder / _FRAMES).open("rb") as frames:
            before = max(first - 1, 0)
            index.seek(before * _END.size)
            content = index.read((count + first - before) * _END.size)
            ends = [end for (end,) in _END.iter_unpack(content[: len(content) // _END.size * _END.size])]
            starts = [0, *ends] if first == 0 else ends
            found: list[bytes] = []
            for start, end in pairwise(starts):
                if found and end - starts[0] > max_bytes:
                    break
                frames.seek(start)
                found.append(frames.read(end - start))
            return found
    except OSError:
        return []


def frame_size(folder: Path) -> tuple[int, int] | None:
    """Width and height, from the first PNG's header; None without frames."""
    first = read_frames(folder, 0, 1, 0)
    return struct.unpack(">II", first[0][16:24]) if first else None


def pictures(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames that there are by now, [height, width, 3] each.

    Raises:
        V3Error: if there are none.
    """
    from PIL import Image

    count = frame_count(folder)
    if not count:
        raise V3Error("No frames of this replay were drawn; open it on the page Replay again.")
    for frame in range(count):
        (picture,) = read_frames(folder, frame, 1, MAX_BYTES)
        yield np.asarray(Image.open(BytesIO(picture)).convert("RGB"))
