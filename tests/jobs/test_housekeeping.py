"""Room on the disk: sizes, what is left over, deleting, compacting, and how many checkpoints are kept."""

import shutil
import time

import pytest

from v3core.errors import V3Error
from v3core.jobs import control, housekeeping, supervisor
from v3core.jobs.checkpoints import KEEP_NEWEST, KEEP_SPREAD, kept_checkpoints, superseded
from v3core.jobs.files import run_folder
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store import runs as run_rows
from v3core.store.history import CheckpointRow, add_checkpoint
from v3core.store.runs import (
    find_run,
    get_run,
    list_runs,
    runs_in,
    update_run,
)
from v3core.store.schema import HIDDEN


@pytest.fixture
def ended(db, run_in):
    """A stopped run with a checkpoint and a log."""
    run = run_in(Status.STOPPED)
    folder = run_folder(run, db.data_dir) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "episode-00000005.pt").write_bytes(b"x" * 1000)
    (folder.parent / "worker.log").write_bytes(b"y" * 234)
    with db.write() as tx:
        path = f"runs/{run}/checkpoints/episode-00000005.pt"
        add_checkpoint(tx, run, CheckpointRow(5, 50, path, get_run(db, run).created_at, 1000))
        update_run(tx, run, {"episode": 1_000_000}, only_in=[Status.STOPPED])
    return run


def test_the_size_of_a_run_is_its_share_of_the_database_and_its_files(db, ended, run_in):
    other = run_in(Status.STOPPED)
    sizes = housekeeping.run_sizes(db, [ended, other])
    assert (sizes[ended].files, sizes[other].files) == (1234, 0)
    assert sizes[ended].database > 1000 * sizes[other].database
    assert sizes[ended].total == sizes[ended].database + 1234
    with db.read() as tx:
        from v3core.store.dialect import database_bytes

        assert sum(size.database for size in sizes.values()) == pytest.approx(database_bytes(tx), abs=2)


def test_sizes_are_cheap(db, ended):
    start = time.process_time()  # however busy the machine is
    for _ in range(10):
        housekeeping.run_sizes(db, [ended])
    assert (time.process_time() - start) / 10 < 0.05


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 Bytes"), (999, "999 Bytes"), (1000, "1 kB"), (12_345, "12.3 kB"), (999_600, "1 MB"), (2.5e9, "2.5 GB")],
)
def test_sizes_in_words(size, words):
    assert housekeeping.in_words(size) == words


def test_a_deleted_run_leaves_nothing(db, ended):
    control.delete(db, ended)
    assert list_runs(db) == []
    assert list((db.data_dir / "runs").iterdir()) == []


def test_a_killed_deletion_is_never_seen_and_is_finished(db, ended, monkeypatch):
    """As SIGKILL leaves it: hidden, the folder set aside, the rows still there."""
    with monkeypatch.context() as patched:
        patched.setattr(housekeeping, "remove_hidden", lambda *_: None)
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        control.delete(db, ended)
    assert list_runs(db) == []
    supervisor.reconcile(db)
    assert housekeeping.leftovers(db) != []
    with db.write() as tx:
        assert [run.id for run in runs_in(tx, {HIDDEN})] == [ended], "this process is alive, and at it"
        tx.exec_driver_sql("UPDATE runs SET pid_started = 1")
    supervisor.reconcile(db)
    with db.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM runs").scalar_one() == 0
    housekeeping.remove_leftovers(db, housekeeping.leftovers(db))
    assert list((db.data_dir / "runs").iterdir()) == []


def test_rows_are_deleted_in_parts(db, ended, monkeypatch):
    monkeypatch.setattr(run_rows, "REMOVED_EPISODES", 2)
    with db.write() as tx:
        for number in range(1, 6):
            tx.exec_driver_sql(
                "INSERT INTO episodes (run_id, episode, phase, length, step, routing, at) "
                f"VALUES ('{ended}', {number}, 'p', 1, 1, 'softmax', '2030-01-01 00:00:00')"
            )
    control.delete(db, ended)
    with db.read() as tx:
        for table in ("episodes", "runs", "events", "checkpoints"):
            assert tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0


def test_a_folder_that_cannot_be_removed_keeps_its_run(db, ended, monkeypatch):
    def breaks(self, target):
        raise PermissionError(13, "Permission denied")

    before = get_run(db, ended)
    monkeypatch.setattr("pathlib.Path.rename", breaks)
    with pytest.raises(V3Error, match=r"is not deleted: its folder .* cannot be removed: Permission denied"):
        control.delete(db, ended)
    assert get_run(db, ended) == before
    assert (run_folder(ended, db.data_dir) / "worker.log").is_file()


def test_files_that_cannot_be_deleted_are_reported_and_tidied_later(db, ended, monkeypatch):
    def breaks(path, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", breaks)
        with pytest.raises(V3Error, match=r"is deleted, but not all of its files: .* tidy --delete\."):
            control.delete(db, ended)
        assert list_runs(db) == []
        found = housekeeping.leftovers(db)
        (problem,) = housekeeping.remove_leftovers(db, found)
        assert "cannot be deleted: Permission denied" in problem
    assert [leftover.bytes for leftover in found] == [1234]
    assert housekeeping.remove_leftovers(db, found) == []
    assert housekeeping.leftovers(db) == []


def test_a_linked_folder_loses_only_its_link(db, ended, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    run_folder(ended, db.data_dir).rename(elsewhere)
    run_folder(ended, db.data_dir).symlink_to(elsewhere)
    control.delete(db, ended)
    assert (elsewhere / "worker.log").is_file()
    assert list((db.data_dir / "runs").iterdir()) == []


def test_only_what_is_ours_is_left_over(db, ended, run_in):
    runs = db.data_dir / "runs"
    active = run_in(Status.RUNNING)
    for name in (
        "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a/checkpoints",  # of a run that is not in the database
        "my own folder",
        f"{active}/checkpoints",
        f"{ended}/notes",
    ):
        (runs / name).mkdir(parents=True)
    for name in (
        f"{ended}/checkpoints/episode-00000009.pt",  # written, and killed before its row
        f"{ended}/checkpoints/.episode-00000010.pt.77.tmp",  # killed in the middle
        f"{ended}/checkpoints/readme.txt",
        f"{active}/checkpoints/episode-00000009.pt",  # its row may come in a moment
    ):
        (runs / name).write_bytes(b"z")
    made = db.data_dir / "made-replays"
    for name in ("0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a/7-median", ".deleted-0a0a0a0a", f"{ended}/7-1", "my own"):
        (made / name).mkdir(parents=True)
    assert {str(leftover.path.relative_to(db.data_dir)) for leftover in housekeeping.leftovers(db)} == {
        "runs/0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a",
        f"runs/{ended}/checkpoints/episode-00000009.pt",
        f"runs/{ended}/checkpoints/.episode-00000010.pt.77.tmp",
        "made-replays/0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a",
        "made-replays/.deleted-0a0a0a0a",
    }
    housekeeping.remove_leftovers(db, housekeeping.leftovers(db))
    assert housekeeping.leftovers(db) == []
    assert (runs / "my own folder").is_dir()
    assert {entry.name for entry in made.iterdir()} == {ended, "my own"}
    assert (runs / ended / "checkpoints" / "episode-00000005.pt").is_file()


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_nothing_is_compacted_while_a_run_trains(db, run_in, status):
    run_in(status)
    with pytest.raises(V3Error, match=f"is {status} and would have to wait .* compact it when no run is training"):
        housekeeping.compact(db)


def test_compacting_gives_the_space_back(db, ended):
    with db.write() as tx:
        tx.exec_driver_sql("CREATE TABLE filler (text TEXT)")
        for _ in range(200):
            tx.exec_driver_sql(f"INSERT INTO filler VALUES ('{'x' * 10_000}')")
    with db.write() as tx:
        tx.exec_driver_sql("DROP TABLE filler")
    before, after = housekeeping.compact(db)
    if db.url.startswith("sqlite"):
        assert before > 2_000_000 > 500_000 > after
    with db.read() as tx:
        assert find_run(tx, ended) is not None


def test_compacting_needs_room(db, ended, monkeypatch):
    if not db.url.startswith("sqlite"):
        pytest.skip("PostgreSQL rewrites nothing")
    usage = shutil._ntuple_diskusage(100, 90, 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(V3Error, match="twice that as free space"):
        housekeeping.compact(db)


def test_how_many_checkpoints_are_kept(monkeypatch):
    monkeypatch.delenv("V3_KEEP_CHECKPOINTS", raising=False)
    assert kept_checkpoints() == (KEEP_NEWEST, KEEP_SPREAD)
    monkeypatch.setenv("V3_KEEP_CHECKPOINTS", "3")
    newest, spread = kept_checkpoints()
    episodes = list(range(0, 100, 10))
    gone = superseded(episodes, {0, 40}, spread, newest)
    assert [episode for episode in episodes if episode not in gone] == [0, 40, 70, 80, 90]


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_of_checkpoints_is_reported_before_anything_is_queued(db, config, monkeypatch, value):
    monkeypatch.setenv("V3_KEEP_CHECKPOINTS", value)
    with pytest.raises(V3Error, match=f"V3_KEEP_CHECKPOINTS is '{value}'; set it to a whole number, 1 or more"):
        enqueue(db, [config()])
    assert list_runs(db) == []
