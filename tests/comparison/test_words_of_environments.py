"""Facts and situations of episodes, by run and by group: what Compare, reports and the command line show."""

import math

import pytest

from tests.comparison.made import WITH_FACTS, made_run, with_words
from v3core.comparison import compare
from v3core.comparison.fact_rows import group_fact_rows, group_facts, run_fact_rows
from v3core.comparison.run_newest import read_run_newest
from v3core.comparison.situation_rows import group_situation_rows, group_situations, run_situation_rows
from v3core.store.database import Database

RETURNS = [1.0] * 20
"""Of the phase `late`, but for the first ten: only the last ten episodes are looked at."""


def played(db: Database, scores: list[float], causes: list[str], **more):
    run = made_run(db, returns=RETURNS, early=10, recipe=WITH_FACTS, **more)
    before = [{"score": 1000, "cause": "of the phase before"}] * 10
    with_words(db, run, [*before, *({"score": s, "cause": c} for s, c in zip(scores, causes, strict=True))])
    return run


def test_a_group_counts_each_run_alike(db: Database) -> None:
    runs = [
        played(db, [10.0] * 10, ["a newt"] * 10, seed=1),
        played(db, [20.0] * 10, ["a jackal"] * 6 + ["a newt"] * 4, seed=2),
        played(db, [99.0] * 10, ["hunger"] * 10, seed=3, status="failed"),
        made_run(db, seed=4, returns=RETURNS),
    ]
    score, cause = group_facts(db, runs, compare(db, runs, metric="return"))
    assert (score.group, score.fact, score.runs, score.mean, score.lowest, score.highest) == (
        "v3",
        "score",
        2,
        15,
        10,
        20,
    )
    assert (score.word, math.isnan(score.share)) == (None, True)
    assert (cause.fact, cause.word, cause.share) == ("cause", "a newt", pytest.approx(0.7))
    assert math.isnan(cause.mean)
    assert group_fact_rows([score, cause]) == [{"Group": "v3", "score": "15", "cause": "a newt (70%)"}]
    names = [run.name for run in runs]
    assert [row["Run"] for row in run_fact_rows(db, runs, names)] == names[:3], "a run that records none has no row"
    assert run_fact_rows(db, runs, names)[1] == {"Run": "v3 2", "score": "20", "cause": "a jackal (60%)"}


def test_a_comparison_up_to_a_step_is_of_the_episodes_before_it(db: Database) -> None:
    runs = [played(db, [*([10.0] * 5), *([90.0] * 5)], ["x"] * 10, seed=seed) for seed in (1, 2)]
    (score, _) = group_facts(db, runs, compare(db, runs, metric="return", until=150))
    assert score.mean == 10


def test_situations_of_a_group_have_no_expert_by_number(db: Database) -> None:
    runs = [made_run(db, seed=seed, returns=RETURNS) for seed in (1, 2, 3)]
    for run, loads in zip(runs, ([1, 0], [0, 1]), strict=False):
        with_words(db, run, situations={"none of these": [6, 0.5, 0.5], "hungry": [4, *loads]})
    found = group_situations(db, runs, compare(db, runs, metric="return"))
    assert [(one.situation, one.runs, one.share) for one in found] == [("hungry", 2, 0.4), ("none of these", 2, 0.6)]
    assert [one.effective_experts for one in found] == pytest.approx([1, 2]), "though they use different experts"
    assert found[0].distance > 0.4
    (hungry, _) = group_situation_rows(found)
    assert [*hungry] == ["Group", "Situation", "Runs", "Share of steps", "Effective experts", "Distance"]
    rows = run_situation_rows(db, runs, ["a", "b", "c"])
    assert [(row["Run"], row["Situation"], row["Expert 1"]) for row in rows] == [
        *(("a", "hungry", 1.0), ("a", "none of these", 0.5)),
        *(("b", "hungry", 0.0), ("b", "none of these", 0.5)),
    ]


def test_a_run_shows_those_of_its_phase_in_force(db: Database) -> None:
    newest = read_run_newest(db, played(db, [5.0] * 10, ["x"] * 10))
    assert (newest.window.phase, newest.window.count) == ("late", 10)
    assert [(one["name"], one["words"]) for one in newest.to_dict()["facts"]] == [("score", {}), ("cause", {"x": 10})]
    assert newest.situations == []
