"""The process that makes one replay: plays the episode if it was not recorded, draws its frames, looks inside.

Each part can be read as soon as it is there: `jobs/replay_making.py`.
"""

import os
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from v3core.environments.replaying import DiffersError, need_frames, play_again
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error
from v3core.insight.replays import MEDIAN, Replay
from v3core.jobs import made_replays
from v3core.jobs.files import checkpoint_file
from v3core.jobs.frame_files import FrameWriter
from v3core.jobs.kept_replays import recorded_replay
from v3core.jobs.made_replays import DONE, DRAWING, EXPLAINING, FAILED, PLAYING, State, Wanted, made_folder
from v3core.jobs.played_episodes import MAX_OBSERVED_BYTES, explain, play, policy_of, spec_of_replay
from v3core.jobs.replay_making import CANCEL
from v3core.messages import _
from v3core.store.database import Database

HANGS_SECONDS = 120.0
"""An environment that makes no step within this time ends the process."""
_REPORT_SECONDS = 0.2
_LOOK_SECONDS = 0.25


def make(database: Database, wanted: Wanted) -> bool:
    """Make what `replay_making.begin` has begun; whether there is a replay.

    It ends when its folder is deleted or it is cancelled.

    Raises:
        V3Error: if nobody has begun it.
    """
    folder = made_folder(database, wanted)
    state = made_replays.read_state(folder)
    if state is None or state.stage != PLAYING:
        raise V3Error("Nobody has begun this replay; open it on the page Replay.")
    report = _Report(folder, state)
    threading.Thread(target=report.watch, name="watch", daemon=True).start()
    try:
        _make(database, wanted, report)
        report.end(DONE)
    except V3Error as problem:
        report.end(FAILED, str(problem))
    except OSError as problem:
        if not folder.exists():
            return False
        report.end(
            FAILED, _("The replay cannot be written: {problem}; free some space.", problem=problem.strerror or problem)
        )
    except Exception as problem:  # a fault of ours, or of a package: the log has it
        traceback.print_exc()
        report.end(
            FAILED, _("The replay cannot be made: {name}: {problem}.", name=type(problem).__name__, problem=problem)
        )
    finally:
        report.over.set()
        made_replays.release()
    made_replays.keep_within(database)
    return report.state.stage == DONE


def _make(database: Database, wanted: Wanted, report: "_Report") -> None:
    replay = recorded_replay(database, wanted.run_id, wanted.episode, wanted.seed)
    if replay is None:
        policy = policy_of(database, wanted.run_id, wanted.episode)
        resets = None if wanted.seed is None else [wanted.seed]
        replay = play(policy, resets=resets, interrupted=report.step)[MEDIAN]
    made_replays.write_replay(report.folder, replay)
    try:
        spec = spec_of_replay(database, wanted.run_id, replay)
        _observe(spec, replay, report)
    except V3Error as problem:
        report.tell(no_frames=str(problem), no_inside=str(problem))
        return
    report.tell(no_frames=_draw(spec, replay, report))
    report.tell(no_inside=_explain(database, wanted, spec, replay, report))


def _observe(spec: EnvironmentSpec, replay: Replay, report: "_Report") -> None:
    """Play the episode again without frames: nothing is shown of one that goes another way."""
    moments = play_again(spec, replay, frames=False)
    report.begin(PLAYING, len(replay) + 1)
    kind = np.dtype(spec.graph.dtype)
    if (len(replay) + 1) * spec.graph.size * kind.itemsize > MAX_OBSERVED_BYTES:
        for _ in moments:
            report.step()
        return
    with made_replays.observations_written(report.folder, len(replay) + 1, spec.graph.size, kind) as file:
        for moment in moments:
            file.write(moment.observation.tobytes())
            report.step()


def _draw(spec: EnvironmentSpec, replay: Replay, report: "_Report") -> str:
    """Draw the frames; why there are none, or none after a certain one."""
    report.begin(DRAWING, len(replay) + 1)
    frames = FrameWriter(report.folder)
    try:
        need_frames(spec)
        for moment in play_again(spec, replay, frames=True):
            assert moment.frame is not None
            frames.add(moment.frame)
            report.step()
    except DiffersError as problem:
        frames.discard()
        return str(problem)
    except V3Error as problem:
        return str(problem)
    except OSError as problem:
        if not report.folder.exists():
            raise
        frames.discard()
        return _(
            "The frames cannot be written: {problem}; free some space and try again.",
            problem=problem.strerror or problem,
        )
    finally:
        frames.close()
    return ""


def _explain(database: Database, wanted: Wanted, spec: EnvironmentSpec, replay: Replay, report: "_Report") -> str:
    """Look inside the network that acted; why it cannot be done."""
    observations = made_replays.read_observations(report.folder)
    if observations is None:
        size = MAX_OBSERVED_BYTES >> 20
        return _(
            "The inside of the network is not shown: the episode's observations take more than {size} MiB.", size=size
        )
    if not database.place.has(checkpoint_file(database, wanted.run_id, wanted.episode)):
        return _(
            "The inside of the network needs the checkpoint at episode {episode}, which was not kept.",
            episode=wanted.episode,
        )
    report.begin(EXPLAINING, len(replay))
    try:
        policy = policy_of(database, wanted.run_id, wanted.episode)  # torch: seconds to import, after the frames
        seen = observations[:-1]
        inside, full = explain(policy, spec, replay, seen, progress=lambda done: report.tell(done=done))
    except V3Error as problem:
        return str(problem)
    try:
        if replay.expert_outputs is None:
            made_replays.write_replay(report.folder, full)
        inside.write(made_replays.inside_folder(report.folder))
    except OSError as problem:
        if not report.folder.exists():
            raise
        made_replays.discard(made_replays.inside_folder(report.folder))
        return _(
            "The inside of the network cannot be written: {problem}; free some space.",
            problem=problem.strerror or problem,
        )
    return ""


class _Report:
    """Tells readers how far it is, and ends the process when nobody wants the replay any more."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        self.over = threading.Event()
        """Nobody needs to watch any more."""
        self._id = folder.stat().st_ino
        self._done = 0
        self._written_at = self._alive_at = time.monotonic()

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins."""
        self._done = 0
        self.tell(stage=stage, done=0, total=total)

    def step(self) -> bool:
        """One more is done; False, as this can be asked whether to interrupt."""
        self._done += 1
        self._alive_at = time.monotonic()
        if self._alive_at - self._written_at > _REPORT_SECONDS:
            self.tell(done=self._done)
        return False

    def tell(self, **values: Any) -> None:
        """Write something that has changed."""
        self.state = replace(self.state, **values)
        made_replays.write_state(self.folder, self.state)
        self._written_at = self._alive_at = time.monotonic()

    def end(self, stage: str, error: str = "") -> None:
        """It is made, or failed."""
        self.tell(stage=stage, error=error, done=self._done)

    def watch(self) -> None:
        """End the process at once when its folder is deleted, when it is cancelled, or when an environment hangs."""
        while not self.over.wait(_LOOK_SECONDS):
            if not self._is_wanted():
                os._exit(1)
            if self.state.stage != EXPLAINING and time.monotonic() - self._alive_at > HANGS_SECONDS:
                with suppress(OSError):
                    self.end(
                        FAILED,
                        _(
                            "The environment made no step for {hangs_seconds:g} s; its process was ended.",
                            hangs_seconds=HANGS_SECONDS,
                        ),
                    )
                os._exit(1)

    def _is_wanted(self) -> bool:
        try:
            return self.folder.stat().st_ino == self._id and not (self.folder / CANCEL).exists()
        except OSError:
            return False
