"""A disk that gets full under a run: nothing that was recorded is lost, and how the run ended is written."""

import json
import subprocess
import sys
import threading
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from tests.disks import fill, small_disk
from tests.episode_table import read_episodes
from tests.waiting import wait_for
from v3core.errors import V3Error
from v3core.jobs.failures import TRACEBACK_CHARACTERS
from v3core.jobs.files import RESERVE_BYTES, hold_reserve, release_reserve
from v3core.jobs.launcher import create
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.metrics import EpisodeRecord
from v3core.recall import recalled
from v3core.store import dialect
from v3core.store.history import add_event
from v3core.store.opening import open_database
from v3core.store.runs import get_run, update_run
from v3core.store.writer import EpisodeWriter

ROOT = Path(__file__).resolve().parents[2]

# Records episodes, and says which are committed, until it cannot; then waits to be killed.
WRITER = """
import itertools, json, sys, time
from v3core.errors import V3Error
from v3core.store.opening import open_database
from v3core.metrics import EpisodeRecord
from v3core.store.writer import EpisodeWriter

writer = EpisodeWriter(open_database(sys.argv[1]), sys.argv[2], generation=0, writable_in=["running"])
row = json.loads(sys.argv[3])
try:
    for number in itertools.count(1):
        writer.record([EpisodeRecord(**row | {"episode": number, "step": number})], number)
        if number % 50 == 0:
            writer.flush()
            print(number, flush=True)
except V3Error as error:
    print(error, flush=True)
time.sleep(600)
"""


def row(number):
    """An episode of a policy with two experts."""
    words = {"phase": "late", "env": "CartPole-v1", "routing": "softmax", "top_k_weights": None, "task": None}
    shares = dict.fromkeys(("loads", "hard_loads", "expert_grad_norms"), (0.5, 0.5))
    ones = {field.name: 1 for field in fields(EpisodeRecord)}
    return EpisodeRecord(**ones | words | shares | {"episode": number, "step": number})


def record_until_full(store, run_id):
    """Record episodes; returns how many were surely committed, and what was said at the end."""
    writer = EpisodeWriter(store, run_id, generation=0, writable_in=ACTIVE)
    flushed = 0
    try:
        while True:
            writer.record([row(flushed + number) for number in range(1, 51)], flushed + 50)
            writer.flush()
            flushed += 50
    except V3Error as error:
        with pytest.raises(V3Error):
            writer.close()
        return flushed, str(error)


def test_the_reserve_takes_real_room_and_is_given_back(tmp_path):
    folder = tmp_path / "runs" / "r"
    hold_reserve(folder)
    file = folder / "reserve"
    assert file.stat().st_blocks * 512 >= RESERVE_BYTES
    content = file.read_bytes()
    hold_reserve(folder)
    assert file.read_bytes() == content
    file.write_bytes(b"incomplete")
    hold_reserve(folder)
    assert file.stat().st_size == RESERVE_BYTES
    release_reserve(folder)
    release_reserve(folder)
    assert not file.exists()


def test_a_deleted_folder_has_nothing_to_release(tmp_path):
    release_reserve(tmp_path / "gone")
    (tmp_path / "file").touch()
    release_reserve(tmp_path / "file")


def test_without_room_for_the_reserve_the_run_does_not_begin(tmp_path):
    with small_disk(tmp_path / "disk", "size=900k") as disk:
        with pytest.raises(V3Error) as caught:
            hold_reserve(disk / "runs" / "r")
        assert not (disk / "runs" / "r" / "reserve").exists()
    assert str(caught.value) == (
        f"The run's folder {disk}/runs/r cannot be written: No space left on device; free some space or fix its "
        "permissions."
    )


@pytest.fixture
def disk(tmp_path):
    """A disk of 6 MiB."""
    with small_disk(tmp_path / "disk", "size=6m") as folder:
        yield folder


@pytest.fixture
def store(disk):
    """A store on that disk."""
    database = open_database(f"sqlite:///{disk / 'v3.db'}", disk)
    yield database
    database.close()


@pytest.fixture
def run_id(store, config):
    """A run that trains there, with its reserve."""
    with store.write() as tx:
        created = create(tx, config(episodes=10**6), now=datetime.now(UTC))
        update_run(tx, created, {"status": "running"}, only_in={"queued"})
    hold_reserve(store.data_dir / "runs" / created)
    return created


def end(store, run_id, reason):
    """Write the end as a worker does: it releases the reserve when it holds the write lock."""
    with store.write() as tx:
        release_reserve(store.data_dir / "runs" / run_id)
        now, values = datetime.now(UTC), {"traceback": "x" * TRACEBACK_CHARACTERS}
        assert change_status(
            tx, get_run(tx, run_id), Status.FAILED, reason, actor="worker", reason=reason, now=now, values=values
        )


def assert_whole(store, run_id, flushed):
    """Every committed episode is there, none in part."""
    with store.read() as tx:
        assert tx.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    table = read_episodes(store, run_id)
    assert table["episode"].tolist() == list(range(1, len(table) + 1))
    assert len(table) == get_run(store, run_id).episode >= flushed > 0


@pytest.mark.parametrize("with_a_long_read", [False, True])
def test_a_run_on_a_disk_that_gets_full_ends_as_failed_and_keeps_its_episodes(store, run_id, with_a_long_read):
    long_read = store.read()
    if with_a_long_read:  # it keeps the write-ahead log from being reused, so the log takes all the room
        long_read.__enter__().exec_driver_sql("SELECT count(*) FROM episodes").all()
    flushed, said = record_until_full(store, run_id)
    reason = f"The database {store.describe()} cannot be written: database or disk is full; free some space."
    assert said == reason
    fill(store.data_dir)
    assert_whole(store, run_id, flushed)
    if with_a_long_read:
        long_read.__exit__(None, None, None)

    end(store, run_id, reason)
    run = get_run(store, run_id)
    assert (run.status, run.reason) == ("failed", reason)
    assert_whole(store, run_id, flushed)
    store.close()
    assert_whole(store, run_id, flushed)


def test_other_writers_cannot_take_the_room_before_the_end_is_written(store, run_id, config):
    """However much is released, they fill it in no time."""
    with store.write() as tx:
        other = create(tx, config(), now=datetime.now(UTC))
    done, failures = threading.Event(), []

    def write_on():
        while not done.is_set():
            try:
                with store.write() as tx:
                    add_event(tx, other, actor="test", kind="k", message="x" * 5_000, now=datetime.now(UTC))
            except V3Error as error:
                failures.append(error)

    fill(store.data_dir)
    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        wait_for(lambda: failures)
        end(store, run_id, "The disk is full.")
    finally:
        done.set()
        writer.join()
    assert get_run(store, run_id).status == "failed"


def test_a_worker_killed_on_a_full_disk_loses_nothing_that_was_committed(store, run_id):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, store.url, run_id, json.dumps(vars(row(1)))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = [process.stdout.readline()]
    while said[-1].strip().isdigit():
        said.append(process.stdout.readline())
    fill(store.data_dir)
    process.kill()
    process.communicate()
    assert "database or disk is full; free some space." in said[-1]
    assert_whole(store, run_id, int(said[-2]))
    end(store, run_id, "Killed.")
    assert get_run(store, run_id).status == "failed"


def test_a_store_that_nobody_has_open_says_that_the_disk_is_full(store, run_id):
    """Even a reader needs room then, for the index of the write-ahead log."""
    store.close()
    fill(store.data_dir)
    with pytest.raises(V3Error, match=r"cannot be used: the disk is full \(disk I/O error\); free some space\.$"):
        get_run(store, run_id)
    release_reserve(store.data_dir / "runs" / run_id)
    assert get_run(store, run_id).status == "running"


def test_a_disk_without_room_for_another_file_is_full_too(tmp_path):
    with (
        small_disk(tmp_path / "disk", "size=4m", "nr_inodes=2") as disk,
        pytest.raises(V3Error, match=r"the disk is full \(unable to open database file\); free some space\.$"),
    ):
        open_database(f"sqlite:///{disk / 'v3.db'}", disk)


@pytest.mark.parametrize(
    ("url", "problem", "state", "sentence"),
    [
        (
            "postgresql://me:secret@host/v3",
            'could not extend file "base/1/2": No space left on device',
            "53100",
            "The database postgresql://me:***@host/v3 cannot be written: "
            'could not extend file "base/1/2": No space left on device; free some space on its server.',
        ),
        (
            "sqlite:////tmp/v3.db",
            "disk I/O error",
            None,
            "The database /tmp/v3.db cannot be used: disk I/O error; check the disk, and that the file still exists.",
        ),
    ],
)
def test_other_failures_of_a_disk_are_explained(url, problem, state, sentence):
    original = Exception(problem)
    if state is not None:
        original.sqlstate = state
    error = OperationalError("UPDATE", None, original)
    said = dialect.explain_failure(dialect.parse_url(url), error)
    assert said == sentence
    chinese = said.in_language("zh_CN")
    assert chinese.startswith("数据库 ")
    assert problem in chinese
    assert recalled(sentence, "zh_CN") == chinese  # stored, as what a run failed for
