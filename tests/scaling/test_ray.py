"""Runs on a real Ray cluster of two nodes: they train as on one machine, and a node that dies loses none of them."""

import errno
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from textwrap import dedent, indent

import psutil
import pytest

from tests.browser.support import ROOT
from tests.databases import MISSING
from tests.processes import monitor_of, processes_of
from tests.runs import assert_whole, tiny_config
from tests.scaling.clusters import (
    HEAD,
    OTHER_HEAD,
    PATIENCE_SECONDS,
    THIRD,
    WORKER,
    end_cluster,
    new_cluster,
)
from tests.waiting import wait_for
from v3core.cli import main
from v3core.curriculum import parse
from v3core.doctor import examine
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.launcher import enqueue
from v3core.jobs.launchers import chosen as choice
from v3core.jobs.launchers import on_ray
from v3core.jobs.lifecycle import Status
from v3core.jobs.needs import Needs
from v3core.jobs.supervisor import reconcile
from v3core.messages import speaking
from v3core.store.history import read_events
from v3core.store.opening import open_database
from v3core.store.runs import get_run, set_length, update_run

if os.environ.get("CI", "").lower() not in {"1", "true"}:  # there it must be installed
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed: install Debian's package postgresql"),
]
ENDLESS = 10**6
QUEUED = int(os.environ.get("V3_SCALING", "12"))


def configs(number, episodes=200):
    return [tiny_config(episodes=episodes, boundary=min(30, episodes // 2), seed=seed) for seed in range(1, number + 1)]


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def examined():
    """What `doctor` says of the launcher."""
    return next(finding for finding in examine() if finding.subject == "Launcher")


def messages(db, run_id):
    return [event.message for event in read_events(db, run_id)]


def kill_node(node):
    """Kill a node's raylet; Ray tells nobody else of its end."""
    os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)


def test_six_runs_train_on_both_nodes_and_leave_no_process(db, cluster, on, until, tmp_path):
    launcher = on(cluster)
    ids = enqueue(db, configs(6))
    offer = launcher.offer()
    assert sorted(node.slots for node in offer.nodes) == [2, 3]
    assert examined().detail == "ray, 2 nodes with 5 slots"
    runs = until(ids, Status.COMPLETED)
    assert {run.node for run in runs} == {node.id for node in offer.nodes}
    assert {(run.launcher, run.node_address) for run in runs} == {("ray", HEAD), ("ray", WORKER)}
    for run in runs:
        assert assert_whole(db, run.id)["episode"].tolist() == list(range(1, 201))
    wait_for(lambda: not [one for one in processes_of(tmp_path) if "worker" in one.cmdline()], "the workers end")


@pytest.mark.long
def test_commands_reach_a_run_on_a_node(db, cluster, on, until):
    on(cluster)
    (run_id,) = enqueue(db, configs(1, ENDLESS))
    until([run_id], episode=50)
    control.pause(db, run_id)
    until([run_id], Status.PAUSED)
    edited = parse("{name: test, phases: [{name: early, until: {episode: 30}, routing: softmax}, {name: late}]}")
    control.request_edit(db, run_id, edited)
    control.unpause(db, run_id)
    until([run_id], Status.RUNNING)
    wait_for(lambda: control.current_curriculum(db, run_id) == edited, "the edit is applied")
    control.stop(db, run_id)
    stopped = until([run_id], Status.STOPPED)[0]
    assert stopped.reason is None
    assert stopped.episode > 50
    control.resume(db, run_id, episodes=None)
    again = until([run_id], episode=stopped.episode + 20)[0]
    assert again.generation == 1
    assert_whole(db, run_id)
    control.stop(db, run_id)
    until([run_id], Status.STOPPED)


@pytest.mark.long
@pytest.mark.parametrize("monitor_too", [False, True], ids=["worker", "worker and monitor"])
def test_a_silent_worker_is_stalled_while_its_node_says_that_it_lives_and_a_stop_kills_it_there(
    db, cluster, on, until, monitor_too
):
    """Its monitor sends the signals, or if that is suspended too, the dashboard has its actor do it."""
    on(cluster)
    (run_id,) = enqueue(db, configs(1, ENDLESS))
    (run,) = until([run_id], episode=20)
    monitor = monitor_of(run.pid)
    if monitor_too:
        monitor.suspend()
    os.kill(run.pid, signal.SIGSTOP)
    until([run_id], Status.STALLED)
    control.stop(db, run_id)
    (ended,) = until([run_id], Status.STOPPED)
    assert "SIGKILL" in ended.reason
    wait_for(lambda: is_gone(run.pid), "the worker ends")
    monitor.resume()
    wait_for(lambda: is_gone(monitor.pid), "its monitor ends")


def test_runs_of_a_node_that_dies_are_lost_in_15_seconds_and_trained_to_their_end_elsewhere(
    db, cluster, on, until, third
):
    on(cluster)
    node = third(num_cpus=3, labels={"zone": "c"})
    ids = enqueue(db, configs(3, ENDLESS), needs=Needs("zone=c", restarts=2))
    until(ids, episode=100)
    for run_id in ids:
        control.checkpoint(db, run_id)
    wait_for(lambda: all(newest_whole(db, run_id) for run_id in ids), "checkpoints")
    ends = {}
    with db.write() as tx:
        for run_id in ids:  # once restarted, on any node, it is not endless
            run = get_run(tx, run_id, for_update=True)
            ends[run_id] = run.episode + 2000
            set_length(tx, run, ends[run_id])
            update_run(tx, run_id, {"needs_label": None}, only_in=[Status.RUNNING])
    died = time.monotonic()
    kill_node(node)

    def lost():
        reconcile(db)
        return all(get_run(db, run_id).restarts for run_id in ids)

    wait_for(lost, "lost, and queued again", seconds=15)
    print(f"lost after {time.monotonic() - died:.1f} s")
    runs = until(ids, Status.COMPLETED)
    assert {run.node for run in runs}.isdisjoint({node.node_id})
    for run in runs:
        assert any(f"Ray on node {THIRD} ended" in message for message in messages(db, run.id))
        assert any("restart 1 of 2" in message for message in messages(db, run.id))
        assert len(assert_whole(db, run.id)["episode"]) == ends[run.id]


@pytest.mark.long
def test_a_machine_that_goes_down_says_nothing_and_its_run_is_lost_in_15_seconds(db, cluster, on, until):
    on(cluster)
    (run_id,) = enqueue(db, configs(1, ENDLESS))
    (run,) = until([run_id], episode=50)
    worker = psutil.Process(run.pid)
    monitor = worker.parent()
    holder = monitor.parent()
    for process in (holder, monitor, worker, holder.parent()):  # on_node, its actor: nobody is left to say so
        process.kill()
    (lost,) = until([run_id], Status.LOST, seconds=20)
    assert lost.reason == f"Node {run.node_address} of the cluster ended the worker, or went down."
    assert (lost.ended_at - run.heartbeat_at).total_seconds() < 15
    control.resume(db, run_id)
    until([run_id], episode=lost.episode + 10)
    assert_whole(db, run_id)


def test_the_queue_says_why_a_run_waits(db, cluster, on, until):
    launcher = on(cluster)
    no_gpu, no_label = enqueue(db, configs(1), needs=Needs(gpus=0.5)) + enqueue(db, configs(1), needs=Needs("zone=x"))
    (labelled,) = enqueue(db, configs(1), needs=Needs("zone=b"))
    assert launcher.waits_for(get_run(db, no_gpu)) == "Needs a GPU: no node has one."
    assert "label zone=x: no node" in launcher.waits_for(get_run(db, no_label))
    (run,) = until([labelled], Status.COMPLETED)
    assert run.node == cluster.worker.node_id
    assert {get_run(db, run_id).status for run_id in (no_gpu, no_label)} == {Status.QUEUED}


@pytest.mark.long
def test_an_actor_that_is_asked_for_nothing_ends_and_frees_its_slot(cluster):
    """The bridge that made it has died before it said what to begin."""
    code = f"""
import time, ray
from v3core.jobs.launchers.ray_bridge import NAMESPACE, Holder
ray.init({cluster.address!r}, namespace=NAMESPACE, log_to_driver=False)
named = {{"name": "left", "namespace": NAMESPACE, "lifetime": "detached"}}
ray.remote(num_cpus=1, max_restarts=0)(Holder).options(**named).remote(1.0)
deadline = time.monotonic() + 60
while ray.util.list_named_actors() and time.monotonic() < deadline:
    time.sleep(0.2)
print(ray.util.list_named_actors())
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("[]"), found.stdout + found.stderr


@pytest.mark.long
def test_no_more_runs_with_a_label_are_claimed_than_its_node_has_slots(db, cluster, on, until):
    on(cluster)
    ids = enqueue(db, configs(5, ENDLESS), needs=Needs("zone=b"))

    def trains(number):
        reconcile(db)
        statuses = [get_run(db, run_id).status for run_id in ids]
        assert statuses.count(Status.QUEUED) >= 2, statuses
        return statuses.count(Status.RUNNING) == number

    wait_for(lambda: trains(3), "three of them train", seconds=PATIENCE_SECONDS)
    for _ in range(20):
        assert trains(3)
    assert not any("queued again" in message for run_id in ids for message in messages(db, run_id))
    for run_id in ids:
        control.stop(db, run_id)
    until(ids, Status.STOPPED)


def test_a_run_of_one_launcher_is_not_started_by_another(db, cluster, on, until, monkeypatch):
    launcher = on(cluster)
    (local,) = enqueue(db, configs(1), needs=Needs(launcher="local"))
    reconcile(db)
    assert (get_run(db, local).status, get_run(db, local).launcher) == (Status.QUEUED, "local")
    assert "whose V3_LAUNCHER is 'local'" in launcher.waits_for(get_run(db, local))
    monkeypatch.setenv("V3_LAUNCHER", "local")
    (on_cluster,) = enqueue(db, configs(1), needs=Needs(launcher="ray"))
    until([local], Status.COMPLETED)
    assert get_run(db, on_cluster).status == Status.QUEUED
    monkeypatch.setenv("V3_LAUNCHER", "ray:auto")
    until([on_cluster], Status.COMPLETED)
    assert (get_run(db, local).node, get_run(db, on_cluster).node_address in {HEAD, WORKER}) == ("", True)


@pytest.mark.long
@pytest.mark.timeout(PATIENCE_SECONDS + 20 * QUEUED)
def test_many_queued_runs_drain(db, cluster, on, until):
    """V3_SCALING=200 for as many, which takes a quarter of an hour on two idle cores."""
    on(cluster)
    ids = enqueue(db, configs(QUEUED, episodes=10))
    until(ids, Status.COMPLETED, seconds=PATIENCE_SECONDS + 15 * len(ids))
    for run_id in ids:
        assert_whole(db, run_id)


def test_where_the_head_dies_runs_are_shown_as_what_they_are_and_train_on_in_another_cluster(
    db, on, until, monkeypatch
):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")  # a minute otherwise
    first = new_cluster(OTHER_HEAD, num_cpus=1)
    try:
        launcher = on(first)
        training, waiting = enqueue(db, configs(2, ENDLESS))
        until([training], episode=50)
        control.checkpoint(db, training)
        wait_for(lambda: newest_whole(db, training), "a checkpoint")
        os.kill(first.head_node.all_processes["gcs_server"][0].process.pid, signal.SIGKILL)
        (lost,) = until([training], Status.LOST, seconds=60)
        assert lost.reason == f"Ray on node {OTHER_HEAD} ended, and the worker with it."
        assert_whole(db, training)
        wait_for(lambda: is_gone(lost.pid), "the worker ends")
        assert get_run(db, waiting).status == Status.QUEUED
        said = launcher.waits_for(get_run(db, waiting))
        assert "does not answer" in said or said.startswith("No Ray cluster answers at ")
    finally:
        end_cluster(first)
    second = new_cluster(OTHER_HEAD, num_cpus=2)
    try:
        choice._of.cache_clear()
        on(second)
        control.resume(db, training)
        until([training, waiting], episode=lost.episode + 10)
        for run_id in (training, waiting):
            control.stop(db, run_id)
        until([training, waiting], Status.STOPPED)
        assert_whole(db, training)
    finally:
        end_cluster(second)


def test_a_node_with_another_version_is_named_and_nothing_is_half_started(db, cluster, on, until, monkeypatch):
    on(cluster)
    monkeypatch.setattr(on_ray, "__version__", "0.0.1")
    (run_id,) = enqueue(db, configs(1))
    (run,) = until([run_id], Status.FAILED)
    assert "of the Ray cluster has V3 Lab" in run.reason
    assert "not 0.0.1; install the same version there." in run.reason


def test_a_node_with_another_data_folder_is_named(db, cluster, on, until, monkeypatch, tmp_path):
    """At the same path, as where the shared folder is not mounted there."""
    monkeypatch.setattr(on_ray, "log_file", lambda run_id, _: tmp_path / "elsewhere" / run_id)
    on(cluster)
    (run_id,) = enqueue(db, configs(1))
    (run,) = until([run_id], Status.FAILED)
    assert run.reason.startswith(f"The data folder {tmp_path} of node 127.0.")
    assert run.reason.endswith("is not that of the dashboard; mount the shared folder there, at the same path.")


def test_a_node_without_the_package_is_named(db, cluster, on, until, monkeypatch, tmp_path):
    # As on another machine, which has neither this folder nor what the server imports from.
    monkeypatch.setattr(on_ray, "import_folders", list)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    on(cluster)
    (run_id,) = enqueue(db, configs(1))
    (run,) = until([run_id], Status.FAILED)
    assert run.reason.startswith("V3 Lab is not installed on node 127.0.")


@pytest.fixture
def on_nodes(monkeypatch, tmp_path):
    """`on_nodes(method)`: what starts a worker on a node has this method, given as its source."""

    def use(method):
        code = f"""
import ray
original = ray.remote

def remote(**options):
    def made(kind):
        class Other(kind):
{indent(dedent(method), " " * 12)}
        Other.__module__ = "__main__"  # so that it is shipped by value
        return original(**options)(Other)
    return made

ray.remote = remote
"""
        (tmp_path / "sitecustomize.py").write_text(code)  # of the process that connects
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")

    return use


@pytest.mark.parametrize("method", ["__init__", "begin"])
def test_what_no_node_can_start_fails_and_is_not_queued_again(db, cluster, on, until, on_nodes, method):
    on_nodes(
        f"""
        def {method}(self, argument):
            raise ImportError("It lacks something.")
        """
    )
    on(cluster)
    (run_id,) = enqueue(db, configs(1))
    (run,) = until([run_id], Status.FAILED)
    assert run.reason == "The Ray cluster cannot start the worker: ImportError: It lacks something."


@pytest.mark.parametrize(
    ("raised", "found"),
    [
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), True),
        (MemoryError(), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (ImportError("It lacks something."), False),
    ],
)
def test_what_a_node_lacks_for_a_while_passes(raised, found):
    from v3core.jobs.launchers.ray_bridge import passes

    assert passes(raised) is found


def test_what_passes_is_tried_again(db, cluster, on, until, on_nodes, tmp_path):
    """A node without memory for the worker process, once."""
    on_nodes(
        f"""
        def begin(self, order):
            from pathlib import Path
            tried = Path({str(tmp_path)!r}, "tried")
            if not tried.exists():
                tried.touch()
                raise OSError(12, "Cannot allocate memory")
            return super().begin(order)
        """
    )
    on(cluster)
    (run_id,) = enqueue(db, configs(1))
    until([run_id], Status.COMPLETED)
    assert any(
        "OSError: [Errno 12] Cannot allocate memory. The run is queued again." in one for one in messages(db, run_id)
    )


@pytest.mark.parametrize(("name", "value"), [("ray", "2.1.0"), ("python", "3.9.1")])
def test_another_version_of_ray_or_python_is_named(db, cluster, on, monkeypatch, tmp_path, capsys, name, value):
    lines = {
        "ray": f"import ray\nray.__version__ = {value!r}",
        "python": "import platform\nfrom ray._private import utils\n"
        f"platform.python_version = lambda: {value!r}\n"
        f"utils.compute_version_info = lambda: ({version('ray')!r}, {value!r})",
    }
    (tmp_path / "sitecustomize.py").write_text(lines[name])  # of the process that connects
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    launcher = on(cluster, connects=False)
    said = launcher.offer().problem
    assert said.startswith(
        f"The Ray cluster at {cluster.address} has another version of Ray or Python than this process"
    )
    assert value in said
    enqueue(db, configs(1))
    for arguments in (["slots"], ["runs"], ["doctor"]):
        capsys.readouterr()
        with speaking("zh_CN"):
            main(arguments)
        shown = "".join(capsys.readouterr())
        assert "Ray 或 Python 版本与本进程" in shown, arguments
        assert "another version" not in shown


def test_a_cluster_that_does_not_answer_keeps_runs_waiting_and_says_so(db, on, monkeypatch):
    class Nowhere:
        address = "127.0.0.1:9"

    launcher = on(Nowhere, connects=False)
    assert launcher.seen().problem == "Connecting to the Ray cluster."
    monkeypatch.setattr(on_ray, "CONNECT_SECONDS", 2)
    (run_id,) = enqueue(db, configs(1))
    assert get_run(db, run_id).status == Status.QUEUED
    said = launcher.waits_for(get_run(db, run_id))
    assert said.startswith("No Ray cluster answers at 127.0.0.1:9; start one there with `ray start --head`, or correct")
    found = examined()
    assert (found.ok, found.detail) == (False, said)


def test_a_database_that_is_a_file_is_refused(cluster, on, tmp_path, monkeypatch):
    on(cluster)
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    database = open_database()
    with pytest.raises(V3Error, match="needs a PostgreSQL database"):
        enqueue(database, configs(1))
    database.close()
    found = examined()
    assert not found.ok
    assert found.detail.startswith("A Ray cluster needs a PostgreSQL database")
