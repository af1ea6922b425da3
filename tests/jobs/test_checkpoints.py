"""Which checkpoints are kept."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from v3core.jobs.checkpoints import KEEP_NEWEST, newest_usable, superseded
from v3core.jobs.lifecycle import Status
from v3core.store.history import CheckpointRow, add_checkpoint
from v3core.store.runs import get_run

episodes_of_checkpoints = st.sets(st.integers(0, 500)).map(sorted)


@given(episodes_of_checkpoints, st.sets(st.integers(0, 500)), st.integers(0, 10))
def test_boundaries_and_the_newest_are_always_kept(episodes, boundaries, spread):
    deleted = superseded(episodes, boundaries, spread)
    kept = [episode for episode in episodes if episode not in deleted]
    assert kept[-KEEP_NEWEST:] == episodes[-KEEP_NEWEST:]
    assert set(deleted).isdisjoint(boundaries)
    others = [episode for episode in kept[:-KEEP_NEWEST] if episode not in boundaries]
    assert len(others) == min(spread, len([e for e in episodes[:-KEEP_NEWEST] if e not in boundaries]))


def test_a_long_run_keeps_checkpoints_from_all_of_its_life():
    kept: list[int] = []
    for episode in range(0, 10_000, 10):
        kept.append(episode)
        for unneeded in superseded(kept, {0, 3000}):
            kept.remove(unneeded)
    gaps = [after - before for before, after in pairwise(kept)]
    assert 20 <= len(kept) <= 24
    assert max(gaps) <= 1500


def test_a_run_goes_on_from_the_newest_file_that_is_there(db, run_in):
    run = get_run(db, run_in(Status.STOPPED))
    with db.write() as tx:
        for episode, content in [(10, b"x"), (20, b"x"), (30, b""), (40, None)]:
            path = f"{episode}.pt"
            add_checkpoint(tx, run.id, CheckpointRow(episode, episode, path, run.created_at))
            if content is not None:
                (db.data_dir / path).write_bytes(content)
    with db.read() as tx:
        assert newest_usable(db, tx, run.id).episode == 20
        (db.data_dir / "20.pt").unlink()
        (db.data_dir / "10.pt").unlink()
        assert newest_usable(db, tx, run.id) is None
