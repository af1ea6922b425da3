"""The command line as a person or another program uses it: real processes, a real database."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from v3core.cli import main
from v3core.training.checkpoint import load_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def v3core(tmp_path):
    """Run `python -m v3core …` with a data folder of its own."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        cleaned = {name: value for name, value in os.environ.items() if not name.startswith("V3_")}
        return subprocess.run(
            [sys.executable, "-m", "v3core", *arguments],
            cwd=ROOT,
            env=cleaned | {"V3_DATA_DIR": str(tmp_path / "data")} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_train_records_a_run_that_the_other_commands_find(v3core, tmp_path):
    trained = v3core("train", "--env", "CartPole-v1", "--curriculum", "v3", "--episodes", "40", "--seed", "7")
    assert trained.returncode == 0, trained.stderr
    run_id = trained.stdout.splitlines()[-1]
    assert "Boundaries of v3 scaled to 40 episodes: 10, 30." in trained.stderr

    (listed,) = json.loads(v3core("runs", "--json").stdout)
    assert {key: listed[key] for key in ("id", "status", "env", "episode", "seed")} == {
        "id": run_id,
        "status": "completed",
        "env": "CartPole-v1",
        "episode": 40,
        "seed": 7,
    }

    connection = sqlite3.connect(tmp_path / "data" / "v3.db")
    episodes = connection.execute('SELECT episode, phase, "return", length FROM episodes ORDER BY episode').fetchall()
    assert [row[0] for row in episodes] == list(range(1, 41))
    assert list(dict.fromkeys(row[1] for row in episodes)) == ["warmup", "transition", "fine-tune"]
    assert all(row[2] == row[3] for row in episodes), "CartPole pays 1 for each step"
    sums = connection.execute("SELECT sum(load), count(*) FROM expert_loads GROUP BY episode").fetchall()
    assert len(sums) == 40
    assert all(total == pytest.approx(1) and count == 4 for total, count in sums)

    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        target = tmp_path / f"run{suffix}"
        assert v3core("export", run_id[:6], "--to", str(target)).returncode == 0
        frame = read(target)
        assert frame["return"].tolist() == [row[2] for row in episodes]
        assert frame[[f"load_{expert}" for expert in range(1, 5)]].sum(axis=1).to_numpy() == pytest.approx(1)
    target = tmp_path / "run.json"
    assert v3core("export", run_id, "--to", str(target)).returncode == 0
    content = json.loads(target.read_text())
    assert content["run"]["id"] == run_id
    assert content["config"]["seed"] == 7
    assert [change["name"] for change in content["phase_changes"]] == ["warmup", "transition", "fine-tune"]
    assert [episode["phase"] for episode in content["episodes"]] == [row[1] for row in episodes]

    refused = v3core("resume", run_id)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert v3core("delete", run_id).returncode == 0
    assert json.loads(v3core("runs", "--json").stdout) == []


def test_the_same_seed_records_the_same_numbers(v3core, tmp_path):
    tables = []
    for folder in ("first", "second"):
        data = {"V3_DATA_DIR": str(tmp_path / folder)}
        trained = v3core("train", "--env", "CartPole-v1", "--episodes", "30", "--seed", "3", **data)
        assert trained.returncode == 0, trained.stderr
        target = tmp_path / f"{folder}.parquet"
        v3core("export", trained.stdout.split()[-1], "--to", str(target), **data)
        tables.append(pd.read_parquet(target).drop(columns=["run_id", "at"]))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_arguments_and_wrappers_go_from_the_command_line_to_the_policy_that_is_loaded(v3core):
    given = ["--env-arg", "size=4", "--env-arg", "agent_start_dir=1", "--wrapper", "TimeLimit(max_episode_steps=40)"]
    trained = v3core(
        "train", "--env", "MiniGrid-Empty-5x5-v0", *given, "--curriculum", "softmax-only", "--episodes", "30"
    )
    assert trained.returncode == 0, trained.stderr
    run_id = trained.stdout.split()[-1]
    (listed,) = json.loads(v3core("runs", "--json").stdout)
    assert listed["name"] == "softmax-only · MiniGrid-Empty-5x5-v0 (size=4, agent_start_dir=1) · seed 1"
    evaluated = json.loads(v3core("evaluate", run_id, "--episodes", "3", "--json").stdout)
    assert evaluated["env_args"] == {"size": 4, "agent_start_dir": 1}
    assert evaluated["wrappers"] == ["TimeLimit(max_episode_steps=40)"]
    assert max(evaluated["lengths"]) <= 40


ODD = "tests.environments.odd:Odd-v0"


def test_a_faulty_environment_is_refused_before_a_run_is_made(v3core):
    for command in ("train", "sweep"):
        refused = v3core(command, "--env", ODD, "--env-arg", "how=old reset", "--episodes", "30")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == (
            f"Environment {ODD}: reset(seed=…) returned an array of shape (2,); it must return two values: "
            "observation, info.\n"
        )
    assert json.loads(v3core("runs", "--json").stdout) == []


def test_what_is_odd_is_said_and_trained(v3core):
    trained = v3core("train", "--env", ODD, "--env-arg", "how=success score", "--episodes", "20")
    assert trained.returncode == 0, trained.stderr
    assert "Warning: step(action) returned info['success'] = 0.1 at the end of an episode, which" in trained.stderr
    assert trained.stdout.count("\n") == 1


def test_the_doctor_examines_an_environment(v3core):
    sound = v3core("doctor", "--env", ODD, "--env-arg", "how=prints", "--json")
    assert sound.returncode == 0, sound.stderr
    found = json.loads(sound.stdout)
    assert (found["ok"], found["fault"], found["warnings"], found["env_args"]) == (True, None, [], {"how": "prints"})
    faulty = v3core("doctor", "--env", ODD, "--env-arg", "how=info none")
    assert (faulty.returncode, faulty.stdout) == (1, "")
    assert faulty.stderr == f"Environment {ODD}: step(action) returned None as info; it must be a dict.\n"
    missing = v3core("doctor", "--env", "CartPol-v1", "--json")
    assert missing.returncode == 1
    assert "Did you mean CartPole-v1" in json.loads(missing.stdout)["fault"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train"], "Missing option '--env'."),
        (["train", "--env", "CartPole-v1", "--env-arg", "size"], "write NAME=VALUE, such as size=8"),
        (
            ["train", "--env", "CartPole-v1", "--env-arg", "size=8"],
            "CartPole-v1 has no argument 'size'; it accepts sutton",
        ),
        (
            ["sweep", "--env", "CartPole-v1", "--env-arg", "size=8"],
            "CartPole-v1 has no argument 'size'; it accepts sutton",
        ),
        (["graph", "CartPole-v1", "--env-arg", "size=8"], "CartPole-v1 has no argument 'size'; it accepts sutton"),
        (["train", "--env", "CartPole-v1", "--wrapper", "a b"], "'a b' is not a wrapper; write its name"),
        (["train", "--env", "CartPole-v1", "--wrapper", "FrameStack"], "Did you mean FrameStackObservation"),
        (["train", "--env", "CartPol-v1"], "Did you mean CartPole-v1"),
        (["train", "--env", "CartPole-v1", "--curriculum", "bengio-minigrid"], "trains on MiniGrid-Empty-5x5-v0"),
        (["train", "--env", "nosuch:Env-v0"], "needs the Python package 'nosuch'"),
        (["train", "--env", "CartPole-v1", "--episodes", "0"], "A run cannot have 0 episodes"),
        (["train", "--env", "CartPole-v1", "--episodes", "x"], "'x' is not a valid integer"),
        (["train", "--env", "CartPole-v1", "--seed", "-3"], "Seed −3 is out of range"),
        (["train", "--env", "CartPole-v1", "--curriculum", "v33"], "no curriculum preset 'v33'. Did you mean v3?"),
        (["train", "--env", "CartPole-v1", "--curriculum", "no.yaml"], "no.yaml cannot be read: No such file"),
        (
            ["train", "--env", "CartPole-v1", "--episodes", "500", "--no-scale"],
            "Phase 1 'warmup' ends at episode 1000, but the run has only 500 episodes",
        ),
        (["stop", "abc"], "There is no run 'abc'"),
        (["resume", "abc"], "There is no run 'abc'"),
        (["export", "abc", "--to", "x.csv"], "There is no run 'abc'"),
        (["move", "abc", "1,x"], "'1,x' is not a list of episodes"),
        (["serve", "--port", "99999"], "Port 99999 does not exist"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_each_mistake_gets_one_sentence_and_leaves_nothing_behind(v3core, tmp_path, arguments, sentence):
    result = v3core(*arguments)
    assert result.returncode != 0
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not list((tmp_path / "data").glob("runs/*"))
    if (tmp_path / "data" / "v3.db").exists():
        assert sqlite3.connect(tmp_path / "data" / "v3.db").execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_curriculum_file_with_a_mistake_names_it(v3core, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nphases: [{name: a, until: {episode: 9}}, {name: b, until: {episode: 5}}, {name: c}]\n")
    result = v3core("train", "--env", "CartPole-v1", "--curriculum", str(file))
    assert result.stderr == (
        "Phase 2 'b' ends at episode 5 but phase 1 'a' ends at 9; each phase must end after the previous one.\n"
    )


def test_export_says_what_is_wrong_with_its_target(v3core, tmp_path):
    run_id = v3core("train", "--env", "CartPole-v1", "--episodes", "3").stdout.split()[-1]
    for target, sentence in (
        ("run.xlsx", "'run.xlsx' has no known file extension; use .csv, .parquet, .json."),
        (str(tmp_path / "none" / "run.csv"), "none does not exist; create it first."),
    ):
        result = v3core("export", run_id, "--to", target)
        assert result.returncode == 1
        assert sentence in result.stderr


def test_a_data_folder_that_cannot_be_written_is_named(v3core, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    result = v3core("runs", V3_DATA_DIR=str(blocker / "data"))
    assert result.returncode == 1
    assert f"The data folder {blocker}/data cannot be written" in result.stderr
    assert result.stderr.count("\n") == 1


def test_serve_refuses_a_port_in_use(v3core):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = v3core("serve", "--port", str(port))
    assert result.returncode == 1
    assert f"Port {port} is in use" in result.stderr


def test_doctor_finds_this_machine_in_order(v3core):
    result = v3core("doctor")
    assert result.returncode == 0, result.stdout
    assert "ok       Packages: all" in result.stdout
    assert "MISSING" not in result.stdout


def test_doctor_names_what_is_missing(v3core, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    result = v3core("doctor")
    assert result.returncode == 1
    assert "MISSING  Database: The data folder" in result.stdout
    assert result.stderr == "Missing: Database.\n"


def test_graph_shows_what_an_environment_gets(capsys):
    assert main(["graph", "MiniGrid-DoorKey-5x5-v0"]) == 0
    assert capsys.readouterr().out == (
        "MiniGrid-DoorKey-5x5-v0: 51 nodes, 362 edges between them\n  'image': 7 × 7 cells of object (11), colour "
        "(6), state (4); each sees its 8 neighbours\n  'direction': one of 4 values, one node\n  'mission': a text: "
        "the count of each of 54 words, and of other words; one node\n  actions: one of 7: Turn left, Turn right, "
        "Forward, Pick up, Drop, Toggle, Done\n  The policy sees image, direction and mission.\n"
    )
    assert main(["graph", "Taxi-v4"]) == 0
    expected = "The policy sees the whole observation. It obeys the action mask in info. Not used: info's prob.\n"
    assert capsys.readouterr().out.endswith(expected)
    assert main(["graph", "Blackjack-v1"]) == 0
    assert "'0': one global node" in capsys.readouterr().out
    assert main(["graph", "Pendulum-v1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["nodes"], found["actions"]["kind"], found["actions"]["low"]) == (3, "continuous", [-2.0])
    assert found["sees"] == "The policy sees the whole observation."
    assert main(["graph", "CartPol-v1"]) == 1
    assert "Did you mean CartPole-v1" in capsys.readouterr().err


def test_a_run_is_evaluated_as_asked(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    arguments = ["train", "--env", "CartPole-v1", "--episodes", "12", "--evaluate", "3", "--evaluate-every", "5"]
    assert main([*arguments, "--device", "cpu"]) == 0
    with sqlite3.connect(tmp_path / "v3.db") as connection:
        found = connection.execute("SELECT episode, count(*) FROM evaluations GROUP BY episode").fetchall()
        assert [count for _, count in found] == [3] * len(found)
        assert found[-1][0] == 12
        assert len(found) == 2  # after the rollout that passed 5, and at the end
    run_id = capsys.readouterr().out.split()[-1]
    assert main(["evaluate", run_id[:6], "--episodes", "2"]) == 0
    assert "2 episodes of CartPole-v1 after 12 of training" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    (described,) = json.loads(capsys.readouterr().out)
    newest = Path(described["checkpoint"])
    save_checkpoint(newest, load_checkpoint(newest) | {"env": "this:Env-v0"})
    assert main(["evaluate", run_id, "--episodes", "2"]) == 1
    assert "'this:Env-v0', which imports code and does not belong to its run" in capsys.readouterr().err
    assert main([*arguments, "--device", "cuda"]) in {0, 1}
    if not torch.cuda.is_available():
        assert "CUDA is not available; use 'auto' or 'cpu'" in capsys.readouterr().err
