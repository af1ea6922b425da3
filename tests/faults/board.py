"""What a worker does at this moment, in memory that it shares with the test and that outlives it."""

import mmap
import struct
from pathlib import Path

ROLLOUT, UPDATE, CHECKPOINT, FLUSH = "rollout", "update", "checkpoint", "flush"
PHASES = (ROLLOUT, UPDATE, CHECKPOINT, FLUSH)
BETWEEN = "between"
"""No phase: reading commands, importing the trainer, closing an episode's books."""

_BYTES = 128
_ENTRIES, _SECONDS = 32, 64
"""Where the counts of entries and the last durations begin, one number of 8 bytes per phase."""


class Board:
    """One byte per phase: whether the worker is in it. The writer's thread flushes while the other trains."""

    def __init__(self, file: Path) -> None:
        """Open the board in `file`, made if it is missing."""
        with file.open("a+b") as opened:
            opened.truncate(_BYTES)  # the worker and the test may both make it, at once
            self._bytes = mmap.mmap(opened.fileno(), _BYTES)

    def enter(self, phase: str) -> None:
        """The worker begins a phase."""
        place = PHASES.index(phase)
        struct.pack_into("<Q", self._bytes, _ENTRIES + 8 * place, self.entries(phase) + 1)
        self._bytes[place] = 1

    def leave(self, phase: str, seconds: float) -> None:
        """The worker has ended a phase, which took so long."""
        place = PHASES.index(phase)
        self._bytes[place] = 0
        struct.pack_into("<d", self._bytes, _SECONDS + 8 * place, seconds)

    def is_in(self, phase: str) -> bool:
        """Whether the worker is in that phase, or was when it died."""
        return bool(self._bytes[PHASES.index(phase)])

    def entries(self, phase: str) -> int:
        """How often the worker has begun that phase."""
        return int(struct.unpack_from("<Q", self._bytes, _ENTRIES + 8 * PHASES.index(phase))[0])

    def seconds(self, phase: str) -> float:
        """How long that phase took last; 0 before its first end."""
        return float(struct.unpack_from("<d", self._bytes, _SECONDS + 8 * PHASES.index(phase))[0])

    def describe(self) -> str:
        """All phases that the worker is in: training and flushing go on side by side."""
        return " + ".join(phase for phase in PHASES if self.is_in(phase)) or BETWEEN


def board_of(folder: Path, pid: int) -> Path:
    """Where the board of a worker process lies."""
    return folder / f"{pid}.board"


def records_of(folder: Path, pid: int) -> Path:
    """Where a worker process notes what it handed to its writer: lines of `time_given()` and the newest episode."""
    return folder / f"{pid}.records"


def read_records(folder: Path, pid: int) -> list[tuple[float, int]]:
    """What a worker handed to its writer: the moment, by `time_given`, and the newest episode."""
    file = records_of(folder, pid)
    lines = file.read_text().splitlines() if file.exists() else []
    return [(float(moment), int(episode)) for moment, episode in map(str.split, lines)]


def newest_recorded(folder: Path, pid: int) -> int:
    """The newest episode that a worker handed to its writer."""
    return max((episode for _, episode in read_records(folder, pid)), default=0)
