"""Training a run, in a process of its own or in this one: claim it, train it, record its end."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from v3core.config import RunConfig
from v3core.curriculum import Curriculum, PhaseStart
from v3core.errors import V3Error
from v3core.jobs import identity
from v3core.jobs.failures import describe_failure, failure_text
from v3core.jobs.files import hold_reserve, log_file, release_reserve, run_folder
from v3core.jobs.kept_replays import forget_replays
from v3core.jobs.launcher import claim, create
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.lifecycle import ACTIVE, Status, change_status, status_word
from v3core.jobs.logs import logger, logging_to
from v3core.jobs.meanwhile import meanwhile
from v3core.jobs.needs import Needs
from v3core.jobs.notice import VARIABLE as WEBHOOK_VARIABLE
from v3core.jobs.notice import call_webhooks
from v3core.jobs.recorder import ForegroundProgress as ForegroundProgress
from v3core.jobs.recorder import Recorder
from v3core.jobs.shipped_logs import shipping
from v3core.jobs.signals import StopRequest, stop_on_signals
from v3core.jobs.supervisor import describe_stop, reconcile
from v3core.messages import _, several
from v3core.paths import COMMAND
from v3core.phrases import strung
from v3core.places import PlaceError
from v3core.store.commands import curriculum_in_force, open_stop
from v3core.store.database import Database
from v3core.store.history import (
    CheckpointRow,
    PhaseChangeRow,
    add_event,
    add_phase_change,
    read_checkpoints,
    read_phase_changes,
)
from v3core.store.run_row import RunRow
from v3core.store.runs import begins_at_evaluation, get_run, update_run
from v3core.store.schema import Transaction
from v3core.store.writer import EpisodeWriter, RunTakenOverError, truncate

STARTING_POLL_SECONDS = 0.3
IMPORT_PROMISE_SECONDS = 60.0
"""The first heartbeat after a worker has begun: the trainer is imported and the checkpoint read meanwhile."""


@dataclass(frozen=True)
class End:
    """The end of a run, as recorded by its worker."""

    status: Status
    reason: str | None = None
    """One sentence; None if there is nothing to explain."""
    traceback: str | None = None


Report = Callable[[End], None]


def run_worker(
    database: Database,
    run_id: str,
    stop: StopRequest,
    report: Report | None = None,
    leave: Callable[[int], object] | None = None,
) -> int:
    """Train a run in this process, from its newest whole checkpoint if it has one.

    Args:
        database: an open store.
        run_id: full id of a run that was claimed for this process or its parent, or that is queued; V3Error for others.
        stop: whether this process was signalled to stop.
        report: called with the end of the run if the store could not take it; the parent then writes it once it can.
        leave: ends this process with an exit code, for a stop that comes while the trainer is imported: that takes
            seconds, and nothing needs to be kept. Without it such a stop waits for the import.

    Returns:
        The exit code: 0 if the run completed or was stopped, 1 if it failed.
    """
    with logging_to(None):
        run = adopt(database, run_id)
        if leave is not None:
            with _leaving_if_stopped(database, run, leave):
                _import_trainer()
        status = train_run(database, run, stop, report=report)
    return 0 if status in {Status.COMPLETED, Status.STOPPED} else 1


def train_here(
    database: Database,
    config: RunConfig,
    on_progress: Callable[[ForegroundProgress], None],
    *,
    restarts: int | None = None,
) -> tuple[str, Status]:
    """Create a run and train it in this process, without waiting for a slot; returns its id and final status.

    Ctrl-C stops it gracefully, with a checkpoint; a second one does no harm. The log goes to the run's folder.
    `on_progress` is called after each update that completed an episode. If this process dies, the run is queued
    again, at most as often as `restarts` says.
    """
    needs = Needs(restarts=restarts, launcher=LocalLauncher.name)
    now = datetime.now(UTC)
    with stop_on_signals() as stop:
        with database.write() as tx:
            run_id = create(tx, config, now=now, needs=needs)
            claim(tx, get_run(tx, run_id), now=now, actor="worker")  # before any queue can take it
        with shipping(database, run_id), logging_to(log_file(run_id, database.data_dir)):
            status = train_run(database, adopt(database, run_id), stop, on_progress)
    if not stop.asked():
        reconcile(database)
    call_webhooks(database)
    return run_id, status


def _import_trainer() -> None:
    import v3core.training.trainer  # noqa: F401  torch: seconds to import, and never wanted in a page


@contextmanager
def _leaving_if_stopped(database: Database, run: RunRow, leave: Callable[[int], object]) -> Iterator[None]:
    """Meanwhile another thread looks whether a stop was asked for, records the end, and leaves."""

    def look() -> bool:
        try:
            with database.read() as tx:
                asked = open_stop(tx, run.id) is not None
            if asked:
                _finish(database, run, End(Status.STOPPED))
                leave(0)
        except V3Error:
            return False  # busy: the next look, or the worker itself, does it
        return asked

    with meanwhile(look, STARTING_POLL_SECONDS, f"stop of {run.id}"):
        yield


def adopt(database: Database, run_id: str) -> RunRow:
    """Write this process's identity into a run that is queued, or was claimed for this process or its parent."""
    now = datetime.now(UTC)
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        claim(tx, run, now=now, actor="worker")
        values = {
            **vars(identity.current()),
            "heartbeat_at": now,
            "heartbeat_due_at": now + timedelta(seconds=IMPORT_PROMISE_SECONDS),
        }
        mine = [os.getpid(), os.getppid()]
        if not update_run(tx, run_id, values, only_in={Status.STARTING, Status.STOPPING}, pids=mine):
            raise V3Error(
                "Run {run_id} is {status}, not queued for this process; see: {command} runs.",
                run_id=run_id,
                status=status_word(run.status),
                command=COMMAND,
            )
        return get_run(tx, run_id)


def train_run(
    database: Database,
    run: RunRow,
    stop: StopRequest,
    on_progress: Callable[[ForegroundProgress], None] | None = None,
    report: Report | None = None,
) -> Status:
    """Train a run that this process has adopted, and record its end.

    Returns the status that the run ended with; LOST if it was taken from this process meanwhile.
    """
    what = _(
        "{env} for {length} with curriculum {curriculum}, seed {seed}",
        env=run.env,
        length=run.length.words,
        curriculum=run.curriculum,
        seed=run.seed,
    )
    logger.info("Training %s (run %s '%s', process %d).", what, run.id, run.name, os.getpid())
    writer: EpisodeWriter | None = None
    end = End(Status.STOPPED)
    try:
        start = _begin(database, run)
        if start is not None:  # else a stop came while this process was starting
            run, curriculum, checkpoint = start
            notify = bool(os.environ.get(WEBHOOK_VARIABLE))
            writer = EpisodeWriter(database, run.id, generation=run.generation, writable_in=ACTIVE, notify=notify)
            recorder = Recorder(database, run, writer, signalled=stop, on_progress=on_progress)
            end = End(_train(run, curriculum, checkpoint, recorder))
            writer.close(catch_up=end.status is Status.COMPLETED)
        if end.status is Status.STOPPED and stop.asked():
            end = End(Status.STOPPED, _("Stopped by {describe}.", describe=stop.describe()))
    except RunTakenOverError as error:
        logger.error("%s", error)
        return Status.LOST
    except BaseException as error:  # an environment may even call sys.exit
        logger.exception("Training failed.")
        try:
            if writer is not None:
                writer.close()
        except Exception as problem:
            logger.error("The last episodes could not be written: %s", problem)
        end = End(Status.FAILED, describe_failure(error), failure_text(error))
    try:
        return _finish(database, run, end)
    except V3Error as error:
        logger.error("The end of the run could not be recorded: %s", error)
        if report is None:
            raise
        report(end)
        return end.status


@dataclass(frozen=True)
class _Kept:
    """The position of a checkpoint within the records."""

    file: CheckpointRow
    starts: tuple[PhaseStart, ...]
    """Where the phases began."""
    evaluated: int
    """Complete episodes at the newest evaluation."""


def _begin(database: Database, run: RunRow) -> tuple[RunRow, Curriculum, Path | None] | None:
    """Set the run to training from its checkpoint, discarding later records; None if it is to stop already."""
    hold_reserve(run_folder(run.id, database.data_dir))
    database.place.check()
    kept, notes = _readable_checkpoint(database, run)
    # Before the transaction, which a database ends if a bucket takes long meanwhile.
    checkpoint = database.place.bring(database.data_dir / kept.file.path) if kept else None
    with database.write() as tx:
        if not _begin_from(tx, run, kept, notes):
            return None
        if run.generation:  # before the commit: if it cannot be done, nothing has changed and the run fails
            forget_replays(database, run.id, after=kept.evaluated if kept else -1)
        return get_run(tx, run.id), curriculum_in_force(tx, run.id), checkpoint


def _train(run: RunRow, curriculum: Curriculum, checkpoint: Path | None, recorder: Recorder) -> Status:
    """Train to the end, or until a stop: COMPLETED or STOPPED."""
    from v3core.training.trainer import Outcome, train  # torch: seconds to import, and never wanted in a page

    outcome = train(run.config, curriculum=curriculum, hooks=recorder, checkpoint=checkpoint)
    return Status.COMPLETED if outcome is Outcome.COMPLETED else Status.STOPPED


def _readable_checkpoint(database: Database, run: RunRow) -> tuple[_Kept | None, list[str]]:
    """The newest checkpoint that can be loaded, and a sentence for each newer one that cannot."""
    from v3core.training.checkpoint import load_checkpoint

    notes: list[str] = []
    known = read_checkpoints(database, run.id)
    for row in reversed(known):
        try:
            row, state = _before_its_end(
                database, run, known, row, load_checkpoint(database.place.bring(database.data_dir / row.path))
            )
            if row.episode == run.episode == run.parent_episode == state.get("completed"):
                # A worker replaces a checkpoint of the same episode before its row: a fork may get the newer file.
                row = replace(row, step=int(state["step"]))
            if (state.get("completed"), state.get("step")) != (row.episode, row.step):
                raise V3Error(
                    "Checkpoint {value} belongs to another run or another episode.",
                    value=database.place.name_of(database.data_dir / row.path),
                )
            starts = tuple(PhaseStart(*start) for start in state["starts"])
            return _Kept(row, starts, state.get("evaluated", row.episode)), notes
        except PlaceError:
            raise  # from an earlier one it would lose episodes that are not lost
        except V3Error as error:
            notes.append(str(error))
            logger.warning("%s", error)
    if run.episode:
        raise V3Error(
            "None of the run's checkpoints can be loaded; restore one, or start a new run. {notes}", notes=notes[0]
        )
    return None, notes


def _before_its_end(
    database: Database, run: RunRow, known: list[CheckpointRow], row: CheckpointRow, state: dict[str, Any]
) -> tuple[CheckpointRow, dict[str, Any]]:
    """Of a run that was complete and is longer now: the checkpoint before its last rollout, which its end cut short.

    Only from there does it train as if it had been that long from the start. Where it is gone (V3_KEEP_CHECKPOINTS=1,
    or an older version wrote none) the run continues from its end.
    """
    from v3core.training.checkpoint import continued, load_checkpoint

    place = state.get("last_rollout")
    if place is None or run.length.is_reached(row.episode, row.step):
        return row, state
    if (within := continued(state, run.length)) is not state:
        return replace(row, step=within["step"]), within
    for earlier in known:
        if (earlier.episode, earlier.step) == tuple(place):
            try:
                return earlier, load_checkpoint(database.place.bring(database.data_dir / earlier.path))
            except PlaceError:
                raise
            except V3Error as error:
                logger.warning("%s", error)
    return row, state


def _begin_from(tx: Transaction, run: RunRow, kept: _Kept | None, notes: list[str]) -> bool:
    now = datetime.now(UTC)
    where = (
        _("from the checkpoint at episode {episode}", episode=kept.file.episode) if kept else _("from the beginning")
    )
    values = {"started_at": now}
    message = _("Training {where}.", where=where)
    if node := identity.this_node_address():
        message = _("Training on node {node} {where}.", node=node, where=where)
    if not change_status(tx, run, Status.RUNNING, message, actor="worker", now=now, values=values):
        return False
    logger.info("%s", message)
    if run.parent is not None and kept is not None:
        begins_at_evaluation(tx, run, kept.evaluated)
    if run.generation or run.parent is not None:  # resumed, or forked from what it continues
        deleted = _take_back(tx, run, kept, now)
        if deleted:
            again = several(
                "{count} later episode is trained again.", "{count} later episodes are trained again.", count=deleted
            )
            notes = [*notes, again]
    for note in notes:
        add_event(tx, run.id, actor="worker", kind="remark", message=note, now=now)
    return True


def _take_back(tx: Transaction, run: RunRow, kept: _Kept | None, now: datetime) -> int:
    """Leave of a run's records those that its checkpoint continues; returns how many episodes were deleted."""
    if kept is None:
        return truncate(tx, run.id, episode=0, step=0, now=now)
    # Earlier versions deleted the first phase's when a run continued from its very beginning, and did not restore it.
    curriculum = curriculum_in_force(tx, run.id)
    for phase, start in enumerate(kept.starts):
        planned, name = (0, *curriculum.planned_ends)[phase], curriculum.phases[phase].name
        change = PhaseChangeRow(phase, name, planned, start.episode, start.step, run.generation, now)
        add_phase_change(tx, run.id, change)
    episode, step = kept.file.episode, kept.file.step
    return truncate(tx, run.id, episode=episode, step=step, now=now, phases=len(kept.starts), evaluated=kept.evaluated)


def _finish(database: Database, run: RunRow, end: End) -> Status:
    """Write the end of the run; returns the status it has now."""
    with database.write() as tx:
        release_reserve(run_folder(run.id, database.data_dir))
        return write_end(tx, run, end, datetime.now(UTC))


_ENDS = {
    Status.COMPLETED: _("Completed at episode {episode}."),
    Status.STOPPED: _("Stopped at episode {episode}."),
    Status.FAILED: _("Failed at episode {episode}."),
}


def _unbegun(tx: Transaction, run: RunRow) -> list[str]:
    """What a complete run did not come to, because its steps were used before its phases ended; mostly nothing."""
    curriculum = curriculum_in_force(tx, run.id)
    missing = [phase.name for phase in curriculum.phases[len(read_phase_changes(tx, run.id)) :]]
    return missing if run.steps is not None else []


def write_end(tx: Transaction, run: RunRow, end: End, now: datetime) -> Status:
    """Move a run to its end, via `stopping` if no stop was requested; returns the status that it has then."""
    now_run, reason = get_run(tx, run.id), end.reason
    episode = now_run.episode
    unbegun = _unbegun(tx, now_run) if end.status is Status.COMPLETED else []
    message = reason
    if message is None and unbegun:
        message = _(
            "Completed at episode {episode}, before {phases} began.",
            episode=episode,
            phases=strung(_(" and "), unbegun),
        )
    elif message is None:
        message = _ENDS[end.status].filled(episode=episode)
    if end.status is Status.STOPPED and not change_status(
        tx, run, Status.STOPPING, reason or "Stops.", actor="worker", now=now
    ):
        # Someone asked for the stop; a signal only hurried it.
        reason = describe_stop(tx, run.id, None)
        message = reason or _("Stopped at episode {episode}, as asked.", episode=episode)
    values = {"traceback": end.traceback}
    moved = change_status(tx, run, end.status, message, actor="worker", now=now, reason=reason, values=values)
    logger.info("%s", message)
    return end.status if moved else Status(get_run(tx, run.id).status)
