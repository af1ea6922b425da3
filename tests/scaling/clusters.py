"""Ray clusters on this machine, and what they leave.

Not in conftest.py, which pytest loads by another name than tests import it by: each number would be there twice.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

NODE = {"object_store_memory": 78 * 2**20, "include_dashboard": False}
_NET = f"127.0.{int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))}"
HEAD, WORKER, THIRD, OTHER_HEAD = (f"{_NET}.{number}" for number in (2, 3, 4, 5))
"""Not 127.0.0.1: Ray replaces that by the address of the machine in its network."""
PATIENCE_SECONDS = 120
"""A node starts Python for each run, on a machine that others keep busy."""
MARK, OF_THIS_SESSION = "V3_TEST_CLUSTER", uuid.uuid4().hex
"""A variable by which is known what the clusters of these tests have started."""
FOLDERS: list[str] = []
"""Of these clusters: what Ray gives a title, `ray::…`, has lost its variables, but has logs open there."""
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "dashboard/agent.py", "runtime_env/agent/main.py")
"""Ray's own on each node: of a head that was killed they stay for minutes."""


def new_cluster(head: str = HEAD, **options: Any) -> Any:
    """The head of a cluster at an address; the caller ends it with `end_cluster`."""
    from ray.cluster_utils import Cluster

    # Ray gives what it starts the lowest priority but four, and others keep this machine busy.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    folder = tempfile.mkdtemp(prefix="ray-")  # short: there are sockets in it
    with marked(), pytest.MonkeyPatch.context() as patch:
        # Not as `temp_dir`: Ray writes the address of the cluster where it puts its files by default.
        patch.setenv("RAY_TMPDIR", folder)
        made = Cluster(initialize_head=True, head_node_args={**NODE, "node_ip_address": head, **options})
    made.folder = folder
    FOLDERS.append(folder)
    return made


def add_node(cluster: Any, address: str, **options: Any) -> Any:
    """Another node of a cluster."""
    with marked():
        return cluster.add_node(node_ip_address=address, **NODE, **options)


@contextmanager
def marked() -> Iterator[None]:
    """What is started meanwhile must not be left at the end."""
    os.environ[MARK] = OF_THIS_SESSION
    try:
        yield
    finally:
        del os.environ[MARK]


def end_cluster(cluster: Any) -> None:
    """End it, and remove its files."""
    cluster.shutdown()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(name in " ".join(process.cmdline()) for name in AGENTS) and has_open(process.pid, cluster.folder):
                process.kill()
    shutil.rmtree(cluster.folder, ignore_errors=True)


def has_open(pid: int, *folders: str) -> bool:
    """Whether a process has a file below one of these folders open, also one that was deleted meanwhile."""
    for file in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            if any(file.readlink().is_relative_to(folder) for folder in folders):
                return True
    return False


def left_over() -> list[str]:
    """The command lines of what the clusters of these tests have started and is still there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_ours = os.getpid() in (process.pid, process.ppid())  # with its bridges to clusters, which end with it
            is_marked = process.environ().get(MARK) == OF_THIS_SESSION
            if is_marked or (not is_ours and has_open(process.pid, *FOLDERS)):
                found.append(" ".join(process.cmdline()))
    return [words for words in found if words]
