"""The log of a run whose place is a bucket: written on the machine that trains, and put as numbered parts meanwhile.

An object cannot be appended to, so the newest part is put again as it grows, until it is full.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from v3core.jobs.files import log_file, run_folder
from v3core.jobs.meanwhile import meanwhile
from v3core.places import Bucket, Place, PlaceError
from v3core.store.database import Database

PART_BYTES = 256 * 1024
"""Of a part that is full: what is uploaded again for a new line is less."""
MAX_PARTS = 40
"""The newest are kept: 10 MiB, as much as of a log in a folder."""
SHIP_SECONDS = 2.0


def rotated(file: Path) -> Path:
    """The file with the older part of a log: `worker.log.1` next to `worker.log`."""
    return file.with_name(f"{file.name}.1")


def parts_of(place: Place, run_id: str) -> dict[Path, int]:
    """The parts of a log, in order, with their bytes."""
    return dict(sorted(place.files(run_folder(run_id, place.folder) / "log").items()))


def read_end(place: Bucket, run_id: str, lines: int | None = None) -> bytes:
    """The end of a log: more than `lines` line ends, by default all of it."""
    tail = b""
    for part in reversed(parts_of(place, run_id)):
        tail = place.read(part) + tail
        if lines is not None and tail.count(b"\n") > lines:
            break
    return tail


def put_log(place: Bucket, run_id: str, *files: Path) -> None:
    """Put the files of a log, the older first, as parts; those that are missing are left out."""
    content = b"".join(file.read_bytes() for file in files if file.exists())
    for number, start in enumerate(range(0, len(content), PART_BYTES)):
        place.write(_part(place, run_id, number), content[start : start + PART_BYTES])


def _part(place: Place, run_id: str, number: int) -> Path:
    return run_folder(run_id, place.folder) / "log" / f"{number:08d}"


@contextmanager
def shipping(database: Database, run_id: str) -> Iterator[None]:
    """Meanwhile the log of the run is put every two seconds, by a thread; nothing is done for a folder."""
    place = database.place
    if not isinstance(place, Bucket):
        yield
        return
    shipper = LogShipper(place, run_id)

    def keep() -> bool:
        with suppress(PlaceError, OSError):  # the next time puts it
            shipper.ship()
        return False

    try:
        with meanwhile(keep, SHIP_SECONDS, f"log of {run_id}"):
            yield
    finally:
        with suppress(PlaceError, OSError):
            shipper.ship()
            shipper.empty()


class LogShipper:
    """Puts what is new in the log file of this machine."""

    def __init__(self, place: Bucket, run_id: str) -> None:
        """Nothing is read yet."""
        self._place, self._run_id = place, run_id
        self._file = log_file(run_id, place.folder)
        self._mark = self._file.with_name(".shipped")
        """The offset up to which an earlier process has put the file: one that was killed has not emptied it."""
        self._offset = _number(self._mark)
        self._numbers: list[int] | None = None
        self._growing = b""
        """The content of the newest part, which ends at the offset."""

    def ship(self) -> None:
        """Put what was written since the last time.

        Raises:
            PlaceError: if it cannot be put; the next call tries again.
            OSError: if the file cannot be read.
        """
        size = self._file.stat().st_size
        if size < self._offset:  # it was rotated
            self._add(_from(rotated(self._file), self._offset))
            self._offset = 0
        if size > self._offset:
            self._add(_from(self._file, self._offset))
            self._mark.write_text(str(self._offset))

    def _add(self, content: bytes) -> None:
        if self._numbers is None:
            self._numbers = [int(part.name) for part in parts_of(self._place, self._run_id)]
            self._numbers.append(self._numbers[-1] + 1 if self._numbers else 0)
        while content:
            fitting = content[: PART_BYTES - len(self._growing)]
            self._place.write(_part(self._place, self._run_id, self._numbers[-1]), self._growing + fitting)
            self._growing += fitting
            self._offset += len(fitting)
            content = content[len(fitting) :]
            if len(self._growing) == PART_BYTES:
                self._growing = b""
                self._numbers.append(self._numbers[-1] + 1)
            while len(self._numbers) > MAX_PARTS:
                self._place.remove(_part(self._place, self._run_id, self._numbers[0]))
                self._numbers.pop(0)

    def empty(self) -> None:
        """All was put: keep nothing of it here. Not deleted: a process that has just begun may write to it."""
        self._file.open("r+b").truncate(0)
        rotated(self._file).unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _from(file: Path, offset: int) -> bytes:
    with suppress(FileNotFoundError), file.open("rb") as source:
        source.seek(offset)
        return source.read()
    return b""
