"""The replays of a run's evaluations as files: written, kept within its size, resumed, archived and deleted with it."""

import pytest

from tests.made_replays import made
from v3core.errors import V3Error
from v3core.insight.replays import ROLES
from v3core.jobs import control, kept_replays
from v3core.jobs.files import run_folder
from v3core.jobs.housekeeping import delete
from v3core.jobs.kept_replays import SHARE, read_replays, recorded_replays, replay_file, replays_folder, write_replays
from v3core.jobs.lifecycle import Status
from v3core.store.history import read_evaluations, read_events
from v3core.store.runs import get_run


@pytest.fixture
def ample(monkeypatch):
    """No replays are too many."""
    monkeypatch.setattr(kept_replays, "SHARE", 1e9)


def contents(db, run_id):
    return {episode: replay_file(db, run_id, episode).read_bytes() for episode in recorded_replays(db, run_id)}


def test_each_evaluation_has_its_replays(db, make, train, ample):
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    rows = read_evaluations(db, run_id)
    assert recorded_replays(db, run_id) == [row.episode for row in rows]
    for row in rows:
        found = read_replays(db, run_id, row.episode)
        assert tuple(found) == ROLES
        assert found["best"].return_ == max(row.returns)
        assert found["worst"].return_ == min(row.returns)
        assert len(found["best"].gates[0]) == get_run(db, run_id).experts


def test_a_resumed_run_has_those_that_it_would_have_had(db, make, train, ample):
    whole, interrupted = make(), make()
    assert train(whole) is Status.COMPLETED
    assert train(interrupted, 6, every=2) is Status.FAILED
    replay_file(db, interrupted, 58).write_bytes(b"of an evaluation that the run has not come to")
    control.resume(db, interrupted)
    assert train(interrupted) is Status.COMPLETED
    assert contents(db, interrupted) == contents(db, whole)
    assert len(contents(db, whole)) > 3


def test_replays_of_the_future_that_cannot_be_deleted_are_named(db, make, train):
    run_id = make()
    assert train(run_id, 6, every=2) is Status.FAILED
    file = replay_file(db, run_id, 58)
    file.mkdir(parents=True)
    control.resume(db, run_id)
    assert train(run_id) is Status.FAILED
    reason = get_run(db, run_id).reason
    assert (
        "The replays of episode 58, which is trained again, cannot be deleted: Is a directory; fix the perm" in reason
    )
    file.rmdir()
    control.resume(db, run_id)
    assert train(run_id) is Status.COMPLETED


def test_they_stay_within_the_share_of_the_runs_size(db, make):
    run_id = make()
    checkpoints = run_folder(run_id, db.data_dir) / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "episode-00000001.pt").write_bytes(bytes(4_000_000))
    for episode in range(10, 210, 10):
        write_replays(db, run_id, episode, {"best": made(200, seed=episode)}, experts=3, boundaries={50, 100})
    files = contents(db, run_id)
    size = sum(map(len, files.values()))
    assert size <= SHARE * 4_200_000
    assert len(files) >= 5
    assert {50, 100} <= set(files)
    assert max(files) == 200, "the newest is kept"
    write_replays(db, run_id, 210, {"best": made(20_000)}, experts=3, boundaries={50, 100})
    assert recorded_replays(db, run_id) == [210], "one that is too large by itself is kept alone"


def test_those_of_boundaries_go_last(db, make, monkeypatch):
    run_id = make()
    for episode in (10, 20, 30, 40):
        monkeypatch.setattr(kept_replays, "SHARE", 1e9)
        write_replays(db, run_id, episode, {"best": made(seed=episode)}, experts=3, boundaries={20})
    checkpoints = run_folder(run_id, db.data_dir) / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "episode-00000001.pt").write_bytes(bytes(2 * len(contents(db, run_id)[10]) + 500))
    monkeypatch.setattr(kept_replays, "SHARE", 1.0)
    monkeypatch.setattr(kept_replays, "_ROW_BYTES", 0)
    write_replays(db, run_id, 40, {"best": made(seed=40)}, experts=3, boundaries={20})
    assert recorded_replays(db, run_id) == [20, 40]


def test_a_run_goes_on_without_what_cannot_be_written(db, make, train):
    run_id = make()
    replays_folder(db, run_id).parent.mkdir(parents=True)
    replays_folder(db, run_id).write_text("a file where the folder belongs")
    assert train(run_id) is Status.COMPLETED
    said = [event.message for event in read_events(db, run_id) if "replays of episode" in event.message]
    assert said
    assert "free some space" in said[0]
    assert recorded_replays(db, run_id) == []


def test_they_are_deleted_with_their_run(db, make, train):
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    assert recorded_replays(db, run_id)
    delete(db, run_id)
    assert not replays_folder(db, run_id).exists()


def test_what_is_not_there_or_damaged_is_said(db, make):
    run_id = make()
    assert recorded_replays(db, run_id) == []
    with pytest.raises(V3Error, match="episode 7 has no replays"):
        read_replays(db, run_id, 7)
    replays_folder(db, run_id).mkdir(parents=True)
    replay_file(db, run_id, 7).write_bytes(b"PK")
    (replays_folder(db, run_id) / "notes.txt").write_text("of a person")
    assert recorded_replays(db, run_id) == [7]
    with pytest.raises(V3Error, match="damaged"):
        read_replays(db, run_id, 7)
