"""A run that is really slow says why: its environment, its disk, or other processes on its core."""

import os
import subprocess
import sys
import time

import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from v3core.insight.slowness import whole, why_slow
from v3core.jobs import sampler
from v3core.store.process_samples import read_process_samples

pytestmark = pytest.mark.parametrize("db", ["sqlite"], indirect=True)


@pytest.fixture
def reason(db, make, train, monkeypatch):
    """Train for some rollouts and say in a sentence what took the time."""
    monkeypatch.setattr(sampler, "SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(sampler, "LARGEST_SHARE", float("inf"))

    def say(rollouts, every=None):
        run_id = make(episodes=1000)
        train(run_id, rollouts=rollouts, every=every)
        sample = whole(read_process_samples(db, run_id))
        return f"{why_slow(sample)} {sample}"

    return say


@pytest.fixture
def never_waits(monkeypatch):
    """A machine that does not say how long a thread waited: on a busy one that may be the reason, too."""
    monkeypatch.setattr(sampler, "_waited", lambda _: None)


@pytest.mark.usefixtures("never_waits")
def test_a_slow_environment_is_named(reason, monkeypatch):
    step = CartPoleEnv.step

    def slow(self, action):
        time.sleep(0.005)
        return step(self, action)

    monkeypatch.setattr(CartPoleEnv, "step", slow)
    assert reason(rollouts=4).startswith("The environments take ")


@pytest.mark.usefixtures("never_waits")
def test_a_slow_disk_is_named(reason, monkeypatch):
    sync = os.fsync

    def slow(file):
        time.sleep(0.2)
        sync(file)

    monkeypatch.setattr(os, "fsync", slow)
    assert reason(rollouts=4, every=1).startswith("Recording takes ")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux to share one core")
def test_other_processes_on_its_core_are_named(reason):
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        text = reason(rollouts=10)
    finally:
        os.sched_setaffinity(0, allowed)
        for other in others:
            other.kill()
            other.wait()
    assert "of the time no processor was free for this run" in text
