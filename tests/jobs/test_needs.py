"""What runs demand of where they train: asked for everywhere, inherited, and refused where it cannot be met."""

import os
import signal

import pytest

import v3core
from tests.jobs.conftest import FOUR_PHASES
from tests.waiting import wait_for
from v3core.cli import main
from v3core.errors import V3Error
from v3core.jobs import control, experiments
from v3core.jobs.forks import fork
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.jobs.needs import Needs
from v3core.store.history import read_events
from v3core.store.runs import get_run, list_runs, update_run

HERE, ELSEWHERE = "ray://here:10001", "ray://elsewhere:10001"


def demanded(run):
    return run.launcher, run.needs_label, run.needs_gpus, run.max_restarts


def is_lost(db, run_id):
    return get_run(db, run_id).status == Status.LOST


@pytest.fixture
def waiting(monkeypatch):
    """No run is started."""
    for module in ("launcher", "control", "supervisor", "forks"):
        monkeypatch.setattr(f"v3core.jobs.{module}.drain", lambda *_, **__: [])


@pytest.fixture
def a_cluster(monkeypatch):
    """This process has a Ray cluster."""

    class Cluster:
        name, names = "ray", ("ray", HERE)

        def check(self, database):
            """Any database."""

    for module in ("needs", "forks", "launcher", "control"):
        monkeypatch.setattr(f"v3core.jobs.{module}.chosen", Cluster)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["--restarts", "3"], ("local", None, None, 3)),
        (["--launcher", "ray", "--node-label", "zone=b", "--gpus", "0.5"], ("ray", "zone=b", 0.5, None)),
        (["--launcher", "ray://10.0.0.1:10001"], ("ray://10.0.0.1:10001", None, None, None)),
    ],
)
def test_a_sweep_asks_for_them_where_the_database_allows(db, waiting, capsys, arguments, kept):
    code = main(["sweep", "--env", "CartPole-v1", "--episodes", "40", "--seeds", "1-2", *arguments])
    said = capsys.readouterr().err
    if kept[0] != "local" and db.url.startswith("sqlite"):
        assert "A Ray cluster needs a PostgreSQL database" in said
        assert (code, list_runs(db)) == (1, [])
        return
    assert code == 0
    assert [demanded(run) for run in list_runs(db)] == [kept] * 2


def test_python_asks_for_them(db, waiting):
    v3core.launch("CartPole-v1", episodes=40, restarts=2)
    assert [demanded(run) for run in list_runs(db)] == [("local", None, None, 2)]


@pytest.mark.parametrize(
    ("needs", "sentence"),
    [
        (Needs("zone=b"), "Only a cluster has nodes with the label zone=b, and the run would be started as a process"),
        (Needs(gpus=0.5), r"Only a cluster has nodes with 0\.5 GPUs"),
        (Needs("zone=b", launcher="local"), "the label zone=b"),
    ],
)
def test_what_only_a_cluster_has_is_refused_on_one_machine_before_anything_is_queued(db, config, needs, sentence):
    with pytest.raises(V3Error, match=sentence):
        enqueue(db, [config()], needs=needs)
    assert list_runs(db) == []


def test_an_unknown_launcher_is_named_with_those_that_there_are():
    with pytest.raises(
        V3Error, match="There is no launcher 'slurm'; choose local, ray, or the address ray://HOST:PORT"
    ):
        Needs(launcher="slurm")


def test_forks_and_added_seeds_inherit_what_can_be_met_here(db, make, train, waiting, request):
    run_id = make(episodes=40, curriculum=FOUR_PHASES)
    asked = {"needs_label": "zone=b", "needs_gpus": 0.5, "max_restarts": 3, "experiment": "group"}
    with db.write() as tx:
        update_run(tx, run_id, asked, only_in=[Status.QUEUED])
    assert train(run_id, every=2) is Status.COMPLETED
    made = fork(db, run_id, seed=5, episodes=60)
    assert demanded(get_run(db, made)) == ("local", None, None, 3)
    (added,) = experiments.add_seeds(db, "group", 1)
    assert demanded(get_run(db, added)) == ("local", None, None, 3)
    request.getfixturevalue("a_cluster")
    made = fork(db, run_id, seed=6, episodes=60)
    assert demanded(get_run(db, made)) == ("ray", "zone=b", 0.5, 3)
    with db.write() as tx:
        update_run(tx, added, asked, only_in=[Status.QUEUED])
    control.stop(db, added)
    control.resume(db, added)
    assert demanded(get_run(db, added)) == ("ray", "zone=b", 0.5, 3)
    for address, kept in ((HERE, HERE), (ELSEWHERE, "ray")):
        with db.write() as tx:
            update_run(tx, run_id, {"launcher": address}, only_in=[Status.COMPLETED])
        assert get_run(db, fork(db, run_id, seed=7, episodes=60)).launcher == kept


def test_added_seeds_demand_what_all_runs_do_without_the_address_that_some_have(db, make, waiting, a_cluster):
    """One of them was moved by a resume from another cluster."""
    asked = {"needs_label": "zone=b", "needs_gpus": 0.5, "max_restarts": 3, "experiment": "group"}
    ids = [make(episodes=40, seed=seed) for seed in (1, 2)]
    for changes, demands in (
        ([asked, asked], ("ray", "zone=b", 0.5, 3)),
        ([{"launcher": HERE}], ("ray", "zone=b", 0.5, 3)),
        ([{"launcher": HERE}, {"launcher": HERE}], (HERE, "zone=b", 0.5, 3)),
        ([{"needs_label": None}], (HERE, None, None, None)),
    ):
        with db.write() as tx:
            for run_id, change in zip(ids, changes, strict=False):
                update_run(tx, run_id, change, only_in=[Status.QUEUED])
        needs = Needs.common([get_run(db, run_id) for run_id in ids])
        assert tuple(needs.columns().values()) == demands
    with db.write() as tx:
        update_run(tx, ids[0], asked | {"launcher": "ray"}, only_in=[Status.QUEUED])
    (added,) = experiments.add_seeds(db, "group", 1)
    assert demanded(get_run(db, added)) == ("ray", "zone=b", 0.5, 3)


def test_a_resume_on_a_machine_of_no_cluster_drops_what_only_a_cluster_can_meet_and_says_so(db, run_in, waiting):
    run_id = run_in(Status.STOPPED, needs_label="zone=b", needs_gpus=0.5, launcher="ray", max_restarts=2)
    control.resume(db, run_id)
    assert demanded(get_run(db, run_id)) == ("local", None, None, 2)
    sentence = "It no longer needs a certain node or GPU, because this machine is no cluster."
    assert read_events(db, run_id)[-1].message == f"Resuming from the beginning. {sentence}"
    control.stop(db, run_id)
    control.resume(db, run_id)
    assert read_events(db, run_id)[-1].message == "Resuming from the beginning."


@pytest.mark.parametrize(
    ("address", "kept", "said"),
    [
        (HERE, HERE, ""),
        (ELSEWHERE, "ray", f" It no longer needs the cluster at {ELSEWHERE}, because it was resumed elsewhere."),
    ],
)
def test_a_resume_drops_the_address_of_another_cluster_and_says_so(db, run_in, waiting, request, address, kept, said):
    run_id = run_in(Status.STOPPED, launcher=address, needs_label="zone=b")
    request.getfixturevalue("a_cluster")
    control.resume(db, run_id)
    assert demanded(get_run(db, run_id)) == (kept, "zone=b", None, None)
    assert read_events(db, run_id)[-1].message == f"Resuming from the beginning.{said}"


@pytest.mark.every_database
def test_a_lost_run_is_queued_again_as_often_as_it_may_be(db, config, wait_until):
    """Without a cluster too: the worker and its monitor die, and whoever looks after the runs starts it again."""
    (run_id,) = enqueue(db, [config(episodes=10**6)], needs=Needs(restarts=1))
    for restarts in (0, 1):
        run = wait_until(run_id, episode=10)
        assert run.restarts == restarts
        os.kill(run.pid, signal.SIGKILL)
        wait_for(lambda pid=run.pid: get_run(db, run_id).pid != pid or is_lost(db, run_id), "the end of the worker")
        wait_for(lambda done=restarts: done or get_run(db, run_id).restarts == 1, "the restart")
    assert get_run(db, run_id).status == Status.LOST
    assert "Queued again from the " in "".join(event.message for event in read_events(db, run_id))
