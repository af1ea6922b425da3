"""A Ray cluster of two nodes on this machine, one for all tests, and a PostgreSQL database for each."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import browser as browser
from tests.browser.conftest import page as page
from tests.browser.conftest import watched as watched
from tests.databases import empty_database
from tests.processes import kill_all
from tests.scaling.clusters import PATIENCE_SECONDS, THIRD, WORKER, add_node, end_cluster, left_over, new_cluster
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


@pytest.fixture(scope="session", autouse=True)
def no_process_left() -> Iterator[None]:
    """No process of a cluster is left at the end, nor of a run on it."""
    yield
    wait_for(lambda: not left_over(), f"the end of {left_over()}", seconds=30)
