"""Compare answers in words which group is better, how certain that is, and what limits it."""

import json

import pytest

from tests.comparison.made import made_groups, made_run, with_epochs
from tests.pages.test_states import text_of

BETTER = {"v3": [500.0, 498, 499, 497, 500, 499, 498, 500], "switch": [100.0, 130, 90, 120, 110, 95, 105, 125]}


@pytest.fixture
def compare(open_page):
    """`compare(runs, **query)`: the page with these runs."""

    def opened(runs, **query):
        app = open_page("pages/compare.py", runs=",".join(run.id for run in runs), **query)
        assert not app.exception
        return app

    return opened


def charts(app):
    """The figures that came with the page, by their key."""
    found = {}
    for node in app.main.get("bidi_component"):
        data = json.loads(node.proto.json) if node.proto.json else {}
        if "figure" in data:
            found[node.proto.id.rsplit("-", 1)[-1]] = json.loads(data["figure"])
    return found


def table(app, column):
    """The first table that has a column."""
    return next(frame.value for frame in app.dataframe if column in frame.value)


def test_the_verdict_stands_on_top_with_its_interval_and_seeds(compare, database):
    app = compare(made_groups(database, BETTER))
    text = text_of(app)
    assert "v3 reaches 475, switch does not: 0 of its 8 runs do (8 seeds each)." in text
    assert "95 % interval" in text
    assert "8 seeds each" in text
    (pair,) = table(app, "Pair").to_dict("records")
    assert pair["Pair"] == "v3 − switch"
    assert pair["Ends above"].startswith("100 %")
    assert pair["Permutation"] == "< 0.001"
    finals = {row["Group"]: row for row in table(app, "Final").to_dict("records")}
    assert finals["v3"]["Counted"] == 8
    assert finals["switch"]["Final"] == "108.8"


def test_few_seeds_are_undecided_or_exploratory(compare, database):
    two = {name: values[:2] for name, values in BETTER.items()}
    assert "Undecided between v3 and switch" in text_of(compare(made_groups(database, two)))
    three = {f"{name}-3": values[:3] for name, values in BETTER.items()}
    assert "Exploratory: v3-3 ends" in text_of(compare(made_groups(database, three)))


def test_runs_of_one_each_are_shown_as_runs_and_can_be_grouped(compare, database):
    runs = made_groups(database, {name: values[:1] for name, values in BETTER.items()})
    app = compare(runs)
    assert app.segmented_control(key="show").value == "Runs"
    assert not [frame for frame in app.dataframe if "Pair" in frame.value]
    app.segmented_control(key="show").set_value("Groups").run()
    assert not app.exception
    assert table(app, "Pair")["95 % interval"][0] == "needs 5 seeds"


def test_failed_and_unfinished_runs_are_said_and_counted(compare, database):
    runs = made_groups(database, BETTER)
    runs.append(made_run(database, curriculum="v3", seed=9, returns=[1.0] * 4, status="failed"))
    runs.append(made_run(database, curriculum="switch", seed=9, returns=[1.0] * 4, status="running"))
    app = compare(runs)
    finals = {row["Group"]: row for row in table(app, "Final").to_dict("records")}
    assert (finals["v3"]["Runs"], finals["v3"]["Counted"], finals["v3"]["Failed"]) == (9, 8, 1)
    assert finals["switch"]["Unfinished"] == 1
    assert "failed at episode 4" in text_of(app)


def test_unequal_steps_are_said_and_can_be_made_equal(compare, database):
    runs = made_groups(database, {"v3": [5.0] * 3})
    runs += [made_run(database, curriculum="switch", seed=seed, returns=[3.0] * 20) for seed in (1, 2, 3)]
    app = compare(runs)
    assert "The runs reached different numbers of steps, from 100 to 200" in text_of(app)
    app.toggle(key="equal-steps").set_value(True).run()
    assert not app.exception
    assert "at step 100" in text_of(app)


def test_environments_never_share_an_axis_nor_a_verdict(compare, database):
    runs = made_groups(database, {"v3": [5.0] * 3, "switch": [4.0] * 3})
    runs += made_groups(database, {"v3": [-90.0] * 3, "switch": [-80.0] * 3}, env="Acrobot-v1")
    app = compare(runs)
    text = text_of(app)
    assert "CartPole-v1: " in text
    assert "Acrobot-v1: " in text
    assert len(table(app, "Pair")) == 2
    assert {row["Environment"] for row in table(app, "Final").to_dict("records")} == {"CartPole-v1", "Acrobot-v1"}


def test_a_swept_setting_is_offered_and_drawn_over_its_values(compare, database):
    runs = [
        made_run(database, seed=seed, load_balance=value, recipe=with_epochs(epochs), returns=[100 * value] * 10)
        for value in (0.01, 0.1)
        for epochs in (1, 2)
        for seed in (1, 2, 3)
    ]
    app = compare(runs)
    by = app.multiselect(key="by")
    assert "Load balance in late" in by.options
    by.set_value(["phases.late.load_balance"]).run()
    assert not app.exception
    finals = table(app, "Final")
    assert list(finals["Group"]) == ["load_balance=0.01", "load_balance=0.1"]
    assert list(finals["Counted"]) == [6, 6]
    by.set_value([]).run()
    assert not app.exception
    assert list(table(app, "Final")["Group"]) == ["all runs"]


def test_two_curricula_are_compared_line_by_line(compare, database):
    app = compare(made_groups(database, {name: values[:2] for name, values in BETTER.items()}))
    (code,) = app.code
    assert "-name: switch" in code.value or "-name: v3" in code.value
    app.selectbox(key="diff-to").set_value(app.selectbox(key="diff-from").value).run()
    assert "Choose two different curricula." in text_of(app)


def test_several_environments_are_put_together_by_stated_bounds(compare, database):
    runs = made_groups(database, {"v3": [5.0] * 5, "switch": [4.0] * 5})
    runs += made_groups(database, {"v3": [-80.0] * 5, "switch": [-90.0] * 5}, env="Acrobot-v1")
    app = compare(runs)
    low, high = app.number_input(key="bound-low-CartPole-v1"), app.number_input(key="bound-high-CartPole-v1")
    assert (low.value, high.value) == (None, 475.0), "nobody has stated what is 0"
    assert not [frame for frame in app.dataframe if "Optimality gap" in frame.value]
    low.set_value(0.0).run()
    app.number_input(key="bound-high-CartPole-v1").set_value(10.0).run()
    app.number_input(key="bound-low-Acrobot-v1").set_value(-100.0).run()
    app.number_input(key="bound-high-Acrobot-v1").set_value(-60.0).run()
    assert not app.exception
    rows = {row["Group"]: row for row in table(app, "Optimality gap").to_dict("records")}
    assert rows["v3"]["Mean"].startswith("0.5 ")
    assert rows["switch"]["Mean"].startswith("0.325 ")
    app.number_input(key="bound-low-Acrobot-v1").set_value(0.0).run()
    assert "the value of 1 must be above that of 0" in text_of(app)


def test_another_threshold_is_another_question(compare, database):
    app = compare(made_groups(database, BETTER))
    app.number_input(key="threshold").set_value(105.0).run()
    assert not app.exception
    finals = {row["Group"]: row for row in table(app, "Final").to_dict("records")}
    assert finals["switch"]["Reached 105"] == "5 of 8"


def test_equal_steps_compare_returns_of_training_where_runs_were_evaluated_at_their_end(compare, database):
    runs = [
        made_run(
            database,
            curriculum=curriculum,
            seed=seed,
            returns=[float(level)] * (10 + seed),
            evaluations=[(10 + seed, float(level))],
        )
        for curriculum, level in (("v3", 5), ("switch", 3))
        for seed in range(1, 6)
    ]
    runs.append(made_run(database, curriculum="v3", seed=9, status="queued"))
    app = compare(runs)
    app.toggle(key="equal-steps").set_value(True).run()
    assert not app.exception
    assert "at step 110" in text_of(app)
    assert list(table(app, "Final")["Final"]) == ["3", "5"]
