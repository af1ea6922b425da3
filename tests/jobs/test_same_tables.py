"""A run that was disturbed has recorded, in every table, what one that never was has: nothing lost, nothing twice."""

import pytest

from tests.same_tables import ASKED, MAY_DIFFER, assert_same_tables
from tests.training.conftest import assert_same_checkpoint
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.history import read_checkpoints
from v3core.store.runs import get_run
from v3core.store.schema import metadata, phase_changes


@pytest.fixture
def undisturbed(make, train):
    """A run that trained from its beginning to its end."""
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    return run_id


@pytest.mark.parametrize("every", [None, 3])
@pytest.mark.parametrize("deaths", [[1, 1], [6], [9, 2, 5], [12, 12]])
def test_whatever_a_resume_deletes_is_recorded_again(db, make, train, undisturbed, deaths, every):
    """Killed before its first boundary, after it, right after a checkpoint or long after the last, and again."""
    run_id = make()
    for rollouts in deaths:
        if train(run_id, rollouts, every) is Status.COMPLETED:
            break
        control.resume(db, run_id)
    if get_run(db, run_id).status != Status.COMPLETED:
        assert train(run_id) is Status.COMPLETED
    assert get_run(db, run_id).generation > 0
    assert_same_tables(db, run_id, undisturbed)
    mine, other = (db.data_dir / read_checkpoints(db, run)[-1].path for run in (run_id, undisturbed))
    assert_same_checkpoint(mine, other)


def test_a_row_that_an_older_version_lost_is_written_at_the_next_resume(db, make, train, undisturbed):
    run_id = make()
    assert train(run_id, 9) is Status.FAILED
    with db.write() as tx:
        tx.execute(phase_changes.delete().where(phase_changes.c.run_id == run_id, phase_changes.c.phase == 0))
    control.resume(db, run_id)
    assert train(run_id) is Status.COMPLETED
    assert_same_tables(db, run_id, undisturbed)


def test_every_table_is_compared(db, undisturbed, make, train):
    """A table or a column that is added is compared unless somebody says why not."""
    assert MAY_DIFFER.keys() | ASKED.keys() <= metadata.tables.keys()
    for name, columns in MAY_DIFFER.items():
        assert columns.keys() <= set(metadata.tables[name].c.keys())
    other = make(episodes=59)
    assert train(other) is Status.COMPLETED
    with pytest.raises(AssertionError):
        assert_same_tables(db, other, undisturbed)
