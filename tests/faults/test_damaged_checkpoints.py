"""Checkpoints that are cut short, flipped in one bit, empty or gone: the one before is taken, and it is said."""

import zipfile

import pytest

from tests.faults.checks import assert_sound, committed
from tests.runs import assert_whole, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.history import read_checkpoints, read_events
from v3core.store.runs import get_run


def _flip_a_bit(file):
    """In the middle of the largest tensor, where torch does not notice; elsewhere it may do no harm."""
    with zipfile.ZipFile(file) as archive:
        tensors = [entry for entry in archive.infolist() if "/data/" in entry.filename]
        largest = max(tensors, key=lambda entry: entry.file_size)
        stored = archive.read(largest)
    content = bytearray(file.read_bytes())
    content[content.index(stored) + len(stored) // 2] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "cut short": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "one bit flipped": _flip_a_bit,
    "empty": lambda file: file.write_bytes(b""),
    "deleted": lambda file: file.unlink(),
}


@pytest.mark.long
def test_a_damaged_checkpoint_is_passed_over_and_without_any_nothing_changes(db, folder, start):
    run_id = start(episodes=10**6)
    for damage, do in DAMAGES.items():
        wait_until(db, run_id, episode=get_run(db, run_id).episode + 20)
        newest = read_checkpoints(db, run_id)[-1].episode
        control.checkpoint(db, run_id)
        wait_for(lambda newest=newest: read_checkpoints(db, run_id)[-1].episode > newest, "a checkpoint")
        wait_until(db, run_id, episode=read_checkpoints(db, run_id)[-1].episode + 20)
        control.stop(db, run_id)
        assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
        before, (*_, older, newest) = committed(db, run_id), read_checkpoints(db, run_id)
        assert older.episode < newest.episode == get_run(db, run_id).episode
        do(folder / newest.path)

        control.resume(db, run_id)
        wait_until(db, run_id, episode=older.episode + 1)
        reported = [event.message for event in read_events(db, run_id)]
        asked = f"Resuming from the checkpoint at episode {older.episode}; the newest, at episode"
        assert any(message.startswith(asked) and "gone or damaged" in message for message in reported), damage
        assert f"Training from the checkpoint at episode {older.episode}." in reported, (damage, reported)
        assert committed(db, run_id)[: older.episode] == before[: older.episode], damage

    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    assert_whole(db, run_id)
    for checkpoint in read_checkpoints(db, run_id):
        (folder / checkpoint.path).unlink(missing_ok=True)
    state = get_run(db, run_id), committed(db, run_id), read_checkpoints(db, run_id), read_events(db, run_id)
    with pytest.raises(V3Error, match="cannot be resumed: its checkpoints are gone or damaged") as refused:
        control.resume(db, run_id)
    assert "\n" not in str(refused.value)
    now = get_run(db, run_id), committed(db, run_id), read_checkpoints(db, run_id), read_events(db, run_id)
    assert now == state
    assert_sound(db)
