import json
import math
from dataclasses import replace

import pytest
from sqlalchemy import update

from tests.comparison.made import START, STEPS, made_groups, made_run, with_epochs
from tests.runs import TINY
from v3core.comparison import compare
from v3core.comparison.across import parse_bounds
from v3core.comparison.launched import timelines_picture
from v3core.comparison.looking import Grouping
from v3core.comparison.pictures import curve_pictures, final_pictures
from v3core.comparison.tables import PAIR_HELP, group_rows, pair_rows
from v3core.config import EvaluationConfig
from v3core.curriculum import parse
from v3core.errors import V3Error
from v3core.insight.profiles import Bounds
from v3core.metrics import KNOCKOUT
from v3core.store.commands import add_revision
from v3core.store.database import Database
from v3core.store.expert_records import ALL_EXPERTS, add_knockouts
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs
from v3core.store.schema import runs as run_table

LOW, HIGH = [100.0, 110, 120, 105, 115], [400.0, 410, 420, 405, 415]


def rising(steps: int) -> list[float]:
    """Returns that reach 500 after as many episodes."""
    return [500.0 if number >= steps else 10.0 for number in range(60)]


def test_two_groups_with_five_seeds_each_have_a_verdict(db: Database) -> None:
    found = compare(db, made_groups(db, {"direct": LOW, "v3": HIGH}))
    assert [group.final.value for group in found.groups] == [110, 410]
    pair = found.pairs[0]
    assert (pair.first, pair.second, pair.seeds_match) == ("v3", "direct", True)
    assert pair.improvement.value == 1
    assert pair.paired is not None
    assert (pair.paired.value, pair.paired.n) == (300, 5)
    assert json.loads(json.dumps(found.to_dict()))["groups"][0]["final"]["confidence"] == "interval"
    assert found.to_dict() == compare(db, list_runs(db)).to_dict()


def test_five_seeds_each_can_be_decided_though_five_signs_cannot(db: Database) -> None:
    """With five pairs the smallest p of a sign flip is 1/16."""
    found = compare(db, made_groups(db, {"direct": LOW, "v3": HIGH}))
    assert found.pairs[0].paired_p == pytest.approx(1 / 16)
    assert found.pairs[0].permutation == pytest.approx(2 / math.comb(10, 5))
    assert found.verdict[0].startswith("v3 ends 300 above direct")


def test_a_difference_that_is_large_in_ten_seeds_is_decided(db: Database) -> None:
    found = compare(db, made_groups(db, {"direct": LOW + LOW, "v3": HIGH + HIGH}))
    assert found.pairs[0].is_decided
    assert found.verdict[0].startswith("v3 ends 300 above direct in mean return of evaluations (95 % interval ")
    assert found.verdict[0].endswith(", 10 seeds each).")


def test_fewer_steps_to_the_threshold_are_the_headline(db: Database) -> None:
    runs = []
    for seed in range(1, 11):
        runs.append(made_run(db, curriculum="v3", seed=seed, returns=rising(20 + seed % 3)))
        runs.append(made_run(db, curriculum="direct", seed=seed, returns=rising(30 + seed % 3)))
    found = compare(db, runs, metric="return", threshold=450)
    assert found.verdict[0].startswith("v3 reaches 450 in ")
    assert " % fewer steps than direct (95 % interval " in found.verdict[0]
    assert found.verdict[0].endswith(", 10 seeds each).")
    assert [group.reached for group in found.groups] == [10, 10]
    reverse = compare(db, runs[::-1], metric="return", threshold=450)
    assert reverse.verdict == found.verdict
    assert compare(db, runs, metric="return").thresholds == {"CartPole-v1": 475}, "the environment's own"
    assert compare(db, runs, metric="specialisation").thresholds == {}


def test_the_slower_group_may_end_higher_and_the_percentage_is_of_the_other(db: Database) -> None:
    runs = []
    for seed in range(1, 11):
        late = [501.0 + seed / 10] * 60
        runs.append(made_run(db, curriculum="a", seed=seed, returns=rising(40)[:-20] + late[:20]))
        runs.append(made_run(db, curriculum="b", seed=seed, returns=rising(20)))
    found = compare(db, runs, metric="return", threshold=450)
    assert found.pairs[0].first == "a"
    assert found.verdict[0].startswith("b reaches 450 in ")
    percent = float(found.verdict[0].split(" in ")[1].split(" %")[0])
    assert 0 < percent < 100
    assert ". a nevertheless ends " in found.verdict[0]


def test_a_group_that_never_reaches_the_threshold_does_not_end_in_a_number(db: Database) -> None:
    runs = []
    for seed in range(1, 7):
        runs.append(made_run(db, curriculum="v3", seed=seed, returns=rising(20)))
        runs.append(made_run(db, curriculum="direct", seed=seed, returns=[10.0] * 60))
    found = compare(db, runs, metric="return", threshold=450)
    direct = next(group for group in found.groups if group.name == "direct")
    assert direct.steps_to is not None
    assert (direct.reached, direct.steps_to.value) == (0, math.inf)
    assert "100 % fewer" not in found.verdict[0]
    assert found.verdict[0].startswith("v3 reaches 450, direct does not: 0 of its 6 runs do (6 seeds each).")


def test_failed_and_unfinished_runs_are_counted_and_said(db: Database) -> None:
    runs = made_groups(db, {"direct": LOW, "v3": HIGH})
    runs += [made_run(db, seed=6, status="failed", returns=[1.0] * 3)]
    runs += [made_run(db, seed=7, status="running", returns=[1.0] * 4)]
    found = compare(db, runs)
    v3 = next(group for group in found.groups if group.name == "v3")
    assert (v3.final.n, v3.failed, v3.unfinished, len(v3.runs)) == (5, 1, 1, 7)
    assert any("2 of 7 runs of v3 are not counted" in note for note in found.notes)
    assert any("1 of 7 runs of v3 failed" in note for note in found.notes)
    assert math.isnan(v3.runs[5].final)
    assert found.common[0].step == 30
    assert any("all of them can be compared at step 30" in note for note in found.notes)
    at_30 = compare(db, runs, metric="return", until=30)
    assert [group.final.n for group in at_30.groups] == [5, 7]


def test_seeds_that_do_not_match_are_said_and_only_those_that_do_are_paired(db: Database) -> None:
    runs = made_groups(db, {"direct": LOW, "v3": HIGH})[:-1]
    found = compare(db, runs)
    pair = found.pairs[0]
    assert not pair.seeds_match
    assert pair.paired is not None
    assert (pair.paired.n, pair.difference.n) == (4, 4)
    assert any(
        "do not have the same seeds (numbers of runs that count: direct 5, v3 4)" in note for note in found.notes
    )
    assert any("Intervals need 5 runs or more per group: v3 has 4." in note for note in found.notes)


def test_a_copy_of_a_run_counts_once(db: Database) -> None:
    runs = [*made_groups(db, {"v3": HIGH}), made_run(db, seed=1, name="again", evaluations=[(10, 400.0)])]
    found = compare(db, runs)
    assert found.groups[0].final.n == 5
    assert any("is a copy of another run: same settings, same seed" in note for note in found.notes)


def test_another_setting_that_differs_within_a_group_is_said(db: Database) -> None:
    runs = [*made_groups(db, {"v3": HIGH}), *made_groups(db, {"v3": LOW}, recipe=with_epochs(4))]
    found = compare(db, runs)
    assert any("Runs of v3 differ in ppo.epochs as well" in note for note in found.notes)
    assert any("several runs of seed 1, 2, 3" in note for note in found.notes)
    by = compare(db, runs, by=("ppo.epochs",))
    assert [group.name for group in by.groups] == ["epochs=1", "epochs=4"]


def test_environments_are_compared_apart(db: Database) -> None:
    runs = made_groups(db, {"a": LOW, "b": HIGH}) + made_groups(
        db, {"a": [-100.0] * 5, "b": [-90.0] * 5}, env="Acrobot-v1"
    )
    found = compare(db, runs)
    assert {(pair.env, pair.first, pair.second) for pair in found.pairs} == {
        ("Acrobot-v1", "b", "a"),
        ("CartPole-v1", "b", "a"),
    }
    assert [sentence.split(":")[0] for sentence in found.verdict] == ["Acrobot-v1", "CartPole-v1"]
    assert any("several environments" in note for note in found.notes)


@pytest.mark.parametrize(
    ("finals", "begins"),
    [
        ({"a": [1.0], "b": [2.0]}, "Undecided between b and a: with 1 seed each there are only single points"),
        ({"a": [1.0, 2, 3], "b": [2.0, 3, 4]}, "Exploratory: b ends 1 above a"),
        ({"a": [3.0] * 6, "b": [3.0] * 6}, "Undecided between a and b: they differ by 0"),
        ({"a": [math.nan] * 5, "b": [3.0] * 5}, "Undecided between b and a: no run of a counts yet."),
        ({"a": [1.0, 2, 3, 4, 5]}, "a ends at 3 in mean return of evaluations (95 % interval"),
        ({"a": [math.nan]}, "Nothing to compare"),
    ],
)
def test_degenerate_groups_have_a_sentence(db: Database, finals: dict, begins: str) -> None:
    found = compare(db, made_groups(db, finals))
    assert found.verdict[0].startswith(begins), found.verdict[0]
    json.dumps(found.to_dict(), allow_nan=False)


def test_an_undecided_pair_says_about_how_many_more_seeds(db: Database) -> None:
    found = compare(db, made_groups(db, {"a": [1.0, 2, 3, 4, 5, 6], "b": [2.0, 3, 5, 4, 6, 7.5]}))
    assert "more seeds each would be needed" in found.verdict[0]


def test_how_many_seeds_are_needed_may_be_unknown(db: Database) -> None:
    found = compare(db, made_groups(db, {"a": [1.0] * 6, "b": [2.0] * 6, "c": [1.0] * 6, "d": [2.0] * 6}))
    unknown = [row for row in pair_rows(found) if row["Seeds needed"] == "–"]
    assert len(unknown) == 6
    many = {f"at {value}": [float(value)] * 5 for value in range(7)}
    assert compare(db, made_groups(db, many)).verdict[0].endswith("; how many seeds it would need is unknown.")
    tiny = compare(db, made_groups(db, {"low": LOW, "same": [value + 0.001 for value in LOW]}))
    assert tiny.verdict[0].endswith("more than 1,000 seeds each would be needed.")
    assert pair_rows(tiny)[0]["Seeds needed"] == "over 1,000"
    assert tiny.to_dict()["pairs"][0]["seeds_needed"] == "Infinity"


@pytest.mark.parametrize("metric", ["policy_loss", "recent_dead_experts", "load_cv", "knockout_loss"])
def test_a_metric_that_may_be_meant_to_fall_has_no_threshold_and_nothing_is_called_better(
    db: Database, metric: str
) -> None:
    runs = [*made_groups(db, {"a": LOW, "b": HIGH}), made_run(db, curriculum="a", seed=9, status="failed")]
    with pytest.raises(V3Error, match=r"^A threshold is for returns and success rates, not for [^.]*; leave it out\.$"):
        compare(db, runs, metric=metric, threshold=0.5)
    found = compare(db, runs, metric=metric)
    assert not any(word in sentence for word in ("better", "mprove") for sentence in (*found.verdict, *found.notes))
    assert not any("mprove" in text for text in (*PAIR_HELP, *PAIR_HELP.values()))
    for rises in ("return", "success", "evaluation", "evaluation_success"):
        assert compare(db, runs, metric=rises, threshold=0.5).thresholds == {"CartPole-v1": 0.5}


def test_a_metric_over_a_window_ends_at_its_last_value_not_at_a_mean_of_further_windows(db: Database) -> None:
    """Of 40 episodes, means are over 10: half of them had no dead expert yet."""
    died = [0] * 35 + [8] * 5
    returns = [float(number) for number in range(1, 41)]
    runs = [
        made_run(db, returns=returns, dead_experts=died),
        # Of a phase that has just begun there is no value yet.
        made_run(db, seed=2, returns=returns, dead_experts=[0] * 30 + [3] + [None] * 9),
        made_run(db, seed=3, returns=returns, dead_experts=[*died[:39], 2]),
    ]
    assert [run.final for run in compare(db, runs, metric="recent_dead_experts").groups[0].runs] == [8, 3, 2]
    early = compare(db, runs, metric="recent_dead_experts", until=36 * STEPS)
    assert [run.final for run in early.groups[0].runs] == [8, 3, 8]
    means = [run.final for run in compare(db, runs, metric="mean_return").groups[0].runs]
    assert means == [20.5] * 3
    unknown = made_run(db, seed=4, returns=[1.0] * 40, dead_experts=[0] * 30 + [None] * 10)
    (found,) = compare(db, [unknown], metric="recent_dead_experts").groups[0].runs
    assert found.left_out == "has no dead experts"


def test_two_of_ten_runs_with_dead_experts_are_not_cut_away(db: Database) -> None:
    def of(curriculum: str, dead: list[int]) -> list[RunRow]:
        return [
            made_run(db, curriculum=curriculum, seed=seed, returns=[1.0] * 10, dead_experts=[one] * 10)
            for seed, one in enumerate(dead, 1)
        ]

    runs = [*of("v3", [0] * 8 + [9] * 2), *of("direct", [0] * 9 + [3]), *of("switch", [0] * 10)]
    lost = made_run(db, seed=11, status="failed", returns=[1.0] * 10, dead_experts=[16] * 10)
    found = compare(db, [*runs, lost], metric="recent_dead_experts")
    assert {group.name: (group.final.value, group.worst) for group in found.groups} == {
        "v3": (0, 9),
        "direct": (0, 3),
        "switch": (0, 0),
    }
    assert [row["Most in a run"] for row in group_rows(found) if row["Group"] == "v3"] == ["9"]
    assert [group["worst"] for group in found.to_dict()["groups"] if group["name"] == "v3"] == [9]
    said = "An interquartile mean leaves out the lowest and the highest quarter of the runs. Most in a run: v3 (9)"
    assert f"{said}, direct (3)." in found.notes
    of_returns = compare(db, runs, metric="return")
    assert not any("in a run" in title for row in group_rows(of_returns) for title in row)
    assert of_returns.groups[0].worst is None
    assert not any("leaves out" in note for note in of_returns.notes)
    (nothing,) = compare(db, [lost], metric="recent_dead_experts").groups
    assert math.isnan(nothing.worst or 0)
    assert group_rows(compare(db, [lost], metric="recent_dead_experts"))[0]["Most in a run"] == "–"


def test_no_runs_at_all(db: Database) -> None:
    found = compare(db, [])
    assert found.groups == ()
    assert found.verdict == ("Nothing to compare: no group has a run that counts.",)


def test_p_values_are_corrected_for_all_pairs(db: Database) -> None:
    found = compare(db, made_groups(db, {"a": LOW + LOW, "b": HIGH + HIGH, "c": [200.0 + n for n in range(10)]}))
    assert len(found.pairs) == 3
    for pair in found.pairs:
        assert pair.permutation is not None
        assert pair.permutation_corrected == pytest.approx(3 * pair.permutation)


def test_steps_to_a_threshold_are_of_the_training_return_where_runs_were_evaluated_rarely(db: Database) -> None:
    rises = [0.0] * 5 + [500.0] * 15
    runs = [made_run(db, seed=seed, returns=rises, evaluations=[(20, 500.0)], planned=20) for seed in range(5)]
    found = compare(db, runs)
    steps = found.groups[0].steps_to
    assert steps is not None
    assert 60 <= steps.value < 200, "the only evaluation was at step 200"
    assert any("judged by the training return" in note for note in found.notes)
    recipe = TINY.model_copy(update={"evaluation": EvaluationConfig(episodes=2, every=1)})
    later = [(one, 500.0 * (one >= 12)) for one in range(1, 21)]
    often = [made_run(db, seed=seed, returns=rises, evaluations=later, recipe=recipe) for seed in range(5)]
    found = compare(db, often)
    steps = found.groups[0].steps_to
    assert steps is not None
    assert steps.value == 120
    assert not any("judged by" in note for note in found.notes)


def test_environments_are_compared_together_by_stated_bounds(db: Database) -> None:
    runs = made_groups(db, {"a": LOW, "b": HIGH})
    runs += made_groups(db, {"a": [-500.0] * 5, "b": [-100.0] * 5}, env="Acrobot-v1")
    runs += made_groups(db, {"a": [-200.0] * 5}, env="MountainCar-v0")
    bounds = {"CartPole-v1": Bounds(0, 500), "Acrobot-v1": Bounds(-500, 0), "MountainCar-v0": Bounds(-200, 0)}
    found = compare(db, runs, bounds=bounds).across
    assert found is not None
    assert set(found.environments) == {"CartPole-v1", "Acrobot-v1"}
    assert found.notes == ("Left out, because not every group has a run there that counts: MountainCar-v0.",)
    assert [group.name for group in found.groups] == ["a", "b"]
    assert found.groups[0].aggregates["mean"].value == pytest.approx((0.22 + 0) / 2)
    assert found.groups[1].aggregates["mean"].value == pytest.approx((0.82 + 0.8) / 2)
    assert found.groups[1].profile.share[0] == 1
    assert found.groups[1].profile.scores[[0, -1]].tolist() == [0, 1], "to 1 at least"
    assert found.improvement["a > b"].value == 0
    json.dumps(compare(db, runs, bounds=bounds).to_dict(), allow_nan=False)
    partly = compare(db, runs, bounds={"CartPole-v1": Bounds(0, 500)}).across
    assert partly is not None
    assert partly.notes == ("Without bounds, and so left out: Acrobot-v1, MountainCar-v0.",)
    beyond = compare(db, runs, bounds={"CartPole-v1": Bounds(0, 100)}).across
    assert beyond is not None
    assert beyond.groups[0].profile.scores[-1] == pytest.approx(4.2), "to the best"
    with pytest.raises(V3Error, match=r"No run is in environment 'CartPole-v0'.*Did you mean CartPole-v1"):
        compare(db, runs, bounds={"CartPole-v0": Bounds(0, 500)})
    for low in (500, 0):
        with pytest.raises(V3Error, match="the first must be the lower one"):
            compare(db, runs, bounds={"CartPole-v1": Bounds(low, 0)})


def test_bounds_are_after_the_last_equals_sign() -> None:
    """Those before it are of the environment's arguments."""
    assert parse_bounds("MiniGrid-Empty-5x5-v0 (size=6) = -1,1.5") == (
        "MiniGrid-Empty-5x5-v0 (size=6)",
        Bounds(-1, 1.5),
    )


def test_a_run_that_did_not_reach_the_step_is_left_out_there(db: Database) -> None:
    runs = [made_run(db, seed=seed, returns=[5.0] * (20 if seed < 6 else 9)) for seed in range(1, 7)]
    found = compare(db, runs, metric="return", until=100).groups[0]
    assert found.final.n == 5
    assert [run.left_out for run in found.runs][-1] == "reached only 90 steps"


def test_a_seed_that_several_runs_of_a_group_have_is_not_paired(db: Database) -> None:
    runs = [*made_groups(db, {"a": LOW, "b": HIGH}), *made_groups(db, {"b": [1.0]}, recipe=with_epochs(4))]
    pair = compare(db, runs).pairs[0]
    assert pair.paired is not None
    assert (pair.paired.n, pair.seeds_match) == (4, False)


def test_forks_and_edited_curricula_are_said(db: Database) -> None:
    runs = made_groups(db, {"a": LOW})
    with db.write() as tx:
        fork = {"parent": runs[0].id, "trunk": runs[0].id, "parent_episode": 10, "parent_evaluated": 10}
        tx.execute(update(run_table).where(run_table.c.id.in_([runs[1].id, runs[2].id])).values(**fork))
        add_revision(tx, runs[3].id, runs[3].config.curriculum, actor="user", now=START, applied_episode=5)
    notes = compare(db, list_runs(db)).notes
    assert any(note.startswith("2 runs of a are forks of the same run") for note in notes)
    assert any(note.endswith("not what its name says: a 4.") for note in notes)


def test_the_headline_is_of_the_group_that_is_certain_to_be_better_if_all_end_alike(db: Database) -> None:
    runs = [
        made_run(db, curriculum=name, seed=seed, returns=[*rising(steps + seed % 3)[:-10], *[500.0] * 10])
        for name, steps in (("a", 40), ("b", 41), ("quick", 20))
        for seed in range(1, 9)
    ]
    found = compare(db, runs, metric="return", threshold=450)
    assert found.verdict[0].startswith("quick reaches 450 in ")
    assert found.verdict[-1].startswith("Undecided between a and b")


def changed(db: Database, run_id: str, **values: object) -> None:
    """Changes the row of a run."""
    with db.write() as tx:
        tx.execute(update(run_table).where(run_table.c.id == run_id).values(**values))


def test_a_fork_and_an_edited_run_of_the_same_settings_are_no_copies(db: Database) -> None:
    runs = [*made_groups(db, {"v3": HIGH}), *[made_run(db, seed=1, evaluations=[(10, 300.0)]) for _ in range(4)]]
    for run, episode in zip(runs[5:8], (5, 5, 9), strict=True):
        changed(db, run.id, parent=runs[1].id, trunk=runs[1].id, parent_episode=episode, parent_evaluated=0)
    other = runs[0].config.curriculum.model_copy(update={"name": "edited"})
    with db.write() as tx:
        add_revision(tx, runs[8].id, other, actor="user", now=START, applied_episode=5)
        add_revision(tx, runs[0].id, other, actor="user", now=START, applied_episode=None)
    group = compare(db, list_runs(db)).groups[0]
    left_out = [run.run_id for run in group.runs if run.left_out]
    assert len(left_out) == 1, "the second fork of episode 5 only"
    assert left_out[0] in (runs[5].id, runs[6].id)


def test_a_threshold_is_judged_within_the_steps_that_all_runs_reached(db: Database) -> None:
    """A run that ended early may have reached it later, as the others did."""
    runs = []
    for seed in range(1, 7):
        runs.append(made_run(db, curriculum="short", seed=seed, returns=[10.0] * 20))
        runs.append(made_run(db, curriculum="long", seed=seed, returns=rising(30)))
    found = compare(db, runs, metric="return", threshold=450)
    assert [group.reached for group in found.groups] == [0, 0]
    assert not found.pairs[0].is_faster_decided
    assert not any("reaches 450" in sentence for sentence in found.verdict)
    assert (
        "When the threshold is reached is judged within the 200 steps that all runs reached; a run that "
        "reaches it later counts as one that does not." in found.notes
    )
    sooner = [made_run(db, curriculum="soon", seed=seed, returns=rising(9)) for seed in range(1, 7)]
    unfinished = made_run(db, curriculum="soon", seed=9, returns=[1.0] * 5, status="running")
    found = compare(db, [*runs[::2], *sooner, unfinished], metric="return", threshold=450)
    assert found.verdict[0].startswith(
        "soon reaches 450, short does not within the 200 steps that all runs reached: 0 of its 6 runs do"
    )
    everywhere = compare(db, [*runs[::2], *sooner], metric="return", threshold=450, until=190)
    assert "does not within the 190 steps that all runs reached" in everywhere.verdict[0]
    assert not any("is judged within" in note for note in compare(db, runs[::2], metric="return").notes)


def test_a_queued_or_failed_run_does_not_decide_by_which_metric_steps_are_judged(db: Database) -> None:
    recipe = TINY.model_copy(update={"evaluation": EvaluationConfig(episodes=2, every=1)})
    more = {"recipe": recipe, "planned": 20}
    runs = [
        made_run(db, seed=seed, returns=[0.0] * 20, evaluations=[(at, 500.0) for at in range(1, 21)], **more)
        for seed in range(5)
    ]
    runs.append(made_run(db, seed=6, returns=[0.0], status="failed", **more))
    runs.append(made_run(db, seed=7, status="queued", **more))
    found = compare(db, runs)
    assert found.groups[0].reached == 5
    assert not any("judged by the training return" in note for note in found.notes)


@pytest.mark.parametrize("until", [None, 50])
def test_a_run_whose_configuration_cannot_be_read_is_left_out(db: Database, until: int | None) -> None:
    runs = made_groups(db, {"direct": LOW, "v3": HIGH})
    changed(db, runs[-1].id, config='{"name": 1}')
    found = compare(db, list_runs(db), metric="return", until=until)
    v3 = next(group for group in found.groups if group.name == "v3")
    assert (v3.final.n, v3.runs[-1].left_out) == (4, "cannot count: its configuration cannot be read")
    assert "1 of 5 runs of v3 is not counted: v3 5 cannot count: its configuration cannot be read." in found.notes
    assert not any("differ" in note and "as well" in note for note in found.notes)
    json.dumps(found.to_dict(), allow_nan=False)


def test_settings_that_differ_between_groups_are_said(db: Database) -> None:
    """A difference may come from the learning rate as well as from the curriculum."""
    slow = with_epochs(2)
    runs = [*made_groups(db, {"a": LOW}), *made_groups(db, {"b": HIGH}, recipe=slow)]
    said = "The groups also differ in Epochs (ppo.epochs): a difference between them may come from that."
    assert said in compare(db, runs).notes
    assert not any("also differ" in note for note in compare(db, runs, by=("curriculum", "ppo.epochs")).notes)
    mixed = [*runs, *made_groups(db, {"b": [1.0]}, name="b 9")]
    assert not any("also differ" in note for note in compare(db, mixed).notes), "said of the group already"
    elsewhere = made_groups(db, {"a": [-90.0] * 5, "b": [-80.0] * 5}, env="Acrobot-v1")
    assert [note for note in compare(db, [*runs, *elsewhere]).notes if "also differ" in note] == [
        said.replace("groups", "groups in CartPole-v1")
    ]


def test_forks_of_one_run_are_one_checkpoint_however_far(db: Database) -> None:
    runs = made_groups(db, {"v3": [*HIGH, 430.0, 440.0], "direct": LOW})
    trunk = made_run(db, curriculum="v3", seed=9, returns=[1.0] * 4, status="failed")
    for run, parent in zip(runs[:7], [trunk, *runs[:6]], strict=True):
        changed(db, run.id, parent=parent.id, trunk=parent.id, parent_episode=3, parent_evaluated=0)
    found = compare(db, list_runs(db))
    assert found.verdict[0].endswith(", 7 and 5 seeds, from 1 run: about its checkpoint only).")
    assert any(note.startswith("7 runs of v3 are forks of the same run: what they share") for note in found.notes)
    alone = compare(db, [run for run in list_runs(db) if run.curriculum == "v3"])
    assert "7 seeds, from 1 run: about its checkpoint only; nothing to compare it with." in alone.verdict[0]
    changed(db, runs[6].id, parent=None, trunk=None, parent_episode=None, parent_evaluated=None)
    assert ", from 2 runs: about those only)." in compare(db, list_runs(db)).verdict[0]
    for run in runs[2:6]:
        changed(db, run.id, parent=None, trunk=None, parent_episode=None, parent_evaluated=None)
    assert "only" not in compare(db, list_runs(db)).verdict[0], "six independent runs"


def test_a_knock_out_of_an_ended_run_is_shown_when_there_is_one(db: Database) -> None:
    run = made_run(db, returns=[10.0] * 10, evaluations=[(10, 10.0)])
    assert math.isnan(compare(db, [run], metric=KNOCKOUT).groups[0].final.value)
    with db.write() as tx:
        results = {ALL_EXPERTS: [(10.0, 10, None)], 0: [(6.0, 10, None)], 1: [(9.0, 10, None)]}
        add_knockouts(tx, run.id, episode=10, results=results, now=START)
    assert compare(db, [run], metric=KNOCKOUT).groups[0].final.value == 4


def test_what_reached_the_threshold_is_of_the_runs_that_count(db: Database) -> None:
    runs = [made_run(db, seed=seed, returns=rising(20)) for seed in range(1, 6)]
    runs.append(made_run(db, seed=6, returns=[1.0], status="failed"))
    (row,) = group_rows(compare(db, runs, metric="return", threshold=450))
    assert (row["Runs"], row["Counted"], row["Reached 450"]) == (6, 5, "5 of 5")


def test_a_verdict_has_ten_sentences_and_says_how_many_more_pairs_there_are(db: Database) -> None:
    runs = made_groups(db, {f"c{number}": [10.0 * number] for number in range(6)})
    found = compare(db, runs)
    assert (len(found.pairs), len(found.verdict)) == (15, 10)
    assert found.verdict[-1] == "The table has 6 more pairs."
    assert len(compare(db, runs[:5]).verdict) == 10, "of ten pairs"
    runs += made_groups(db, {f"c{number}": [-10.0 * number] for number in range(1, 4)}, env="Acrobot-v1")
    both = compare(db, runs).verdict
    assert [sentence.split(":")[0] for sentence in both[:9]] == ["Acrobot-v1"] * 3 + ["CartPole-v1"] * 6
    assert both[-1] == "The table has 9 more pairs."


def test_thresholds_of_several_environments_are_one_column(db: Database) -> None:
    runs = [made_run(db, env=env, returns=[-90.0] * 20) for env in ("CartPole-v1", "Acrobot-v1", "Pendulum-v1")]
    rows = {row["Environment"]: row for row in group_rows(compare(db, runs, metric="return"))}
    assert len({tuple(row) for row in rows.values()}) == 1, "no cell is without a value"
    assert [rows[env]["Reached"] for env in ("CartPole-v1", "Acrobot-v1", "Pendulum-v1")] == [
        "0 of 1 (475)",
        "1 of 1 (−100)",
        "–",
    ]


def test_an_environment_without_values_has_no_empty_chart_but_a_sentence(db: Database) -> None:
    runs = [made_run(db, returns=[1.0] * 20), made_run(db, env="Acrobot-v1", status="running")]
    found = compare(db, runs, metric="return")
    pictures, notes = curve_pictures(db, runs, "return", Grouping(("curriculum",)), found)
    assert [picture.env for picture in pictures] == ["CartPole-v1"]
    assert "1 run has no return: v3 1." in notes
    assert [picture.env for picture in final_pictures(found)] == ["CartPole-v1"]


def test_curricula_that_end_by_steps_have_timelines_over_steps(db: Database) -> None:
    text = "{name: NAME, phases: [{name: one, until: {step: 100}, routing: softmax}, {name: two, routing: sparsemax}]}"
    runs = []
    for name in ("v3", "switch"):
        run = made_run(db, steps=400)
        config = run.config.model_copy(update={"curriculum": parse(text.replace("NAME", name))})
        runs.append(replace(run, config_json=config.model_dump_json(by_alias=True)))
    figure = timelines_picture(runs)
    assert [[list(trace.base), list(trace.x)] for trace in figure.data] == [[[0, 100], [100, 300]]] * 2
    assert figure.layout.xaxis.title.text == "Environment steps"
    by_episodes = timelines_picture([*runs, made_run(db)])
    assert by_episodes.layout.xaxis.title.text == "Episode"
