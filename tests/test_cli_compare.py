"""`compare EXPERIMENT`: the verdict in words, and as strict JSON."""

import json
import re

import pytest
from sqlalchemy import update

from tests.comparison.made import WITH_FACTS, made_groups, made_run, with_words
from v3core.cli import main
from v3core.store.schema import runs


@pytest.fixture
def experiment(db):
    """Two curricula with six seeds each, one of them failed."""
    made_groups(db, {"direct": [100.0, 110, 120, 105, 115, 112], "v3": [400.0, 410, 420, 405, 415]})
    made_run(db, seed=6, status="failed", returns=[1.0] * 3)
    with db.write() as tx:
        tx.execute(update(runs).values(experiment="which"))
    return "which"


def v3(capsys, *arguments):
    """Run a command; returns its exit code, output and errors."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_verdict_is_first_and_the_failed_run_is_said(capsys, experiment):
    code, out, err = v3(capsys, "compare", experiment)
    assert (code, err) == (0, "")
    assert out.startswith("v3 ends 300 above direct in mean return of evaluations (95 % interval ")
    assert "Note: 1 of 6 runs of v3 is not counted: v3 6 failed at episode 3." in out
    assert "v3 − direct in CartPole-v1: " in out
    assert out == v3(capsys, "compare", experiment)[1], "the same numbers twice"


def test_each_task_of_runs_on_several_environments_has_a_line(capsys, db):
    many = {"env": "CartPole-v0 + CartPole-v1", "returns": [1.0] * 10}
    for seed in (1, 2):
        made_run(db, seed=seed, solved={"CartPole-v0": 1.0, "CartPole-v1": 0.25 * seed}, **many)
    with db.write() as tx:
        tx.execute(update(runs).values(experiment="several"))
    code, out, err = v3(capsys, "compare", "several", "--metric", "return")
    assert (code, err) == (0, "")
    _, after = out.split("Task by task, means over the runs that count, of the newest episodes of the phase")
    titles, one, other = [re.split("  +", line) for line in after.splitlines()[1:4]]
    assert titles == ["Group", "Task", "Runs", "Return", "Success", "Lowest success"]
    assert one == ["v3", "CartPole-v0", "2", "1", "100%", "100%"]
    assert other == ["v3", "CartPole-v1", "2", "1", "38%", "25%"]
    tasks = strictly(v3(capsys, "compare", "several", "--metric", "return", "--json")[1])["tasks"]
    assert [(task["task"], task["success"], task["evaluated_success"]) for task in tasks] == [
        ("CartPole-v0", 1.0, None),
        ("CartPole-v1", 0.375, None),
    ]


def test_facts_and_situations_have_a_line_for_each_group(capsys, db):
    for seed in (1, 2):
        run = made_run(db, seed=seed, returns=[1.0] * 10, recipe=WITH_FACTS)
        situations = {"hungry": [4, 0.0, 1.0], "none of these": [6, 0.5, 0.5]}
        with_words(db, run, [{"score": 10 * seed, "cause": "a newt"}] * 10, situations)
    with db.write() as tx:
        tx.execute(update(runs).values(experiment="games"))
    code, out, err = v3(capsys, "compare", "games", "--metric", "return")
    assert (code, err) == (0, "")
    facts = out[out.index("Facts of episodes. Means of numbers, and the most frequent of words, over") :].splitlines()
    assert [re.split("  +", line) for line in facts[1:3]] == [
        ["Group", "score", "cause"],
        ["v3", "15", "a newt (100%)"],
    ]
    situations = out[out.index("Routing by situation, means over the runs that count, of") :].splitlines()
    assert re.split("  +", situations[2])[:5] == ["v3", "hungry", "2", "40%", "1"]
    found = strictly(v3(capsys, "compare", "games", "--metric", "return", "--json")[1])
    assert [(one["fact"], one["mean"], one["word"]) for one in found["facts"]] == [
        ("score", 15, None),
        ("cause", None, "a newt"),
    ]
    assert [one["situation"] for one in found["situations"]] == ["hungry", "none of these"]


def test_a_run_shows_its_facts_and_situations(capsys, db):
    run = made_run(db, returns=[1.0] * 10, recipe=WITH_FACTS)
    with_words(db, run, [{"score": 10, "cause": "a newt"}] * 10, {"hungry": [4, 0.0, 1.0]})
    code, out, err = v3(capsys, "show", run.id)
    assert (code, err) == (0, "")
    assert "Facts of episodes, of the newest 10 episodes of phase 'late':" in out
    assert [re.split("  +", line) for line in out.splitlines() if line.startswith(("score", "cause", "hungry"))] == [
        ["score", "10", "10", "10", "–", "10"],
        ["cause", "–", "–", "–", "a newt (100%)", "10"],
        ["hungry", "40%", "40", "0%", "100%"],
    ]
    found = strictly(v3(capsys, "show", run.id, "--json")[1])
    assert [(one["name"], one["mean"], one["words"]) for one in found["facts"]] == [
        ("score", 10, {}),
        ("cause", None, {"a newt": 10}),
    ]
    assert [(one["name"], one["steps"], one["loads"]) for one in found["situations"]] == [("hungry", 40, [0.0, 1.0])]
    assert found["newest"] == {"phase": "late", "after": 0, "last": 10}


def test_runs_on_one_environment_have_no_tasks_and_most_no_facts(capsys, experiment):
    out = v3(capsys, "compare", experiment)[1]
    assert not [title for title in ("Task by task", "Facts of episodes", "Routing by situation") if title in out]
    assert not {"tasks", "facts", "situations"} & {*strictly(v3(capsys, "compare", experiment, "--json")[1])}


def strictly(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_is_strict_and_has_the_same_numbers(capsys, experiment):
    code, out, _ = v3(capsys, "compare", experiment, "--json")
    assert code == 0
    found = strictly(out)
    assert found["experiment"] == "which"
    assert found["verdict"][0].startswith("v3 ends 300 above direct")
    assert [(group["name"], group["final"]["n"], group["failed"]) for group in found["groups"]] == [
        ("direct", 6, 0),
        ("v3", 5, 1),
    ]
    assert found["groups"][1]["runs"][5]["final"] is None
    assert found["pairs"][0]["is_decided"] is True
    assert found["groups"][0]["steps_to"]["value"] == "Infinity", "CartPole's threshold of 475 was not reached"


def test_runs_can_be_grouped_by_another_setting_and_compared_at_a_step(capsys, experiment):
    out = v3(capsys, "compare", experiment, "--by", "seed-like")[2]
    assert out.startswith("No run has a setting 'seed-like'.")
    code, out, _ = v3(
        capsys, "compare", experiment, "--metric", "return", "--until", "30", "--threshold", "50", "--json"
    )
    assert code == 0
    found = strictly(out)
    assert [group["final"]["n"] for group in found["groups"]] == [6, 6], "the failed run reached step 30"


def test_what_is_not_there_is_one_sentence(capsys, experiment):
    assert v3(capsys, "compare", "another")[::2] == (
        1,
        "There is no experiment 'another'; `experiments` lists them.\n",
    )
    code, _, err = v3(capsys, "compare", experiment, "--metric", "retrun")
    assert (code, err) == (1, "There is no metric 'retrun'. Did you mean return or mean_return?\n")


def test_bounds_compare_environments_together(capsys, db, experiment):
    code, out, _ = v3(capsys, "compare", experiment, "--bounds", "CartPole-v1=0,500")
    assert code == 0
    assert "Normalised scores over CartPole-v1:\n  direct: interquartile mean 0.22" in out
    assert "  the chance that a run of the first ends above one of the second, direct > v3: 0 (0 to 0)\n" in out
    assert v3(capsys, "compare", experiment, "--bounds", "CartPole-v1")[2] == (
        "'CartPole-v1' gives no bounds; write the lowest and the highest value, as in CartPole-v1=0,500.\n"
    )


def test_steps_to_a_threshold_that_were_not_reached_are_words(capsys, db):
    for name, late in (("all", 0), ("half", 3), ("one", 5)):
        for seed in range(1, 7):
            made_run(db, curriculum=name, seed=seed, returns=[500.0 if seed > late else 1.0] * 20)
    made_run(db, curriculum="none", status="failed", returns=[1.0] * 3)
    with db.write() as tx:
        tx.execute(update(runs).values(experiment="slow"))
    code, out, _ = v3(capsys, "compare", "slow", "--metric", "return")
    assert code == 0
    assert "6 of 6 runs reach 475, steps to it: 100 (100 to 100)\n" in out
    assert "3 of 6 runs reach 475, steps to it: not reached (" in out
    assert "1 of 6 runs reach 475, steps to it: not reached (" in out
    assert " inf" not in out
    assert "nan" not in out


def test_runs_are_grouped_by_what_varies_unless_it_is_said(capsys, db):
    for value in (0.01, 0.1):
        for seed in (1, 2, 3):
            made_run(db, seed=seed, load_balance=value, returns=[100 * value] * 10)
    with db.write() as tx:
        tx.execute(update(runs).values(experiment="sweep"))
    names = [group["name"] for group in strictly(v3(capsys, "compare", "sweep", "--json")[1])["groups"]]
    assert names == ["v3 · load_balance=0.01", "v3 · load_balance=0.1"]
    together = strictly(v3(capsys, "compare", "sweep", "--by", "curriculum", "--json")[1])["groups"]
    assert [group["name"] for group in together] == ["v3"]


def test_the_run_with_the_most_dead_experts_is_beside_the_mean_of_its_group(capsys, db):
    for seed, dead in enumerate([0] * 8 + [9] * 2, 1):
        made_run(db, seed=seed, returns=[1.0] * 10, dead_experts=[dead] * 10)
    with db.write() as tx:
        tx.execute(update(runs).values(experiment="seeds"))
    code, out, err = v3(capsys, "compare", "seeds", "--metric", "recent_dead_experts")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("v3  ")]
    assert line.endswith("; most in a run: 9")
    (group,) = strictly(v3(capsys, "compare", "seeds", "--metric", "recent_dead_experts", "--json")[1])["groups"]
    assert (group["final"]["value"], group["worst"]) == (0, 9)
