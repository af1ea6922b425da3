"""A run on a Ray cluster whose nodes share no folder: the bucket has its files."""

import os
import uuid

import pytest

from tests.databases import MISSING, empty_database
from tests.processes import kill_all
from tests.runs import assert_whole
from tests.scaling.clusters import HEAD, PATIENCE_SECONDS, WORKER
from tests.scaling.object_store import VARIABLES, make_bucket
from tests.scaling.test_ray import configs, kill_node
from tests.waiting import wait_for
from v3core.jobs import control
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.jobs.logs import read_log_tail
from v3core.jobs.needs import Needs
from v3core.jobs.supervisor import reconcile
from v3core.store.history import read_checkpoints
from v3core.store.opening import open_database
from v3core.store.runs import get_run, update_run

if os.environ.get("CI", "").lower() not in {"1", "true"}:  # there they must be installed
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -r requirements-s3-tests.txt")
    pytest.importorskip("moto", reason="moto is not installed: pip install -r requirements-s3-tests.txt")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed: install Debian's package postgresql"),
]


@pytest.fixture
def db(store, monkeypatch, tmp_path):
    """A database on PostgreSQL, and a bucket for the files."""
    name = f"v3-{uuid.uuid4().hex}"
    with empty_database("postgresql", tmp_path) as address:
        make_bucket(store, name)
        own = {"V3_DATA_DIR": f"s3://{name}/lab", "V3_SCRATCH_DIR": str(tmp_path / "dashboard")}
        for variable, value in (VARIABLES | own | {"AWS_ENDPOINT_URL": store, "V3_DATABASE_URL": address}).items():
            monkeypatch.setenv(variable, value)
        database = open_database()
        yield database
        kill_all(own["V3_DATA_DIR"])
        database.close()


def test_a_run_whose_node_is_gone_continues_on_one_whose_folder_has_nothing(
    db, cluster, on, until, third, monkeypatch, tmp_path
):
    def restarted():
        reconcile(db)
        return get_run(db, run_id).restarts == 1

    with monkeypatch.context() as patch:
        patch.setenv("V3_SCRATCH_DIR", str(tmp_path / "first"))
        first = third(num_cpus=1, labels={"zone": "c"})
    on(cluster)
    (run_id,) = enqueue(db, configs(1, 10**6), needs=Needs("zone=c", restarts=2))
    (before,) = until([run_id], episode=40)
    wait_for(lambda: "Training" in read_log_tail(run_id, place=db.place), "its log")
    assert (tmp_path / "first" / "runs" / run_id).is_dir()
    with db.write() as tx:
        update_run(tx, run_id, {"needs_label": None}, only_in=[Status.RUNNING])
    kill_node(first)
    wait_for(restarted, "it is queued again", seconds=PATIENCE_SECONDS)
    (after,) = until([run_id], episode=before.episode + 20)
    assert after.node_address in {HEAD, WORKER}
    assert (cluster.scratch / "cache" / "runs" / run_id / "checkpoints").is_dir()
    assert not (tmp_path / "dashboard" / "runs" / run_id / "worker.log").exists()
    assert_whole(db, run_id)
    assert all(db.place.has(db.data_dir / row.path) for row in read_checkpoints(db, run_id))
    control.stop(db, run_id)
    until([run_id], Status.STOPPED)
