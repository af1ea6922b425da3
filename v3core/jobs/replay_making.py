"""Replays for the page, seen from a server: begun in a process of their own, watched, cancelled and read.

Only files are read here; no torch and no environment is loaded. The process is `jobs/replay_process.py`.
"""

import json
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from v3core import __version__
from v3core.atomic_write import replacing
from v3core.errors import V3Error
from v3core.insight.inside import Inside
from v3core.insight.replays import MEDIAN, Replay
from v3core.jobs import made_replays
from v3core.jobs.frame_files import frame_count, frame_size
from v3core.jobs.identity import ProcessIdentity, is_alive, of_pid, send_signal
from v3core.jobs.kept_replays import recorded_replay
from v3core.jobs.launchers import processes
from v3core.jobs.made_replays import (
    CANCELLED,
    DONE,
    FAILED,
    UNFINISHED,
    State,
    Wanted,
    claimed,
    made_folder,
    read_state,
)
from v3core.messages import _
from v3core.phrases import stored
from v3core.store.database import Database
from v3core.store.runs import get_run

__all__ = ["Made", "Progress", "Wanted", "begin", "cancel", "made_folder", "progress", "read_made"]

CANCEL = "cancel"
"""The file that asks a process to end: also one of another machine, which no signal reaches."""
_PROCESS = "process.json"
_CANCEL_SECONDS = 1.0
"""So long a cancel waits for the end of the process that it has killed, to tidy up after it."""
_START_SECONDS = 10.0
"""Who said that a replay is made and started no process for it within this time has died."""
_END_SECONDS = 10.0
"""Within this time a process that was killed has ended, however busy the machine is."""


@dataclass(frozen=True)
class Progress:
    """How far a replay is made."""

    stage: str
    """`playing`, `drawing`, `explaining`, `done`, `failed` or `cancelled`."""
    done: int
    """Of `total` steps or frames of the stage."""
    total: int
    """0 while it is unknown."""
    error: str
    """Why it failed, one sentence."""


@dataclass(frozen=True)
class Made:
    """What there is of a replay by now."""

    replay: Replay
    frames: int
    """From before step 1 on; T + 1 in the end."""
    frame_size: tuple[int, int] | None
    """Width and height; None without frames."""
    no_frames: str
    """Why there are no frames, or none after these; empty if there is no reason."""
    inside: Inside | None
    """None as long as it is not there."""
    no_inside: str
    """Why it will not be there; empty if there is no reason."""
    observations: NDArray[Any] | None
    """As the policy sees them, flat, [T + 1, size], read from their file; None if they are not there."""


def command(wanted: Wanted) -> list[str]:
    """The command line of the process."""
    seed = MEDIAN if wanted.seed is None else str(wanted.seed)
    return [sys.executable, "-m", "v3core", "make-replay", wanted.run_id, str(wanted.episode), seed]


def begin(database: Database, wanted: Wanted, *, patient: bool = False) -> None:
    """Start one process that makes a replay, unless it is made or being made, whoever asks and how often.

    One that failed, was cancelled or is no longer current is made again. A `patient` process yields to training.

    Raises:
        V3Error: if there is no such run, or its files cannot be written.
    """
    folder = made_folder(database, wanted)
    deadline = time.monotonic() + _END_SECONDS
    try:
        while not _is_begun(database, wanted, folder, patient=patient):
            if time.monotonic() > deadline:
                raise V3Error("The process that made this replay before does not end; try again later.")
            time.sleep(0.01)
    except OSError as error:
        raise V3Error(
            "The replay cannot be made: {value}; free some space or fix the permissions of {value2}.",
            value=error.strerror or error,
            value2=database.data_dir / made_replays.FOLDER,
        ) from None


def _is_begun(database: Database, wanted: Wanted, folder: Path, *, patient: bool) -> bool:
    """Whether it is made, being made, or now begun; False as long as a process that has made it is about to end."""
    if _is_made(database, wanted, folder):
        return True
    run = get_run(database, wanted.run_id)
    with claimed(folder) as log:
        if _is_made(database, wanted, folder):
            return True
        if log is None:
            state = read_state(folder)
            ends = (folder / CANCEL).exists() or _has_died(folder)
            return state is None or (state.stage in UNFINISHED and not ends)
        made_replays.empty(folder, log)
        sources = made_replays.sources_of(database, wanted)
        made_replays.write_state(folder, State(sources=sources, version=__version__))
        options = ["--patient"] if patient else []
        pid = processes.start_command(database, run, [*command(wanted), *options], log)
        _write_process(folder, of_pid(pid))
    processes.keep_warm(database)  # for the next one
    return True


def _is_made(database: Database, wanted: Wanted, folder: Path) -> bool:
    state = read_state(folder)
    if state is None or (state.stage, state.version) != (DONE, __version__):
        return False
    if not made_replays.is_current(database, wanted, state) or made_replays.read_replay(folder) is None:
        return False
    made_replays.touch(folder)
    return True


def progress(database: Database, wanted: Wanted) -> Progress:
    """How far it is; cheap. One that nobody has begun, or whose process has died, has failed."""
    folder = made_folder(database, wanted)
    state = read_state(folder)
    if state is not None and state.stage in UNFINISHED and (folder / CANCEL).exists():
        return Progress(CANCELLED, state.done, state.total, "")
    if state is not None and state.stage in UNFINISHED and _has_died(folder):
        state = read_state(folder)  # it may just have ended
        if state is not None and state.stage in UNFINISHED:
            return Progress(FAILED, state.done, state.total, _died(folder))
    if state is None:
        return Progress(FAILED, 0, 0, _("This replay is not there any more; open it again."))
    return Progress(state.stage, state.done, state.total, stored(state.error))


def _died(folder: Path) -> str:
    words = made_replays.last_words(folder)
    if not words:
        return _("The process that made this replay ended unexpectedly; try again.")
    return _(
        "The process that made this replay ended unexpectedly (the end of its log: {words}); try again.", words=words
    )


def _has_died(folder: Path) -> bool:
    process = _read_process(folder)
    if process is not None:
        return is_alive(process) is False
    try:  # the server that began it is starting the process, or died before
        return time.time() - folder.stat().st_mtime > _START_SECONDS
    except OSError:
        return True


def cancel(database: Database, wanted: Wanted) -> None:
    """End the process that makes a replay; what is there of it stays and can be read. Nothing if none makes it.

    Raises:
        V3Error: if the folder cannot be written.
    """
    folder = made_folder(database, wanted)
    if progress(database, wanted).stage not in UNFINISHED:
        return
    deadline = time.monotonic() + _CANCEL_SECONDS
    try:
        (folder / CANCEL).touch()
        while time.monotonic() < deadline:
            process = _read_process(folder)
            if process is not None:
                send_signal(process, signal.SIGKILL, whole_group=True)
            with claimed(folder) as log:
                if log is not None:
                    _settle(folder)
                    return
            time.sleep(0.01)
    except OSError as error:
        raise V3Error("The replay cannot be cancelled: {value}.", value=error.strerror or error) from None


def _settle(folder: Path) -> None:
    """After a process was killed."""
    made_replays.remove_unfinished(folder)
    state = read_state(folder)
    if state is not None and state.stage in UNFINISHED:
        made_replays.write_state(folder, State(**asdict(state) | {"stage": CANCELLED}))


def read_made(database: Database, wanted: Wanted) -> Made:
    """What there is by now; a recorded replay is there before its process has begun.

    Raises:
        V3Error: if there is no replay yet, or it cannot be read.
    """
    folder = made_folder(database, wanted)
    state = read_state(folder) or State()
    replay = made_replays.read_replay(folder) or recorded_replay(database, wanted.run_id, wanted.episode, wanted.seed)
    if replay is None:
        raise V3Error(stored(state.error) if state.error else _("The episode is not played yet."))
    made_replays.touch(folder)
    inside, no_inside = None, stored(state.no_inside)
    if state.stage == DONE and not no_inside:
        try:
            inside = Inside.read(made_replays.inside_folder(folder))
        except V3Error as problem:
            no_inside = problem.message
    return Made(
        replay=replay,
        frames=frame_count(folder),
        frame_size=frame_size(folder),
        no_frames=stored(state.no_frames),
        inside=inside,
        no_inside=no_inside,
        observations=made_replays.read_observations(folder),
    )


def _write_process(folder: Path, process: ProcessIdentity) -> None:
    with replacing(folder / _PROCESS) as unfinished:
        unfinished.write_text(json.dumps(asdict(process)))


def _read_process(folder: Path) -> ProcessIdentity | None:
    with suppress(OSError, ValueError, TypeError):
        return ProcessIdentity(**json.loads((folder / _PROCESS).read_bytes()))
    return None
