"""The process on a node of a cluster that starts the worker of a run and ends it if the node goes away.

`python -m v3core.jobs.on_node RUN_ID GENERATION RAYLET`, started by the actor in `launchers/ray_bridge.py`, whose end
closes the standard input. It prints `started`, or why it could not, and ends with the worker. A reason that may pass
begins with `later: `.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

import psutil

from v3core.errors import V3Error
from v3core.jobs import identity
from v3core.jobs.files import log_file
from v3core.jobs.launch import launch_of
from v3core.jobs.launcher import worker_command
from v3core.jobs.launchers.processes import start_process
from v3core.jobs.lifecycle import ACTIVE, Status, status_word
from v3core.jobs.supervisor import end_without_process
from v3core.messages import _
from v3core.store.database import Database, DatabaseBusyError
from v3core.store.opening import open_patiently
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, update_run

LOOK_SECONDS = 0.5
OPEN_SECONDS = 20.0
"""How long to try to reach the database: less than the cluster waits for the start."""
LATER = "later: "


def hold(run_id: str, generation: int, raylet: int) -> None:
    """Start the worker, and wait for its end; end it, and say so, if the actor or the node's raylet ends."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    node = psutil.Process(raylet)
    database = open_patiently(OPEN_SECONDS)
    try:
        run = get_run(database, run_id)
        worker = _start(database, run, generation)
        database.disconnect()  # until its end this process needs none
        print("started", flush=True)
        while worker.poll() is None:
            gone = bool(select.select([sys.stdin], [], [], LOOK_SECONDS)[0]) or asked.is_set()
            if gone or not node.is_running() or node.status() == psutil.STATUS_ZOMBIE:
                _end(worker.pid)
                worker.wait()
                _record(database, run)
                return
    finally:
        database.close()


def _start(database: Database, run: RunRow, generation: int) -> "subprocess.Popen[bytes]":
    address = identity.this_node_address()
    log = log_file(run.id, database.data_dir)
    if database.place.is_remote:
        database.place.check()
        log.parent.mkdir(parents=True, exist_ok=True)
    elif not log.exists():  # the launcher has made it
        raise V3Error(
            _(
                "The data folder {data_dir} of node {address} is not that of the dashboard; mount the shared folder "
                "there, at the same path."
            ),
            data_dir=database.data_dir,
            address=address,
        )
    launch = launch_of(run)
    if launch is not None and (missing := launch.missing()):
        raise V3Error(
            _("The run needs {missing}, which does not exist on node {address}; restore it there."),
            missing=missing,
            address=address,
        )
    if run.generation != generation or run.status not in {Status.STARTING, Status.STOPPING}:
        raise V3Error(_("The run is {status} by now."), status=status_word(run.status))
    with log.open("ab") as output:
        process = start_process(database, run, worker_command(run.id), output, subprocess.STDOUT)
    try:
        with database.write() as tx:
            values = vars(identity.of_pid(process.pid))
            only_in = {Status.STARTING, Status.STOPPING}
            update_run(tx, run.id, values, only_in=only_in, generation=generation, pids=[process.pid])
    except BaseException:
        _end(process.pid)  # the run is queued again, or failed
        process.wait()
        raise
    return process


def _end(monitor: int) -> None:
    """Kill a worker with its monitor and all that it has started."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(monitor)
        process.suspend()  # it must not report the end of its worker
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def _record(database: Database, run: RunRow) -> None:
    reason = _(
        "Ray on node {this_node_address} ended, and the worker with it.", this_node_address=identity.this_node_address()
    )
    # Where the database does not answer either, whoever looks after the run finds it by its heartbeat.
    with suppress(DatabaseBusyError), database.write() as tx:
        now = get_run(tx, run.id, for_update=True)
        if now.status in ACTIVE and (now.queued_at, now.node) == (run.queued_at, identity.this_node()):
            end_without_process(tx, now, Status.LOST, reason, actor="node", now=datetime.now(UTC))


if __name__ == "__main__":
    try:
        hold(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except DatabaseBusyError as error:
        print(f"{LATER}Node {os.environ.get('V3_NODE_ADDRESS')}: {error}", flush=True)
        sys.exit(1)
    except (V3Error, OSError) as error:
        print(
            f"Node {os.environ.get('V3_NODE_ADDRESS')}: {error}" if isinstance(error, OSError) else error,
            flush=True,
        )
        sys.exit(1)
