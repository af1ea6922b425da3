"""A queue in which some runs fail, each in its own way: the others complete, and each failure has its true reason."""

import random

import pytest

from tests.faults.cgroup import memory_cgroup
from tests.faults.checks import assert_sound
from tests.faults.scale import SEED, WHOLE
from tests.runs import assert_whole, tiny_config
from tests.waiting import wait_for
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ENDED, Status
from v3core.store.runs import get_run, list_runs

RUNS = 20 if WHOLE else 8
FAILURES = {
    "fails_at_import:Any-v0": "the simulator has no licence",
    "faulty:FailsAtReset-v0": "failed at its first reset: reset(seed=…) raised RuntimeError: the simulator has no map; "
    "fix the environment",
    "faulty:FailsAtStep37-v0": "failed at step 37: step(action) raised RuntimeError: the simulator broke; fix",
    "faulty:RewardsNaN-v0": "step(action) of environment 1 returned a reward of nan at step",
}
EATER = "faulty:EatsMemory-v0"
KILLED = "was killed (SIGKILL) from outside"
MEMORY = "Out of memory: the system killed the worker process"


@pytest.fixture
def cgroup(monkeypatch):
    """A small memory cgroup, known to the environments; None where none can be made."""
    with memory_cgroup() as folder:
        monkeypatch.setenv("V3_TEST_CGROUP", str(folder or ""))
        yield folder


def test_what_fails_fails_alone_and_says_why(cgroup, db):
    environments = [*FAILURES, EATER] + ["faulty:Healthy-v0", "CartPole-v1"] * RUNS
    environments = environments[:RUNS]
    random.Random(SEED).shuffle(environments)
    print(f"V3_FAULTS_SEED={SEED}, cgroup: {cgroup}")
    enqueue(db, [tiny_config(episodes=40, env=env, seed=number) for number, env in enumerate(environments)])
    # Nobody looks: the monitors of the runs start what waits.
    for count in range(1, RUNS + 1):
        wait_for(lambda count=count: sum(run.status in ENDED for run in list_runs(db)) >= count, "one more has ended")

    for run in list_runs(db):
        if run.env == EATER:
            # Where no cgroup could be made the environment killed its own process.
            status, reason = (Status.FAILED, MEMORY) if cgroup else (Status.LOST, KILLED)
            assert (run.status, reason in run.reason) == (status, True), run.reason
        elif run.env in FAILURES:
            assert run.status == Status.FAILED
            assert FAILURES[run.env] in run.reason
            assert "\n" not in run.reason
        else:
            assert (run.status, run.reason, run.episode) == (Status.COMPLETED, None, 40)
        assert_whole(db, run.id)
    assert len({get_run(db, run.id).reason for run in list_runs(db)}) == len(FAILURES) + 2
    assert_sound(db)
