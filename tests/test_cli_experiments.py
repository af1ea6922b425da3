"""Experiments from the shell: what a grid costs, what it starts, and what is asked before many runs start."""

import json

import pytest

from v3core.cli import main
from v3core.jobs.experiments import progress_of
from v3core.store.opening import open_database

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
