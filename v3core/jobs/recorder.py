"""The trainer's hooks: what it reports goes to the store and the log, what people ask comes from the store."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from v3core.jobs.checkpoints import superseded
from v3core.jobs.files import checkpoint_file
from v3core.jobs.logs import logger
from v3core.store import commands
from v3core.store.database import Database, Transaction
from v3core.store.history import (
    CheckpointRow,
    PhaseChangeRow,
    add_checkpoint,
    add_evaluation,
    add_event,
    add_phase_change,
    read_checkpoints,
    read_phase_changes,
    remove_checkpoint,
)
from v3core.store.recent import recent_returns
from v3core.store.runs import RunRow
from v3core.store.writer import EpisodeRow, EpisodeWriter
from v3core.training.hooks import Edit, EpisodeRecord, Evaluation, Orders, PhaseChange

POLL_SECONDS = 0.3
LOG_SECONDS = 5.0


@dataclass(frozen=True)
class ForegroundProgress:
    """How far a run is, for a progress bar."""

    episode: int
    episodes: int
    step: int
    phase: str
    mean_return: float
    """Mean return of the newest 100 episodes."""


class Recorder:
    """TrainingHooks of a recorded run. The training thread only reads the database; the writer's thread writes."""

    def __init__(
        self,
        db: Database,
        run: RunRow,
        writer: EpisodeWriter,
        *,
        stop_asked: Callable[[], bool],
        on_progress: Callable[[ForegroundProgress], None] | None = None,
    ) -> None:
        """Record `run` through `writer`.

        Args:
            db: an open store.
            run: the run as it was claimed.
            writer: of this run.
            stop_asked: whether this process was signalled to stop.
            on_progress: called on the training thread after each update that ended an episode.
        """
        self._db = db
        self._run = run
        self._writer = writer
        self._stop_asked = stop_asked
        self._on_progress = on_progress
        with db.read() as tx:
            self._returns = recent_returns(tx, run.id)
        self._boundaries = {change.episode for change in read_phase_changes(db, run.id)}
        self._checkpoints = {row.episode: row.path for row in read_checkpoints(db, run.id)}
        self._next_poll = 0.0
        self._next_log = 0.0
        self._seen: set[int] = set()
        self._stop = False
        checkpoint_file(db, run.id, 0).parent.mkdir(parents=True, exist_ok=True)

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        """Hand the episodes to the writer."""
        self._writer.record([EpisodeRow(**vars(episode)) for episode in episodes], step)
        if not episodes:
            return
        for episode in episodes:
            self._returns.add(episode.return_)
        newest, mean = episodes[-1], self._returns.mean or 0.0
        if self._on_progress is not None:
            self._on_progress(ForegroundProgress(newest.episode, self._run.episodes, step, newest.phase, mean))
        if time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + LOG_SECONDS
            logger.info(
                "Episode %d of %d, step %d, phase %s: mean return %.2f.",
                newest.episode,
                self._run.episodes,
                step,
                newest.phase,
                mean,
            )

    def evaluated(self, evaluation: Evaluation) -> None:
        """Record and log it."""
        results = [(played.return_, played.length, played.success) for played in evaluation.episodes]
        mean = sum(return_ for return_, _, _ in results) / len(results)
        message = f"Evaluation at episode {evaluation.episode}: mean return {mean:.2f} over {len(results)} episodes."
        logger.info(message)
        now = datetime.now(UTC)

        def write(tx: Transaction) -> None:
            add_evaluation(
                tx,
                self._run.id,
                episode=evaluation.episode,
                step=evaluation.step,
                env=evaluation.env,
                results=results,
                now=now,
            )
            add_event(tx, self._run.id, actor="worker", kind="evaluation", message=message, now=now)

        self._writer.also(write)

    def update_undone(self, reason: str, in_a_row: int) -> None:
        """Record and log it."""
        message = f"Nothing learned from a rollout: {reason} ({in_a_row} in a row)."
        logger.warning(message)
        now = datetime.now(UTC)
        self._writer.also(
            lambda tx: add_event(tx, self._run.id, actor="worker", kind="undone", message=message, now=now)
        )

    def phase_changed(self, change: PhaseChange) -> None:
        """Record and log it."""
        planned = f" (planned at {change.planned})" if change.planned not in {None, change.episode} else ""
        message = f"Phase {change.phase + 1} '{change.name}' begins at episode {change.episode}{planned}."
        logger.info(message)
        self._boundaries.add(change.episode)
        now = datetime.now(UTC)
        row = PhaseChangeRow(**vars(change), generation=self._run.generation, at=now)

        def write(tx: Transaction) -> None:
            if add_phase_change(tx, self._run.id, row):
                add_event(tx, self._run.id, actor="worker", kind="phase", message=message, now=now)

        self._writer.also(write)

    def orders(self) -> Orders:
        """What was asked since the last call; looks into the database a few times a second at most."""
        edits: tuple[Edit, ...] = ()
        if time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + POLL_SECONDS
            edits = self._poll()
        if self._stop_asked() and not self._stop:
            self._stop = True
            logger.info("Stopping: this process was signalled.")
        return Orders(stop=self._stop, edits=edits)

    def _poll(self) -> tuple[Edit, ...]:
        new = [row for row in commands.read_open_commands(self._db, self._run.id) if row.id not in self._seen]
        if not new:
            return ()
        now, ids = datetime.now(UTC), [row.id for row in new]
        self._seen.update(ids)
        self._writer.also(lambda tx: commands.acknowledge(tx, ids, now=now))
        if any(row.kind == commands.STOP for row in new) and not self._stop:
            self._stop = True
            logger.info("Stopping: it was asked for.")
        return tuple(Edit(row.revision.id, row.revision.curriculum) for row in new if row.revision is not None)

    def hold(self, episode: int) -> None:
        """Nobody asks for a pause yet."""

    def interrupted(self) -> bool:
        """A stop waits for the end of the rollout."""
        return False

    def remark(self, message: str) -> None:
        """Log it."""
        logger.info(message)

    def edit_applied(self, edit: Edit, episode: int) -> None:
        """Record and log it."""
        ends = ", ".join(map(str, edit.curriculum.boundaries)) or "none"
        message = f"Curriculum edited from episode {episode} on; boundaries: {ends}."
        logger.info(message)
        now = datetime.now(UTC)

        def write(tx: Transaction) -> None:
            commands.apply_revision(tx, self._run.id, edit.id, episode=episode, now=now)
            add_event(tx, self._run.id, actor="worker", kind="edit", message=message, now=now)

        self._writer.also(write)

    def edit_rejected(self, edit: Edit, reason: str) -> None:
        """Record and log it."""
        logger.warning("Curriculum edit rejected: %s", reason)
        now = datetime.now(UTC)

        def write(tx: Transaction) -> None:
            commands.reject_revision(tx, self._run.id, edit.id, reason=reason, now=now)
            add_event(tx, self._run.id, actor="worker", kind="edit", message=f"Edit rejected: {reason}", now=now)

        self._writer.also(write)

    def checkpoint_path(self, episode: int) -> Path:
        """In the run's folder."""
        return checkpoint_file(self._db, self._run.id, episode)

    def checkpoint_saved(self, path: Path, episode: int, step: int) -> None:
        """Record it in the transaction of the episodes that it holds, and delete those no longer needed."""
        logger.info("Checkpoint at episode %d, step %d.", episode, step)
        row = CheckpointRow(episode, step, str(path.relative_to(self._db.data_dir)), datetime.now(UTC))
        self._checkpoints[episode] = row.path
        unneeded = superseded(sorted(self._checkpoints), self._boundaries)

        def write(tx: Transaction) -> None:
            add_checkpoint(tx, self._run.id, row)
            for old in unneeded:
                remove_checkpoint(tx, self._run.id, old)

        self._writer.also(write)
        for old in unneeded:
            (self._db.data_dir / self._checkpoints.pop(old)).unlink(missing_ok=True)
