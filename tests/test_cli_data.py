"""The commands that take data out, bring it in, and clear it away, as a person gives them."""

import json
import re

import pandas as pd
import pytest

from tests.archive.conftest import make_files
from tests.store.conftest import config, episode, new_run  # noqa: F401 - fixtures
from tests.store.recorded import end, record
from v3core.cli import main
from v3core.jobs.housekeeping import in_words
from v3core.store.opening import open_database
from v3core.store.run_tables import RUN_TABLES
from v3core.store.runs import list_runs, update_run


@pytest.fixture
def db(tmp_path, monkeypatch):
    """The store that the commands open."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    database = open_database()
    yield database
    database.close()


@pytest.fixture
def run(db, new_run, episode):  # noqa: F811
    """A stopped run of an experiment."""
    run_id = record(db, new_run(db), episode)
    make_files(db, run_id)
    end(db, run_id)
    with db.write() as tx:
        update_run(tx, run_id, {"experiment": "both"}, only_in=["stopped"])
    return run_id


def v3(capsys, *arguments):
    """Run a command; returns its exit code, output and errors."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_exports_of_other_tables_and_of_experiments(capsys, run, tmp_path):
    code, out, _ = v3(capsys, "export", run[:8], "--to", tmp_path / "events.csv", "--what", "events")
    assert (code, out) == (0, f"3 rows written to {tmp_path / 'events.csv'}.\n")
    assert pd.read_csv(tmp_path / "events.csv").message.tolist() == ["Ä 0.", "Ä 1.", "Ä 2."]
    assert v3(capsys, "export", "--experiment", "both", "--to", tmp_path / "e.parquet")[0] == 0
    assert len(pd.read_parquet(tmp_path / "e.parquet")) == 12
    assert v3(capsys, "export", run, "--to", tmp_path / "all", "--what", "all", "--format", "parquet")[0] == 0
    assert len(list((tmp_path / "all").glob("*.parquet"))) == len(RUN_TABLES) + 1
    assert v3(capsys, "export", run, "--to", tmp_path / "tb", "--format", "tensorboard")[0] == 0
    assert len(list((tmp_path / "tb").rglob("*tfevents*"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "x.csv"], "Give either runs or --experiment."),
        (["{run}", "--experiment", "both", "--to", "x.csv"], "Give either runs or --experiment."),
        (["--experiment", "none", "--to", "x.csv"], "There is no experiment 'none'"),
        (["{run}", "--to", "x.csv", "--format", "json"], "--format json goes with --what all"),
        (["{run}", "--to", "x.csv", "--what", "passwords"], "There is no table 'passwords' to export"),
    ],
)
def test_exports_that_cannot_be(capsys, run, arguments, message):
    code, _, err = v3(capsys, "export", *(argument.replace("{run}", run) for argument in arguments))
    assert code == 1
    assert message in err
    assert err.count("\n") == 1


def test_archive_and_import(capsys, db, run, tmp_path, monkeypatch):
    code, out, _ = v3(capsys, "archive", run[:8], "--to", tmp_path / "run.v3run")
    assert code == 0
    assert "12 episodes and 2 checkpoints written" in out
    code, _, err = v3(capsys, "import", tmp_path / "run.v3run")
    assert (code, err.count("\n")) == (1, 1)
    assert "already exists" in err
    code, out, _ = v3(capsys, "import", tmp_path / "run.v3run", "--as-new")
    assert code == 0
    assert {row.id for row in list_runs(db)} == {run, out.strip()}
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path / "other"))
    assert v3(capsys, "import", tmp_path / "run.v3run") == (0, f"{run}\n", "")


def test_a_list_of_runs_says_what_its_number_is(capsys, run):
    code, out, _ = v3(capsys, "runs")
    assert code == 0
    assert re.search(r" \d+\.\d\d mean return in phase$", out.strip())
    assert re.search(r" \d+\.\d\d mean return in phase +\S", v3(capsys, "runs", "--sizes")[1])


def test_sizes(capsys, run):
    code, out, _ = v3(capsys, "runs", "--sizes")
    assert code == 0
    assert "of rows" in out
    assert "of files" in out
    (listed,) = json.loads(v3(capsys, "runs", "--sizes", "--json")[1])
    assert listed["database_bytes"] > 0
    assert listed["file_bytes"] > 7000
    assert "file_bytes" not in json.loads(v3(capsys, "runs", "--json")[1])[0]


def test_tidy_lists_first_and_deletes_on_request(capsys, db, run):
    assert v3(capsys, "tidy") == (0, "Nothing to tidy.\n", "")
    orphan = db.data_dir / "runs" / "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a"
    orphan.mkdir()
    (orphan / "worker.log").write_text("x" * 5000)
    code, out, _ = v3(capsys, "tidy")
    assert code == 0
    assert f"{in_words(5000)}  {orphan}" in out
    assert "delete them with --delete" in out
    assert f"{in_words(5000)} in 1 places; see python -m v3core tidy" in v3(capsys, "doctor")[1]
    assert orphan.is_dir()
    assert v3(capsys, "tidy", "--delete")[0] == 0
    assert not orphan.exists()


def test_compact(capsys, run):
    code, out, _ = v3(capsys, "compact")
    assert code == 0
    assert "bytes before" in out
