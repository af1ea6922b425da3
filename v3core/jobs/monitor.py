"""The process next to a worker: it waits for it, records how it ended, and checks the other runs meanwhile."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
from pydantic import TypeAdapter

from v3core.errors import V3Error
from v3core.jobs.files import log_file, release_reserve, run_folder
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.jobs.logs import rotate_if_large
from v3core.jobs.memory_kills import MemoryKills
from v3core.jobs.notice import WebhookCaller
from v3core.jobs.shipped_logs import shipping
from v3core.jobs.signals import StopRequest, stop_on_signals
from v3core.jobs.supervisor import DIED, NEVER_BEGAN, end_without_process, reconcile
from v3core.jobs.worker import End, run_worker, write_end
from v3core.messages import _
from v3core.store.database import Database
from v3core.store.opening import open_patiently
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError, get_run
from v3core.temporary_files import own_temporary_folder, use_temporary_folder

WAIT_SECONDS = 0.05
OPEN_SECONDS = 60.0
"""How long to try to reach a database server that does not answer at the start."""
LOOK_SECONDS = 1.0
"""How often the other runs and the queue are checked."""
RETRY_SECONDS = 600.0
"""How long to try to write a run's end where the database cannot be written, because the disk is full say."""

_END = TypeAdapter(End)
_GIB = 2**30
_MAX_REPORT_BYTES = 2**16
"""The capacity of a pipe on Linux, more than a worker's traceback."""


def run_monitored(run_id: str) -> int:
    """Train a run that is queued or claimed for this process in a child, wait, and record its end if it could not.

    The child is forked before torch is loaded, in its own session: signals meant for it do not reach this process.
    Returns the worker's exit code, or 128 plus the number of the signal that ended it.
    """
    with stop_on_signals() as stop, own_temporary_folder() as variables:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.setsid()
            use_temporary_folder(variables)
            return _work(run_id, stop, writer)
        os.close(writer)
        os.set_blocking(reader, False)  # what the worker started may hold the other end open
        try:
            return _Monitor(run_id, child, stop, reader).wait()
        finally:
            os.close(reader)


def _work(run_id: str, stop: StopRequest, channel: int) -> int:
    def report(end: End) -> None:
        os.write(channel, _END.dump_json(end))

    database = open_patiently(OPEN_SECONDS)
    try:
        return run_worker(database, run_id, stop, report, leave=os._exit)
    finally:
        database.close()
        os.close(channel)


@dataclass(frozen=True)
class _Death:
    """How a child process ended."""

    code: int
    """Its exit code, or minus the signal that ended it."""
    peak_bytes: int
    """The most memory that it held at once."""
    memory_ran_out: bool
    """Whether the system has killed a process for memory at about that time."""


class _Monitor:
    def __init__(self, run_id: str, child: int, stop: StopRequest, channel: int) -> None:
        self._run_id, self._child, self._stop, self._channel = run_id, child, stop, channel
        self._passed_on = False
        self._memory_kills = MemoryKills(child)
        self._webhooks = WebhookCaller(_say)

    def wait(self) -> int:
        """Wait for the worker, see to what it leaves, and look for the next run; returns its exit code."""
        database = open_patiently(OPEN_SECONDS)
        try:
            with shipping(database, self._run_id):
                death = self._wait(database)
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._child, signal.SIGKILL)  # environments may have left child processes
                self._record(database, death, self._report())
            if not self._stop.asked():  # not while the machine shuts down: that would start the next run
                self._look(database)
            self._webhooks.wait()
            self._webhooks.call_now(database)
        finally:
            database.close()
        return death.code if death.code >= 0 else 128 - death.code

    def _wait(self, database: Database) -> _Death:
        look_at = time.monotonic() + LOOK_SECONDS
        while True:
            pid, status, usage = os.wait4(self._child, os.WNOHANG)
            if pid:
                # Kilobytes on Linux.
                peak = usage.ru_maxrss * 1024
                return _Death(os.waitstatus_to_exitcode(status), peak, self._memory_kills.happened_lately())
            if self._stop.asked() and not self._passed_on:
                self._passed_on = True
                with suppress(ProcessLookupError):
                    os.kill(self._child, self._stop.signal or signal.SIGTERM)
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_SECONDS
                self._memory_kills.look()
                if not self._stop.asked():
                    self._look(database)
                    self._webhooks.call(database)
            time.sleep(WAIT_SECONDS)

    def _report(self) -> bytes:
        with suppress(BlockingIOError):
            return os.read(self._channel, _MAX_REPORT_BYTES)
        return b""

    def _look(self, database: Database) -> None:
        # The log is open here too, and this process is not held up by an environment that hangs.
        rotate_if_large(log_file(self._run_id, database.data_dir))
        try:
            reconcile(database)
        except V3Error as error:
            # A full disk, or a database that is locked: the next look tries again.
            _say(f"The other runs could not be checked: {error}")
        database.disconnect_writer()  # used seldom, and a server has a connection for each of hundreds of runs

    def _record(self, database: Database, death: _Death, report: bytes) -> None:
        """Write the end of the run unless the worker has; try on while the database cannot be written."""
        give_up_at = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                self._write_end(database, death, _END.validate_json(report) if report else None)
            except UnknownRunError:
                return  # deleted meanwhile
            except V3Error:
                if not database.is_there() or time.monotonic() > give_up_at:
                    raise
                time.sleep(LOOK_SECONDS)
            else:
                return

    def _write_end(self, database: Database, death: _Death, reported: End | None) -> None:
        now = datetime.now(UTC)
        with database.write() as tx:
            run = get_run(tx, self._run_id, for_update=True)
            if run.status not in ACTIVE or run.pid not in {self._child, os.getpid()}:
                return
            release_reserve(run_folder(run.id, database.data_dir))
            if reported is not None:
                write_end(tx, run, reported, now)
            else:
                end_without_process(tx, run, *_explain(run, death), actor="monitor", now=now)


def _say(sentence: str) -> None:
    """Write to the run's log if there is space: a full disk must not end this process."""
    with suppress(OSError):
        print(sentence, flush=True)


def _explain(run: RunRow, death: _Death) -> tuple[Status, str]:
    """The status and the reason of a worker that died without recording them."""
    peak = _("{used:.1f} of {all:.0f} GiB", used=death.peak_bytes / _GIB, all=psutil.virtual_memory().total / _GIB)
    number = -death.code
    if death.memory_ran_out and number == signal.SIGKILL:
        return Status.FAILED, _(
            "Out of memory: the system killed the worker process, which used {peak}; train fewer runs at once, or "
            "with fewer environments or a smaller network.",
            peak=peak,
        )
    if number == signal.SIGKILL:
        return Status.LOST, _(
            "The worker process was killed (SIGKILL) from outside; it used {peak} of memory.", peak=peak
        )
    if number > 0:
        name = signal.Signals(number).name if number in {*signal.Signals} else _("signal {number}", number=number)
        return Status.FAILED, _(
            "The worker process crashed with {name}, probably in native code; see the log.", name=name
        )
    if run.status == Status.STARTING:
        return Status.LOST, NEVER_BEGAN
    if death.code:
        return Status.LOST, _("The worker process exited unexpectedly with code {code}; see the log.", code=death.code)
    return Status.LOST, DIED
