"""A run on several environments through every command that reads one, really trained."""

import json

import pandas as pd
import pytest

import v3core
from v3core.cli import main

TWO = "CartPole-v0+CartPole-v1"
NAMES = ["CartPole-v0", "CartPole-v1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The id of a run, and its data folder."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        patch.setenv("V3_DATA_DIR", str(folder))
        patch.delenv("V3_DATABASE_URL", raising=False)
        length = ["--curriculum", "direct-sparsemax", "--episodes", "30", "--evaluate", "2"]
        assert main(["train", "--env", TWO, *length, "--set", "evaluation.knockout=2"]) == 0
        yield v3core.runs()["id"][0], folder


@pytest.fixture
def v3(trained, monkeypatch, capsys):
    """Run a command on the store with that run; returns its exit code, output and errors."""
    monkeypatch.setenv("V3_DATA_DIR", str(trained[1]))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_its_episodes_and_evaluations_name_their_tasks(v3, trained):
    run_id, _ = trained
    row = v3core.runs().iloc[0]
    assert (row["env"], row["status"]) == ("CartPole-v0 + CartPole-v1", "completed")
    assert set(v3core.episodes(run_id)["task"]) == set(NAMES)
    evaluated = v3core.evaluations(run_id)
    assert evaluated["task"].tolist() == NAMES * 2  # two of each, which take turns
    assert set(evaluated["env"]) == {"CartPole-v0 + CartPole-v1"}


def test_it_is_filtered_by_each_of_its_environments(v3):
    for wanted in ("env:CartPole-v0", "env:CartPole-v1", 'env:"CartPole-v0 + CartPole-v1"'):
        assert len(json.loads(v3("runs", "--json", "--filter", wanted)[1])) == 1, wanted
    assert json.loads(v3("runs", "--json", "--filter", "env:Acrobot")[1]) == []


def test_it_is_evaluated_with_figures_for_each_task(v3, trained):
    code, out, _ = v3("evaluate", trained[0], "--episodes", 3)
    assert code == 0
    first, *tasks = out.splitlines()
    assert first.startswith("6 episodes of CartPole-v0 + CartPole-v1 after 30 of training: mean return ")
    assert [line.split(":")[0].strip() for line in tasks] == NAMES
    result = json.loads(v3("evaluate", trained[0], "--episodes", 3, "--json")[1])
    assert result["tasks"] == NAMES * 3
    assert len(result["returns"]) == 6


def test_its_replays_go_as_they_were_recorded(v3, trained, tmp_path):
    code, out, _ = v3("replay", trained[0], "--to", tmp_path / "steps.csv")
    assert (code, "steps of the median episode" in out) == (0, True)
    pytest.importorskip("pygame")
    code, out, err = v3("replay", trained[0], "--to", tmp_path / "frames.gif")
    assert code == 0, err  # its frames are drawn only if it goes the same when it is played again


def test_experts_are_removed_over_all_tasks(v3, trained):
    code, out, err = v3("knockout", trained[0], "--episodes", 2)
    assert code == 0, err
    assert "1" in out


def test_it_is_archived_and_imported(v3, trained, tmp_path):
    assert v3("archive", trained[0], "--to", tmp_path / "run.v3run")[0] == 0
    code, out, err = v3("import", tmp_path / "run.v3run", "--as-new")
    assert code == 0, err
    imported = out.split()[-1].strip(".")
    found = next(run for run in v3core.runs()["id"] if run != trained[0])
    assert imported
    pd.testing.assert_frame_equal(
        v3core.episodes(found).drop(columns="run_id"), v3core.episodes(trained[0]).drop(columns="run_id")
    )
    assert v3("delete", found)[0] == 0


def test_a_policy_of_it_acts_in_each_of_its_environments(v3, trained):
    checkpoint = json.loads(v3("runs", "--json")[1])[0]["checkpoint"]
    policy = v3core.load_policy(checkpoint)
    assert policy.tasks == tuple(NAMES)
    env = v3core.environments.make_environment(policy.spec.environment)
    observation, _ = env.reset(seed=1)
    assert policy(observation) in {0, 1}
    played = policy.evaluate(2)
    assert [episode.task for episode in played] == NAMES * 2


def test_its_graph_and_its_environments_are_described(v3):
    code, out, _ = v3("graph", TWO)
    assert code == 0
    assert "'task': one of CartPole-v0, CartPole-v1; one node" in out
    code, out, err = v3("doctor", "--env", TWO)
    assert code == 0, err
    assert "ok       CartPole-v0 + CartPole-v1: can be created" in out


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ("CartPole-v1+Acrobot-v1", "Acrobot-v1 and CartPole-v1 cannot be trained on at once"),
        ("CartPole-v1+CartPole-v1", "Environment CartPole-v1 is named twice"),
        ("CartPole-v1+", "has a + without an environment beside it"),
        ("+".join(f"CartPole-v1(max_episode_steps={n})" for n in range(10, 50)), "40 environments are too many"),
    ],
)
@pytest.mark.parametrize("command", [("train", "--episodes", 20), ("sweep", "--curricula", "v3", "--episodes", 20)])
def test_bad_input_is_refused_in_one_sentence(v3, command, env, sentence):
    name, *more = command
    code, out, err = v3(name, "--env", env, *more)
    assert code == 1
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err
