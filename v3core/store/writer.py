"""Writing a run's episodes while it trains, and truncating them to a checkpoint.

A separate thread writes, so that training never waits for the disk.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import numpy as np
from sqlalchemy import delete, or_, select, update

from v3core.errors import V3Error
from v3core.insight.alarms import Episodes, Watch
from v3core.insight.alarms.watch import Mark
from v3core.metrics import METRICS, PER_EXPERT, EpisodeRecord
from v3core.store.alarms import AlarmRow, cut_alarms, keep_alarms, put_alarm
from v3core.store.bulk import COLUMNS, driver_time, insert_rows
from v3core.store.commands import APPLIED
from v3core.store.database import Database, DatabaseBusyError, DatabaseUnreachableError
from v3core.store.kept_trunks import keep_trunk
from v3core.store.pace import Pace, Speed, recent_returns
from v3core.store.rollups import Pyramid, cut_rollups, insert_rollups
from v3core.store.runs import find_run, get_run, update_run
from v3core.store.schema import (
    Transaction,
    checkpoints,
    episodes,
    evaluation_experts,
    evaluations,
    expert_loads,
    knockouts,
    phase_changes,
    revisions,
    runs,
    state_maps,
)
from v3core.store.trunks import fork_begin, with_evaluation
from v3core.store.watching import Backlog, as_episodes, as_row, begun_watch

COMMIT_SECONDS = 0.5
"""An episode is committed within this time of being recorded; the first ones, which people wait for, at once."""
COMMIT_EPISODES = 256
"""… or once this many are waiting."""
LARGEST_COMMIT = 1024
"""Maximum number of episodes per commit, so that others do not wait long for the lock."""
HEARTBEAT_SECONDS = 1.0
PROMISE_SECONDS = 5.0
"""Each heartbeat promises the next one within so long, unless it says otherwise."""
QUICKLY_READ = 20_000
"""Episodes that the rules of alarms see within a second."""
LOCKED_SECONDS = 600.0
"""How long a batch waits for a database that another process keeps locked, or that does not answer."""


_TEXTS = ("phase", *(metric.name for metric in METRICS.values() if metric.kind is str and metric.name != "phase"))
_EPISODE = ("run_id", "at", "episode", *_TEXTS, *COLUMNS)
_LOADS = ("run_id", "episode", "expert", *(metric.column for metric in PER_EXPERT))

_row = attrgetter("episode", *(METRICS[name].field for name in (*_TEXTS, *COLUMNS)))
_per_expert = attrgetter(*(metric.field for metric in PER_EXPERT))
_NUMBERS = slice(1 + len(_TEXTS), None)


class RunTakenOverError(V3Error):
    """The run is no longer this process's to write: it was declared lost, and perhaps resumed elsewhere."""


Operation = Callable[[Transaction], None]


_Also = tuple[Operation, Callable[[], None] | None]
"""A write that goes with the episodes, and what follows once it is committed."""


class EpisodeWriter:
    """Writes a run's episodes and heartbeats, in batches and in order.

    A write error is raised by the next call of any method. Every batch first checks that the run still belongs to
    this process (same generation, not declared lost), so an old worker can never write into a resumed run.
    """

    def __init__(
        self,
        database: Database,
        run_id: str,
        *,
        generation: int,
        writable_in: Collection[str],
        notify: bool = False,
    ) -> None:
        """Start the thread; the first heartbeat is written at once.

        This process trains that generation of the run, which may be written in the statuses `writable_in`. With
        `notify` the webhook becomes due for each alarm.
        """
        self.at_heartbeat: Operation | None = None
        """Called on the writer's thread in every transaction; must be cheap."""
        self.at_alarm_failure: Callable[[BaseException], None] | None = None
        """Called on the writer's thread if the rules of alarms fail; training continues without them."""
        self._notify = notify
        self._database = database
        self._run_id = run_id
        self._generation = generation
        self._writable_in = writable_in
        with database.read() as tx:
            run = get_run(tx, run_id)
            self._length = run.length
            self._returns = recent_returns(tx, run_id)
            self._pyramid = Pyramid.restore(tx, run_id)
            self._watch: Watch | None = begun_watch(tx, run_id)
            self._trunk = fork_begin(tx, run_id)
        self._backlog = self._backlog_of(run.episode)
        """Episodes recorded before that the rules have not seen; None once they have. Of the writer's thread."""
        self._alarms_due: list[AlarmRow] = []
        """Alarms to be written with the next batch."""
        self._compares_alarms = False
        """Whether the next batch brings all stored alarms in line with those found."""
        self._whole_until: int | None = self._pyramid.whole_until
        self._episode, self._step = run.episode, run.step
        self._recorded = run.episode
        self._step_speed, self._pace = Speed(), Pace()
        self._changed = threading.Condition()
        self._pending: list[EpisodeRecord | _Also] = []
        self._promise = PROMISE_SECONDS
        self._rollout_at: datetime | None = None
        self._commit_at = float("inf")
        self._waited_for = True
        self._accepted = 0
        self._written = 0
        self._closing = self._catches_up = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"writer of {run_id}", daemon=True)
        self._thread.start()

    def record(self, rows: Sequence[EpisodeRecord], step: int) -> None:
        """Take episodes to be written soon, continuing from the last, and the environment steps of the run so far."""
        with self._changed:
            self._raise_error()
            self._step = step
            self._accepted += 1  # the step, also without an episode
            self._rollout_at = datetime.now(UTC)
            if rows:
                self._recorded = rows[-1].episode
            self._pace.mark(time.monotonic(), step, self._recorded)
            if rows:
                self._take(*rows)
                if self._waited_for or len(self._pending) >= COMMIT_EPISODES:
                    self._waited_for = False
                    self._commit_at = 0.0
                    self._changed.notify_all()

    def also(self, operation: Operation, then: Callable[[], None] | None = None) -> None:
        """Run a write right after the episodes recorded so far, in the same transaction; returns at once.

        `then` is called on the writer's thread after the commit.
        """
        with self._changed:
            self._raise_error()
            self._take((operation, then))
            self._commit_at = 0.0
            self._changed.notify_all()

    def mark(self, mark: Mark) -> None:
        """Note for alarms what happened after the episodes recorded so far, before any later one is recorded."""
        if (watch := self._watch) is not None:
            watch.mark(mark)

    def count_again(self) -> None:
        """The run's length is another, and so is the window of its means. On the writer's thread."""
        with self._database.read() as tx:
            self._length = get_run(tx, self._run_id).length
            self._returns = recent_returns(tx, self._run_id)
            self._watch = self._watch and begun_watch(tx, self._run_id)
        self._backlog = self._backlog_of(self._episode)

    def _backlog_of(self, episode: int) -> Backlog | None:
        if self._watch is None or not episode:
            return None
        return Backlog(self._database, self._run_id, self._watch, episode)

    def skip(self, seconds: float) -> None:
        """The run was paused for this long, which does not count for its speed."""
        with self._changed:
            self._pace.skip(seconds)

    def promise(self, seconds: float = PROMISE_SECONDS) -> None:
        """From now on each heartbeat promises the next one within so long; the first goes out at once."""
        with self._changed:
            self._raise_error()
            self._promise = seconds
            self._commit_at = 0.0
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was handed in so far is committed."""
        with self._changed:
            wanted = self._accepted
            self._commit_at = 0.0
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error is not None or self._written >= wanted)
            self._raise_error()

    def close(self, *, catch_up: bool = False) -> None:
        """Commit all and end the thread.

        With `catch_up`, the rules of alarms see all earlier episodes first, however long that takes. Otherwise they
        only do if it takes less than a second; if not, the alarms of the run are computed when they are asked for.
        """
        with self._changed:
            self._closing, self._catches_up = True, catch_up
            self._changed.notify_all()
        self._thread.join()
        self._raise_error()

    def _take(self, *entries: EpisodeRecord | _Also) -> None:
        if not self._pending:
            self._commit_at = time.monotonic() + COMMIT_SECONDS
            self._changed.notify_all()
        self._pending.extend(entries)
        self._accepted += len(entries)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        next_heartbeat = 0.0
        try:
            while True:
                self._catch_up(next_heartbeat)
                with self._changed:
                    while not self._closing and (wait := min(self._commit_at, next_heartbeat) - time.monotonic()) > 0:
                        self._changed.wait(wait)
                    batch, self._pending = self._pending[:LARGEST_COMMIT], self._pending[LARGEST_COMMIT:]
                    self._commit_at = 0.0 if self._pending else float("inf")
                    closing, step = self._closing, self._step
                    taken = self._accepted - len(self._pending)
                next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
                self._write_patiently(batch, step)
                with self._changed:
                    self._written = taken
                    self._changed.notify_all()
                if closing and not self._pending and self._backlog is None:
                    return
        except BaseException as error:  # any error must reach the training thread
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _catch_up(self, next_heartbeat: float) -> None:
        """Let the rules see more of the earlier episodes: a part, and further ones until something is to be written."""
        while (backlog := self._backlog) is not None:
            if self._closing and not self._catches_up and backlog.left > QUICKLY_READ:
                self._watch, self._backlog = None, None
                return
            try:
                if backlog.advance():
                    self._backlog, self._compares_alarms = None, True
            except DatabaseBusyError:
                return  # the same part is next
            except Exception as error:
                self._rules_failed(error)
            if self._closing or time.monotonic() >= min(self._commit_at, next_heartbeat):
                return

    def _write_patiently(self, batch: list[EpisodeRecord | _Also], step: int) -> None:
        """Write a batch, and keep waiting while another process holds the lock: that process may be suspended."""
        rows = [entry for entry in batch if isinstance(entry, EpisodeRecord)]
        for row in rows:
            self._returns.add(row.return_, row.phase)
        insert = self._prepared(rows)
        if not rows:
            self._look_for_alarms(None)
        give_up_at = time.monotonic() + LOCKED_SECONDS
        tried: datetime | None = None
        while True:
            try:
                # A connection that was lost in a commit does not say whether that succeeded.
                if tried is None or not self._is_written(tried):
                    tried = datetime.now(UTC)
                    self._write(batch, rows, insert, step, tried)
                break
            except DatabaseBusyError as error:
                if time.monotonic() > give_up_at:
                    raise
                if isinstance(error, DatabaseUnreachableError):
                    time.sleep(HEARTBEAT_SECONDS)
        self._whole_until = None  # also if it was the commit that was not answered: what was cut is written again
        self._alarms_due, self._compares_alarms = [], False
        for entry in batch:
            if isinstance(entry, tuple) and (then := entry[1]):
                then()

    def _is_written(self, heartbeat_at: datetime) -> bool:
        """Whether the batch that was written with this heartbeat is in the database."""
        with self._database.read() as tx:
            run = find_run(tx, self._run_id)  # None if it was deleted meanwhile, which writing again finds out
        return run is not None and run.heartbeat_at == heartbeat_at

    def _prepared(self, records: list[EpisodeRecord]) -> Operation:
        """The inserts of episodes, with their rows as the driver takes them: made once, however often it is tried."""
        if not records:
            return lambda _: None
        rows = [_row(record) for record in records]
        per_expert = list(map(_per_expert, records))
        loads = [
            (row[0], expert, *values)
            for row, vectors in zip(rows, per_expert, strict=True)
            for expert, values in enumerate(zip(*vectors, strict=True))
        ]
        numbers, phases = [row[0] for row in rows], [row[1] for row in rows]
        columns = np.array([row[_NUMBERS] for row in rows], dtype=np.float64)  # None becomes NaN
        of_experts = np.array(per_expert, dtype=np.float64)
        rollups = self._pyramid.record(numbers, columns, of_experts, phases)
        self._look_for_alarms(as_episodes(numbers, columns, of_experts, phases))

        def insert(tx: Transaction) -> None:
            insert_rows(tx, episodes, _EPISODE, rows, (self._run_id, driver_time(tx, datetime.now(UTC))))
            insert_rows(tx, expert_loads, _LOADS, loads, (self._run_id,))
            insert_rollups(tx, rollups)

        return insert

    def _look_for_alarms(self, rows: Episodes | None) -> None:
        """Apply the rules to further episodes; an error in them must not end training."""
        if self._backlog is not None:
            if rows is not None:
                self._backlog.add(rows)
            return
        if self._watch is None:
            return
        try:
            if rows is None:
                self._watch.catch_up()
            else:
                self._watch.watch(rows)
            changed = self._watch.changed()
            found = self._watch.alarms if self._compares_alarms else changed
            self._alarms_due = [as_row(alarm) for alarm in found]
        except Exception as error:
            self._rules_failed(error)

    def _rules_failed(self, error: Exception) -> None:
        self._watch, self._backlog, self._alarms_due, self._compares_alarms = None, None, [], False
        if self.at_alarm_failure is not None:
            self.at_alarm_failure(error)

    def _write_alarms(self, tx: Transaction, now: datetime) -> None:
        if self._compares_alarms:
            keep_alarms(tx, self._run_id, [(row.rule, row.first_episode) for row in self._alarms_due], self._episode)
        for row in self._alarms_due:
            notify = self._notify and row.first_episode > self._trunk
            put_alarm(tx, self._run_id, row, actor="worker", now=now, notify=notify)

    def _write(
        self,
        batch: list[EpisodeRecord | _Also],
        rows: list[EpisodeRecord],
        insert: Operation,
        step: int,
        now: datetime,
    ) -> None:
        if rows:
            self._episode = rows[-1].episode
        self._returns.window = self._length.mean_window(self._episode, step)
        seconds = time.monotonic()
        values: dict[str, Any] = {
            "episode": self._episode,
            "step": step,
            "latest_return": self._returns.latest,
            "mean_return": self._returns.mean,
            "steps_per_second": self._step_speed.measure(seconds, step),
            "episodes_per_second": self._pace.episodes_per_second,
            "heartbeat_at": now,
            "heartbeat_due_at": now + timedelta(seconds=self._promise),
        }
        if self._rollout_at is not None:
            values["rollout_at"] = self._rollout_at
        if rows:
            values["phase"] = rows[-1].phase
        if self._backlog is None:
            values["watched"] = None if self._watch is None else self._episode
        with self._database.write() as tx:
            if not update_run(tx, self._run_id, values, only_in=self._writable_in, generation=self._generation):
                raise RunTakenOverError(
                    "Run {run_id} no longer belongs to this worker: it was marked as lost or resumed elsewhere.",
                    run_id=self._run_id,
                )
            if self.at_heartbeat is not None:
                self.at_heartbeat(tx)
            if self._whole_until is not None:
                cut_rollups(tx, self._run_id, self._whole_until)
            insert(tx)
            self._write_alarms(tx, now)
            for entry in batch:
                if isinstance(entry, tuple):
                    entry[0](tx)


def truncate(
    tx: Transaction, run_id: str, *, episode: int, step: int, now: datetime, phases: int = 0, evaluated: int = 0
) -> int:
    """Delete what was recorded beyond a checkpoint, and set the run's numbers back to it.

    What is deleted is what training from that checkpoint records again, no more and no less.

    Args:
        tx: a writing transaction.
        run_id: full id.
        episode: complete episodes of the checkpoint; 0 begins again.
        step: its environment steps.
        now: the time.
        phases: how many phases had begun at the checkpoint; others may have begun at the same episode since.
        evaluated: complete episodes at its newest evaluation.

    Returns:
        The number of deleted episodes.
    """
    keep_trunk(tx, run_id, episode=episode, evaluated=evaluated)
    for table in (expert_loads, checkpoints):
        tx.execute(delete(table).where(table.c.run_id == run_id, table.c.episode > episode))
    tx.execute(
        delete(knockouts).where(
            knockouts.c.run_id == run_id,
            or_(knockouts.c.episode > episode, with_evaluation(run_id, after=evaluated)),
        )
    )
    for of_evaluations in (evaluations, evaluation_experts, state_maps):
        c = of_evaluations.c
        tx.execute(delete(of_evaluations).where(c.run_id == run_id, c.episode > evaluated))
    tx.execute(delete(phase_changes).where(phase_changes.c.run_id == run_id, phase_changes.c.phase >= phases))
    deleted = tx.execute(delete(episodes).where(episodes.c.run_id == run_id, episodes.c.episode > episode)).rowcount
    cut_rollups(tx, run_id, episode)
    cut_alarms(tx, run_id, episode)
    # An edit applied in the deleted part stays in force: from the checkpoint on.
    tx.execute(
        update(revisions)
        .where(revisions.c.run_id == run_id, revisions.c.state == APPLIED, revisions.c.applied_episode > episode)
        .values(applied_episode=episode, decided_at=now)
    )
    newest_phase = (
        select(phase_changes.c.name)
        .where(phase_changes.c.run_id == run_id)
        .order_by(phase_changes.c.phase.desc())
        .limit(1)
    )
    returns = recent_returns(tx, run_id, get_run(tx, run_id).length.mean_window(episode, step))
    tx.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(
            episode=episode,
            step=step,
            phase=tx.execute(newest_phase).scalar_one_or_none(),
            latest_return=returns.latest,
            mean_return=returns.mean,
            steps_per_second=None,
            episodes_per_second=None,
            # Readers of the deleted rows must read again.
            generation=runs.c.generation + (1 if deleted else 0),
        )
    )
    return deleted
