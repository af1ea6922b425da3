"""Two Ray clusters with one database: a dashboard on each, and every run is started once, where it may train."""

from dataclasses import replace

import pytest

from tests.browser.support import APP, free_port, serve
from tests.runs import assert_whole
from tests.scaling.conftest import OTHER_HEAD, end_cluster, new_cluster
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
    made.url = f"ray://{OTHER_HEAD}:{port}"
    (tmp_path / "pages").mkdir()
    variables = {"V3_DATA_DIR": str(tmp_path), "V3_DATABASE_URL": db.url, "V3_LAUNCHER": made.url}
    server = serve(APP, tmp_path / "pages", **variables)
    try:
        yield made
    finally:
        server.stop()
        end_cluster(made)


def test_each_run_is_started_once_and_by_the_cluster_that_it_demands(db, cluster, other, on, until):
    launcher = on(cluster)
    demands = [Needs("zone=b"), Needs("zone=other"), Needs(launcher=other.url), *[NO_NEEDS] * 5]
    ids = [enqueue(db, [config], needs=needs)[0] for config, needs in zip(configs(8), demands, strict=True)]
    said = launcher.waits_for(get_run(db, ids[2]))
    assert said == (
        f"Waiting for a V3 Lab with the launcher '{other.url}', with which it was queued; start one, or stop the run "
        "and resume it here."
    )
    runs = until(ids, Status.COMPLETED)
    there = other.head_node.node_id
    assert [run.node == there for run in runs[:3]] == [False, True, True]
    assert runs[0].node == cluster.worker.node_id
    for run in runs:
        assert [event.kind for event in read_events(db, run.id)].count(Status.STARTING) == 1
        assert (run.generation, run.restarts) == (0, 0)
        assert_whole(db, run.id)


def test_a_stop_of_a_run_on_another_cluster_is_left_to_who_can_signal_it(db, cluster, other, on, until):
    (run_id,) = enqueue(db, configs(1, ENDLESS), needs=Needs(launcher=other.url))
    wait_for(lambda: get_run(db, run_id).episode > 20, "it trains there")
    launcher = on(cluster)
    run = get_run(db, run_id)
    assert launcher.is_alive(run)
    assert launcher.is_alive(replace(run, status=Status.STOPPING)) is None
    control.stop(db, run_id)
    until([run_id], Status.STOPPED)
    assert_whole(db, run_id)
