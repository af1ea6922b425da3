"""The process of one run: claims it, trains it, records how it ends."""

import os
from collections.abc import Callable
from datetime import UTC, datetime

from v3core.errors import V3Error
from v3core.jobs import identity
from v3core.jobs.checkpoints import newest_usable
from v3core.jobs.launcher import claim
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.jobs.logs import logger, logging_to
from v3core.jobs.recorder import ForegroundProgress, Recorder
from v3core.jobs.signals import StopRequest, stop_on_signals
from v3core.jobs.supervisor import reconcile
from v3core.store.commands import curriculum_in_force
from v3core.store.database import Database
from v3core.store.runs import RunRow, get_run, need_run, update_run
from v3core.store.writer import EpisodeWriter, RunTakenOverError

REASON_CHARACTERS = 300


def run_worker(db: Database, run_id: str) -> int:
    """Train a run in this process, from its newest checkpoint if it has one; then look after the queue.

    Args:
        db: an open store.
        run_id: full id of a run that was claimed for this process by the launcher, or that is queued.

    Returns:
        The exit code: 0 if the run completed or was stopped, 1 if it failed.

    Raises:
        V3Error: if the run is not to be trained by this process.
    """
    with stop_on_signals() as stop, logging_to(None):
        run = adopt(db, run_id)
        status = train_run(db, run, stop)
    if not stop.asked() or status in {Status.FAILED, Status.COMPLETED}:
        reconcile(db)  # not while the machine shuts down: that would start the next run
    return 0 if status in {Status.COMPLETED, Status.STOPPED} else 1


def adopt(db: Database, run_id: str) -> RunRow:
    """Write this process's identity into a run that is queued, or was claimed for this process.

    Raises:
        V3Error: if it is another's.
    """
    me, now = identity.current(), datetime.now(UTC)
    with db.write() as tx:
        run = need_run(tx, run_id, for_update=True)
        claim(tx, run, now=now, actor="worker")
        values = {"host": me.host, "boot_id": me.boot_id, "pid": me.pid, "pid_started": me.started}
        if not update_run(tx, run_id, values, only_in={Status.STARTING, Status.STOPPING}, pid=me.pid):
            raise V3Error(f"Run {run_id} is {run.status}, not waiting for this process; see: python -m v3core runs.")
        return need_run(tx, run_id)


def train_run(
    db: Database,
    run: RunRow,
    stop: StopRequest,
    on_progress: Callable[[ForegroundProgress], None] | None = None,
) -> Status:
    """Train a run that this process has adopted, and record how it ends.

    Returns:
        The status that the run ended with; LOST if it was taken from this process meanwhile.
    """
    what = f"{run.env} for {run.episodes} episodes under {run.curriculum}, seed {run.seed}"
    logger.info("Training %s (run %s '%s', process %d).", what, run.id, run.name, os.getpid())
    writer: EpisodeWriter | None = None
    try:
        # From here on there are heartbeats, also during the slow import of the trainer.
        writer = EpisodeWriter(db, run.id, generation=run.generation, writable_in=ACTIVE)
        ended = _train(db, run, writer, stop, on_progress)
        writer.close()
        reason = f"Stopped by {stop.describe()}." if ended is Status.STOPPED and stop.asked() else None
    except RunTakenOverError as error:
        logger.error("%s", error)
        return Status.LOST
    except BaseException as error:  # an environment may even call sys.exit
        logger.exception("Training failed.")
        if writer is not None:
            _close_quietly(writer)
        ended, reason = Status.FAILED, describe_failure(error)
    return _finish(db, run, ended, reason)


def _train(
    db: Database,
    run: RunRow,
    writer: EpisodeWriter,
    stop: StopRequest,
    on_progress: Callable[[ForegroundProgress], None] | None,
) -> Status:
    """Train to the end, or until a stop: COMPLETED or STOPPED."""
    from v3core.training.trainer import Outcome, train  # torch: seconds to import, and never wanted in a page

    recorder = Recorder(db, run, writer, stop_asked=stop.asked, on_progress=on_progress)
    with db.write() as tx:
        checkpoint = newest_usable(db, tx, run.id)
        curriculum = curriculum_in_force(tx, run.id)
        start = f"from the checkpoint at episode {checkpoint.episode}" if checkpoint else "from the beginning"
        now = datetime.now(UTC)
        began = change_status(
            tx,
            run.id,
            Status.RUNNING,
            actor="worker",
            message=f"Trains {start}.",
            now=now,
            generation=run.generation,
            values={"started_at": now},
        )
    if not began:
        return Status.STOPPED  # a stop came while this process was starting
    logger.info("Trains %s.", start)
    outcome = train(
        run.config,
        curriculum=curriculum,
        hooks=recorder,
        checkpoint=db.data_dir / checkpoint.path if checkpoint else None,
    )
    return Status.COMPLETED if outcome is Outcome.COMPLETED else Status.STOPPED


def _finish(db: Database, run: RunRow, ended: Status, reason: str | None) -> Status:
    """Write the end of the run; returns the status it has now."""
    now = datetime.now(UTC)
    with db.write() as tx:
        episode = need_run(tx, run.id).episode
        message = f"{ended.capitalize()} at episode {episode}." if reason is None else reason
        if ended is Status.STOPPED and not change_status(
            tx,
            run.id,
            Status.STOPPING,
            actor="worker",
            message=reason or "Stops.",
            now=now,
            generation=run.generation,
        ):
            reason = None  # someone asked for the stop, and the signal only hurried it
            message = f"Stopped at episode {episode}."
        moved = change_status(
            tx, run.id, ended, actor="worker", message=message, now=now, reason=reason, generation=run.generation
        )
    logger.info("%s", message)
    return ended if moved else Status(get_run(db, run.id).status)


def _close_quietly(writer: EpisodeWriter) -> None:
    try:
        writer.close()
    except Exception as error:
        logger.error("The last episodes could not be written: %s", error)


def describe_failure(error: BaseException) -> str:
    """One sentence for what ended a run."""
    if isinstance(error, V3Error):
        return str(error)
    text = " ".join(str(error).split())[:REASON_CHARACTERS].rstrip(".")
    return f"Training ended with {type(error).__name__}{': ' if text else ''}{text}."
