"""A Ray cluster of two nodes on this machine, one for all tests, and a PostgreSQL database for each."""

import importlib.util
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import browser as browser
from tests.browser.conftest import page as page
from tests.browser.conftest import watched as watched
from tests.databases import empty_database
from tests.processes import kill_all
from tests.scaling.object_store import VARIABLES, object_store
from tests.waiting import wait_for
from v3core.jobs.launchers import chosen as choice
from v3core.jobs.launchers.interface import Launcher
from v3core.jobs.lifecycle import ENDED, Status
from v3core.jobs.logs import read_log_tail
from v3core.jobs.supervisor import reconcile
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run

NODE = {"object_store_memory": 78 * 2**20, "include_dashboard": False}
_NET = f"127.0.{int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))}"
HEAD, WORKER, THIRD, OTHER_HEAD = (f"{_NET}.{number}" for number in (2, 3, 4, 5))
"""Not 127.0.0.1: Ray replaces that by the address of the machine in its network."""
PATIENCE_SECONDS = 120
"""A node starts Python for each run, on a machine that others keep busy."""
MARK, OF_THIS_SESSION = "V3_TEST_CLUSTER", uuid.uuid4().hex
"""A variable by which all is known that the clusters of these tests have started."""


def new_cluster(head: str = HEAD, **options: Any) -> Any:
    """The head of a cluster at an address; the caller ends it with `end_cluster`."""
    from ray.cluster_utils import Cluster

    # Ray gives what it starts the lowest priority but four, and others keep this machine busy.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    folder = tempfile.mkdtemp(prefix="ray-")  # short: there are sockets in it
    with marked():
        made = Cluster(
            initialize_head=True, head_node_args={**NODE, "node_ip_address": head, "temp_dir": folder, **options}
        )
    made.folder = folder
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
    shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two nodes: the head with two slots, one with three and a label.

    They have the credentials of the object store if that is installed; files of a bucket are in their `scratch`.
    """
    scratch = tmp_path_factory.mktemp("scratch")
    with ExitStack() as at_the_end:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("V3_SCRATCH_DIR", str(scratch))
            if importlib.util.find_spec("moto") is not None:
                for variable, value in (VARIABLES | {"AWS_ENDPOINT_URL": request.getfixturevalue("store")}).items():
                    patch.setenv(variable, value)
            made = new_cluster(num_cpus=2)
            at_the_end.callback(end_cluster, made)
            made.worker = add_node(made, WORKER, num_cpus=3, labels={"zone": "b"})
        made.scratch = scratch
        yield made


@pytest.fixture
def third(cluster: Any) -> Iterator[Callable[..., Any]]:
    """Add a third node, which is removed at the end, dead or alive: `third(num_cpus=1)`."""
    with ExitStack() as at_the_end:

        def add(**options: Any) -> Any:
            node = add_node(cluster, THIRD, **options)
            at_the_end.callback(cluster.remove_node, node)
            return node

        yield add


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """The address of an object store; each test makes a bucket of its own there."""
    with object_store() as address:
        yield address


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
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
def on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Launcher]]:
    """Use a cluster in this process: `on(cluster)`."""
    choice._of.cache_clear()

    def use(cluster: Any, launcher: str = "ray:auto", *, connects: bool = True) -> Launcher:
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        monkeypatch.setenv("V3_LAUNCHER", launcher)
        used = choice.chosen()
        if connects:
            wait_for(lambda: used.offer().nodes, "a connection", seconds=PATIENCE_SECONDS)
        return used

    yield use
    choice._of.cache_clear()


@pytest.fixture
def until(db: Database) -> Callable[..., list[RunRow]]:
    """Look after the runs, as a server does, until all have a status: `until(ids, Status.COMPLETED)`."""

    def wait(
        ids: Sequence[str], status: Status | None = None, *, episode: int = 0, seconds: float = PATIENCE_SECONDS
    ) -> list[RunRow]:
        def reached() -> bool:
            reconcile(db)
            runs = [get_run(db, run_id) for run_id in ids]
            for run in runs:
                wrong = run.status in ENDED - {status} and run.max_restarts is None
                assert not wrong, f"{run.status}: {run.reason}\n{read_log_tail(run.id)}"
            if status is None:
                return all(run.status == Status.RUNNING and run.episode >= episode for run in runs)
            return all(run.status == status for run in runs)

        try:
            wait_for(reached, str(status or "training"), seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error} {[get_run(db, run_id).status for run_id in ids]}") from None
        return [get_run(db, run_id) for run_id in ids]

    return wait


def left_over() -> list[str]:
    """The command lines of what the clusters of these tests have started and is still there."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={OF_THIS_SESSION}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "))
        except OSError:
            continue
    return [words for words in found if words]


@pytest.fixture(scope="session", autouse=True)
def no_process_left() -> Iterator[None]:
    """No process of a cluster is left at the end, nor of a run on it."""
    yield
    wait_for(lambda: not left_over(), f"the end of {left_over()}", seconds=30)
