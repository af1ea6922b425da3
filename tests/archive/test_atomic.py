"""An import is all or nothing: on errors, on SIGKILL, beside other writers, twice at once."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.episode_table import read_episodes
from v3core.archive import import_archive, importing
from v3core.errors import V3Error
from v3core.jobs.files import run_folder
from v3core.jobs.housekeeping import remove_abandoned
from v3core.jobs.supervisor import reconcile
from v3core.store.runs import list_runs, resolve, runs_in
from v3core.store.schema import HIDDEN

ROOT = Path(__file__).resolve().parents[2]

SLOW = """
import sys
from pathlib import Path
from v3core.archive import import_archive, importing
from v3core.store.opening import open_database
importing.ROWS_PER_COMMIT = 2
insert_rows, read_rows, begun = importing.insert_rows, importing.read_rows, []
def noted(tx, table, *rest):
    insert_rows(tx, table, *rest)
    begun.append(table)
def slowly(reader, table, run):
    for row in read_rows(reader, table, run):
        if table in begun and table == sys.argv[4]:
            print("there", flush=True)
            sys.stdin.readline()
        yield row
importing.insert_rows, importing.read_rows = noted, slowly
import_archive(open_database(sys.argv[1], Path(sys.argv[2])), Path(sys.argv[3]))
"""


def start_slow(there, archive, table):
    """An import in another process that waits for a line before each further row of a table; returns once it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, there.url, str(there.data_dir), str(archive), table],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdout.readline() == "there\n"
    return process


def nothing_left(db):
    """Neither rows nor files."""
    with db.read() as tx:
        assert runs_in(tx, {HIDDEN}) == []
        for table in ("runs", "episodes", "expert_loads", "events", "commands", "curriculum_revisions", "checkpoints"):
            assert tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0
    assert list(db.data_dir.glob("runs/*")) == []


@pytest.mark.parametrize("table", ["episodes", "expert_loads", "events"])
def test_a_killed_import_is_never_seen_and_is_cleared_away(there, run, archive, table):
    process = start_slow(there, archive, table)
    assert list_runs(there) == []
    with pytest.raises(V3Error, match="There is no run"):
        resolve(there, run[:8])
    with pytest.raises(V3Error, match=r"is being imported or deleted by another process; wait until it is done\."):
        import_archive(there, archive)
    assert remove_abandoned(there) == [], "it is at work"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with there.read() as tx:
        assert [row.id for row in runs_in(tx, {HIDDEN})] == [run]
    assert run_folder(run, there.data_dir).is_dir()
    reconcile(there)
    nothing_left(there)
    assert import_archive(there, archive) == run


def test_an_import_after_a_killed_one_clears_it_away_itself(there, run, archive):
    process = start_slow(there, archive, "episodes")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert import_archive(there, archive) == run
    assert len(read_episodes(there, run)) == 12


def test_others_write_while_a_run_is_imported(there, run, archive):
    process = start_slow(there, archive, "expert_loads")
    writes = 0
    with process.stdin, process.stdout:
        while True:
            with there.write() as tx:  # while the import waits: were the database its own, this would be an error
                tx.exec_driver_sql("UPDATE meta SET value = value")
            writes += 1
            process.stdin.write("\n")
            process.stdin.flush()
            if not process.stdout.readline():
                break
    assert process.wait() == 0
    assert writes > 20
    assert [row.id for row in list_runs(there)] == [run]


@pytest.mark.parametrize("table", ["episodes", "events"])
def test_a_failure_halfway_leaves_nothing(there, archive, monkeypatch, table):
    def breaks(tx, name, *rest):
        whole(tx, name, *rest)
        if name == table:
            raise V3Error("The database is full; free some space.")

    whole = importing.insert_rows
    monkeypatch.setattr(importing, "insert_rows", breaks)
    with pytest.raises(V3Error, match="is full"):
        import_archive(there, archive)
    nothing_left(there)


def test_files_that_cannot_be_written_leave_nothing(there, archive, monkeypatch):
    def breaks(reader, name, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing, "_extract", breaks)
    with pytest.raises(V3Error, match=r"cannot be written: No space left on device\."):
        import_archive(there, archive)
    nothing_left(there)


def test_a_folder_that_is_there_already_is_left_alone(there, run, archive):
    folder = run_folder(run, there.data_dir)
    folder.mkdir(parents=True)
    (folder / "mine").write_text("kept")
    with pytest.raises(V3Error, match=r"The folder .* of a deleted run still exists; remove it with"):
        import_archive(there, archive)
    assert (folder / "mine").read_text() == "kept"
    with there.read() as tx:
        assert runs_in(tx, {HIDDEN}) == []


def test_an_import_that_ends_while_another_begins_is_not_taken_for_what_a_deletion_left(
    there, run, archive, monkeypatch
):
    """A server shows each query of a transaction what is committed by then."""
    if there.url.startswith("sqlite"):
        pytest.skip("one writer at a time")
    original, ended = importing.find_run, []

    def find_run(tx, run_id):
        found = original(tx, run_id)
        if not ended:
            ended.append(run_id)
            assert import_archive(there, archive) == run
        return found

    monkeypatch.setattr(importing, "find_run", find_run)
    with pytest.raises(V3Error, match=r"being imported or deleted by another process"):
        import_archive(there, archive)
    assert len(read_episodes(there, run)) == 12


def test_two_imports_at_once_are_one(there, run, archive):
    results = []

    def take():
        try:
            results.append(import_archive(there, archive))
        except V3Error as error:
            results.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert results.count(run) == 1
    assert all(
        "already exists" in result or "being imported or deleted" in result for result in results if result != run
    )
    assert len(read_episodes(there, run)) == 12
    assert (run_folder(run, there.data_dir) / "worker.log").is_file()
