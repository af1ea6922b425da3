"""Writing episodes while a run trains: a thread of its own, so that training never waits for the disk."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from v3core.errors import V3Error
from v3core.metrics import EpisodeRecord
from v3core.store.batch import Batch
from v3core.store.database import Database, DatabaseBusyError
from v3core.store.pace import Pace, Speed, recent_returns
from v3core.store.rollups import Pyramid
from v3core.store.runs import get_run, update_run
from v3core.store.schema import Transaction

COMMIT_SECONDS = 0.5
"""An episode is committed within this time of being recorded; the first ones, which people wait for, at once."""
COMMIT_EPISODES = 256
"""… or once so many wait."""
LARGEST_COMMIT = 1024
"""So many episodes at most go into one commit, so that nobody waits long for the lock."""
HEARTBEAT_SECONDS = 1.0
PROMISE_SECONDS = 5.0
"""Each heartbeat promises the next one within so long, unless it says otherwise."""
LOCKED_SECONDS = 600.0
"""How long a batch waits for a database that another process keeps locked."""


class RunTakenOverError(V3Error):
    """The run is no longer this process's to write: it was declared lost, and perhaps resumed elsewhere."""


Operation = Callable[[Transaction], None]


@dataclass(frozen=True)
class _Also:
    """A write that goes with the episodes, and what follows once it is committed."""

    operation: Operation
    then: Callable[[], None] | None


class EpisodeWriter:
    """Writes a run's episodes and heartbeats, in batches and in order.

    A write error is raised by the next call of any method. Every batch first checks that the run still belongs to
    this process (same generation, not declared lost), so an old worker can never write into a resumed run.
    """

    def __init__(self, database: Database, run_id: str, *, generation: int, writable_in: Collection[str]) -> None:
        """Start the thread; the first heartbeat is written at once.

        Args:
            database: an open store.
            run_id: full id.
            generation: the generation that this process trains.
            writable_in: statuses in which the run may be written.
        """
        self.at_heartbeat: Operation | None = None
        """Called on the writer's thread in every transaction; must be cheap."""
        self._database = database
        self._run_id = run_id
        self._generation = generation
        self._writable_in = writable_in
        with database.read() as tx:
            run = get_run(tx, run_id)
            self._returns = recent_returns(tx, run_id)
            self._pyramid = Pyramid.restore(tx, run_id)
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
        self._closing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"writer of {run_id}", daemon=True)
        self._thread.start()

    def record(self, rows: Sequence[EpisodeRecord], step: int) -> None:
        """Take episodes to be written soon; returns at once.

        Args:
            rows: in the order of their numbers, going on from the last.
            step: environment steps of the whole run so far.
        """
        with self._changed:
            self._raise_error()
            self._step = step
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

        Args:
            operation: the write.
            then: called on the writer's thread once it is committed.
        """
        with self._changed:
            self._raise_error()
            self._take(_Also(operation, then))
            self._commit_at = 0.0
            self._changed.notify_all()

    def count_again(self) -> None:
        """The run's length is another, and so is the window of its mean return. On the writer's thread."""
        with self._database.read() as tx:
            self._returns = recent_returns(tx, self._run_id)

    def skip(self, seconds: float) -> None:
        """The run was paused for so long: that says nothing of how fast it trains."""
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

    def close(self) -> None:
        """Commit all and end the thread."""
        with self._changed:
            self._closing = True
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
                with self._changed:
                    while not self._closing and (wait := min(self._commit_at, next_heartbeat) - time.monotonic()) > 0:
                        self._changed.wait(wait)
                    batch, self._pending = self._pending[:LARGEST_COMMIT], self._pending[LARGEST_COMMIT:]
                    self._commit_at = 0.0 if self._pending else float("inf")
                    closing, step = self._closing, self._step
                next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
                self._write_patiently(batch, step)
                with self._changed:
                    self._written += len(batch)
                    self._changed.notify_all()
                if closing and not self._pending:
                    return
        except BaseException as error:  # whatever it is, the training thread must hear of it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _write_patiently(self, batch: list[EpisodeRecord | _Also], step: int) -> None:
        """Write a batch, and wait on while another process holds the lock: it may itself have been suspended."""
        rows = [entry for entry in batch if isinstance(entry, EpisodeRecord)]
        for row in rows:
            self._returns.add(row.return_)
        prepared = Batch.of(rows, self._pyramid)
        give_up_at = time.monotonic() + LOCKED_SECONDS
        while True:
            try:
                self._write(batch, rows, prepared, step)
                break
            except DatabaseBusyError:
                if time.monotonic() > give_up_at:
                    raise
        for entry in batch:
            if isinstance(entry, _Also) and entry.then is not None:
                entry.then()

    def _write(self, batch: list[EpisodeRecord | _Also], rows: list[EpisodeRecord], prepared: Batch, step: int) -> None:
        now = datetime.now(UTC)
        if rows:
            self._episode = rows[-1].episode
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
        with self._database.write() as tx:
            if not update_run(tx, self._run_id, values, only_in=self._writable_in, generation=self._generation):
                raise RunTakenOverError(
                    f"Run {self._run_id} is no longer this worker's: it was declared lost or goes on elsewhere."
                )
            if self.at_heartbeat is not None:
                self.at_heartbeat(tx)
            prepared.insert(tx, now)
            for entry in batch:
                if isinstance(entry, _Also):
                    entry.operation(tx)
