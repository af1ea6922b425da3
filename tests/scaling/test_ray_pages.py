"""Runs on a Ray cluster, as pages show and steer them, in a real Chromium; and a dashboard that restarts."""

import pytest
from playwright.sync_api import expect

from tests.browser.support import APP, free_port, serve
from tests.browser.test_main_job import ENDLESS, act, expect_status, launch
from tests.runs import assert_whole
from tests.scaling.clusters import HEAD, THIRD, WORKER
from tests.scaling.test_ray import configs
from tests.scaling.test_ray import pytestmark as needs_a_cluster
from tests.waiting import wait_for
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.jobs.needs import Needs
from v3core.store.runs import get_run

pytestmark = [*needs_a_cluster, pytest.mark.browser]


@pytest.mark.long
def test_pages_follow_the_cluster_while_nothing_happens_to_the_runs(page, db, cluster, on, third, tmp_path):
    on(cluster)
    (run_id,) = enqueue(db, configs(1), needs=Needs("zone=x"))
    (tmp_path / "pages").mkdir()
    variables = {"V3_DATA_DIR": str(tmp_path), "V3_DATABASE_URL": db.url, "V3_LAUNCHER": "ray:auto"}
    server = serve(APP, tmp_path / "pages", RAY_ADDRESS=cluster.address, **variables)
    try:
        page.goto(f"{server.url}/live?run={run_id}")
        expect(page.get_by_text("Needs a node with the label zone=x: no node of the cluster has it.")).to_be_visible()
        expect(page.get_by_text("Not started yet;", exact=False)).to_be_visible()
        page.goto(server.url)
        expect(page.get_by_text(f"{HEAD} 0 of 2, {WORKER} 0 of 3 slots in use", exact=False)).to_be_visible()
        third(num_cpus=4, labels={"zone": "c"})
        expect(page.get_by_text(f"{THIRD} 0 of 4 slots in use", exact=False)).to_be_visible()
        page.get_by_role("button", name="Nodes").click()
        rows = page.get_by_test_id("stTable").locator("tr")
        for cells in ([HEAD, "0 of 2", "2", ""], [WORKER, "0 of 3", "3", "zone=b"], [THIRD, "0 of 4", "4", "zone=c"]):
            expect(rows.filter(has_text=cells[0]).locator("td")).to_have_text(cells)
    finally:
        server.stop()
    assert get_run(db, run_id).status == Status.QUEUED


def test_a_run_on_a_cluster_is_launched_paused_edited_stopped_and_resumed_over_a_restart(
    page, watched, db, cluster, on, tmp_path
):
    variables = {
        "V3_DATA_DIR": str(tmp_path),
        "V3_DATABASE_URL": db.url,
        "V3_LAUNCHER": "ray:auto",
        "RAY_ADDRESS": cluster.address,
    }
    (tmp_path / "pages").mkdir()
    port = free_port()
    server = serve(APP, tmp_path / "pages", port, **variables)
    try:
        run_id = launch(page, server, "v3", ENDLESS)
        wait_for(lambda: get_run(db, run_id).episode > 0, "a first episode")
        run = get_run(db, run_id)
        assert (run.launcher, run.node_address in {HEAD, WORKER}) == ("ray", True)
        act(page, "Pause")
        expect_status(page, "Paused")
        boundary = get_run(db, run_id).episode + 60
        field = page.get_by_label("warmup ends at episode")
        field.fill(str(boundary))
        field.press("Enter")
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_text(f"Boundaries {boundary}", exact=False).first).to_be_visible()

        server.stop()  # the run is none of its children
        server = serve(APP, tmp_path / "pages", port, **variables)
        page.goto(f"{server.url}/live?run={run_id}")
        act(page, "Unpause")
        wait_for(lambda: get_run(db, run_id).episode > boundary, "the run passing the boundary")
        page.goto(server.url)
        used = {HEAD: "0 of 2", WORKER: "0 of 3"} | {
            run.node_address: "1 of 2" if run.node_address == HEAD else "1 of 3"
        }
        for address, slots in used.items():
            expect(page.get_by_text(f"{address} {slots}", exact=False).first).to_be_visible()
        page.goto(f"{server.url}/live?run={run_id}")
        act(page, "Stop")
        expect_status(page, "Stopped")
        stopped = get_run(db, run_id).episode
        act(page, "Resume")
        wait_for(lambda: get_run(db, run_id).episode > stopped, "episodes after the resume")
        act(page, "Stop")
        expect_status(page, "Stopped")
        assert get_run(db, run_id).status == Status.STOPPED
        assert_whole(db, run_id)
    finally:
        server.stop()
    assert watched.outside == []
