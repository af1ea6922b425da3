"""Starting a process on this machine for a run, with the folders, variables and interpreter that are saved with it."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from v3core.jobs import warm
from v3core.jobs.identity import this_node
from v3core.jobs.launch import Launch, capture, here, launch_of
from v3core.jobs.warm import Surroundings
from v3core.store.database import Database
from v3core.store.run_row import RunRow


def start_process(
    database: Database, run: RunRow, command: Sequence[str], output: IO[bytes], errors: IO[bytes] | int
) -> "subprocess.Popen[bytes]":
    """Start a process in its own session with the folders, variables and interpreter of the run; it outlives this one.

    In `command` this interpreter is replaced by the run's. Raises OSError if it cannot be started.
    """
    around = surroundings_of(database, run)
    program, *arguments = command
    return subprocess.Popen(
        [around.python if program == sys.executable else program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        cwd=around.folder,
        env=around.environment,
        start_new_session=True,
    )


def surroundings(database: Database, launch: Launch) -> Surroundings:
    """All that decides what a process is that is started with the folders and variables of `launch`."""
    environment = launch.environment() | {
        "V3_DATABASE_URL": database.url,
        **database.place.variables(),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # of the log, whatever the language of the machine
        "OMP_NUM_THREADS": "1",  # one core per run; more threads would only wait for each other
    }
    if this_node():  # the cluster decides which GPUs, not the process that queued the run
        environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return Surroundings(launch.interpreter(), launch.working_folder(database.data_dir), environment)


def surroundings_of(database: Database, run: RunRow) -> Surroundings:
    """Those of a run."""
    return surroundings(database, launch_of(run) or capture(run.config))


def keep_warm(database: Database) -> None:
    """In a server: have a process ready for the run that somebody is about to start."""
    warm.keep(surroundings(database, here()))


def start_command(database: Database, run: RunRow, command: Sequence[str], output: IO[bytes]) -> int:
    """Start a process as `start_process` does, forked from the warm one if it can be; returns its pid.

    Raises:
        OSError: if it cannot be started.
    """
    ours = command[:3] == [sys.executable, "-m", "v3core"]
    if ours and (pid := warm.fork(surroundings_of(database, run), command[3:], output)):
        return pid
    process = start_process(database, run, command, output, subprocess.STDOUT)
    # The parent must wait for the process, or a zombie keeps its pid.
    threading.Thread(target=process.wait, name=f"wait for {run.id}", daemon=True).start()
    return process.pid
