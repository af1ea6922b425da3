"""Which launcher starts the workers, by V3_LAUNCHER."""

import sys
from types import SimpleNamespace

import pytest

from v3core.doctor import examine
from v3core.errors import V3Error
from v3core.jobs.launcher import enqueue
from v3core.jobs.launchers.chosen import _of, chosen
from v3core.jobs.launchers.local import LocalLauncher
from v3core.store.runs import list_runs


@pytest.mark.parametrize("value", [None, "", "local", " local "])
def test_workers_are_processes_of_this_machine_unless_another_launcher_is_named(monkeypatch, value):
    monkeypatch.delenv("V3_LAUNCHER", raising=False)
    if value is not None:
        monkeypatch.setenv("V3_LAUNCHER", value)
    assert isinstance(chosen(), LocalLauncher)


@pytest.mark.parametrize("value", ["Local", "slurm", "ray", "ray:", "ray://", "ray://host", "ray://host:port"])
def test_another_value_is_named_in_one_sentence(monkeypatch, value):
    monkeypatch.setenv("V3_LAUNCHER", value)
    with pytest.raises(V3Error, match=r"^V3_LAUNCHER is '") as refused:
        chosen()
    assert repr(value) in str(refused.value)


def test_nothing_is_queued_for_a_launcher_that_does_not_exist(db, config, monkeypatch):
    """Corrected and started again, it would be trained twice."""
    monkeypatch.setenv("V3_LAUNCHER", "slurm")
    with pytest.raises(V3Error, match="V3_LAUNCHER"):
        enqueue(db, [config()])
    assert list_runs(db) == []


@pytest.mark.parametrize("value", ["ray:auto", "ray://127.0.0.1:10001"])
def test_without_ray_a_cluster_is_refused_before_anything_is_queued(db, config, monkeypatch, value):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    monkeypatch.setenv("V3_LAUNCHER", value)
    _of.cache_clear()
    with pytest.raises(V3Error, match=r"Ray is not installed; install it with `pip install 'v3lab\[ray\]'`"):
        enqueue(db, [config()])
    assert list_runs(db) == []


@pytest.mark.parametrize(
    ("demanded", "is_said"),
    [("ray", "V3_LAUNCHER names a Ray cluster;"), ("ray://h:10001", "V3_LAUNCHER is 'ray://h:10001';")],
)
def test_what_a_run_of_another_launcher_waits_for_is_a_value_that_there_is(demanded, is_said):
    said = LocalLauncher().waits_for(SimpleNamespace(launcher=demanded))
    assert said.startswith(f"Waiting for a dashboard whose {is_said} start one if none runs, or stop the run")


def test_doctor_names_a_launcher_that_does_not_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("V3_LAUNCHER", "slurm")
    assert next(finding for finding in examine() if finding.subject == "Launcher").detail.startswith("V3_LAUNCHER is ")
