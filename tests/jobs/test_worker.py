"""Real worker processes with the real trainer: to the end, stopped, killed, edited, failing."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
import torch

from tests.jobs.conftest import ROOT, assert_whole
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.curriculum import parse, with_boundaries
from v3core.errors import V3Error
from v3core.jobs import control, identity, launcher, slots, worker
from v3core.jobs.identity import process_of
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.lifecycle import Status
from v3core.jobs.logs import read_log_tail
from v3core.native import library
from v3core.store.commands import add_command, read_commands, read_revisions
from v3core.store.history import read_checkpoints, read_events, read_phase_changes
from v3core.store.runs import get_run, set_length

ENDLESS = 1_000_000

BROKEN = """
import gymnasium as gym

class Broken(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 37:
            raise RuntimeError("the simulator broke\\nat step 37")
        return self.observation_space.sample(), 1.0, self.steps % 10 == 0, False, {}

gym.register("Broken-v0", entry_point=Broken)
"""


def let_end(db, run):
    """Set the length of a run that no process trains, which had no end, to some hundred episodes more; returns it.

    However late a test acts on a run while it trains, the run has not ended yet.
    """
    length = run.episode + 500
    with db.write() as tx:
        set_length(tx, get_run(tx, run.id), length)
    return length


@pytest.mark.every_database
def test_a_run_is_trained_to_its_end_and_everything_recorded(db, start, wait_until):
    run_id = start(episodes=80, boundary=30)
    wait_until(run_id, status=Status.COMPLETED)
    table = assert_whole(db, run_id)
    run = get_run(db, run_id)
    assert (run.episode, run.phase, run.reason, run.generation) == (80, "late", None, 0)
    assert run.sees == "The policy sees the whole observation."
    assert run.device == "cpu"  # on which so small a network is faster, CUDA or not
    assert run.latest_return == table["return"][-1]
    assert run.created_at < run.started_at < run.ended_at
    changes = read_phase_changes(db, run_id)
    assert [(change.name, change.planned) for change in changes] == [("early", 0), ("late", 30)]
    assert 30 <= changes[1].episode <= 33  # four environments may finish on the same step
    assert table["phase"].tolist() == ["early"] * changes[1].episode + ["late"] * (80 - changes[1].episode)
    assert read_checkpoints(db, run_id)[-1].episode == 80
    lines = read_log_tail(run_id).splitlines()
    assert "Training CartPole-v1 for 80 episodes with curriculum test, seed 1" in lines[0]
    assert lines[-1].endswith("Completed at episode 80.")
    wait_for(lambda: not identity.is_alive(process_of(run)))


def test_what_a_worker_does_not_know_or_cannot_read_is_rejected_and_it_trains_on(db, start, wait_until):
    run_id = start(episodes=ENDLESS)
    wait_until(run_id, episode=4)
    with db.write() as tx:
        asked = [
            add_command(tx, run_id, kind, actor="me", now=datetime.now(UTC), value=value)
            for kind, value in (("dance", "tango"), ("", None), ("extend", "many"), ("edit_curriculum", None))
        ]

    def answered():
        with db.read() as tx:
            return not read_commands(tx, run_id, only_open=True)

    wait_for(answered, "the commands are not answered")
    rows = {row.id: row for row in read_commands(db, run_id)}
    unknown, nameless, unreadable, empty = (rows[number] for number in asked)
    sentence = "The worker does not know the command 'dance'; stop the run and resume it."
    assert (unknown.rejected_reason, unknown.applied_at) == (sentence, None)
    assert unknown.acknowledged_at is not None
    assert "does not know the command ''" in nameless.rejected_reason
    assert unreadable.rejected_reason == "'many' is not a number of episodes."
    assert empty.rejected_reason == "The command has no curriculum."
    wait_until(run_id, episode=get_run(db, run_id).episode + 4)
    assert control.stop(db, run_id) == Status.STOPPING
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED


def test_a_stopped_run_resumes_without_a_gap_or_a_doubled_episode(db, start, wait_until):
    run_id = start(episodes=ENDLESS, boundary=30)
    wait_until(run_id, episode=60)
    assert control.stop(db, run_id) == Status.STOPPING
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    stopped = get_run(db, run_id)
    assert stopped.reason is None
    length = let_end(db, stopped)
    (command,) = read_commands(db, run_id)
    assert command.requested_at < command.acknowledged_at <= command.applied_at
    assert (command.kind, command.applied_episode) == ("stop", stopped.episode)
    assert read_checkpoints(db, run_id)[-1].episode == stopped.episode
    before = assert_whole(db, run_id)

    boundary = stopped.episode + 100
    edited = parse(
        f"{{name: test, phases: [{{name: early, until: {{episode: 30}}, routing: softmax}}, "
        f"{{name: late, until: {{episode: {boundary}}}, routing: sparsemax}}, {{name: end}}]}}"
    )
    control.resume(db, run_id, curriculum=edited)
    wait_until(run_id, status=Status.COMPLETED)
    table = assert_whole(db, run_id)
    assert len(table) == length
    assert table["return"][: len(before)].tolist() == before["return"].tolist()
    assert set(table["phase"][len(before) : boundary]) == {"late"}  # it does not begin again at the first phase
    assert [(change.name, change.planned) for change in read_phase_changes(db, run_id)] == [
        ("early", 0),
        ("late", 30),
        ("end", boundary),
    ]
    assert get_run(db, run_id).generation == 1


@pytest.mark.every_database
def test_a_killed_worker_is_found_out_and_its_run_resumes(db, start, wait_until, tmp_path):
    run_id = start(episodes=ENDLESS, boundary=50)
    run = wait_until(run_id, episode=120)
    os.kill(run.pid, signal.SIGKILL)
    lost = wait_until(run_id, status=Status.LOST)  # its monitor tells, nobody else looks
    assert re.match(r"The worker process was killed \(SIGKILL\) from outside; it used \d+\.\d of \d+ GiB", lost.reason)
    assert_whole(db, run_id)
    if db.url.startswith("sqlite"):
        with sqlite3.connect(tmp_path / "v3.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    checkpoint = read_checkpoints(db, run_id)[-1].episode
    assert 50 <= checkpoint < lost.episode

    length = let_end(db, lost)
    control.resume(db, run_id)
    wait_until(run_id, status=Status.COMPLETED)
    assert len(assert_whole(db, run_id)) == length
    messages = [event.message for event in read_events(db, run_id)]
    assert f"Resuming from the checkpoint at episode {checkpoint}." in messages
    assert f"{lost.episode - checkpoint} later episodes are trained again." in messages
    assert get_run(db, run_id).generation == 2  # whoever had read what was deleted reads anew


def test_a_worker_falls_back_to_the_checkpoint_before_a_damaged_one(db, start, wait_until):
    run_id = start(episodes=ENDLESS, boundary=40)
    wait_until(run_id, episode=60)
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    rows = read_checkpoints(db, run_id)
    newest = db.data_dir / rows[-1].path
    # Whole as an archive, so that only loading it shows what it is.
    torch.save({"format": "another program's"}, newest)
    before = assert_whole(db, run_id)
    control.resume(db, run_id)
    run = wait_until(run_id, episode=rows[-1].episode + 5)
    messages = [event.message for event in read_events(db, run_id)]
    assert any(message.startswith(f"Checkpoint {newest} is not compatible") for message in messages)
    assert f"Training from the checkpoint at episode {rows[-2].episode}." in messages
    control.stop(db, run.id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    after = assert_whole(db, run_id)
    kept = rows[-2].episode
    assert after["return"][:kept].tolist() == before["return"][:kept].tolist()


@pytest.mark.every_database
def test_a_boundary_of_a_running_run_moves(db, start, wait_until):
    run_id = start(episodes=ENDLESS, boundary=ENDLESS - 1)
    wait_until(run_id, episode=20)
    current = control.current_curriculum(db, run_id)
    control.pause(db, run_id)  # or it would be beyond the new boundary before it hears of it
    wait_for(lambda: get_run(db, run_id).status == Status.PAUSED)
    target = get_run(db, run_id).episode + 600
    control.request_edit(db, run_id, with_boundaries(current, [target]))
    revision = wait_for(lambda: (newest := read_revisions(db, run_id)[-1]).state != "pending" and newest)
    assert (revision.state, 20 <= revision.applied_episode < target) == ("applied", True)
    control.unpause(db, run_id)
    change = wait_for(lambda: (changes := read_phase_changes(db, run_id))[1:] and changes[1])
    assert (change.name, change.planned) == ("late", target)
    assert target <= change.episode <= target + 3

    past = with_boundaries(current, [target + 10_000])  # the phase has ended: too late
    with pytest.raises(V3Error, match="only future phases can be changed"):
        wait_for(lambda: control.request_edit(db, run_id, past))
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    table = assert_whole(db, run_id)
    assert set(table["phase"][change.episode :]) <= {"late"}
    assert set(table["routing"][: change.episode]) == {"softmax"}


def test_a_failing_environment_fails_its_run_with_one_sentence(db, start, wait_until, tmp_path, monkeypatch):
    (tmp_path / "broken_env.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run_id = start(env="broken_env:Broken-v0")
    run = wait_until(run_id, status=Status.FAILED)
    assert run.reason == (
        "Environment broken_env:Broken-v0, copy 1, failed at step 37: step(action) raised RuntimeError: the simulator "
        "broke at step 37; fix the environment."
    )
    assert 'raise RuntimeError("the simulator broke' in run.traceback
    log = read_log_tail(run_id)
    assert "Traceback (most recent call last)" in log
    assert 'raise RuntimeError("the simulator broke' in log
    assert_whole(db, run_id)


def test_an_unknown_environment_is_named(start, wait_until):
    run = wait_until(start(env="CartPoll-v1"), status=Status.FAILED)
    assert "CartPole-v1" in run.reason
    assert "\n" not in run.reason


def test_a_worker_outlives_its_launcher_and_is_stopped_by_a_plain_signal(db, config, spawn, wait_until):
    script = (
        "import sys, time\n"
        "from v3core.config import RunConfig\n"
        "from v3core.jobs.launcher import enqueue\n"
        "from v3core.store.opening import open_database\n"
        "print(enqueue(open_database(), [RunConfig.model_validate_json(sys.argv[1])])[0], flush=True)\n"
        "time.sleep(60)\n"
    )
    launching = spawn(script, config(episodes=ENDLESS).model_dump_json(by_alias=True))
    run_id = launching.stdout.readline().strip()
    os.killpg(launching.pid, signal.SIGKILL)
    launching.wait()
    run = wait_until(run_id, episode=10)
    assert identity.is_alive(process_of(run))
    os.kill(run.pid, signal.SIGTERM)
    stopped = wait_until(run_id, status=Status.STOPPED)
    assert stopped.reason == "Stopped by SIGTERM."
    assert read_checkpoints(db, run_id)[-1].episode == stopped.episode


def test_the_queue_goes_on_with_nobody_looking(db, config, monkeypatch, wait_until):
    slots.set_slots(db, 1)
    first, second = launcher.enqueue(db, [config(episodes=20, seed=1), config(episodes=20, seed=2)])
    wait_until(second, status=Status.COMPLETED)
    assert get_run(db, first).ended_at <= get_run(db, second).started_at


def test_a_stop_while_starting_ends_before_any_training(db, start, monkeypatch):
    def spawn(self, database, run, command):
        control.stop(db, run.id)
        return original(self, database, run, command)

    original = LocalLauncher.start
    monkeypatch.setattr(LocalLauncher, "start", spawn)
    run_id = start(episodes=ENDLESS)
    assert get_run(db, run_id).pid is not None  # which the launcher notes, however long the worker takes to begin
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    run = get_run(db, run_id)
    assert (run.episode, run.started_at, run.reason) == (0, None, None)


def test_a_stop_does_not_wait_for_the_imports(db, run_in, monkeypatch):
    """They take seconds, and longer where others keep the machine busy."""
    run_id, left = run_in(Status.QUEUED), threading.Event()

    def slow():
        assert control.stop(db, run_id) == Status.STOPPING
        assert left.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(worker, "_import_trainer", slow)
    assert worker.run_worker(db, run_id, worker.StopRequest(), leave=lambda code: left.set()) == 0
    run = get_run(db, run_id)
    assert (run.status, run.started_at, run.reason) == (Status.STOPPED, None, None)
    assert [event.kind for event in read_events(db, run_id)][-3:] == ["starting", "stopping", "stopped"]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED, Status.STOPPED])
def test_a_worker_refuses_a_run_that_is_not_its_own(db, run_in, status):
    run_id = run_in(status)
    with pytest.raises(V3Error, match=f"Run {run_id} is {status}, not queued for this process"):
        worker.run_worker(db, run_id, worker.StopRequest())
    assert get_run(db, run_id).status == status


def test_a_worker_whose_run_was_taken_over_leaves_it_alone(db, run_in, monkeypatch):
    run = get_run(db, run_in(Status.STARTING))
    elsewhere = get_run(db, run_in(Status.QUEUED))

    def taken_over(*_args):
        raise worker.RunTakenOverError("It was resumed elsewhere.")

    monkeypatch.setattr(worker, "_begin", taken_over)
    assert worker.train_run(db, run, worker.StopRequest()) == Status.LOST
    assert get_run(db, run.id).status == Status.STARTING
    assert get_run(db, elsewhere.id) == elsewhere


def test_no_module_that_pages_import_loads_torch():
    names = ["control", "launcher", "lifecycle", "logs", "monitor", "supervisor", "worker", "recorder"]
    script = f"import sys, {', '.join('v3core.jobs.' + name for name in names)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_worker_imports_only_what_its_run_needs(db, start, wait_until, monkeypatch):
    """Its first point is waited for: torch's compiler alone took a third of the start."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    run_id = start(episodes=20)
    wait_until(run_id, status=Status.COMPLETED)
    log = "\n".join(read_log_tail(run_id, 100_000, db.place).splitlines())
    imported = {name.strip() for name in re.findall(r"^import time:.*\|(\s+\S+)$", log, re.MULTILINE)}
    assert {"torch", "gymnasium", "v3core.training.trainer"} <= imported
    packages = {name.partition(".")[0] for name in imported}
    assert not packages & {
        "pandas",
        "pyarrow",
        "alembic",
        "minigrid",
        "pygame",
        "streamlit",
        "plotly",
        "sympy",
        "scipy",
    }
    assert not imported & {"torch._dynamo", "torch._inductor", "v3core.archive", "v3core.store.export"}


def test_what_computes_the_network_is_in_the_config_and_why_not_the_library_in_the_history(
    db, make, train, tmp_path, monkeypatch
):
    monkeypatch.setenv("V3_NATIVE", "1")
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "none.so")
    run_id = make(episodes=30)
    assert get_run(db, run_id).config.backend is None
    train(run_id)
    run = get_run(db, run_id)
    assert (run.config.backend, run.episodes) == ("eager", 30)
    said = [event.message for event in read_events(db, run_id) if event.kind == "remark"]
    assert said == [
        "Torch computes the network, because the native library was not built; build it with `python -m v3core.native`."
    ]
