"""`knockout` from the command line, on a run that also knocks out at its end."""

import json

import pytest

from v3core.cli import main
from v3core.insight.removals import ALL_EXPERTS
from v3core.store.expert_records import read_expert_reports, read_knockouts, read_state_map
from v3core.store.history import read_evaluations
from v3core.store.opening import open_database


def test_returns_without_each_expert_are_recorded_and_printed(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    arguments = ["train", "--env", "CartPole-v1", "--episodes", "12", "--evaluate", "2", "--evaluate-every", "5"]
    assert main([*arguments, "--set", "evaluation.knockout=2"]) == 0
    run_id = capsys.readouterr().out.split()[-1]
    db = open_database()
    reports, (row,) = read_expert_reports(db, run_id), read_knockouts(db, run_id)
    assert [report.episode for report in reports] == [found.episode for found in read_evaluations(db, run_id)]
    episode, points = read_state_map(db, run_id)
    assert (episode, len(points.x)) == (12, reports[-1].states)
    assert (row.episode, len(row.complete), set(row.without)) == (12, 2, {0, 1, 2, 3})

    assert main(["knockout", run_id[:6], "--episodes", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = read_knockouts(db, run_id)
    assert found["returns"] == list(row.complete)
    assert [entry["returns"] for entry in found["without"]] == [list(row.without[expert]) for expert in range(4)]
    assert [entry["expert"] for entry in found["without"]] == [1, 2, 3, 4]
    first = found["without"][0]
    differences = [less - all_ for less, all_ in zip(first["returns"], found["returns"], strict=True)]
    assert first["difference"]["mean"] == pytest.approx(sum(differences) / 3)

    assert main(["knockout", run_id, "--episodes", "1"]) == 0
    text = capsys.readouterr().out.splitlines()
    assert "1 episodes" not in text[0]
    assert text[0].startswith("1 episode after 12 of training: mean return ")
    assert [line.split(":")[0] for line in text[1:]] == [f"Without expert {expert}" for expert in range(1, 5)]
    assert all(line.endswith(": not clear.") for line in text[1:]), "one episode shows nothing"

    assert main(["knockout", run_id, "--checkpoint", "7"]) == 1
    assert "no intact checkpoint at episode 7" in capsys.readouterr().err
    assert [row.episode for row in read_knockouts(db, run_id)] == [12]
    assert ALL_EXPERTS == -1, "stored in databases"
    db.close()
