"""A Ray cluster of two nodes on this machine, one for all tests, and a PostgreSQL database for each."""

import os
from pathlib import Path

import pytest

from tests.databases import empty_database
from tests.processes import kill_all
from tests.waiting import wait_for
from v3core.jobs.launchers import chosen as choice
from v3core.jobs.lifecycle import ENDED, Status
from v3core.jobs.logs import read_log_tail
from v3core.jobs.supervisor import reconcile
from v3core.store.opening import open_database
from v3core.store.runs import get_run

NODE = {"object_store_memory": 78 * 2**20, "include_dashboard": False}
HEAD, WORKER, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
"""Not 127.0.0.1: Ray replaces that by the address of the machine in its network."""
PATIENCE_SECONDS = 150
"""A node starts Python for each run, on a machine that others keep busy."""


def new_cluster(**head):
    """The head of a cluster; the caller shuts it down."""
    from ray.cluster_utils import Cluster

    # Ray gives what it starts the lowest priority but four, and others keep this machine busy.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    return Cluster(initialize_head=True, head_node_args={**NODE, "node_ip_address": HEAD, **head})


@pytest.fixture(scope="session")
def cluster():
    """Two nodes: the head with two slots, one with three and a label."""
    made = new_cluster(num_cpus=2)
    try:
        made.worker = made.add_node(num_cpus=3, labels={"zone": "b"}, node_ip_address=WORKER, **NODE)
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def db(tmp_path, monkeypatch):
    """An empty database on PostgreSQL, and a folder that the nodes share; whatever was started is killed at the end."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_MAX_WORKERS", raising=False)
    with empty_database("postgresql", tmp_path) as url:
        monkeypatch.setenv("V3_DATABASE_URL", url)
        database = open_database()
        yield database
        kill_all(tmp_path)
        database.close()


@pytest.fixture
def on(monkeypatch):
    """Use a cluster in this process: `on(cluster)`."""
    choice._of.cache_clear()

    def use(cluster, launcher="ray:auto", *, connects=True):
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        monkeypatch.setenv("V3_LAUNCHER", launcher)
        launcher = choice.chosen()
        if connects:
            wait_for(lambda: launcher.offer().nodes, "a connection", seconds=PATIENCE_SECONDS)
        return launcher

    yield use
    choice._of.cache_clear()


@pytest.fixture
def until(db):
    """Look after the runs, as a server does, until all have a status: `until(ids, Status.COMPLETED)`."""

    def wait(ids, status=None, *, episode=0, seconds=PATIENCE_SECONDS):
        def reached():
            reconcile(db)
            runs = [get_run(db, run_id) for run_id in ids]
            for run in runs:
                wrong = run.status in ENDED - {status} and run.max_restarts is None
                assert not wrong, f"{run.status}: {run.reason}\n{read_log_tail(run.id)}"
            if status is None:
                return all(run.status == Status.RUNNING and run.episode >= episode for run in runs)
            return all(run.status == status for run in runs)

        wait_for(reached, f"{status or 'training'}: {[get_run(db, run_id).status for run_id in ids]}", seconds=seconds)
        return [get_run(db, run_id) for run_id in ids]

    return wait


@pytest.fixture(scope="session", autouse=True)
def no_process_left():
    """No process of a cluster is left at the end."""
    yield
    names = ("raylet", "gcs_server", "ray::")
    mine = os.getpid()
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if any(name in words.split(" ")[0] for name in names) and parent in {mine, 1}:
            left.append(words)
    assert not left
