"""`import v3core` from Python: frames of what is recorded, the table of Compare, and the notebook that uses them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import update

import v3core
from tests.comparison.made import made_groups, made_run
from v3core import python_api
from v3core.comparison import compare
from v3core.environments.examine import Report
from v3core.errors import V3Error
from v3core.jobs import experiments
from v3core.store.runs import list_runs
from v3core.store.schema import runs

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "which-curriculum.ipynb"


@pytest.fixture
def made(db):
    """An experiment of two curricula with five seeds each, and a run that failed."""
    made_groups(db, {"direct": [100.0, 110, 120, 105, 115], "v3": [400.0, 410, 420, 405, 415]})
    made_run(db, seed=6, status="failed", returns=[1.0, float("nan"), 3.0])
    with db.write() as tx:
        tx.execute(update(runs).values(experiment="which"))
    return {run.name: run for run in list_runs(db)}


def test_runs_are_a_row_each_and_can_be_filtered(made):
    frame = v3core.runs()
    assert len(frame) == 11
    assert set(frame["status"]) == {"completed", "failed"}
    assert frame["created_at"].dt.tz is not None
    assert v3core.runs("status:failed")["name"].tolist() == ["v3 6"]
    assert len(v3core.runs("name:nothing")) == 0
    with pytest.raises(V3Error, match="there is no field"):
        v3core.runs("statsu:failed")


def test_what_is_recorded_of_a_run_is_there_with_its_types(made):
    run = made["v3 6"]
    episodes = v3core.episodes(run.id[:8])
    assert episodes["episode"].tolist() == [1, 2, 3]
    assert episodes["return"].to_numpy() == pytest.approx([1, np.nan, 3], nan_ok=True)
    assert episodes[["load_1", "load_2"]].to_numpy().tolist() == [[0.25, 0.75]] * 3
    assert set(episodes["curriculum"]) == {"v3"}
    experts = v3core.experts(run.id)
    assert experts["load"].tolist() == [0.25, 0.75] * 3
    evaluations = v3core.evaluations([made["v3 1"].id, made["v3 2"].id])
    assert evaluations.groupby("seed")["return"].mean().tolist() == [400, 410]
    assert len(v3core.evaluations(run.id)) == 0
    with pytest.raises(V3Error, match="There is no run 'ffff'"):
        v3core.episodes("ffff")


def test_arrow_tables_have_the_same_and_say_what_columns_mean(made):
    table = v3core.episodes(made["v3 1"].id, as_arrow=True)
    assert isinstance(table, pa.Table)
    assert table.schema.field("return").type == pa.float64()
    assert b"Undiscounted sum" in table.schema.field("return").metadata[b"meaning"]
    assert table.to_pandas().equals(v3core.episodes(made["v3 1"].id))
    for function in (v3core.experts, v3core.evaluations):
        assert isinstance(function(made["v3 1"].id, as_arrow=True), pa.Table)
    assert v3core.runs(as_arrow=True).num_rows == 11


def test_the_table_of_compare_is_that_of_the_comparison(db, made):
    frame = v3core.compare("which")
    found = compare(db, list(made.values()))
    assert frame["group"].tolist() == ["direct", "v3"]
    assert frame["final"].tolist() == [group.final.value for group in found.groups]
    assert frame["final_low"].tolist() == [group.final.low for group in found.groups]
    assert frame[["counted", "runs", "failed"]].to_numpy().tolist() == [[5, 5, 0], [5, 6, 1]]
    assert frame["worst"].isna().all(), "of returns no run matters by itself"
    dead = v3core.compare("which", "recent_dead_experts")
    assert dead["worst"].tolist() == [1, 1], "as recorded"
    assert frame.attrs["verdict"] == list(found.verdict)
    assert frame.attrs["pairs"][0]["first"] == "v3"
    table = v3core.compare("which", as_arrow=True)
    assert json.loads(table.schema.metadata[b"verdict"]) == list(found.verdict)
    assert v3core.compare("which", "return", until=30)["counted"].tolist() == [5, 6]
    with pytest.raises(V3Error, match="There is no experiment 'that'"):
        v3core.compare("that")


def test_what_cannot_be_launched_starts_nothing(db):
    with pytest.raises(V3Error, match="not-a-curriculum"):
        v3core.launch("CartPole-v1", "not-a-curriculum")
    with pytest.raises(V3Error, match=r"ppo\.epoch"):
        v3core.launch("CartPole-v1", settings=["ppo.epoch=4"])
    with pytest.raises(V3Error, match="less than one rollout"):
        v3core.launch("CartPole-v1", steps=10)
    with pytest.raises(V3Error, match="envs names only CartPole-v1; give at least two"):
        v3core.launch(envs=["CartPole-v1"])
    with pytest.raises(V3Error, match="Both env and envs are given"):
        v3core.launch("CartPole-v1", envs=["CartPole-v0", "CartPole-v1"])
    with pytest.raises(V3Error, match="Acrobot-v1 and CartPole-v1 cannot be trained on at once"):
        v3core.launch(envs=["CartPole-v1", "Acrobot-v1"])
    assert list_runs(db) == []


def test_what_the_check_before_a_run_warns_of_is_said(db, monkeypatch):
    warning = "Two resets with the same seed returned different observations."
    monkeypatch.setattr(python_api, "check_launch", lambda *_, **__: Report("CartPole-v1", warnings=[warning]))
    monkeypatch.setattr(experiments, "start", lambda *_, **__: ("name", ["id"]))
    with pytest.warns(UserWarning, match="Two resets with the same seed") as said:
        assert v3core.launch("CartPole-v1", episodes=20) == ["id"]
    assert said[0].filename == __file__


def test_importing_v3core_imports_nothing_else():
    slow = ("torch", "pandas", "pyarrow", "numpy", "scipy")
    code = f"import sys, v3core; print([name for name in {slow} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.slow
def test_the_notebook_answers_the_question(tmp_path):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    parameters, *rest = code
    assert parameters["metadata"]["tags"] == ["parameters"]
    assert all(not cell["outputs"] for cell in code)
    script = ["".join(parameters["source"]), "SEEDS, EPISODES = (1, 2), 20"]
    script += ["".join(cell["source"]) for cell in rest]
    script += ["assert sorted(set(runs['status'])) == ['completed']; assert len(runs) == 4"]
    script += ["assert table['counted'].tolist() == [2, 2]; assert len(evaluations) == 40"]
    cleaned = {name: value for name, value in os.environ.items() if not name.startswith("V3_")}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)],
        cwd=ROOT,
        env=cleaned | {"V3_DATA_DIR": str(tmp_path), "V3_MAX_WORKERS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Undecided between "), done.stdout
    assert "Intervals need 5 runs or more per group" in done.stdout
