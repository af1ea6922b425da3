"""A process that has imported torch and forks into workers and replays: nobody waits for the import after a click.

Only a server has one, from when somebody looks at Launch until nobody has started a run for a while. A worker is forked
from it where it would be exactly what a new process is: the same interpreter, folder, variables and sources.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from v3core.paths import PACKAGE

IDLE_SECONDS = 900.0
"""A process that was not asked for a worker for so long ends."""
ANSWER_SECONDS = 5.0
IMPORTED = (
    *("v3core.cli", "v3core.training.trainer", "gymnasium.envs.classic_control", "sqlalchemy.dialects.sqlite"),
    *("v3core.jobs.replay_process", "v3core.training.explaining"),  # of replays
)
OPTIONAL = ("pygame", "minigrid", "gymnasium.envs.box2d")
"""Of packages that only some environments need."""
_MAX_BYTES = 2**16


@dataclass(frozen=True)
class Surroundings:
    """All that decides what a new process of V3 Lab is, apart from its arguments."""

    python: str
    folder: str
    environment: dict[str, str]


class WarmProcess:
    """The process, seen from the server."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Start it; importing takes seconds, during which it answers nothing."""
        self._surroundings, self._sources = surroundings, _newest_source()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(ANSWER_SECONDS)
        self._ready = False
        with theirs:
            self._process = subprocess.Popen(
                [surroundings.python, "-m", "v3core.jobs.warm"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=surroundings.folder,
                env=surroundings.environment,
                start_new_session=True,
            )

    def fits(self, surroundings: Surroundings) -> bool:
        """Whether it lives, and a process forked from it is what a new one in these surroundings is."""
        same = (surroundings, _newest_source()) == (self._surroundings, self._sources)
        return same and self._process.poll() is None

    def ready(self) -> bool:
        """Whether it has imported everything."""
        if not self._ready and select.select([self._channel], [], [], 0)[0]:
            self._ready = self._channel.recv(_MAX_BYTES) == b"ready"
        return self._ready

    def fork(self, arguments: Sequence[str], log: IO[bytes]) -> int | None:
        """Fork `python -m v3core ARGUMENTS`, in its own session; returns its pid, None if it was not."""
        try:
            if self.ready():
                socket.send_fds(self._channel, [json.dumps(list(arguments)).encode()], [log.fileno()])
                return int(self._channel.recv(_MAX_BYTES)) or None
        except (OSError, ValueError):
            self.end()  # it must not fork later what is started otherwise now
        return None

    def end(self) -> None:
        """End it; what was forked from it stays."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


_lock = threading.Lock()
_process: WarmProcess | None = None
_wanted = False


def allow() -> None:
    """Let this process have a warm one: a server, which lives long enough to need it."""
    global _wanted
    _wanted = True


def keep(surroundings: Surroundings) -> None:
    """Have a warm process for these surroundings, unless there is one, if this process may."""
    global _process
    with _lock:
        if not _wanted or (_process is not None and _process.fits(surroundings)):
            return
        if _process is not None:
            _process.end()
        with suppress(OSError):  # then workers are started as everywhere else
            _process = WarmProcess(surroundings)


def is_ready() -> bool:
    """Whether there is a warm process that has imported everything."""
    with _lock:
        return _process is not None and _process.ready()


def end() -> None:
    """End it, if there is one."""
    global _process
    with _lock:
        if _process is not None:
            _process.end()
        _process = None


def fork(surroundings: Surroundings, arguments: Sequence[str], log: IO[bytes]) -> int | None:
    """The pid of a new `python -m v3core ARGUMENTS` in these surroundings; None if it has to be started otherwise."""
    with _lock:
        if _process is None or not _process.fits(surroundings):
            return None
        return _process.fork(arguments, log)


def _newest_source() -> int:
    """When the newest file of the package was changed: what has imported older ones is not what a new process is."""
    return max(path.stat().st_mtime_ns for path in PACKAGE.rglob("*") if path.suffix in {".py", ".so"})


def _serve(channel: socket.socket) -> list[str] | None:
    """Fork a process for each request; returns in it its arguments, and None in this process when it is to end."""
    for name in IMPORTED:
        importlib.import_module(name)
    for name in OPTIONAL:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # so that what was imported stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system clears up after what was forked
    _name("v3lab-warm")
    channel.send(b"ready")
    while select.select([channel], [], [], IDLE_SECONDS)[0]:
        message, files, *_ = socket.recv_fds(channel, _MAX_BYTES, 1)
        if not message:
            break
        # A fork with other threads could inherit a lock that nobody releases.
        child = os.fork() if len(list(Path("/proc/self/task").iterdir())) == 1 else -1
        if child == 0:
            channel.close()
            os.setsid()
            _name("v3lab-worker")
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (1, 2):
                os.dup2(files[0], number)
            os.close(files[0])
            sys.modules["numpy"].random.seed()  # of environments that use it: not the same in every worker
            return [str(argument) for argument in json.loads(message)]
        os.close(files[0])
        channel.send(str(max(child, 0)).encode())
    return None


def _name(text: str) -> None:
    """What `ps` and `top` show of this process and of its children: its command line says too little."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(text)


if __name__ == "__main__":
    own = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    wanted = _serve(own)
    if wanted is not None:
        sys.argv[1:] = wanted
        runpy.run_module("v3core", run_name="__main__", alter_sys=True)
