"""Which checkpoints are kept."""

import zipfile
from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from v3core.jobs.checkpoints import (
    KEEP_NEWEST,
    is_whole,
    newest_present,
    newest_whole,
    superseded,
    whole_checkpoints,
)
from v3core.jobs.lifecycle import Status
from v3core.store.history import CheckpointRow, add_checkpoint
from v3core.store.runs import get_run
from v3core.training.checkpoint import save_checkpoint

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


def archive(file, text=b"x" * 1000):
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("data", text)


def test_a_run_goes_on_from_the_newest_file_that_is_whole(db, run_in):
    run = get_run(db, run_in(Status.STOPPED))
    with db.write() as tx:
        for episode in (10, 20, 30, 40, 50, 60):
            path = f"{episode}.pt"
            archive(db.data_dir / path)
            add_checkpoint(tx, run.id, CheckpointRow(episode, episode, path, run.created_at))
    (db.data_dir / "60.pt").unlink()
    (db.data_dir / "50.pt").write_bytes(b"")
    flipped = bytearray((db.data_dir / "40.pt").read_bytes())
    flipped[500] ^= 1
    (db.data_dir / "40.pt").write_bytes(flipped)
    (db.data_dir / "30.pt").write_bytes((db.data_dir / "30.pt").read_bytes()[:-10])
    with db.read() as tx:
        assert [row.episode for row in whole_checkpoints(db, run.id, tx)] == [20, 10]
        assert newest_whole(db, run.id, tx).episode == 20
        assert newest_present(db, run.id, tx).episode == 50
        (db.data_dir / "20.pt").unlink()
        (db.data_dir / "10.pt").unlink()
        assert newest_whole(db, run.id, tx) is None


def test_a_real_checkpoint_is_whole_until_it_is_damaged(tmp_path):
    file = tmp_path / "c.pt"
    save_checkpoint(file, {"numbers": torch.arange(1000.0)})
    assert is_whole(file)
    content = bytearray(file.read_bytes())
    content[content.index(torch.arange(1000.0).numpy().tobytes()) + 2000] ^= 1
    file.write_bytes(content)
    assert not is_whole(file)


def test_no_damage_of_a_file_is_more_than_that(tmp_path):
    """Whatever byte is wrong, in the archive's own tables too: the file is whole or not, and nothing is raised."""
    file = tmp_path / "c.pt"
    save_checkpoint(file, {"numbers": torch.arange(10.0)})
    content = file.read_bytes()
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert is_whole(file) in {True, False}
