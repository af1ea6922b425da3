"""Commands and curriculum revisions."""

from datetime import timedelta

from tests.store.conftest import START
from v3core.curriculum import parse
from v3core.store import commands
from v3core.store.runs import get_run

LATER = START + timedelta(seconds=1)
OTHER = parse("{name: other, phases: [{name: early, until: {episode: 200}}, {name: late, lr: {times: 0.5}}]}")


def request(db, run_id, curriculum=OTHER, now=START):
    with db.write() as tx:
        revision = commands.add_revision(tx, run_id, curriculum, actor="me", now=now, applied_episode=None)
        commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor="me", now=now, revision_id=revision)
    return revision


def in_force(db, run_id):
    with db.read() as tx:
        return commands.curriculum_in_force(tx, run_id)


def test_a_requested_edit_changes_nothing_until_it_is_applied(db, new_run, config):
    run_id = new_run(db)
    revision = request(db, run_id)
    assert in_force(db, run_id) == config.curriculum
    assert [(row.kind, row.revision.curriculum) for row in commands.read_commands(db, run_id, only_open=True)] == [
        ("edit_curriculum", OTHER)
    ]
    with db.write() as tx:
        commands.apply_revision(tx, run_id, revision, episode=42, now=LATER)
    assert in_force(db, run_id) == OTHER
    assert get_run(db, run_id).curriculum == "other"
    assert commands.read_commands(db, run_id, only_open=True) == []
    newest = commands.read_revisions(db, run_id)[-1]
    assert (newest.revision, newest.state, newest.applied_episode, newest.decided_at) == (2, "applied", 42, LATER)
    assert newest.to_dict()["curriculum"] == OTHER.to_dict()


def test_a_rejected_edit_keeps_its_reason(db, new_run, config):
    run_id = new_run(db)
    revision = request(db, run_id)
    with db.write() as tx:
        commands.reject_revision(tx, run_id, revision, reason="Too late.", now=LATER)
    assert in_force(db, run_id) == config.curriculum
    newest = commands.read_revisions(db, run_id)[-1]
    assert (newest.state, newest.reason, newest.applied_episode) == ("rejected", "Too late.", None)
    assert commands.read_commands(db, run_id, only_open=True) == []


def test_the_newest_applied_revision_is_in_force_and_runs_do_not_mix(db, new_run, config):
    run_id, other = new_run(db), new_run(db)
    first = request(db, run_id, OTHER)
    second = request(db, run_id, config.curriculum.model_copy(update={"name": "third"}))
    with db.write() as tx:
        commands.apply_revision(tx, run_id, second, episode=2, now=LATER)
        commands.reject_revision(tx, run_id, first, reason="No.", now=LATER)
    assert in_force(db, run_id).name == "third"
    assert in_force(db, other) == config.curriculum
    assert [row.revision for row in commands.read_revisions(db, other)] == [1]


def test_what_is_open_can_be_refused_together(db, new_run):
    run_id, other = new_run(db), new_run(db)
    applied = request(db, run_id)
    with db.write() as tx:
        commands.apply_revision(tx, run_id, applied, episode=2, now=LATER)
    request(db, run_id)
    request(db, other)
    with db.write() as tx:
        commands.reject_open(tx, run_id, reason="Over.", now=LATER)
    assert [row.state for row in commands.read_revisions(db, run_id)] == ["applied", "applied", "rejected"]
    assert [row.state for row in commands.read_revisions(db, other)] == ["applied", "pending"]
    assert [row.describe() for row in commands.read_commands(db, run_id)] == [
        "applied at episode 2, 1.0 s after the request",
        "rejected: Over.",
    ]


def test_a_command_is_open_until_it_is_answered(db, new_run):
    run_id, other = new_run(db), new_run(db)
    with db.write() as tx:
        stop, pause = (
            commands.add_command(tx, run_id, kind, actor="me", now=START) for kind in (commands.STOP, commands.PAUSE)
        )
        assert commands.open_stop(tx, run_id).id == stop
        assert commands.open_stop(tx, other) is None
        commands.acknowledge(tx, [stop], now=LATER)
        assert [row.acknowledged_at for row in commands.read_commands(tx, run_id)] == [LATER, None]
        commands.apply_commands(tx, run_id, kind=commands.STOP, episode=9, now=LATER)
        commands.apply_commands(tx, other, kind=commands.PAUSE, episode=9, now=LATER)
        assert [row.id for row in commands.read_commands(tx, run_id, only_open=True)] == [pause]
        commands.apply_commands(tx, run_id, ids=[stop, pause], episode=11, now=LATER + timedelta(seconds=1))
        assert commands.open_stop(tx, run_id) is None
    first, second = commands.read_commands(db, run_id)
    assert (first.applied_at, first.applied_episode) == (LATER, 9)  # answered once
    assert (second.applied_episode, second.acknowledged_at) == (11, LATER + timedelta(seconds=1))
    assert first.to_dict()["requested_at"] == START


def test_of_many_that_escalate_a_stop_one_does_each_step(db, new_run):
    run_id = new_run(db)
    with db.write() as tx:
        assert not commands.note_step(tx, run_id, "SIGTERM", instead_of=None)  # nothing was asked
        commands.add_command(tx, run_id, commands.STOP, actor="me", now=START)
        steps = [("SIGKILL", "SIGTERM"), ("SIGTERM", None), ("SIGTERM", None), ("SIGKILL", "SIGTERM")]
        assert [commands.note_step(tx, run_id, step, instead_of=before) for step, before in steps] == [
            False,
            True,
            False,
            True,
        ]
