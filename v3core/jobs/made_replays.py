"""The files of replays that were made for the page: a cache in `<data>/made-replays/`, each in a folder.

Everything in it can be made again, so it may be deleted at any time. Readers never see half of anything: files are
renamed when they are complete (frames: `frame_files.py`).
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from v3core.atomic_write import replacing
from v3core.config import MAX_SEED
from v3core.errors import V3Error
from v3core.insight.replays import MEDIAN, Replay, from_bytes, to_bytes
from v3core.jobs.files import DELETED, checkpoint_file
from v3core.jobs.kept_replays import replay_file
from v3core.places import folder_bytes
from v3core.store.database import Database

FOLDER = "made-replays"
LIMIT_BYTES = 2 << 30
"""Of all made replays: those of a long evening of watching, and what a disk with runs on it can spare."""
IN_USE_SECONDS = 60.0
"""A replay that was looked at within this time is not deleted."""

PLAYING, DRAWING, EXPLAINING = "playing", "drawing", "explaining"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
UNFINISHED = (PLAYING, DRAWING, EXPLAINING)

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATE, _LOG, _REPLAY = "state.json", "log", "replay.npz"
_OBSERVATIONS = "observations.npy"


@dataclass(frozen=True)
class Wanted:
    """An episode to look at."""

    run_id: str
    episode: int
    """After how many training episodes the evaluation was, or the checkpoint is."""
    seed: int | None
    """What the environment is reset with; None for the median episode of the evaluation."""


@dataclass(frozen=True)
class State:
    """How far a replay is made."""

    stage: str = PLAYING
    done: int = 0
    """Of `total` steps or frames of this stage."""
    total: int = 0
    """0 while it is unknown."""
    error: str = ""
    """Why there is no replay: one sentence."""
    no_frames: str = ""
    """Why there are no frames, or no more than there are."""
    no_inside: str = ""
    sources: dict[str, list[int]] = field(default_factory=dict)
    """The files that it is made from, with their times and sizes."""
    version: str = ""
    """Of the V3 Lab that makes it."""


def made_folder(database: Database, wanted: Wanted) -> Path:
    """The folder of its files.

    Raises:
        V3Error: if no run, evaluation or seed can be named like this.
    """
    seed = MEDIAN if wanted.seed is None else wanted.seed
    if not _RUN_ID.fullmatch(wanted.run_id):
        raise V3Error("There is no run '{run_id}'.", run_id=wanted.run_id[:40])
    if wanted.episode < 0 or (wanted.seed is not None and not 0 <= wanted.seed <= MAX_SEED):
        raise V3Error(
            "There is no replay at episode {episode} of seed {seed}; seeds go from 0 to {max_seed}.",
            episode=wanted.episode,
            seed=seed,
            max_seed=MAX_SEED,
        )
    return _of_run(database, wanted.run_id) / f"{wanted.episode}-{seed}"


def _of_run(database: Database, run_id: str) -> Path:
    return database.data_dir / FOLDER / run_id


def read_state(folder: Path) -> State | None:
    """What was written last; None if there is nothing that can be read."""
    try:
        return State(**json.loads((folder / _STATE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_state(folder: Path, state: State) -> None:
    """Replace the state; OSError if it cannot be written, FileNotFoundError if the folder was deleted."""
    with replacing(folder / _STATE) as unfinished:
        unfinished.write_text(json.dumps(asdict(state)))


def sources_of(database: Database, wanted: Wanted) -> dict[str, list[int]]:
    """The files that a replay is made from now, with their times and sizes."""
    files = {
        "replays": replay_file(database, wanted.run_id, wanted.episode),
        "checkpoint": checkpoint_file(database, wanted.run_id, wanted.episode),
    }
    found = {}
    for name, file in files.items():
        if (stamp := database.place.stamp(file)) is not None:
            found[name] = stamp
    return found


def is_current(database: Database, wanted: Wanted, state: State) -> bool:
    """Whether it is made from the files that are there now. One whose files were deleted since stays as it is."""
    now = sources_of(database, wanted)
    return all(state.sources.get(name) == about for name, about in now.items())


@contextmanager
def claimed(folder: Path) -> Iterator[IO[bytes] | None]:
    """The log of the folder, which is made if it is missing; None if a process has claimed it.

    The claim belongs to the open file: a process that gets it as its output keeps the claim until it ends, however that
    happens.

    Raises:
        OSError: if it cannot be written.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            log = (folder / _LOG).open("ab")
        except FileNotFoundError:
            continue  # deleted in between
        with log:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            with suppress(FileNotFoundError):
                if (folder / _LOG).stat().st_ino == os.fstat(log.fileno()).st_ino:
                    yield log
                    return


def release() -> None:
    """Give up the claim that this process has with its output: it writes no more, and may take a while to end."""
    with suppress(OSError):
        fcntl.flock(2, fcntl.LOCK_UN)


def empty(folder: Path, log: IO[bytes]) -> None:
    """Delete all of an earlier attempt; the caller has claimed the folder."""
    log.truncate(0)
    for entry in folder.iterdir():
        if entry.name != _LOG:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what a process that was killed had not written completely."""
    for entry in folder.glob(".*.tmp"):
        with suppress(OSError):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def last_words(folder: Path) -> str:
    """The last line of the log."""
    with suppress(OSError):
        with (folder / _LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else ""
    return ""


def touch(folder: Path) -> None:
    """It was looked at just now."""
    with suppress(OSError):
        os.utime(folder)


def write_replay(folder: Path, replay: Replay) -> None:
    """The numbers of its steps."""
    with replacing(folder / _REPLAY) as unfinished:
        unfinished.write_bytes(to_bytes({MEDIAN: replay}))


def read_replay(folder: Path) -> Replay | None:
    """None if they are not there yet, or the file is damaged."""
    try:
        return from_bytes((folder / _REPLAY).read_bytes())[MEDIAN]
    except (OSError, V3Error, KeyError):
        return None


@contextmanager
def observations_written(folder: Path, steps: int, size: int, kind: np.dtype[Any]) -> Iterator[IO[bytes]]:
    """A file for the rows of `steps` observations, which is there when all are written."""
    with replacing(folder / _OBSERVATIONS) as unfinished, unfinished.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (steps, size)}
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def read_observations(folder: Path) -> NDArray[Any] | None:
    """All observations, [T + 1, size], read from the file as they are needed; None if they are not there."""
    try:
        found: NDArray[Any] = np.load(folder / _OBSERVATIONS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return found


def inside_folder(folder: Path) -> Path:
    """Where the inside of the network is written."""
    return folder / "inside"


def discard(folder: Path) -> None:
    """Delete a folder, out of sight in one step; a process that still writes into it ends by itself."""
    aside = folder.parent / f"{DELETED}{secrets.token_hex(4)}"
    with suppress(OSError):
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def discard_of_run(database: Database, run_id: str) -> None:
    """Delete all that was made for a run."""
    discard(_of_run(database, run_id))


def keep_within(database: Database, limit: int = LIMIT_BYTES) -> None:
    """Delete made replays, those that were looked at the longest ago first, until the others fit into `limit` bytes.

    One that is being made, or was just looked at, stays.
    """
    folders: dict[Path, tuple[float, int]] = {}
    for folder in (database.data_dir / FOLDER).glob("*/*"):
        if DELETED in str(folder.relative_to(database.data_dir)):  # somebody else is at it, or died
            shutil.rmtree(folder, ignore_errors=True)
            continue
        with suppress(OSError):
            folders[folder] = (folder.stat().st_mtime, folder_bytes(folder))
    size = sum(taken for _, taken in folders.values())
    for folder, (used, taken) in sorted(folders.items(), key=lambda entry: entry[1][0]):
        if size <= limit or time.time() - used < IN_USE_SECONDS:
            return
        with suppress(OSError), claimed(folder) as log:
            if log is not None:
                discard(folder)
                size -= taken
