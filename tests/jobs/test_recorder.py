"""The trainer's hooks: what it reports is stored, what people ask reaches it."""

import dataclasses
import signal
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tests.episode_table import read_episodes
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.curriculum import with_boundaries
from v3core.errors import V3Error
from v3core.jobs import control, recorder
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.jobs.recorder import Recorder
from v3core.jobs.signals import StopRequest
from v3core.metrics import EpisodeRecord
from v3core.store.commands import read_commands, read_revisions
from v3core.store.history import read_checkpoints, read_events, read_phase_changes
from v3core.store.runs import get_run
from v3core.store.writer import PROMISE_SECONDS, EpisodeWriter
from v3core.training.hooks import Orders, PhaseChange


@pytest.fixture
def running(db, run_in):
    return get_run(db, run_in(Status.RUNNING))


@pytest.fixture
def writer(db, running):
    opened = EpisodeWriter(db, running.id, generation=0, writable_in=ACTIVE)
    yield opened
    opened.close()


@pytest.fixture
def hooks(db, running, writer, monkeypatch):
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.0)
    return Recorder(db, running, writer, signalled=StopRequest())


@pytest.fixture
def now(monkeypatch):
    """The recorder's clock, in seconds: it stands still; the writer's goes on."""
    clock = [1000.0]
    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep))
    return clock


def record(number):
    values = {field.name: 1 if "int" in str(field.type) else 0.5 for field in dataclasses.fields(EpisodeRecord)}
    words = {"phase": "early", "env": "CartPole-v1", "routing": "softmax", "top_k_weights": None, "task": None}
    words |= {"loads": (0.25, 0.75), "hard_loads": (0.0, 1.0), "expert_grad_norms": (0.1, 0.2)}
    return EpisodeRecord(**values | words | {"episode": number, "length": 9, "step": number * 9, "return_": number})


def test_episodes_and_progress(db, running, writer):
    seen = []
    hooks = Recorder(db, running, writer, signalled=StopRequest(), on_progress=seen.append)
    hooks.record([record(1), record(2)], 20)
    hooks.record([], 30)
    writer.flush()
    assert read_episodes(db, running.id)["return"].tolist() == [1.0, 2.0]
    assert get_run(db, running.id).step == 30
    assert [dataclasses.astuple(progress) for progress in seen] == [(2, 60, 20, "early", 1.5, 2)]


def test_phase_changes_are_recorded_once(db, running, writer, hooks):
    for _ in range(2):  # the second as after a resume
        hooks.phase_changed(PhaseChange(1, "late", 30, 31, 280))
    writer.flush()
    (change,) = read_phase_changes(db, running.id)
    assert (change.phase, change.name, change.planned, change.episode, change.step) == (1, "late", 30, 31, 280)
    assert [event.message for event in read_events(db, running.id) if event.kind == "phase"] == [
        "Phase 2 'late' begins at episode 31 (planned at 30)."
    ]


def test_a_checkpoint_is_never_recorded_without_its_episodes(db, running, hooks):
    hooks.record([record(1)], 9)
    path = hooks.checkpoint_path(1)
    path.write_bytes(b"x")
    hooks.checkpoint_saved(path, 1, 9)
    row = wait_for(lambda: read_checkpoints(db, running.id))[0]
    assert read_episodes(db, running.id).last == 1
    assert db.data_dir / row.path == path


def test_checkpoints_of_a_long_run_are_thinned_on_disk_too(db, running, writer, hooks):
    hooks.phase_changed(PhaseChange(0, "early", 0, 0, 0))
    for episode in range(60):
        path = hooks.checkpoint_path(episode)
        path.write_bytes(b"x")
        hooks.checkpoint_saved(path, episode, episode)
    writer.flush()
    rows = read_checkpoints(db, running.id)
    assert {db.data_dir / row.path for row in rows} == set(hooks.checkpoint_path(0).parent.iterdir())
    assert len(rows) == 23
    episodes = [row.episode for row in rows]
    assert (episodes[0], episodes[-2:]) == (0, [58, 59])


def test_a_stop_is_passed_on_and_acknowledged(db, running, writer, hooks):
    assert hooks.orders() == Orders()
    control.stop(db, running.id)
    assert hooks.orders() == hooks.orders() == Orders(stop=True)
    writer.flush()
    (command,) = read_commands(db, running.id, only_open=True)
    assert command.acknowledged_at is not None


def test_a_signal_is_a_stop(db, running, writer):
    request = StopRequest()
    hooks = Recorder(db, running, writer, signalled=request)
    assert (hooks.orders().stop, hooks.urgent().stop) == (False, False)
    request._handle(signal.SIGINT, None)
    assert (hooks.orders().stop, hooks.urgent().stop) == (True, False)  # Ctrl-C waits for the rollout, once
    request._handle(signal.SIGINT, None)
    assert hooks.urgent() == Orders(stop=True)


def test_sigterm_does_not_wait_for_the_rollout(db, running, writer):
    request = StopRequest()
    hooks = Recorder(db, running, writer, signalled=request)
    request._handle(signal.SIGTERM, None)
    assert (hooks.orders().stop, hooks.urgent().stop) == (True, True)


@pytest.mark.parametrize(
    ("ask", "orders"),
    [
        (control.stop, Orders(stop=True)),
        (control.pause, Orders(pause=True)),
        (control.checkpoint, Orders(checkpoint=True)),
    ],
)
def test_what_is_asked_in_the_middle_of_long_work_waits_for_its_end_only_so_long(
    db, running, writer, hooks, now, monkeypatch, ask, orders
):
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.01)
    assert hooks.urgent() == Orders()
    ask(db, running.id)
    now[0] += 1
    assert hooks.urgent() == Orders()
    writer.flush()
    (command,) = read_commands(db, running.id, only_open=True)
    assert command.acknowledged_at is not None  # seen at once
    now[0] += recorder.PATIENCE_SECONDS - 0.1
    assert hooks.urgent() == Orders()
    now[0] += 0.2
    assert hooks.urgent() == orders


def test_a_rollout_that_ends_in_time_is_not_left(db, running, writer, hooks, now, monkeypatch):
    """What was asked before its end was done between it and the next."""
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.01)
    control.checkpoint(db, running.id)
    assert hooks.urgent() == Orders()
    assert hooks.orders() == Orders(checkpoint=True)
    path = hooks.checkpoint_path(1)
    path.write_bytes(b"x")
    hooks.checkpoint_saved(path, 1, 9)
    now[0] += 60
    assert hooks.urgent() == Orders()


def test_a_pause_in_a_rollout_is_not_ended_by_an_edit(db, running, writer, hooks, monkeypatch):
    """The rollout's settings are frozen: the edit waits for its end, and the pause for being taken back."""
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(recorder, "PATIENCE_SECONDS", 0.0)
    control.pause(db, running.id)
    wait_for(lambda: hooks.urgent().pause)
    holding = threading.Thread(target=hooks.hold, args=(0,), kwargs={"in_rollout": True})
    holding.start()
    control.request_edit(db, running.id, with_boundaries(control.current_curriculum(db, running.id), [20]))
    wait_for(lambda: writer.flush() or read_commands(db, running.id)[-1].acknowledged_at is not None)
    assert holding.is_alive()
    assert not hooks.urgent().stop
    control.unpause(db, running.id)
    holding.join(PATIENCE_SECONDS)
    assert not holding.is_alive()
    assert len(hooks.orders().edits) == 1


def answers(db, run_id):
    """Kind of each command to its answer: the episode, or the reason."""
    return {row.kind: row.applied_episode or row.rejected_reason for row in read_commands(db, run_id)}


def test_a_checkpoint_command_is_answered_by_a_checkpoint(db, running, writer, hooks):
    control.checkpoint(db, running.id)
    control.checkpoint(db, running.id)  # from another tab
    assert hooks.orders() == Orders(checkpoint=True)
    hooks.record([record(1)], 9)
    path = hooks.checkpoint_path(1)
    path.write_bytes(b"x")
    hooks.checkpoint_saved(path, 1, 9)
    assert hooks.orders() == Orders()
    writer.flush()
    assert answers(db, running.id) == {"checkpoint": 1}
    assert read_checkpoints(db, running.id)[-1].bytes == 1


def test_a_run_holds_while_it_is_paused_and_hears_what_is_asked(db, running, writer, hooks, status_of, monkeypatch):
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.01)
    hooks.record([record(1)], 9)
    control.pause(db, running.id)
    assert wait_for(lambda: (orders := hooks.orders()).pause and orders) == Orders(pause=True)
    holding = threading.Thread(target=hooks.hold, args=(1,))
    holding.start()
    wait_for(lambda: status_of(running.id) == Status.PAUSED)
    control.pause(db, running.id)  # from another tab: nothing more to do
    control.checkpoint(db, running.id)
    holding.join(PATIENCE_SECONDS)
    assert hooks.orders() == Orders(pause=True, checkpoint=True)
    path = hooks.checkpoint_path(1)
    path.write_bytes(b"x")
    hooks.checkpoint_saved(path, 1, 9)
    assert hooks.orders() == Orders(pause=True)

    assert status_of(running.id) == Status.PAUSED
    for _ in range(2):  # before it looks: once it trains again, there is nothing to end
        control.unpause(db, running.id)
    hooks.hold(1)
    assert hooks.orders() == Orders()
    writer.flush()
    assert status_of(running.id) == Status.RUNNING
    assert answers(db, running.id) == {"pause": 1, "checkpoint": 1, "continue": 1}
    assert [event.kind for event in read_events(db, running.id)][-2:] == ["paused", "running"]


def test_a_paused_run_can_be_stopped(db, running, writer, hooks, status_of, monkeypatch):
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.01)
    control.pause(db, running.id)
    wait_for(lambda: hooks.orders().pause)
    holding = threading.Thread(target=hooks.hold, args=(0,))
    holding.start()
    wait_for(lambda: status_of(running.id) == Status.PAUSED)
    control.stop(db, running.id)
    holding.join(PATIENCE_SECONDS)
    assert hooks.orders().stop


def test_a_pause_taken_back_before_it_began_is_answered(db, running, writer, hooks, status_of):
    control.pause(db, running.id)
    control.unpause(db, running.id)
    assert hooks.orders() == Orders()
    writer.flush()
    assert answers(db, running.id) == {"pause": None, "continue": None}  # applied, at episode 0
    assert read_commands(db, running.id, only_open=True) == []
    assert status_of(running.id) == Status.RUNNING


def test_a_run_called_stalled_says_that_it_lives(db, running, writer, hooks, status_of):
    with db.write() as tx:
        change_status(tx, running, Status.STALLED, "Silent.", actor="me", now=running.created_at)
    wait_for(lambda: status_of(running.id) == Status.RUNNING)
    assert [event.message for event in read_events(db, running.id)][-2:] == ["Silent.", "Heartbeats resumed."]


def test_a_checkpoint_is_announced_by_a_long_promise(db, running, writer, hooks):
    def promised():
        run = get_run(db, running.id)
        return run.heartbeat_due_at - run.heartbeat_at

    usual = timedelta(seconds=PROMISE_SECONDS)
    wait_for(lambda: promised() == usual)
    path = hooks.checkpoint_path(1)
    wait_for(lambda: promised() == timedelta(seconds=recorder.CHECKPOINT_PROMISE_SECONDS))
    path.write_bytes(b"x")
    hooks.checkpoint_saved(path, 1, 9)
    wait_for(lambda: promised() == usual)


def test_a_remark_is_part_of_the_history(db, running, writer, hooks):
    hooks.remark("Something odd.")
    writer.flush()
    assert [(event.kind, event.message) for event in read_events(db, running.id)][-1] == ("remark", "Something odd.")


def test_an_edit_is_passed_on_once_and_its_fate_recorded(db, running, writer, hooks):
    current = control.current_curriculum(db, running.id)
    for boundary in (20, 10):
        control.request_edit(db, running.id, with_boundaries(current, [boundary]))
    edits = hooks.orders().edits
    assert [edit.curriculum.boundaries for edit in edits] == [(20,), (10,)]
    assert hooks.orders().edits == ()
    hooks.edit_applied(edits[0], 12)
    hooks.edit_rejected(edits[1], "Too late.")
    writer.flush()
    assert [(row.state, row.applied_episode, row.reason) for row in read_revisions(db, running.id)] == [
        ("applied", 0, None),
        ("applied", 12, None),
        ("rejected", None, "Too late."),
    ]
    assert control.current_curriculum(db, running.id).boundaries == (20,)
    assert read_commands(db, running.id, only_open=True) == []


def test_the_database_is_not_asked_at_every_rollout(db, running, writer, now, monkeypatch):
    hooks = Recorder(db, running, writer, signalled=StopRequest())
    polls = []
    monkeypatch.setattr(recorder.commands, "read_commands", lambda *_, **__: polls.append(1) or [])
    for _ in range(100):
        hooks.orders()
    assert len(polls) == 1
    now[0] += recorder.POLL_SECONDS
    hooks.orders()
    assert len(polls) == 2


def test_a_write_error_reaches_the_trainer(db, running):
    writer = EpisodeWriter(db, running.id, generation=1, writable_in=ACTIVE)
    hooks = Recorder(db, running, writer, signalled=StopRequest())

    def recorded_until_it_fails():
        hooks.record([record(1)], 9)

    with pytest.raises(V3Error, match="no longer belongs to this worker"):
        wait_for(recorded_until_it_fails)
