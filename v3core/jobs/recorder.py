"""The trainer's hooks: reports go to the store and the log, commands come from the store."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from v3core.curriculum import Curriculum, Length, PhaseStart
from v3core.errors import V3Error
from v3core.insight.alarms import Began, Edited, Evaluated
from v3core.jobs.checkpoints import kept_checkpoints, superseded
from v3core.jobs.files import checkpoint_file
from v3core.jobs.kept_replays import write_replays
from v3core.jobs.kinds import parse_length
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.jobs.logs import logger
from v3core.jobs.sampler import ProcessSampler
from v3core.jobs.signals import StopRequest
from v3core.messages import _
from v3core.metrics import EpisodeRecord
from v3core.phrases import listed
from v3core.places import PlaceError
from v3core.store import commands, history
from v3core.store.commands import CommandRow
from v3core.store.database import Database, DatabaseBusyError
from v3core.store.expert_records import add_expert_report, add_knockouts
from v3core.store.history import CheckpointRow, PhaseChangeRow
from v3core.store.pace import recent_returns
from v3core.store.process_samples import add_process_sample, sampled_seconds
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, set_compute, set_length, update_run
from v3core.store.schema import Transaction
from v3core.store.writer import EpisodeWriter
from v3core.training.hooks import Edit, Evaluation, EvaluationEpisode, Longer, Orders, PhaseChange, Spent

POLL_SECONDS = 0.3
LOG_SECONDS = 5.0
CHECKPOINT_PROMISE_SECONDS = 60.0
PATIENCE_SECONDS = 3.0
"""How long a stop, a pause or a checkpoint waits for the end of the rollout and its update before it goes between."""

_NOTHING = Orders()


@dataclass(frozen=True)
class ForegroundProgress:
    """How far a run is, for a progress bar."""

    episode: int
    episodes: int
    step: int
    phase: str
    mean_return: float
    """As `RunRow.mean_return`."""
    mean_count: int
    """Episodes that it is of."""


class Recorder:
    """TrainingHooks of a recorded run. The training thread only reads the database; the writer's thread writes."""

    def __init__(
        self,
        database: Database,
        run: RunRow,
        writer: EpisodeWriter,
        *,
        signalled: StopRequest,
        on_progress: Callable[[ForegroundProgress], None] | None = None,
    ) -> None:
        """Record `run`, as it was claimed, through its `writer`.

        `on_progress` is called on the training thread after each update that completed an episode.
        """
        self._database = database
        self._run = run
        self._writer = writer
        self._signalled = signalled
        self._on_progress = on_progress
        with database.read() as tx:
            self._returns = recent_returns(tx, run.id)
        self._newest, self._spread = kept_checkpoints()
        self._boundaries = {change.episode for change in history.read_phase_changes(database, run.id)}
        if run.parent_episode is not None:
            self._boundaries.add(run.parent_episode)  # what a fork begins with is kept as those of phases are
        self._checkpoints = {row.episode: row.path for row in history.read_checkpoints(database, run.id)}
        self._episode = run.episode
        self._next_poll = 0.0
        self._next_log = 0.0
        self._waits_since: float | None = None
        """When the first of what is asked and not done yet was seen."""
        self._seen: set[int] = set()
        self._stop = False
        self._paused = False
        self._pauses: list[int] = []
        """Ids of the commands that the present pause answers."""
        self._checkpoints_asked: list[int] = []
        self._asked_for = {
            row.applied_episode
            for row in commands.read_commands(database, run.id)
            if row.kind == commands.CHECKPOINT and row.applied_episode is not None
        }
        """Episodes of the checkpoints that people asked for, which are kept."""
        self._edits: list[Edit] = []
        self._longer: list[Longer] = []
        self._length = run.length
        self._phase = run.phase or ""
        self._sampler = ProcessSampler(sampled_seconds(database, run.id))
        writer.at_heartbeat = self.heard
        writer.at_alarm_failure = self.alarms_failed
        checkpoint_file(database, run.id, 0).parent.mkdir(parents=True, exist_ok=True)

    def trains_on(self, device: str, backend: str) -> None:
        logger.info("The network runs on %s, with the %s backend.", device, backend)
        self._writer.also(lambda tx: set_compute(tx, get_run(tx, self._run.id), device, backend))

    def sees(self, text: str) -> None:
        logger.info("%s", text)

        def write(tx: Transaction) -> None:
            update_run(tx, self._run.id, {"sees": text}, only_in=ACTIVE)

        self._writer.also(write)

    def _note(
        self,
        kind: str,
        message: str,
        write: Callable[[Transaction, datetime], object] | None = None,
        *,
        then: Callable[[], None] | None = None,
        level: int = logging.INFO,
    ) -> None:
        """Log a sentence and add it to the run's history, in one transaction with what `write` writes.

        If that returns False, it was written before, and so was the sentence. `then` is called once it is committed.
        """
        logger.log(level, "%s", message)
        now = datetime.now(UTC)

        def both(tx: Transaction) -> None:
            if write is None or write(tx, now) is not False:
                history.add_event(tx, self._run.id, actor="worker", kind=kind, message=message, now=now)

        self._writer.also(both, then=then)

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        self._writer.record(episodes, step)
        if not episodes and self._length.steps is None:
            return
        for episode in episodes:
            self._episode, self._phase = episode.episode, episode.phase
            self._returns.add(episode.return_, episode.phase)
        self._returns.window = self._length.mean_window(self._episode, step)
        log = time.monotonic() >= self._next_log
        if self._on_progress is None and not log:
            return
        mean = self._returns.mean or 0.0
        if self._on_progress is not None:
            place = self._episode, self._length.episodes, step, self._phase
            self._on_progress(ForegroundProgress(*place, mean, self._returns.count))
        if log:
            self._next_log = time.monotonic() + LOG_SECONDS
            where = f"{self._length.reached(self._episode, step)}, step {step}, phase {self._phase}"
            logger.info("%s: mean return %.2f, last %d in phase.", where, mean, self._returns.count)

    def spent(self, spent: Spent, steps: int) -> None:
        self._sampler.add(spent, steps)
        if (sample := self._sampler.take()) is not None:
            self._writer.also(lambda tx: add_process_sample(tx, self._run.id, sample))

    def evaluated(self, evaluation: Evaluation) -> None:
        results = _results(evaluation.episodes)
        mean = sum(return_ for return_, _, _ in results) / len(results)
        at, step, env = evaluation.episode, evaluation.step, evaluation.env
        tasks = [episode.task for episode in evaluation.episodes]

        def write(tx: Transaction, now: datetime) -> None:
            history.add_evaluation(
                tx, self._run.id, episode=at, step=step, env=env, results=results, now=now, tasks=tasks
            )
            if evaluation.experts is not None:
                add_expert_report(tx, self._run.id, at, evaluation.experts)
            if evaluation.knockouts:
                without = {expert: _results(played) for expert, played in evaluation.knockouts.items()}
                add_knockouts(tx, self._run.id, episode=at, results=without, now=now)

        self._keep_replays(evaluation)
        self._writer.mark(Evaluated(at, [return_ for return_, _, _ in results]))
        self._note(
            "evaluation",
            _(
                "Evaluation at episode {at}: mean return {mean:.2f} over {results} episodes.",
                at=at,
                mean=mean,
                results=len(results),
            ),
            write,
        )

    def _keep_replays(self, evaluation: Evaluation) -> None:
        """Write the replays of an evaluation: a run goes on without them."""
        at, experts = evaluation.episode, self._run.experts
        try:
            write_replays(
                self._database, self._run.id, at, evaluation.replays, experts=experts, boundaries=self._boundaries
            )
        except V3Error as error:
            self._note("remark", str(error), level=logging.WARNING)

    def update_undone(self, reason: str, in_a_row: int) -> None:
        message = _("Rollout without an update: {reason} ({in_a_row} in a row).", reason=reason, in_a_row=in_a_row)
        self._note("undone", message, level=logging.WARNING)

    def phase_changed(self, change: PhaseChange) -> None:
        values = {"number": change.phase + 1, "name": change.name, "episode": change.episode}
        message = _("Phase {number} '{name}' begins at episode {episode}.", **values)
        if change.planned not in {None, change.episode}:
            message = _(
                "Phase {number} '{name}' begins at episode {episode} (planned at {planned}).",
                **values,
                planned=change.planned,
            )
        self._phase = change.name
        self._boundaries.add(change.episode)
        self._writer.mark(Began(change.episode, change.phase, PhaseStart(change.episode, change.step)))
        self._note(
            "phase",
            message,
            lambda tx, now: history.add_phase_change(
                tx, self._run.id, PhaseChangeRow(**vars(change), generation=self._run.generation, at=now)
            ),
        )

    def orders(self) -> Orders:
        if time.monotonic() >= self._next_poll:
            self._poll()
        if self._signalled.asked() and not self._stop:
            self._stop = True
            logger.info("Stopping: the process received a signal.")
        edits, self._edits = tuple(self._edits), []
        longer, self._longer = tuple(self._longer), []
        checkpoint = bool(self._checkpoints_asked) and not self._stop
        self._waits_since = None  # all of it is done before the next rollout
        return Orders(stop=self._stop, pause=self._paused, checkpoint=checkpoint, edits=edits, longer=longer)

    def urgent(self) -> Orders:
        now = time.monotonic()
        if self._signalled.hurried:
            return Orders(stop=True)
        if now >= self._next_poll:
            self._poll()
        stop = self._stop or self._signalled.asked()
        if not (stop or self._paused or self._checkpoints_asked):
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        elif now - self._waits_since >= PATIENCE_SECONDS:
            return Orders(stop=stop, pause=self._paused, checkpoint=bool(self._checkpoints_asked))
        return _NOTHING

    def _poll(self) -> None:
        self._next_poll = time.monotonic() + POLL_SECONDS
        try:
            waiting = commands.read_commands(self._database, self._run.id, only_open=True)
        except DatabaseBusyError:
            return  # a server that does not answer may at the next look
        new = [row for row in waiting if row.id not in self._seen]
        if not new:
            return
        now, ids = datetime.now(UTC), [row.id for row in new]
        self._seen.update(ids)
        self._writer.also(lambda tx: commands.acknowledge(tx, ids, now=now))
        for row in new:
            answer = getattr(self, f"answer_{row.kind}", self._unknown)
            try:
                answer(row)
            except V3Error as problem:  # what is given with it cannot be read
                self._reject(row.id, row.kind, str(problem))

    # One method for each kind of the table in `jobs/kinds.py` that a worker answers.

    def answer_stop(self, _row: CommandRow) -> None:
        """The trainer leaves with a checkpoint; the end of the run settles the command."""
        if not self._stop:
            self._stop = True
            logger.info("Stopping on request.")

    def answer_pause(self, row: CommandRow) -> None:
        """Set once the trainer is paused."""
        self._paused = True
        self._pauses.append(row.id)

    def answer_continue(self, row: CommandRow) -> None:
        """A pause that has not started yet is dropped."""
        now, episode, pauses = datetime.now(UTC), self._episode, self._pauses
        self._paused, self._pauses = False, []
        logger.info("Continues at episode %d.", episode)

        def write(tx: Transaction) -> None:
            commands.apply_commands(tx, self._run.id, ids=[*pauses, row.id], episode=episode, now=now)
            self._move(
                tx,
                Status.RUNNING,
                _("Continues at episode {episode}.", episode=episode),
                {Status.PAUSED, Status.STALLED},
                now,
            )

        self._writer.also(write)

    def answer_checkpoint(self, row: CommandRow) -> None:
        """Applied with the next checkpoint."""
        self._checkpoints_asked.append(row.id)

    def answer_edit_curriculum(self, row: CommandRow) -> None:
        """The trainer decides between two updates."""
        if row.revision is None:
            raise V3Error("The command has no curriculum.")
        self._edits.append(Edit(row.revision.id, row.revision.curriculum))

    def answer_extend(self, row: CommandRow) -> None:
        episodes, steps = parse_length(row.value or "")
        self._longer.append(Longer(row.id, episodes, steps))

    def _unknown(self, row: CommandRow) -> None:
        sentence = _("The worker does not know the command '{kind}'; stop the run and resume it.", kind=row.kind)
        self._reject(row.id, row.kind, sentence)

    def _reject(self, command: int, kind: str, reason: str) -> None:
        logger.warning("The command '%s' was rejected: %s", kind, reason)
        now = datetime.now(UTC)
        self._writer.also(lambda tx: commands.reject_open(tx, self._run.id, reason=reason, now=now, ids=[command]))

    def hold(self, episode: int, *, in_rollout: bool = False) -> None:
        """Be paused, with heartbeats continuing, until something else is asked for; in a rollout edits wait."""
        now, pauses = datetime.now(UTC), self._pauses
        self._pauses = []

        def write(tx: Transaction) -> None:
            commands.apply_commands(tx, self._run.id, ids=pauses, episode=episode, now=now)
            self._move(
                tx,
                Status.PAUSED,
                _("Paused at episode {episode}.", episode=episode),
                {Status.RUNNING, Status.STALLED},
                now,
            )

        if pauses:
            logger.info("Paused at episode %d.", episode)
            self._writer.also(write)
        began = time.monotonic()
        while self._paused and not (self._stop or self._checkpoints_asked or self._signalled.asked()):
            if (self._edits or self._longer) and not in_rollout:
                break
            time.sleep(POLL_SECONDS)
            self._poll()
        self._writer.skip(time.monotonic() - began)

    def heard(self, tx: Transaction) -> None:
        """With every heartbeat: a stalled run becomes running again."""
        here = Status.PAUSED if self._paused and not self._pauses else Status.RUNNING
        self._move(tx, here, _("Heartbeats resumed."), {Status.STALLED}, datetime.now(UTC))

    def _move(self, tx: Transaction, to: Status, message: str, only_from: Collection[Status], now: datetime) -> None:
        change_status(tx, self._run, to, message, actor="worker", now=now, only_from=only_from)

    def alarms_failed(self, error: BaseException) -> None:
        """On the writer's thread: nothing may be raised from here."""
        logger.error("The rules of alarms failed; the run trains without them.", exc_info=error)

    def remark(self, message: str) -> None:
        self._note("remark", message)

    def edit_applied(self, edit: Edit, episode: int) -> None:
        ends = listed(edit.curriculum.boundaries) or _("none")
        self._writer.mark(Edited(episode, edit.curriculum))
        self._note(
            "edit",
            _("Curriculum edited from episode {episode} on; boundaries: {ends}.", episode=episode, ends=ends),
            lambda tx, now: commands.apply_revision(tx, self._run.id, edit.id, episode=episode, now=now),
        )

    def edit_rejected(self, edit: Edit, reason: str) -> None:
        self._note(
            "edit",
            _("Edit rejected: {reason}", reason=reason),
            lambda tx, now: commands.reject_revision(tx, self._run.id, edit.id, reason=reason, now=now),
        )

    def length_applied(self, longer: Longer, curriculum: Curriculum | None, episode: int) -> None:
        """Curves and means are taken over the new length from now on."""
        length = Length(longer.episodes or self._length.episodes, longer.steps)
        message = _("Length changed {changed_to}.", changed_to=self._length.changed_to(length))
        self._length = length

        def write(tx: Transaction, now: datetime) -> None:
            set_length(tx, get_run(tx, self._run.id), length)
            if curriculum is not None:
                commands.add_revision(tx, self._run.id, curriculum, actor="worker", now=now, applied_episode=episode)
            commands.apply_commands(tx, self._run.id, ids=[longer.id], episode=episode, now=now)

        self._note("length", message, write, then=self._writer.count_again)
        self._writer.flush()
        with self._database.read() as tx:
            self._returns = recent_returns(tx, self._run.id)

    def length_rejected(self, longer: Longer, reason: str) -> None:
        self._reject(longer.id, "extend", reason)

    def checkpoint_path(self, episode: int) -> Path:
        self._writer.promise(CHECKPOINT_PROMISE_SECONDS)  # a slow disk must not make the run look stalled
        return checkpoint_file(self._database, self._run.id, episode)

    def checkpoint_saved(self, path: Path, episode: int, step: int) -> None:
        """Record it in the same transaction as its episodes, then delete those no longer needed."""
        size = path.stat().st_size
        self._database.place.put(path)
        logger.info("Checkpoint at episode %d, step %d.", episode, step)
        self._writer.promise()
        now, asked = datetime.now(UTC), self._checkpoints_asked
        self._checkpoints_asked = []
        file = str(path.relative_to(self._database.data_dir))
        row = CheckpointRow(episode, step, file, now, size)
        self._checkpoints[episode] = row.path
        if asked:
            self._asked_for.add(episode)
        lasting = self._boundaries | self._asked_for
        unneeded = superseded(sorted(self._checkpoints), lasting, self._spread, self._newest)
        files = [self._database.data_dir / self._checkpoints.pop(old) for old in unneeded]

        def write(tx: Transaction) -> None:
            history.add_checkpoint(tx, self._run.id, row)
            for old in unneeded:
                history.remove_checkpoint(tx, self._run.id, old)
            commands.apply_commands(tx, self._run.id, ids=asked, episode=episode, now=now)

        def delete() -> None:
            for old in files:
                try:
                    self._database.place.remove(old)
                except PlaceError as error:  # nothing needs it, and `tidy` finds it
                    logger.warning("Checkpoint %s stays: %s", old.name, error)

        self._writer.also(write, then=delete)


def _results(played: Sequence[EvaluationEpisode]) -> list[history.EvaluationResult]:
    return [(episode.return_, episode.length, episode.success) for episode in played]
