"""Evaluations and knock-outs requested on a page, each in a process: no page loads torch or an environment."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from v3core.errors import V3Error
from v3core.jobs.launchers.processes import start_process
from v3core.messages import _
from v3core.store.database import Database
from v3core.store.run_row import RunRow

MAX_SECONDS = 600.0
"""An evaluation that takes longer is ended: an environment may hang."""
_MAX_CHARACTERS = 400


@dataclass(frozen=True)
class Played:
    """The episodes of an evaluation."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    successes: tuple[float, ...]
    """1 or 0 of each episode of which the environment says it."""


class BackgroundEvaluation:
    """`python -m v3core evaluate` of one checkpoint of a run, in progress or finished."""

    command, name = "evaluate", _("evaluation")

    def __init__(self, database: Database, run: RunRow, checkpoint: int, episodes: int) -> None:
        """Start to play `episodes` with the run's checkpoint at that episode count."""
        command = [sys.executable, "-m", "v3core", self.command, run.id, "--json"]
        command += ["--checkpoint", str(checkpoint), "--episodes", str(episodes)]
        self.episodes = episodes
        """How many are played."""
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  read once the process is over
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._ends_at = time.monotonic() + MAX_SECONDS
        self._lock = threading.Lock()
        self._played: Played | None = None
        self._problem: str | None = None
        try:
            self._process = start_process(database, run, command, self._output, self._errors)
        except OSError as error:
            raise V3Error(
                "The {name} could not be started: {value}.", name=self.name, value=error.strerror or error
            ) from None

    def is_over(self) -> bool:
        """Whether it has ended; one that takes too long is ended here. Several tabs may ask at once."""
        with self._lock:
            return self._played is not None or self._problem is not None or self._settle()

    def _settle(self) -> bool:
        if self._process.poll() is None:
            if time.monotonic() < self._ends_at:
                return False
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._problem = _(
                "The {name} took more than {max_seconds:g} seconds and was terminated.",
                name=self.name,
                max_seconds=MAX_SECONDS,
            )
        elif self._process.returncode:
            self._problem = _("The {name} failed: {last_words}", name=self.name, last_words=self._last_words())
        else:
            self._output.seek(0)
            self._played = self._read(json.loads(self._output.read()))
        self._output.close()
        self._errors.close()
        return True

    def _read(self, found: Any) -> Played:
        known = tuple(success for success in found["successes"] if success is not None)
        return Played(tuple(found["returns"]), tuple(found["lengths"]), known)

    def result(self) -> Played | None:
        """The result, None while it is in progress; V3Error if it failed, or took too long and was ended."""
        if self.is_over() and self._problem is not None:
            raise V3Error(self._problem)
        return self._played

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return (
            lines[-1][:_MAX_CHARACTERS]
            if lines
            else _("its process ended with code {returncode}.", returncode=self._process.returncode)
        )


class BackgroundKnockout(BackgroundEvaluation):
    """`python -m v3core knockout` of one checkpoint, whose process records the returns; those of all experts are here.

    It plays one evaluation more than there are experts.
    """

    command, name = "knockout", _("knock-out")

    def _read(self, found: Any) -> Played:
        return Played(tuple(found["returns"]), (), ())
