"""Small environments that go wrong, each in its own way, and one that does not."""

import ctypes
import itertools
import os
import signal
import subprocess
import threading
import time
from functools import wraps
from pathlib import Path

import gymnasium
import numpy as np

from v3core.store.writer import EpisodeWriter

CGROUP = "V3_TEST_CGROUP"
"""Names the variable that names a memory cgroup with a small limit; empty where none can be made."""


_COMMITS = threading.Lock()
"""Held while the worker's other thread commits."""


def _noted(commit):
    @wraps(commit)
    def write(*arguments):
        with _COMMITS:
            return commit(*arguments)

    return write


EpisodeWriter._write = _noted(EpisodeWriter._write)


class Healthy(gymnasium.Env):
    """Episodes of ten steps on noise."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._noise(), {}

    def step(self, action):
        self.steps += 1
        return self._noise(), self._reward(), self.steps % 10 == 0, False, {}

    def _noise(self):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def _reward(self):
        return 1.0


class FailsAtReset(Healthy):
    """Raises before its first step."""

    def reset(self, *, seed=None, options=None):
        raise RuntimeError("the simulator has no map")


class FailsAtStep37(Healthy):
    """Raises in its 37th step."""

    def _reward(self):
        if self.steps == 37:
            raise RuntimeError("the simulator broke")
        return 1.0


class RewardsNaN(Healthy):
    """Gives no number from its 37th step on."""

    def _reward(self):
        return float("nan") if self.steps >= 37 else 1.0


class EatsMemory(Healthy):
    """Moves its process into a memory cgroup at its 37th step, and soon takes memory until the system kills it.

    Where there is no cgroup, it kills its process by the same signal.
    """

    def _reward(self):
        if self.steps == 37:
            if not os.environ.get(CGROUP):
                os.kill(os.getpid(), signal.SIGKILL)
            (Path(os.environ[CGROUP]) / "cgroup.procs").write_text(str(os.getpid()))
            time.sleep(2.5)  # as training goes on for a while in the group that it was put into
            eaten = []
            while True:
                eaten.append(b"\1" * 2**20)
        return 1.0


class Slow(Healthy):
    """A step takes a fifth of a second once it has trained a while: a rollout is not over for half a minute."""

    def _reward(self):
        if self.steps > 37:
            time.sleep(0.2)
        return 1.0


class HangsInPython(Healthy):
    """Has a child process, and never comes back from its 37th step."""

    def _reward(self):
        if self.steps == 37:
            self.child = subprocess.Popen(["sleep", "1000"])
            for number in itertools.count():
                self.number = number
        return 1.0


class HangsInC(Healthy):
    """Has a forked child, blocks SIGTERM, and sleeps in native code that lets no other Python thread run.

    Not while the writer's thread commits: it would keep the database locked.
    """

    def _reward(self):
        if self.steps == 37:
            if os.fork() == 0:
                while True:
                    signal.pause()
            _COMMITS.acquire()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            sleep = ctypes.PyDLL(None).sleep
            while True:
                sleep(1000)
        return 1.0


for kind in (Healthy, FailsAtReset, FailsAtStep37, RewardsNaN, EatsMemory, Slow, HangsInPython, HangsInC):
    gymnasium.register(f"{kind.__name__}-v0", entry_point=kind)
