"""Python imports this by itself in each process that has this folder on its path: it lets a test look into a worker.

The worker's code is as it is; four of its functions are wrapped to say when they begin and end, and a fifth to note
which episodes were recorded when. A note is written before the episodes are handed on: none is older than its note.
"""

import importlib.machinery
import os
import sys
import time
from functools import cache, wraps
from pathlib import Path

from tests.faults.board import CHECKPOINT, FLUSH, ROLLOUT, UPDATE, Board, board_of, records_of
from tests.load import time_given

_FOLDER = Path(os.environ["V3_SPY_FOLDER"])


@cache
def _board(pid):
    return Board(board_of(_FOLDER, pid))


@cache
def _records(pid):
    return os.open(records_of(_FOLDER, pid), os.O_CREAT | os.O_WRONLY | os.O_APPEND)


def _shown(owner, name, phase):
    original = getattr(owner, name)

    @wraps(original)
    def call(*arguments, **options):
        board, began = _board(os.getpid()), time.monotonic()
        board.enter(phase)
        try:
            return original(*arguments, **options)
        finally:
            board.leave(phase, time.monotonic() - began)

    setattr(owner, name, call)


def _noted(owner):
    original = owner.record

    @wraps(original)
    def record(self, rows, step):
        if rows:
            os.write(_records(os.getpid()), f"{time_given()} {rows[-1].episode}\n".encode())
        return original(self, rows, step)

    owner.record = record


def _writer(module):
    _shown(module.EpisodeWriter, "_write", FLUSH)
    _noted(module.EpisodeWriter)


_WRAPPED = {
    "v3core.training.rollout": lambda module: _shown(module.Collector, "collect", ROLLOUT),
    "v3core.training.ppo": lambda module: _shown(module, "update", UPDATE),
    "v3core.training.checkpoint": lambda module: _shown(module, "save_checkpoint", CHECKPOINT),
    "v3core.store.writer": _writer,
}


class _Finder:
    """Wraps functions of a module right after it was loaded, before another module takes them from it."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _WRAPPED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            _WRAPPED[name](module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Finder)
