"""Taking a run back to a checkpoint."""

from datetime import timedelta

from sqlalchemy import func, select

from tests.episode_table import read_episodes
from tests.store.conftest import START
from v3core.store.commands import add_revision, read_revisions
from v3core.store.history import (
    CheckpointRow,
    PhaseChangeRow,
    add_checkpoint,
    add_evaluation,
    add_phase_change,
    read_checkpoints,
    read_phase_changes,
)
from v3core.store.runs import get_run
from v3core.store.schema import evaluations, expert_loads
from v3core.store.writer import EpisodeWriter, truncate

LATER = START + timedelta(hours=1)


def recorded_run(db, new_run, episode, config):
    """150 episodes, a phase change at 100, an edit at 140, checkpoints at 80 and 120."""
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record([episode(number) for number in range(1, 151)], 1500)
    writer.close()
    with db.write() as tx:
        add_phase_change(tx, run_id, PhaseChangeRow(0, "early", 0, 0, 0, 0, START))
        add_phase_change(tx, run_id, PhaseChangeRow(1, "late", 100, 100, 1000, 0, START))
        add_revision(tx, run_id, config.curriculum, actor="user", now=START, applied_episode=140)
        for at in (80, 120):
            add_checkpoint(tx, run_id, CheckpointRow(at, at * 10, f"{at}.pt", START))
    return run_id


def test_nothing_beyond_the_checkpoint_remains(db, new_run, episode, config):
    run_id = recorded_run(db, new_run, episode, config)
    other = recorded_run(db, new_run, episode, config)
    with db.write() as tx:
        assert truncate(tx, run_id, episode=80, step=800, now=LATER, phases=1) == 70
    table = read_episodes(db, run_id)
    assert (table.last, len(table), len(table.loads)) == (80, 80, 80)
    run = get_run(db, run_id)
    assert (run.episode, run.step, run.phase) == (80, 800, "early")
    assert (run.latest_return, run.mean_return) == (80.0, sum(range(51, 81)) / 30)
    assert [change.name for change in read_phase_changes(db, run_id)] == ["early"]
    assert [checkpoint.episode for checkpoint in read_checkpoints(db, run_id)] == [80]
    with db.read() as tx:
        mine = select(func.count()).select_from(expert_loads).where(expert_loads.c.run_id == run_id)
        assert tx.execute(mine).scalar_one() == 80 * 4
    assert read_episodes(db, other).last == get_run(db, other).episode == 150


def test_an_edit_of_the_deleted_part_holds_from_the_checkpoint_on(db, new_run, episode, config):
    run_id = recorded_run(db, new_run, episode, config)
    with db.write() as tx:
        truncate(tx, run_id, episode=120, step=1200, now=LATER, phases=2)
    assert [(row.revision, row.applied_episode, row.decided_at) for row in read_revisions(db, run_id)] == [
        (1, 0, START),
        (2, 120, LATER),
    ]
    assert [change.name for change in read_phase_changes(db, run_id)] == ["early", "late"]


def test_without_a_checkpoint_all_goes(db, new_run, episode, config):
    run_id = recorded_run(db, new_run, episode, config)
    with db.write() as tx:
        assert truncate(tx, run_id, episode=0, step=0, now=LATER) == 150
    run = get_run(db, run_id)
    assert (run.episode, run.step, run.phase, run.latest_return, run.mean_return) == (0, 0, None, None, None)
    assert len(read_episodes(db, run_id)) == len(read_phase_changes(db, run_id)) == 0


def test_a_phase_that_begins_again_keeps_its_first_record(db, new_run, episode, config):
    run_id = recorded_run(db, new_run, episode, config)
    with db.write() as tx:
        assert add_phase_change(tx, run_id, PhaseChangeRow(1, "late", 100, 120, 1200, 1, LATER)) is False
    assert [change.episode for change in read_phase_changes(db, run_id)] == [0, 100]


def test_a_phase_or_an_evaluation_that_came_later_at_the_same_episode_goes(db, new_run, episode, config):
    """Where no episode ended in between, the count of episodes does not say which came first; the checkpoint does."""
    for phases, evaluated, kept in ((1, 80, (1, [80])), (2, 100, (2, [80, 100]))):
        run_id = recorded_run(db, new_run, episode, config)
        with db.write() as tx:
            add_checkpoint(tx, run_id, CheckpointRow(100, 990, "100.pt", START))
            for at in (80, 100):
                add_evaluation(tx, run_id, episode=at, step=at * 10, env="E", results=[(1.0, 1, None)], now=START)
            truncate(tx, run_id, episode=100, step=990, now=LATER, phases=phases, evaluated=evaluated)
        assert (len(read_phase_changes(db, run_id)), evaluated_at(db, run_id)) == kept


def evaluated_at(db, run_id):
    with db.read() as tx:
        query = select(evaluations.c.episode).where(evaluations.c.run_id == run_id).order_by(evaluations.c.episode)
        return tx.execute(query).scalars().all()
