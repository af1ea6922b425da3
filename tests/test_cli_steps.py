"""Lengths in environment steps on the command line."""

import json
import re

import pytest

from tests.test_cli_experiments import command, db  # noqa: F401
from v3core.jobs.lifecycle import Status
from v3core.store.commands import read_commands
from v3core.store.runs import get_run, list_runs

CARTPOLE = ("--env", "CartPole-v1")
TINY = tuple(
    part
    for setting in (
        "ppo.environments=4",
        "ppo.rollout_steps=32",
        "ppo.minibatch=64",
        "ppo.epochs=1",
        "policy.width=4",
        "policy.heads=1",
        "evaluation.episodes=2",
    )
    for part in ("--set", setting)
)


def test_train_takes_exactly_so_many_steps_and_says_what_it_rounded(db, command):  # noqa: F811
    out, err = command("train", *CARTPOLE, "--curriculum", "v3", "--steps", 4001, *TINY)
    run = get_run(db, out.strip())
    assert (run.status, run.step, run.steps) == (Status.COMPLETED, 4004, 4004)
    assert "Steps rounded up to 4,004, because the environments are stepped together." in err
    assert "Phases of v3 end at episodes 1000, 3000; a run whose 4,004 steps are used before that" in err
    assert "4004/4004" in err
    assert re.search(r"mean return, last \d+ in phase=", err)
    out, _ = command("runs")
    assert "4004/4004 steps" in out
    out, _ = command("show", run.id)
    assert "completed, 4,004 of 4,004 steps" in out
    assert "Queued: 4,004 steps of CartPole-v1" in out


def test_scale_lets_phases_end_at_the_same_parts_of_the_steps(db, command):  # noqa: F811
    _, err = command(
        "sweep", *CARTPOLE, "--curricula", "v3,direct-sparsemax", "--seeds", "1-2", "--steps", 80_000, "--scale"
    )
    assert "Boundaries of v3 scaled to 80,000 steps: step 20000, step 60000." in err
    assert "4 runs · 320,000 environment steps." in err
    runs = list_runs(db)
    assert {(run.steps, run.config.curriculum.phases[0].until.step) for run in runs} == {(80_000, 20_000)}
    (found,) = json.loads(command("experiments", "--json")[0])
    assert (found["episodes"], found["steps"], found["launches"][0]["steps"]) == (None, 320_000, 80_000)
    out, _ = command("experiment", found["name"])
    assert "0 of 320,000 steps." in out


def test_a_preset_that_cannot_fit_is_scaled_by_itself(db, command):  # noqa: F811
    command("sweep", *CARTPOLE, "--steps", 2048)
    (run,) = list_runs(db)
    assert [phase.until.step for phase in run.config.curriculum.phases[:2]] == [512, 1536]


def test_a_run_that_waits_is_extended_by_steps(db, command):  # noqa: F811
    run_id = command("sweep", *CARTPOLE, "--steps", 20_000)[0].strip()
    command(
        "extend", run_id, "--episodes", 900, fails="is planned for 20,000 steps, not by episodes; give its new length"
    )
    command("extend", run_id, fails="The new length is missing; give steps")
    command("extend", run_id, "--steps", 40_001)
    run = get_run(db, run_id)
    assert (run.steps, run.config.steps, run.length.is_by_steps) == (40_008, 40_008, True)
    (asked,) = read_commands(db, run_id)
    assert (asked.value, asked.applied_episode) == ("40001 steps", 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--steps", 0), "A run cannot have 0 environment steps; choose 1 or more."),
        (("--steps", 500), "A budget of 500 environment steps is less than one rollout"),
        (("--steps", 10**12), "1,000,000,000,000 environment steps are too many; choose at most 10,000,000,000."),
        (("--steps", 5000, "--episodes", 0), "A run cannot have 0 episodes; choose 1 or more."),
    ],
)
@pytest.mark.parametrize("name", ["train", "sweep"])
def test_what_makes_no_sense_is_refused_in_one_sentence(db, command, name, options, sentence):  # noqa: F811
    _, err = command(name, *CARTPOLE, *options, fails=sentence)
    assert len(re.findall("[.] |[.]$", err.strip())) == 1, err
    assert list_runs(db) == []
