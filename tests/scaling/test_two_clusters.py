"""Two Ray clusters with one database: a dashboard on each, and every run is started once, where it may train."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.browser.support import APP, free_port, serve
from tests.runs import assert_whole
from tests.scaling.clusters import OTHER_HEAD, end_cluster, new_cluster
from tests.scaling.test_ray import ENDLESS, configs
from tests.scaling.test_ray import pytestmark as needs_a_cluster
from tests.waiting import wait_for
from v3core.jobs import control
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.jobs.needs import NO_NEEDS, Needs
from v3core.store.history import read_events
from v3core.store.runs import get_run

pytestmark = needs_a_cluster


@pytest.fixture
def other(db, tmp_path):
    """Another cluster, of one node, and a dashboard that uses it by its client server."""
    port = free_port()
    made = new_cluster(OTHER_HEAD, num_cpus=3, labels={"zone": "other"}, ray_client_server_port=port)
    with ExitStack() as at_the_end:
        at_the_end.callback(end_cluster, made)
        made.url = f"ray://{OTHER_HEAD}:{port}"
        (tmp_path / "pages").mkdir()
        variables = {"V3_DATA_DIR": str(tmp_path), "V3_DATABASE_URL": db.url, "V3_LAUNCHER": made.url}
        server = serve(APP, tmp_path / "pages", **variables)
        at_the_end.callback(server.stop)
        yield made


def test_each_run_is_started_once_and_by_the_cluster_that_it_demands(db, cluster, other, on, until):
    launcher = on(cluster)
    demands = [Needs("zone=b"), Needs("zone=other"), *[NO_NEEDS] * 3]
    ids = [enqueue(db, [config], needs=needs)[0] for config, needs in zip(configs(5), demands, strict=True)]
    (endless,) = enqueue(db, configs(1, ENDLESS), needs=Needs(launcher=other.url))
    waits = (
        f"Waiting for a dashboard whose V3_LAUNCHER is '{other.url}'; start one if none runs, or stop the run and "
        "resume it here."
    )
    wait_for(lambda: launcher.waits_for(get_run(db, endless)) == waits, "it says what the run waits for")
    runs = until(ids, Status.COMPLETED)
    assert [run.node for run in runs[:2]] == [cluster.worker.node_id, other.head_node.node_id]

    (run,) = until([endless], episode=20)
    assert run.node == other.head_node.node_id
    wait_for(lambda: launcher.is_alive(get_run(db, endless)), "the other cluster's run is alive")
    # Its stop is hurried by whoever can signal it.
    assert launcher.is_alive(replace(run, status=Status.STOPPING)) is None
    control.stop(db, endless)
    runs += until([endless], Status.STOPPED)
    for run in runs:
        assert [event.kind for event in read_events(db, run.id)].count(Status.RUNNING) == 1
        assert (run.generation, run.restarts) == (0, 0)
        assert_whole(db, run.id)
