"""Experiments from the shell: what a grid costs, what it starts, and what is asked before many runs start."""

import json
from datetime import UTC, datetime

import pytest

from v3core.cli import main
from v3core.jobs.experiments import progress_of
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.runs import update_run

CARTPOLE = ("--env", "CartPole-v1", "--episodes", "40")


@pytest.fixture
def db(tmp_path, monkeypatch):
    """The store of the commands below, in which no run starts."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    for module in ("launcher", "control", "supervisor"):
        monkeypatch.setattr(f"v3core.jobs.{module}.drain", lambda *_, **__: [])
    database = open_database()
    yield database
    database.close()


@pytest.fixture
def command(db, capsys):
    """Give a command; returns what it printed on both streams. `command(…, fails="…")` expects that sentence."""

    def give(*arguments, fails=None):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        if fails is None:
            assert code == 0, err
            return out, err
        assert code != 0
        assert fails in err.strip().splitlines()[-1]
        return out, err

    return give


def runs_of(command):
    return json.loads(command("runs", "--json")[0])


def test_a_sweep_is_a_grid_and_says_first_what_it_costs(db, command):
    swept = ("--set", "phases.transition.load_balance=0.001,0.01", "--set", "ppo.epochs=3", "--seeds", "1-2")
    out, err = command("sweep", *CARTPOLE, "--env", "Acrobot-v1", *swept, "--experiment", "Balance")
    assert len(out.split()) == 8
    assert "8 runs · 320 episodes. Time unknown: no earlier run of CartPole-v1 or Acrobot-v1" in err
    assert "Boundaries of v3 scaled to 40 episodes: 10, 30." in err
    runs = progress_of(db, "Balance").runs
    assert [run.id for run in runs] == out.split()
    assert [(run.env, run.seed, run.config.curriculum.phases[1].load_balance) for run in runs] == [
        (env, seed, value) for seed in (1, 2) for env in ("CartPole-v1", "Acrobot-v1") for value in (0.001, 0.01)
    ]
    assert {run.config.ppo.epochs for run in runs} == {3}


def test_what_a_grid_costs_can_be_asked_without_starting_it(command):
    out, err = command("sweep", *CARTPOLE, "--seeds", "1-3", "--dry-run")
    assert (out, runs_of(command)) == ("", [])
    assert "3 runs · 120 episodes." in err


def test_a_grid_of_ten_thousand_runs_asks_first(command):
    tenths = ",".join(f"0.{number:02}" for number in range(1, 11))
    epochs = ",".join(map(str, range(1, 11)))
    many = ("--seeds", "1-100", "--set", f"ppo.gae_lambda={tenths}", "--set", f"ppo.epochs={epochs}")
    _, err = command("sweep", *CARTPOLE, *many, fails="The grid has 10,000 runs. Nothing is started; add --yes")
    assert "10,000 runs · 400,000 episodes." in err
    command("sweep", *CARTPOLE, "--curricula", "v3,v3-entmax", *many, "--yes", fails="20,000 runs; at most 10,000")
    assert runs_of(command) == []
    out, _ = command("sweep", *CARTPOLE, "--seeds", "1-51", "--set", "ppo.epochs=1,2", "--yes")
    assert len(out.split()) == len(runs_of(command)) == 102


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--set", "phases.transitoin.lr=1,2"), "Did you mean transition?"),
        (("--set", "phase.transition.lr=1,2"), "Did you mean phases.transition.lr"),
        (("--set", "ppo.epochs=1,many"), "is 'many'"),
        (("--set", "ppo.gamma=0.9,0.90"), "twice with the same settings"),
        (("--env", "CartPoll-v1"), "CartPole-v1"),
        (("--curricula", "v3,v3"), "twice with the same settings"),
    ],
)
def test_a_grid_that_cannot_be_starts_nothing(command, arguments, sentence):
    command("sweep", *CARTPOLE, *arguments, fails=sentence)
    assert runs_of(command) == []


@pytest.fixture
def both(command):
    """Two curricula by two seeds, queued as the experiment `Both`: their ids."""
    grid = ("--curricula", "v3,v3-entmax", "--seeds", "1-2", "--experiment", "Both")
    return command("sweep", *CARTPOLE, *grid)[0].split()


def end(db, run_id, status, **values):
    with db.write() as tx:
        update_run(tx, run_id, {"status": status, "ended_at": datetime.now(UTC), **values}, only_in=tuple(Status))


def test_experiments_are_listed_and_shown(db, command, both):
    listed, _ = command("experiments")
    assert "0%  Both  (4 runs: 4 queued)" in listed
    (entry,) = json.loads(command("experiments", "--json")[0])
    assert (entry["name"], entry["runs"], entry["statuses"], entry["is_over"]) == ("Both", 4, {"queued": 4}, False)
    end(db, both[0], Status.FAILED, reason="The environment broke.")
    shown, _ = command("experiment", "Both")
    assert "Both: 4 runs: 3 queued, 1 failed, 0 of 160 episodes." in shown
    assert "The environment broke." in shown
    assert "v3: Return" in shown
    assert "; mean return so far, each in its phase, unknown of 0 runs." in shown
    as_json = json.loads(command("experiment", "Both", "--json")[0])
    assert [run["id"] for run in as_json["failed"]] == both[:1]
    assert [group["name"] for group in as_json["statistics"]["groups"]] == ["v3", "v3-entmax"]
    command("experiment", "both", fails="Did you mean Both?")


def test_an_experiment_gets_more_seeds_after_their_cost_was_said(db, command, both):
    out, err = command("experiment", "Both", "--add-seeds", "3")
    assert len(out.split()) == 6
    assert "6 runs · 240 episodes." in err
    assert sorted({run.seed for run in progress_of(db, "Both").runs}) == [1, 2, 3, 4, 5]
    command("experiment", "Both", "--add-seeds", "60", fails="add --yes to start them")
    assert len(progress_of(db, "Both").runs) == 10


def test_an_experiment_is_stopped_and_resumed_as_one(db, command, both):
    assert command("experiment", "Both", "--stop")[0] == "Stopping 4 runs.\n"
    command("experiment", "Both", "--stop", fails="nothing to stop")
    command("experiment", "Both", "--resume-failed", fails="No run of experiment 'Both' is failed or lost")
    end(db, both[1], Status.FAILED)
    assert command("experiment", "Both", "--resume-failed")[0] == "Resuming 1 run.\n"
    assert command("experiment", "Both", "--resume-stopped")[0] == "Resuming 3 runs.\n"
    assert progress_of(db, "Both").counts == {"queued": 4}
    command("experiment", "Both", "--stop", "--add-seeds", 2, fails="at a time")


def test_all_runs_of_an_experiment_are_archived_with_its_record(db, command, both, tmp_path):
    target = tmp_path / "archives"
    assert command("experiment", "Both", "--archive", target)[0] == f"4 runs written to {target}.\n"
    record = json.loads((target / "experiment.json").read_text())
    assert set(record["archives"]) == set(both)
    assert {file.name for file in target.iterdir()} == {*record["archives"].values(), "experiment.json"}
    assert record["launches"][0]["curricula"] == ["v3", "v3-entmax"]
    command("experiment", "Both", "--archive", target, fails="already exists")
    for run_id in both:
        command("delete", run_id)
    command("import", target / record["archives"][both[0]])
    assert [run.id for run in progress_of(db, "Both").runs] == both[:1]
