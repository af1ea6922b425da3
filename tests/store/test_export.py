"""Exports: every row, every bit, whole or not at all."""

import csv
import json
import math
import os
import struct

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.store.conftest import START
from tests.store.recorded import LARGE, THIRD, TINY, record
from v3core.errors import V3Error
from v3core.metrics import METRICS
from v3core.store.export import WHAT, export_folder, export_runs
from v3core.store.run_tables import RUN_TABLES


@pytest.fixture
def run(db, new_run, episode):
    """A run with something in every table."""
    return record(db, new_run(db), episode)


def bits(number):
    """A float as its bits."""
    return struct.pack("<d", number)


def is_nan_or_null(value):
    """SQLite has no NaN and keeps null instead."""
    return value is None or math.isnan(value)


def test_csv_keeps_every_float_to_the_bit(db, run, tmp_path):
    assert export_runs(db, [run], tmp_path / "run.csv") == 12
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["episode"]) for row in rows] == list(range(1, 13))
    assert rows[2]["return"] in {"", "nan"}
    assert [rows[number]["return"] for number in (3, 4)] == ["inf", "-inf"]
    for number, value in ((5, TINY), (6, THIRD), (7, LARGE)):
        assert bits(float(rows[number]["return"])) == bits(value)
    assert rows[8]["phase"] == 'a "quoted", phase\nin two lines'
    assert rows[0]["at"].endswith("+00:00")
    assert rows[0]["success"] == ""
    assert [float(rows[4][f"hard_load_{expert}"]) for expert in (1, 2, 3, 4)] == [0.0, 0.0, 5e-6, 1.0 - 5e-6]
    frame = pd.read_csv(tmp_path / "run.csv")
    assert frame["return"].isna().tolist() == [number == 2 for number in range(12)]


def test_parquet_keeps_types_and_bits(db, run, tmp_path):
    export_runs(db, [run], tmp_path / "run.parquet")
    table = pq.read_table(tmp_path / "run.parquet")
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("episode").type) == "int64"
    returns = table.column("return").to_pylist()
    assert is_nan_or_null(returns[2])
    assert returns[3:5] == [math.inf, -math.inf]
    assert [bits(value) for value in returns[5:8]] == [bits(TINY), bits(THIRD), bits(LARGE)]
    assert table.column("success").null_count == 12
    assert table.column("dead_experts").to_pylist() == list(range(1, 13))


def test_json_holds_the_whole_run_and_is_strict(db, run, tmp_path):
    assert export_runs(db, [run], tmp_path / "run.json") == 12

    def no_constants(name):
        raise AssertionError(name)

    content = json.loads((tmp_path / "run.json").read_text(), parse_constant=no_constants)
    assert content["run"]["id"] == run
    assert content["config"]["seed"] == 4
    assert [row["return"] for row in content["episodes"][3:7]] == ["Infinity", "-Infinity", TINY, THIRD]
    assert content["evaluations"][0]["returns"] == [1.5, "Infinity"]
    assert [row["kind"] for row in content["commands"]] == ["edit_curriculum", "priority"]
    assert [row["message"] for row in content["events"]] == ["Ä 0.", "Ä 1.", "Ä 2."]
    assert len(content["curriculum_revisions"]) == 2
    assert content["phase_changes"][0]["at"] == START.isoformat()
    assert RUN_TABLES.keys() - content.keys() == {"expert_loads"}  # columns of episodes


def test_parquet_says_what_each_metric_means(sqlite_db, new_run, episode, tmp_path):
    export_runs(sqlite_db, [record(sqlite_db, new_run(sqlite_db), episode)], tmp_path / "run.parquet")
    schema = pq.read_schema(tmp_path / "run.parquet")
    shift, gradient = METRICS["router_shift"], METRICS["expert_grad_norm"]
    assert schema.field("router_shift").metadata == {
        b"title": shift.title.encode(), b"unit": b"0 to 1", b"meaning": shift.sentence.encode()
    }  # fmt: skip
    assert schema.field("expert_grad_norm_4").metadata[b"meaning"] == gradient.sentence.encode()
    assert {name for name in schema.names if not schema.field(name).metadata} == {
        *("run_id", "curriculum", "seed", "episode", "at")
    }


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_a_folder_holds_every_table_whole(db, run, tmp_path, form):
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}[form]
    assert export_folder(db, [run], tmp_path / "all", form) == 12
    counts = {what: len(read(tmp_path / "all" / f"{what}.{form}")) for what in WHAT}
    assert counts == {
        "runs": 1,
        "episodes": 12,
        "expert_loads": 48,
        "evaluations": 2,
        "evaluation_experts": 2,
        "state_maps": 1,
        "knockouts": 2,
        "phase_changes": 1,
        "curriculum_revisions": 2,
        "commands": 2,
        "checkpoints": 2,
        "alarms": 1,
        "events": 3,
        "process_samples": 2,
    }
    with pytest.raises(V3Error, match="already exists"):
        export_folder(db, [run], tmp_path / "all", form)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_row_of_one_run_says_its_curriculum_seed_and_environment(db, run, tmp_path, form):
    export_folder(db, [run], tmp_path / "all", form)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[form]
    for what in RUN_TABLES:
        frame = read(tmp_path / "all" / f"{what}.{form}")
        assert set(frame.run_id) == {run}, what
        assert set(frame.seed) == {4}, what
        assert set(frame.env) == {"CartPole-v1"}, what
        if what != "curriculum_revisions":  # there the column is the curriculum itself
            assert set(frame.curriculum) == {"two"}, what  # in force since its edit
        assert len(frame.columns) == len(set(frame.columns)), what


def test_an_edit_names_the_revision_that_it_asked_for(db, run, tmp_path):
    export_runs(db, [run], tmp_path / "commands.json", "commands")
    rows = json.loads((tmp_path / "commands.json").read_text())
    assert [row["revision"] for row in rows] == [2, None]


def test_several_runs_are_told_apart(db, new_run, episode, run, config, tmp_path):
    fewer = config.model_copy(update={"policy": config.policy.model_copy(update={"experts": 2})})
    other = new_run(db, chosen=fewer)
    record(
        db,
        other,
        lambda number, **changes: episode(
            number, **changes, **dict.fromkeys(("loads", "hard_loads", "expert_grad_norms"), (0.5, 0.5))
        ),
        count=3,
    )
    assert export_runs(db, [run, other], tmp_path / "both.csv") == 15
    frame = pd.read_csv(tmp_path / "both.csv")
    assert list(frame.columns)[:4] == ["run_id", "curriculum", "seed", "episode"]
    assert frame.groupby("run_id", sort=False).size().to_dict() == {run: 12, other: 3}
    assert frame.loc[frame.run_id == other, "load_2"].tolist() == [0.5] * 3
    assert frame.loc[frame.run_id == other, "load_3"].isna().all()
    export_runs(db, [run, other], tmp_path / "both.json")
    assert [entry["run"]["id"] for entry in json.loads((tmp_path / "both.json").read_text())["runs"]] == [run, other]


def test_a_run_without_episodes_is_an_empty_table(db, new_run, tmp_path):
    run = new_run(db)
    for name in ("run.csv", "run.parquet", "run.json"):
        assert export_runs(db, [run], tmp_path / name) == 0
    assert len(pd.read_parquet(tmp_path / "run.parquet")) == 0
    assert json.loads((tmp_path / "run.json").read_text())["episodes"] == []
    assert "load_4" in pd.read_csv(tmp_path / "run.csv").columns


@pytest.mark.parametrize(
    ("target", "what", "message"),
    [
        ("run.xlsx", None, "has no known file extension; use .csv, .parquet, .json"),
        ("run", None, "has no known file extension"),
        ("no/run.csv", None, "does not exist; create it first"),
        ("folder.csv", None, "is a folder; give a file"),
        ("n" * 300 + ".csv", None, "cannot be written: File name too long"),
        ("run.csv", "secrets", "There is no table 'secrets' to export; choose one of runs, episodes"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_and_no_file(db, run, tmp_path, target, what, message):
    (tmp_path / "folder.csv").mkdir()
    before = sorted(tmp_path.rglob("*.csv*"))
    with pytest.raises(V3Error, match=message):
        export_runs(db, [run], tmp_path / target, what)
    assert sorted(tmp_path.rglob("*.csv*")) == before


def test_what_is_written_is_as_open_to_others_as_the_umask_says(db, run, tmp_path):
    before = os.umask(0o077)
    try:
        export_runs(db, [run], tmp_path / "run.csv")
        export_folder(db, [run], tmp_path / "all", "csv")
    finally:
        os.umask(before)
    assert (tmp_path / "run.csv").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "all").stat().st_mode & 0o777 == 0o700


def test_a_name_as_long_as_a_disk_takes_will_do(db, run, tmp_path):
    export_runs(db, [run], tmp_path / ("n" * 251 + ".csv"))
    with pytest.raises(V3Error, match=r"cannot be written: File name too long\.$"):
        export_folder(db, [run], tmp_path / ("n" * 300), "csv")
    assert [path.name for path in tmp_path.glob("*n.csv")] == ["n" * 251 + ".csv"]


def test_an_unknown_run_leaves_the_old_file(db, tmp_path):
    (tmp_path / "run.csv").write_text("old")
    with pytest.raises(V3Error, match="There is no run 'x'"):
        export_runs(db, ["x"], tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text() == "old"


def test_a_failure_halfway_leaves_the_old_file(db, run, tmp_path, monkeypatch):
    (tmp_path / "run.csv").write_text("old")

    def breaks(tx, run_id, experts):
        yield (None,) * 100
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("v3core.store.export.wide_episodes", breaks)
    with pytest.raises(V3Error, match=r"run.csv cannot be written: No space left on device\."):
        export_runs(db, [run], tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text() == "old"
    assert not list(tmp_path.glob(".run*"))


def test_every_column_of_every_table_is_exported():
    for name, table in RUN_TABLES.items():
        left_out = {column.name for column in table.table.columns} - {field.name for field in table.fields}
        assert left_out - {"id", "run_id", "revision_id", "webhook"} == set(), name


def test_a_missing_load_is_null_and_shifts_nothing(db, run, tmp_path):
    with db.write() as tx:
        tx.exec_driver_sql("DELETE FROM expert_loads WHERE episode = 2 OR (episode = 4 AND expert = 1)")
    export_runs(db, [run], tmp_path / "run.parquet")
    frame = pd.read_parquet(tmp_path / "run.parquet")
    assert np.isnan(frame.load_1[1])
    assert np.isnan(frame.load_2[3])
    assert frame.load_3[3] == 0.3
    assert frame.load_1[2] == 0.1
