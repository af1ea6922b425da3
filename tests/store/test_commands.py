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
        commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, now=now, revision_id=revision)
    return revision


def in_force(db, run_id):
    with db.read() as tx:
        return commands.curriculum_in_force(tx, run_id)


def test_a_requested_edit_changes_nothing_until_it_is_applied(db, new_run, config):
    run_id = new_run(db)
    revision = request(db, run_id)
    assert in_force(db, run_id) == config.curriculum
    assert [(row.kind, row.revision.curriculum) for row in commands.read_open_commands(db, run_id)] == [
        ("edit_curriculum", OTHER)
    ]
    with db.write() as tx:
        commands.apply_revision(tx, run_id, revision, episode=42, now=LATER)
    assert in_force(db, run_id) == OTHER
    assert get_run(db, run_id).curriculum == "other"
    assert commands.read_open_commands(db, run_id) == []
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
    assert commands.read_open_commands(db, run_id) == []


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


def test_pending_edits_can_be_refused_together(db, new_run):
    run_id, other = new_run(db), new_run(db)
    applied = request(db, run_id)
    with db.write() as tx:
        commands.apply_revision(tx, run_id, applied, episode=2, now=LATER)
    request(db, run_id)
    request(db, other)
    with db.write() as tx:
        commands.reject_pending(tx, run_id, reason="Over.", now=LATER)
    assert [row.state for row in commands.read_revisions(db, run_id)] == ["applied", "applied", "rejected"]
    assert [row.state for row in commands.read_revisions(db, other)] == ["applied", "pending"]


def test_a_stop_is_open_until_it_is_settled(db, new_run):
    run_id, other = new_run(db), new_run(db)
    with db.write() as tx:
        for moment in (LATER, START):
            commands.add_command(tx, run_id, commands.STOP, now=moment)
        assert commands.stop_requested_at(tx, run_id) == START
        assert commands.stop_requested_at(tx, other) is None
        ids = [row.id for row in commands.open_commands(tx, run_id)]
        commands.acknowledge(tx, ids[:1], now=LATER)
        assert [row.acknowledged_at for row in commands.open_commands(tx, run_id)] == [LATER, None]
        commands.settle_stop(tx, run_id, episode=9, now=LATER)
        assert commands.open_commands(tx, run_id) == []
        assert commands.stop_requested_at(tx, run_id) is None
