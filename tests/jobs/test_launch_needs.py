"""What a run needs is kept with it: whoever starts it gives it that, and nothing of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.jobs.conftest import ROOT
from tests.processes import kill_all, monitor_of
from tests.runs import tiny_config
from tests.waiting import wait_for
from v3core import __version__
from v3core.errors import V3Error
from v3core.jobs import control, launcher, slots
from v3core.jobs.launch import capture, launch_of, waits_for
from v3core.jobs.lifecycle import Status
from v3core.store.export import export_runs
from v3core.store.runs import get_run, update_run

OWN_ENVIRONMENT = """
import json, os, pathlib
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
gymnasium.register("Own-v0", lambda: CartPoleEnv(), max_episode_steps=20)
seen = pathlib.Path(__file__).with_name(f"seen-{os.getpid()}")
seen.write_text(json.dumps([os.getcwd(), os.environ.get("MUJOCO_GL"), os.environ.get("SDL_VIDEODRIVER")]))
"""


@pytest.fixture
def shell(tmp_path):
    """Give a command in a folder, with variables: `shell(folder, "runs", V3_X="1")` returns what it printed."""

    def give(folder, *arguments, **variables):
        cleaned = {name: value for name, value in os.environ.items() if not name.startswith("V3_")}
        path = os.pathsep.join([variables.pop("PYTHONPATH", str(ROOT)), str(ROOT)])
        result = subprocess.run(
            [sys.executable, "-m", "v3core", *arguments],
            cwd=folder,
            env=cleaned | {"V3_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": path} | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    yield give
    kill_all(tmp_path / "data")


@pytest.mark.long
def test_a_shell_that_only_lists_starts_runs_as_they_were_launched(tmp_path, shell):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    (ours / "envs").mkdir(parents=True)
    theirs.mkdir()
    (ours / "envs" / "my_envs.py").write_text(OWN_ENVIRONMENT)
    arguments = ("--env", "my_envs:Own-v0", "--seeds", "1-3", "--episodes", "100000")
    first, second, third = shell(
        ours, "sweep", *arguments, V3_MAX_WORKERS="1", PYTHONPATH="envs", MUJOCO_GL="egl"
    ).split()

    def listed():
        found = json.loads(shell(theirs, "runs", "--json", SDL_VIDEODRIVER="dummy", MUJOCO_GL="osmesa"))
        return {run["id"]: run for run in found}

    started = wait_for(lambda: (run := listed()[first])["episode"] > 0 and run)
    for pid in (monitor_of(started["pid"]).pid, started["pid"]):
        os.kill(pid, signal.SIGKILL)
    runs = wait_for(lambda: (runs := listed())[second]["episode"] > 0 and runs)
    assert [runs[run]["status"] for run in (first, second, third)] == ["lost", "running", "queued"]
    worker = runs[second]["pid"]
    seen = json.loads((ours / "envs" / f"seen-{worker}").read_text())
    assert seen == [str(ours), "egl", None]


def test_folders_are_kept_absolute_and_secrets_are_not_kept(tmp_path, monkeypatch):
    (tmp_path / "envs").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "PYTHONPATH": f"envs{os.pathsep}none{os.pathsep}",
        "PATH": f"bin{os.pathsep}/usr/bin",
        "MUJOCO_GL": "egl",
        "MUJOCO_KEY": "s3cret",
        "TORCH_HUB_TOKEN": "s3cret",
        "V3_WEBHOOK_URL": "http://s3cret",
        "V3_RUN_VARIABLES": "SC2PATH, NO_SUCH",
        "SC2PATH": "/games",
        "SOMETHING": "else",
    }.items():
        monkeypatch.setenv(name, value)
    launch = capture(tiny_config(env="module:Env-v0"))
    assert launch.path == (str(tmp_path / "envs"), str(tmp_path))
    assert (launch.folder, launch.imports) == (str(tmp_path), True)
    assert launch.variables["PATH"] == f"{tmp_path}/bin{os.pathsep}/usr/bin"
    assert (launch.variables["MUJOCO_GL"], launch.variables["SC2PATH"]) == ("egl", "/games")
    assert "s3cret" not in launch.to_json()
    assert "SOMETHING" not in launch.variables


def test_a_worker_gets_nothing_of_the_kind_from_whoever_starts_it(monkeypatch):
    monkeypatch.setenv("V3_RUN_VARIABLES", "MINE")
    monkeypatch.setenv("MINE", "kept")
    launch = capture(tiny_config())
    given = launch.environment({"PYTHONPATH": "/other", "MINE": "other", "SDL_VIDEODRIVER": "x", "HOME": "/home"})
    assert given["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)
    assert "/other" not in given["PYTHONPATH"]
    assert (given["MINE"], given["HOME"], "SDL_VIDEODRIVER" in given) == ("kept", "/home", False)


def no_command(_run_id):
    return [sys.executable, "-c", "input()"]


@pytest.fixture
def lost_folder(db, tmp_path, monkeypatch):
    """A run that waits, and the import folder that it was launched with, which is not there any more."""
    folder = tmp_path / "envs"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    with monkeypatch.context() as patch:
        patch.setattr(launcher, "drain", lambda _db: [])
        (run_id,) = launcher.enqueue(db, [tiny_config()])
    monkeypatch.delenv("PYTHONPATH")
    shutil.rmtree(folder)
    return run_id, folder


def test_what_cannot_be_started_here_is_left_and_the_next_is_started(db, lost_folder, run_in):
    run_id, folder = lost_folder
    run = get_run(db, run_id)
    assert waits_for(run) == (
        f"Waiting for its import folder {folder}, which does not exist on this machine; restore it, or stop the run "
        f"and resume it with: python -m v3core resume {run_id[:8]} --here."
    )
    following = run_in(Status.QUEUED)
    assert launcher.drain(db, no_command) == [following]
    folder.mkdir()
    assert waits_for(run) is None
    assert launcher.drain(db, no_command) == [run_id]


def test_a_resume_keeps_the_launch_unless_it_is_to_be_that_of_here(db, lost_folder):
    run_id, folder = lost_folder
    control.stop(db, run_id)
    with pytest.raises(V3Error, match=r"launched with its import folder .* resume .* --here"):
        control.resume(db, run_id, command=no_command)
    assert get_run(db, run_id).status == Status.STOPPED
    folder.mkdir()
    before = get_run(db, run_id).launch_json
    slots.set_slots(db, 1)
    control.resume(db, run_id, command=no_command)
    assert get_run(db, run_id).launch_json == before
    with db.write() as tx:
        update_run(tx, run_id, {"status": Status.STOPPED}, only_in=tuple(Status))
    control.resume(db, run_id, command=no_command, here=True)
    assert launch_of(get_run(db, run_id)).path == ()


@pytest.mark.parametrize("before", ["0.1.9", None])
def test_a_run_names_the_version_that_launched_or_resumed_it_last(db, run_in, before, tmp_path):
    run_id = run_in(Status.STOPPED)
    run = get_run(db, run_id)
    assert (run.version, run.to_dict()["version"]) == (__version__, __version__)
    launch = {name: value for name, value in json.loads(run.launch_json).items() if name != "version"}
    with db.write() as tx:
        update_run(
            tx,
            run_id,
            {"launch": json.dumps(launch | ({"version": before} if before else {}))},
            only_in=[Status.STOPPED],
        )
    assert get_run(db, run_id).version == before
    export_runs(db, [run_id], tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["run"]["version"] == before
    control.resume(db, run_id, command=no_command)
    assert get_run(db, run_id).version == __version__


def test_a_run_that_imports_nothing_starts_anywhere(db, run_in, tmp_path):
    run_id = run_in(Status.QUEUED)
    launch = json.loads(get_run(db, run_id).launch_json)
    with db.write() as tx:
        gone = {"launch": json.dumps(launch | {"python": "/gone/python", "folder": "/gone", "path": []})}
        update_run(tx, run_id, gone, only_in=[Status.QUEUED])
    assert launcher.drain(db, no_command) == [run_id]
    wait_for(lambda: "EOFError" in (tmp_path / "runs" / run_id / "worker.log").read_text())


def test_a_run_of_an_earlier_version_takes_what_whoever_resumes_it_has(db, run_in):
    run_id = run_in(Status.STOPPED)
    with db.write() as tx:
        update_run(tx, run_id, {"launch": None}, only_in=[Status.STOPPED])
    assert waits_for(get_run(db, run_id)) is None
    control.resume(db, run_id, command=no_command)
    assert launch_of(get_run(db, run_id)) == capture(tiny_config())
