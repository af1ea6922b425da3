"""The files of runs in a bucket of an object store: moto's, over HTTP."""

import os
import subprocess
import sys
import uuid

import pytest
from streamlit.testing.v1 import AppTest

from tests.browser.support import ROOT
from tests.databases import MISSING, empty_database
from tests.processes import kill_all
from tests.runs import assert_whole, tiny_config
from tests.scaling.object_store import SECRET, VARIABLES, Proxy, make_bucket
from tests.waiting import wait_for
from v3core.archive import import_archive, write_archive
from v3core.config import EvaluationConfig
from v3core.errors import V3Error
from v3core.jobs import control, housekeeping, shipped_logs
from v3core.jobs.files import log_file, run_folder
from v3core.jobs.forks import fork
from v3core.jobs.kept_replays import read_replays, recorded_replays
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import Status
from v3core.jobs.logs import read_log_tail
from v3core.jobs.shipped_logs import PART_BYTES, LogShipper, parts_of, read_end, shipping
from v3core.jobs.worker import train_here
from v3core.places import Bucket, PlaceError, place_at
from v3core.places import bucket as bucket_module
from v3core.places.bucket_errors import explained
from v3core.store.history import read_checkpoints, read_events
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs

if os.environ.get("CI", "").lower() not in {"1", "true"}:  # there they must be installed
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -r requirements-s3-tests.txt")
    pytest.importorskip("moto", reason="moto is not installed: pip install -r requirements-s3-tests.txt")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed: install Debian's package postgresql"),
]


@pytest.fixture
def url(store, monkeypatch, tmp_path):
    """That of a prefix in an empty bucket, named by V3_DATA_DIR; this machine's folder is `scratch` in tmp_path."""
    name = f"v3-{uuid.uuid4().hex}"
    make_bucket(store, name)
    for variable, value in (VARIABLES | {"AWS_ENDPOINT_URL": store, "V3_DATA_DIR": f"s3://{name}/lab"}).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("V3_SCRATCH_DIR", str(tmp_path / "scratch"))
    yield f"s3://{name}/lab"
    kill_all(f"s3://{name}/lab")


@pytest.fixture
def proxied(store, url, monkeypatch):
    proxy = Proxy(store)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
    patience = {"connect_timeout": 60, "read_timeout": 60}  # on a busy machine a refusal takes seconds
    monkeypatch.setitem(bucket_module._S3, "config_kwargs", bucket_module._S3["config_kwargs"] | patience)
    yield proxy
    proxy.close()


@pytest.fixture
def db(url, tmp_path, monkeypatch):
    with empty_database("postgresql", tmp_path) as address:
        monkeypatch.setenv("V3_DATABASE_URL", address)
        monkeypatch.delenv("V3_MAX_WORKERS", raising=False)
        database = open_database()
        yield database
        kill_all(url)
        database.close()


@pytest.fixture
def place(url, tmp_path):
    (tmp_path / "scratch").mkdir()
    return place_at(url, tmp_path / "scratch")


def elsewhere(tmp_path, monkeypatch):
    """A database opened as on another machine, whose folder has nothing in it."""
    monkeypatch.setenv("V3_SCRATCH_DIR", str(tmp_path / "elsewhere"))
    return open_database()


def test_a_file_is_put_and_brought_and_never_an_old_one(place, url, tmp_path):
    file = place.folder / "runs" / "one" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("first")
    place.put(file)
    assert not file.exists()
    other = place_at(url, tmp_path / "elsewhere")
    there = other.folder / "runs" / "one" / "file"
    assert other.bring(there).read_text() == "first"
    assert other.bring(there) == other.bring(there)
    was = other.stamp(there)
    file.write_text("again")  # as many bytes
    place.put(file)
    assert other.bring(there).read_text() == "again"
    assert other.stamp(there) != was
    assert other.files(there.parent) == {there: 5}
    assert other.bytes_in(other.folder / "runs") == 5
    assert not other.bring(there.with_name("none")).exists()
    assert other.stamp(there.with_name("none")) is None
    other.share(there, there.with_name("second"))
    place.remove(file)
    assert not other.has(there)
    assert other.has(there.with_name("second"))
    other.remove_behind(other.folder / "runs")
    assert place.behind(place.folder) == {}
    assert other.name_of(there) == f"{url}/runs/one/file"


def test_what_was_read_the_longest_ago_makes_room(tmp_path):
    for number in range(4):
        (tmp_path / str(number)).write_bytes(b"x" * 100)
        os.utime(tmp_path / str(number), (number, number))
    (tmp_path / "new").write_bytes(b"x" * 300)
    bucket_module.keep_within(tmp_path, 450)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["3", "new"]
    bucket_module.keep_within(tmp_path, 10)
    assert [file.name for file in tmp_path.iterdir()] == ["new"]  # somebody reads it


def test_a_log_is_put_in_parts_also_after_it_was_rotated_and_by_another_process(place):
    folder = run_folder("r", place.folder)
    folder.mkdir(parents=True)
    log = folder / "worker.log"
    log.write_bytes(b"1\n" * PART_BYTES)
    shipper = LogShipper(place, "r")
    shipper.ship()
    assert list(parts_of(place, "r").values()) == [PART_BYTES, PART_BYTES]
    with log.open("ab") as target:
        target.write(b"2\n")
    shipper.ship()
    shipper.ship()
    assert read_end(place, "r").endswith(b"1\n2\n")
    with log.open("ab") as target:
        target.write(b"3\n")
    log.rename(log.with_name("worker.log.1"))
    log.write_bytes(b"4\n")
    shipper.ship()
    assert read_end(place, "r").endswith(b"1\n2\n3\n4\n")
    with log.open("ab") as target:  # the process was killed: the next one puts the rest
        target.write(b"5\n")
    LogShipper(place, "r").ship()
    assert read_end(place, "r") == b"1\n" * PART_BYTES + b"2\n3\n4\n5\n"
    assert read_end(place, "r", 2).count(b"\n") < 10
    shipper.empty()
    assert log.stat().st_size == 0


def test_the_end_of_a_log_is_put_when_its_process_ends(db, monkeypatch):
    monkeypatch.setattr(shipped_logs, "SHIP_SECONDS", 3600)
    log = log_file("r", db.data_dir)
    log.parent.mkdir(parents=True)
    with shipping(db, "r"):
        log.write_bytes(b"the end\n")
    assert read_end(db.place, "r") == b"the end\n"
    assert log.stat().st_size == 0


@pytest.mark.parametrize(
    ("refuses", "sentence"),
    [
        ({"PUT": 403}, "cannot be written: permission denied; check the rights of the credentials in the environment."),
        ({"PUT": 507}, "cannot be written: it is full; delete files there, or raise its quota."),
        ({"PUT": 0}, "does not answer in time; check the network and AWS_ENDPOINT_URL, and try again."),
    ],
)
def test_a_bucket_that_refuses_is_named_in_a_sentence_and_nothing_is_begun(db, proxied, monkeypatch, refuses, sentence):
    if 0 in refuses.values():
        patience = {"read_timeout": 2, "retries": {"total_max_attempts": 1}}
        monkeypatch.setitem(bucket_module._S3, "config_kwargs", bucket_module._S3["config_kwargs"] | patience)
    proxied.refuses = refuses
    db.place._opened = None  # the connection is to the store
    with pytest.raises(PlaceError) as refused:
        enqueue(db, [tiny_config()])
    assert str(refused.value) == f"{db.place.address} {sentence}"
    assert list_runs(db) == []
    (run_id, status) = train_here(db, tiny_config(), lambda _: None)
    run = get_run(db, run_id)
    assert (status, run.reason, run.episode) == (Status.FAILED, f"{db.place.address} {sentence}", 0)
    assert Status.RUNNING not in {event.kind for event in read_events(db, run_id)}
    assert SECRET not in (run.traceback or "")
    proxied.refuses = {}
    assert db.place.behind(db.place.folder) == {}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"V3_DATA_DIR": "s3://there-is-none/lab"}, "There is no bucket 'there-is-none'; create it, or choose another"),
        ({"V3_DATA_DIR": "s3://"}, "V3_DATA_DIR is s3://, which names no bucket; write s3://BUCKET/PREFIX."),
        ({"V3_DATA_DIR": "s4://one/two"}, "V3_DATA_DIR begins with s4://, which is not known; give a path or s3://"),
        ({"V3_DATA_DIR": f"s3://id:{SECRET}@one/two"}, "V3_DATA_DIR has credentials in it, which would be seen"),
        ({"V3_DATA_DIR": "gs://one/two"}, "V3_DATA_DIR begins with gs://, and the package that reads and writes there"),
        ({"AWS_SECRET_ACCESS_KEY": "", "AWS_ACCESS_KEY_ID": ""}, "{} needs credentials, and none are set; set AWS"),
        ({"V3_DATABASE_URL": "sqlite:///v3.db"}, "A SQLite database cannot be in {}, nor be shared by those who use"),
    ],
)
def test_a_place_that_cannot_be_used_is_named(db, url, monkeypatch, variables, sentence):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    db.place._opened = None
    with pytest.raises(V3Error) as refused:
        open_database().place.check()
    assert str(refused.value).startswith(sentence.format(url))
    assert SECRET not in str(refused.value)


def test_the_command_line_names_a_store_that_cannot_be_reached_and_shows_no_secret(db, url, tmp_path):
    environment = {**os.environ, "AWS_ENDPOINT_URL": "http://name:word@127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "v3core", "train", "--env", "CartPole-v1", "--episodes", "10"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode != 0
    assert f"{url} cannot be reached; check the network and AWS_ENDPOINT_URL." in ended.stderr
    assert "Traceback" not in ended.stderr
    for secret in (SECRET, "name:word", VARIABLES["AWS_ACCESS_KEY_ID"]):
        assert secret not in ended.stdout + ended.stderr
    assert all(run.status == Status.FAILED and not run.episode for run in list_runs(db))


def test_an_error_of_a_library_shows_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(PlaceError) as refused, explained("s3://one/lab", "read"):
        raise RuntimeError(f"GET https://name:word@store/one?signature={SECRET}\nfailed.")
    assert str(refused.value) == "s3://one/lab cannot be used: GET https://…@store/one?signature=… failed."
    assert refused.value.__suppress_context__


def test_without_s3fs_a_sentence_says_how_to_install_it(url, tmp_path):
    (tmp_path / "s3fs.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "v3core", "runs"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "the package that reads and writes there is not installed" in ended.stderr
    assert "pip install 'v3lab[s3]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bucket_that_becomes_full_fails_the_run_with_that_reason(db, proxied, until):
    db.place._opened = None
    (run_id,) = enqueue(db, [tiny_config(episodes=10**6)])
    until([run_id], episode=20)
    proxied.refuses = {"PUT": 507}
    control.ask(db, run_id, kind="checkpoint")
    (run,) = until([run_id], Status.FAILED)
    assert run.reason == f"{db.place.address} cannot be written: it is full; delete files there, or raise its quota."
    proxied.refuses = {}
    control.resume(db, run_id, episodes=None)
    until([run_id], episode=run.episode + 10)
    control.stop(db, run_id)
    until([run_id], Status.STOPPED)
    assert_whole(db, run_id)


def test_a_run_is_resumed_seen_archived_forked_and_deleted_where_nothing_of_it_is(db, until, tmp_path, monkeypatch):
    config = tiny_config(episodes=10**6, boundary=20)
    config = config.model_copy(update={"evaluation": EvaluationConfig(episodes=2, every=50)})
    (run_id,) = enqueue(db, [config])
    until([run_id], episode=60)
    wait_for(lambda: "Training" in read_log_tail(run_id, place=db.place), "the log is followed")
    control.stop(db, run_id)
    (stopped,) = until([run_id], Status.STOPPED)
    assert not list((tmp_path / "scratch").rglob("*.pt"))
    other = elsewhere(tmp_path, monkeypatch)
    wait_for(lambda: "Stopped at episode" in read_log_tail(run_id, place=other.place), "the end of the log")
    control.resume(other, run_id, episodes=None)
    (again,) = until([run_id], episode=stopped.episode + 20)
    assert again.generation == 1
    control.stop(other, run_id)
    until([run_id], Status.STOPPED)
    assert_whole(other, run_id)
    wait_for(lambda: read_log_tail(run_id, place=other.place).count("Stopped at episode") == 2, "all of the log")

    assert recorded_replays(other, run_id)
    assert read_replays(other, run_id, recorded_replays(other, run_id)[-1])
    archive = tmp_path / "run.v3run"
    written = write_archive(other, run_id, archive)
    assert (written.checkpoints, written.missing) == (len(read_checkpoints(other, run_id)), 0)
    copy = import_archive(db, archive, as_new=True)
    assert "Stopped at episode" in read_log_tail(copy, place=db.place)
    assert recorded_replays(db, copy) == recorded_replays(other, run_id)
    forked = fork(db, copy, episodes=10**6)
    until([forked], episode=get_run(db, copy).episode + 10)
    control.stop(db, forked)
    until([forked], Status.STOPPED)

    stray = db.data_dir / "runs" / copy / "checkpoints" / "episode-99999999.pt"
    lost = db.data_dir / "runs" / str(uuid.uuid4()) / "checkpoints" / "episode-00000001.pt"
    for file in (stray, lost):
        db.place.write(file, b"12345")
    found = housekeeping.leftovers(db)
    assert {leftover.path for leftover in found} >= {stray, lost.parent.parent}
    assert sum(leftover.bytes for leftover in found if leftover.path in {stray, lost.parent.parent}) == 10
    assert housekeeping.remove_leftovers(db, found) == []
    assert not db.place.has(stray)
    assert not db.place.has(lost)
    assert housekeeping.run_sizes(db, [copy])[copy].files > 1000
    for one in (forked, copy, run_id):
        housekeeping.delete(db, one)
        assert one not in {run.id for run in list_runs(db)}
    wait_for(lambda: not _objects(db), "all objects are deleted")
    other.close()


def _objects(db):
    housekeeping.remove_leftovers(db, housekeeping.leftovers(db))  # the end of a log may come after its run is deleted
    assert isinstance(db.place, Bucket)
    return db.place.behind(db.data_dir)


def test_a_command_that_needs_the_bucket_says_that_it_does_not_answer(db, proxied):
    (run_id, _) = train_here(db, tiny_config(episodes=10), lambda _: None)
    proxied.refuses = {"HEAD": 403}
    db.place._opened = None
    with pytest.raises(V3Error, match="cannot be read: permission denied"):
        fork(db, run_id, episodes=100)
    assert [run.id for run in list_runs(db)] == [run_id]


def test_live_shows_the_log_and_the_run_too_while_its_bucket_does_not_answer(db, proxied):
    (run_id, _) = train_here(db, tiny_config(episodes=10), lambda _: None)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params["run"] = run_id
    app.query_params["log"] = "true"
    app.switch_page("pages/live.py").run()
    assert not app.exception
    assert any("Completed at episode 10." in code.value for code in app.code)
    proxied.refuses = {"HEAD": 403, "GET": 403}
    app.run()
    assert not app.exception
    warnings = [warning.value for warning in app.warning]
    assert any("permission denied" in warning for warning in warnings), warnings
    said = [box.value for kind in ("success", "info", "warning") for box in getattr(app, kind)]
    assert any("10 episodes are trained" in sentence for sentence in said), said
