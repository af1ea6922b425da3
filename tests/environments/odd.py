"""An environment that goes wrong in the way it is told to: `how`, from step `at` on."""

import ctypes
import os
import random
import sys
import time

import gymnasium
import numpy as np
from gymnasium import spaces

RESETS = {
    "old reset": lambda seen: seen,
    "three from reset": lambda seen: (seen, {}, {}),
    "reset info": lambda seen: (seen, None),
    "reset shape": lambda seen: (np.zeros(3, np.float32), {}),
    "reset nan": lambda seen: (seen * np.nan, {}),
    "reset nothing": lambda seen: None,
}
STEPS = {
    "four values": lambda usual: usual[:4],
    "six values": lambda usual: (*usual, 1),
    "an array": lambda usual: usual[0],
    "info none": lambda usual: (*usual[:4], None),
    "info list": lambda usual: (*usual[:4], []),
    "reward none": lambda usual: (usual[0], None, *usual[2:]),
    "reward text": lambda usual: (usual[0], "1", *usual[2:]),
    "reward array": lambda usual: (usual[0], np.ones(1), *usual[2:]),
    "reward nan": lambda usual: (usual[0], float("nan"), *usual[2:]),
    "reward infinite": lambda usual: (usual[0], np.float32("inf"), *usual[2:]),
    "reward large": lambda usual: (usual[0], -1e19, *usual[2:]),
    "reward endless": lambda usual: (usual[0], 10**400, *usual[2:]),
    "terminated": lambda usual: (*usual[:2], 0.5, *usual[3:]),
    "truncated": lambda usual: (*usual[:3], None, usual[4]),
    "shape": lambda usual: (np.zeros((2, 2), np.float32), *usual[1:]),
    "words": lambda usual: (np.array(["a", "b"]), *usual[1:]),
    "nothing seen": lambda usual: (None, *usual[1:]),
    "nan": lambda usual: (usual[0] * np.nan, *usual[1:]),
    # Below, nothing that keeps from training.
    "double": lambda usual: (usual[0].astype(np.float64), *usual[1:]),
    "beyond": lambda usual: (usual[0] + 9, *usual[1:]),
    "success score": lambda usual: (*usual[:4], {"success": 0.1}),
    "success nan": lambda usual: (*usual[:4], {"is_success": float("nan")}),
    "success": lambda usual: (*usual[:4], {"success": np.True_}),
    "numpy": lambda usual: (usual[0], np.float32(1), np.bool_(usual[2]), 0, usual[4]),
}


class Odd(gymnasium.Env):
    """Two numbers seen, two actions, ten steps."""

    def __init__(self, how="", at=3):
        self.observation_space = spaces.Box(-5, 5, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.how, self.at, self.episodes = how, at, 0
        if how == "prints":
            print("Sampling rejected: unreachable object")
            os.write(1, b"from native code\n")
        if how == "hangs when made":
            time.sleep(1000)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=None if self.how == "seed ignored" else seed)
        self.steps = 0
        self.episodes += 1
        if self.how == "raises at reset":
            raise OSError("the port\nis taken")
        if self.how == "hangs at reset":
            time.sleep(1000)
        if self.how == "actions change" and self.episodes > 1:
            self.action_space = spaces.Discrete(3)
        if self.how == "space changes" and self.episodes > 1:
            self.observation_space = spaces.Box(-6, 6, (2,), np.float32)
        return RESETS[self.how](self._look()) if self.how in RESETS else (self._look(), {})

    def step(self, action):
        self.steps += 1
        usual = (self._look(), 1.0, self.steps >= 10, False, {})
        if self.steps < self.at:
            return usual
        if self.how == "raises":
            raise RuntimeError("the simulator broke")
        if self.how == "sys.exit":
            sys.exit("bye")
        if self.how == "os._exit":
            os._exit(3)
        if self.how == "crashes":
            ctypes.string_at(0)
        if self.how == "hangs":
            time.sleep(1000)
        return STEPS[self.how](usual) if self.how in STEPS else usual

    def _look(self):
        seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        if self.how == "random elsewhere":
            seen[0] = random.random()
        if self.how == "remembers":
            seen[0] = min(self.episodes, 5)
        return seen


class OldReset(Odd):
    """Its reset takes nothing, as before Gymnasium 0.26."""

    def reset(self):
        return super().reset()[0]


class Masked(Odd):
    """Allows one action at a time, and raises at any other."""

    def __init__(self, several=False):
        super().__init__()
        self.several = several
        if several:
            self.action_space = spaces.MultiDiscrete([2, 3])

    def action_masks(self):
        return np.array([1, 0, 0, 0, 1] if self.several else [self.steps % 2, 1 - self.steps % 2], dtype=bool)

    def step(self, action):
        allowed = [0, 2] if self.several else 1 - self.steps % 2
        assert np.array_equal(action, allowed), "not allowed"
        return super().step(action)


gymnasium.register("Odd-v0", entry_point=Odd)
gymnasium.register("OldReset-v0", entry_point=OldReset)
gymnasium.register("Masked-v0", entry_point=Masked)
