"""The commands about runs, on real workers: a sweep is queued, commanded, looked at and stopped as one."""

import json

import pytest

from tests.processes import kill_all
from tests.waiting import wait_for
from v3core.cli import main
from v3core.store.opening import open_database
from v3core.store.runs import list_runs


@pytest.fixture
def db(tmp_path, monkeypatch):
    """The store of the commands below; what still trains at the end is killed."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("V3_MAX_WORKERS", "1")
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    database = open_database()
    yield database
    database.close()
    kill_all(tmp_path)


@pytest.fixture
def command(db, capsys):
    """Give a command; returns what it printed. `command(…, fails="…")` expects that sentence."""

    def give(*arguments, fails=None):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        if fails is None:
            assert code == 0, err
            return out
        assert code != 0
        assert fails in err
        assert len(err.strip().splitlines()) == 1
        return err

    return give


@pytest.fixture
def sweep(command):
    """Two curricula by two seeds, of which one run trains and the others wait: their ids, as queued."""
    arguments = ("--env", "CartPole-v1", "--curricula", "v3,direct-sparsemax", "--seeds", "1-2", "--episodes", 5000)
    return command("sweep", *arguments, "--experiment", "Both").split()


def listed(command):
    return {run["id"]: run for run in json.loads(command("runs", "--json"))}


def test_a_sweep_is_commanded_and_stopped_as_one(db, command, sweep):
    runs = listed(command)
    assert [(runs[run]["curriculum"], runs[run]["seed"]) for run in sweep] == [
        ("v3", 1),
        ("direct-sparsemax", 1),
        ("v3", 2),
        ("direct-sparsemax", 2),
    ]
    assert {run["experiment"] for run in runs.values()} == {"Both"}
    first, last = sweep[0], sweep[-1]
    command("priority", last, 7)
    wait_for(lambda: listed(command)[first]["status"] == "running")
    command("pause", first[:8])
    wait_for(lambda: listed(command)[first]["status"] == "paused")
    command("checkpoint", first)
    command("continue", first)
    command("note", first, "--tags", "good, first", "--notes", "Why not?")

    def answered():
        shown = json.loads(command("show", first, "--json"))
        return all(row["applied_at"] for row in shown["commands"]) and shown

    shown = wait_for(answered)
    assert [row["kind"] for row in shown["commands"]] == ["pause", "checkpoint", "continue"]
    assert (shown["tags"], shown["notes"], shown["status"]) == ("good first", "Why not?", "running")
    assert {"queued", "starting", "running", "paused", "note"} <= {event["kind"] for event in shown["events"]}
    text = command("show", first)
    assert "pause             applied at episode" in text
    assert "New tags and notes." in text

    assert command("stop", "--experiment", "Both") == "4 runs of Both are stopping.\n"
    wait_for(lambda: {run["status"] for run in listed(command).values()} == {"stopped"})
    command("stop", first, fails="is already stopped; there is nothing to stop.")
    command("stop", "--experiment", "Both", fails="No run of experiment 'Both' is queued or active here")
    command("move", first, "2000,4000", fails="resume it with other boundaries")
    command("resume", first, "--boundaries", "0,4000", fails="it must be at least 1")
    command("resume", first, "--boundaries", "2000,4000")
    assert json.loads(command("show", first, "--json"))["status"] in {"queued", "starting"}
    assert "stopped" in command("stop", first)


def test_settings_are_set_for_every_run_of_a_sweep_and_for_training_here(db, command):
    chosen = ("--set", "ppo.epochs=2", "--set", "phases.warmup.load_balance=0.001", "--evaluate", 0)
    command("train", "--env", "CartPole-v1", "--episodes", 8, *chosen)
    both = ("--curricula", "v3,v3-entmax", "--seeds", "1-2", "--episodes", 5000)
    command("sweep", "--env", "CartPole-v1", *both, *chosen[:4])
    runs = list_runs(db)
    assert len(runs) == 5
    for run in runs:
        assert run.config.ppo.epochs == 2
        assert run.config.overrides["ppo.epochs"].recipe == 10
        assert run.config.curriculum.phases[0].load_balance == 0.001
        assert run.curriculum.endswith(" (edited)")
    (trained,) = [run for run in runs if run.status == "completed"]
    assert trained.config.overrides["evaluation.episodes"].value == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pause", "12"), "There is no run '12'"),
        (("continue", "12"), "There is no run '12'"),
        (("checkpoint", "12"), "There is no run '12'"),
        (("priority", "12", "3"), "There is no run '12'"),
        (("priority", "12", "high"), "'high' is not a valid integer"),
        (("note", "12"), "Nothing to change: give --tags, --add-tags, --remove-tags or --notes."),
        (("show", "12"), "There is no run '12'"),
        (("stop",), "Give either a run or --experiment."),
        (("stop", "12", "--experiment", "x"), "Give either a run or --experiment."),
        (("stop", "--experiment", "x"), "There is no experiment 'x'"),
        (("resume", "12", "--boundaries", "a"), "There is no run '12'"),
        (("sweep", "--env", "CartPoll-v1"), "CartPole-v1"),
        (("sweep", "--env", "CartPole-v1", "--seeds", "x"), "'x' is not a seed"),
        (("sweep", "--env", "CartPole-v1", "--curricula", "v3,nothing"), "nothing"),
        (("sweep", "--env", "CartPole-v1", "--priority", "5000"), "5000"),
        (("sweep", "--env", "CartPole-v1", "--set", "ppo.epoch=4"), "Did you mean ppo.epochs"),
        (("train", "--env", "CartPole-v1", "--set", "ppo.epochs=0"), "give a whole number from 1 to 100"),
        (("train", "--env", "CartPole-v1", "--set", "phases.warmup.lr=x"), "phases.warmup.lr: Learning rate 'x'"),
    ],
)
def test_each_mistake_gets_one_sentence_and_queues_nothing(db, command, arguments, sentence):
    command(*arguments, fails=sentence)
    assert list_runs(db) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("note", "a", "--notes", "\udcff"), "There is no run 'a'"),
        (("note", "\udcff", "--tags", "a"), "not valid UTF-8"),
        (("stop", "--experiment", "\udcff"), "not valid UTF-8"),
        (("sweep", "--env", "CartPole-v1", "--episodes", 5000, "--experiment", "\udcff"), "invalid UTF-8"),
        (
            ("sweep", "--env", "CartPole-v1", "--episodes", 5000, "--experiment", "a\nb"),
            "The name of the experiment contains a line break",
        ),
        (
            ("sweep", "--env", "CartPole-v1", "--episodes", 5000, "--experiment", "x" * 121),
            "The name of the experiment has 121 characters",
        ),
        (
            ("train", "--env", "CartPole-v1", "--episodes", 5000, "--name", "a\x1b[31m"),
            "The name of the run contains a line break",
        ),
        (
            ("train", "--env", "CartPole-v1", "--episodes", 5000, "--name", "x" * 121),
            "The name of the run has 121 characters",
        ),
    ],
)
def test_texts_that_no_list_can_show_are_refused_and_nothing_is_queued(command, arguments, sentence):
    command(*arguments, fails=sentence)
    assert listed(command) == {}


def test_a_base_value_that_a_curriculum_does_not_use_is_warned_of(db, capsys):
    curricula = ("sweep", "--env", "CartPole-v1", "--curricula", "v3", "--seeds", "1-2")
    assert main([*curricula, "--set", "base.load_balance=0.05", "--set", "base.lr=1e-3", "--set", "ppo.epochs=4"]) == 0
    sentences = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Warning")]
    assert sentences == [
        "Warning: base.load_balance has no effect in warmup, transition, fine-tune, where curriculum 'v3' sets "
        "load_balance itself; to change it there, set phases.warmup.load_balance."
    ]


def test_a_setting_of_the_memory_of_a_policy_without_one_is_warned_of(db, capsys):
    start = ("sweep", "--env", "CartPole-v1", "--curricula", "v3", "--seeds", "1", "--set", "ppo.sequence_steps=16")
    assert main([*start, "--set", "policy.memory=gru"]) == 0
    assert "sequence_steps" not in capsys.readouterr().err
    assert main([*start]) == 0
    assert "ppo.sequence_steps has no effect without memory; to have one, set policy.memory to gru." in (
        capsys.readouterr().err
    )


def test_notes_and_tags_that_are_not_utf8_change_nothing(command, sweep):
    for option in ("--notes", "--tags"):
        command("note", sweep[0], option, "\udcff", fails="A text is not valid UTF-8; enter it again.")
    run = listed(command)[sweep[0]]
    assert (run["notes"], run["tags"]) == (None, None)


def test_the_demo_is_queued_in_the_background_once(db, command, capsys):
    ids = command("demo").split()
    runs = listed(command)
    assert [(runs[run]["name"], runs[run]["experiment"]) for run in ids] == [
        ("With curriculum · CartPole-v1 · seed 1", "Demo"),
        ("Without curriculum · CartPole-v1 · seed 1", "Demo"),
    ]
    assert main(["demo", "--port", "8777"]) == 0
    assert "http://127.0.0.1:8777/compare?experiment=Demo" in capsys.readouterr().err
    again = json.loads(command("demo", "--json"))
    assert [run["id"] for run in again["runs"]] == ids, "nothing is queued while they are unfinished"
    assert again["compare"] == "/compare?experiment=Demo&metric=Dead+experts"
    wait_for(lambda: listed(command)[ids[0]]["status"] == "running")
    command("stop", "--experiment", "Demo")
    wait_for(lambda: {run["status"] for run in listed(command).values()} == {"stopped"})
    anew = json.loads(command("demo", "--json"))
    assert anew["experiment"] == "Demo (2)"
    assert not {run["id"] for run in anew["runs"]} & {*ids}
