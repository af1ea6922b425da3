"""Pages of runs whose length is a number of environment steps: Launch offers it, and no page shows its bound."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from tests.pages.run_list import cells
from tests.pages.test_jobs import figures, put
from v3core.curriculum import Length
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store import commands
from v3core.store.runs import get_run, list_runs, set_length

BUDGET = 12_345_600
BY_STEPS = {"length": "Environment steps"}


@pytest.fixture
def run_id(database):
    """A run that trains, 25 episodes so far, planned for a budget of steps."""
    run_id = add_recorded_run(database, Status.RUNNING)
    with database.write() as tx:
        set_length(tx, get_run(tx, run_id), Length.of(None, BUDGET))
    put(database, run_id, step=BUDGET // 100)
    return run_id


def words(app):
    elements = [*app.markdown, *app.caption, *app.error, *app.info, *app.success, *app.subheader]
    return "\n".join(shown(element.value) for element in elements)


def launch(open_page, **parameters):
    app = open_page("pages/launch.py", **BY_STEPS, **parameters)
    assert not app.exception
    return app


def test_launch_queues_a_run_of_so_many_steps_with_its_boundaries_as_they_are(open_page, database):
    app = launch(open_page)
    app.number_input(key="steps:CartPole-v1").set_value(50_001).run()
    assert "Rounded up to 50,008 steps, because the 8 environments are stepped together." in words(app)
    assert "ends in an earlier phase" in words(app)
    assert any(element.value.startswith("**1 run** · 50,008 steps") for element in app.markdown)
    app.button(key="start").click().run()
    (run,) = list_runs(database)
    environments = run.config.ppo.environments
    assert run.steps == -(-50_001 // environments) * environments
    assert (run.length.is_by_steps, run.config.steps, run.progress_words) == (
        True,
        run.steps,
        f"0 of {run.steps:,} steps",
    )
    assert run.config.curriculum.boundaries == (1000, 3000)
    assert run.config.curriculum.episodes is None


def test_launch_turns_boundaries_into_steps_and_moves_them_with_the_length(open_page, database):
    app = launch(open_page)
    app.toggle(key="scale-steps:v3").set_value(True).run()
    ends = [field.value for field in app.text_input if field.key.endswith("-until")]
    assert ends[:2] == ["step 25000", "step 75000"]
    app.number_input(key="steps:CartPole-v1").set_value(200_000).run()
    ends = [field.value for field in app.text_input if field.key.endswith("-until")]
    assert ends[:2] == ["step 50000", "step 150000"]
    app.button(key="start").click().run()
    (run,) = list_runs(database)
    assert [phase.until.step for phase in run.config.curriculum.phases[:2]] == [50_000, 150_000]


def test_less_than_a_rollout_is_refused_beside_its_field(open_page):
    app = launch(open_page)
    app.number_input(key="steps:CartPole-v1").set_value(10).run()
    assert any("less than one rollout" in error.value for error in app.error)
    assert app.button(key="start").disabled


def test_a_run_of_so_many_steps_is_launched_again_with_them(open_page, database, run_id):
    app = open_page("pages/launch.py", **{"from": run_id})
    assert app.radio(key="length").value == "Environment steps"
    assert app.number_input(key="steps:CartPole-v1").value == BUDGET
    app.button(key="start").click().run()
    new = next(run for run in list_runs(database) if run.id != run_id)
    assert (new.steps, new.length.is_by_steps) == (BUDGET, True)


def test_no_page_shows_the_bound_of_its_episodes(open_page, database, run_id):
    run = get_run(database, run_id)
    assert run.episodes == BUDGET
    live = open_page("pages/live.py", run=run_id)
    numbers = figures(live)["numbers"]
    assert (numbers["progress"], numbers["part"]) == (f"{run.step:,} of {BUDGET:,} steps", 0.01)
    text = words(live) + json.dumps(numbers)
    assert f"{BUDGET:,} episodes" not in text
    assert f"of {BUDGET:,}" not in text.replace(f"of {BUDGET:,} steps", "")
    assert run.expected_episodes == 2500
    charts = [figure for name, figure in figures(live).items() if name != "numbers" and "layout" in figure]
    assert charts
    assert {tuple(figure["layout"]["xaxis"]["range"]) for figure in charts if "xaxis" in figure["layout"]} <= {
        (0, 2500)
    }
    assert cells(open_page("app.py"), run_id)["progress"]["text"].startswith(f"{run.step:,} of {BUDGET:,} steps")


@pytest.mark.parametrize(("extent", "ends_at_budget"), [("Whole plan", True), ("So far", False)])
def test_the_axis_of_steps_ends_at_the_budget_unless_asked_otherwise(
    open_page, database, run_id, extent, ends_at_budget
):
    live = open_page("pages/live.py", run=run_id, axis="Step", extent=extent)
    ends = {
        figure["layout"]["xaxis"]["range"][1]
        for name, figure in figures(live).items()
        if name != "numbers" and "xaxis" in figure.get("layout", {})
    }
    assert (ends == {BUDGET}) == ends_at_budget
    assert max(ends) <= BUDGET


def test_the_time_left_is_that_of_the_steps(open_page, database, run_id):
    run = get_run(database, run_id)
    due = datetime.now(UTC) + timedelta(minutes=5)
    speed = (BUDGET - run.step) / 150
    put(database, run_id, steps_per_second=speed, episodes_per_second=1e-6, heartbeat_due_at=due)
    assert figures(open_page("pages/live.py", run=run_id))["numbers"]["left"] == "about 2.5 min left"
    assert get_run(database, run_id).seconds_left == pytest.approx(150)
    put(database, run_id, steps_per_second=None)
    assert get_run(database, run_id).seconds_left is None


def test_train_longer_is_by_steps(open_page, database, run_id):
    app = open_page("pages/live.py", run=run_id)
    assert app.number_input(key=f"longer-{run_id}-{BUDGET}").label == "Train up to step"
    app.button(key="train-longer-button").click().run()
    (command,) = commands.read_commands(database, run_id)
    assert (command.kind, command.value) == ("extend", f"{2 * BUDGET} steps")
    assert f"Train longer to step {2 * BUDGET:,}" in words(open_page("pages/live.py", run=run_id)) + str(
        open_page("pages/live.py", run=run_id).table
    )


def test_a_complete_run_says_which_phases_did_not_begin(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED, recorded=40)
    with database.write() as tx:
        set_length(tx, get_run(tx, run_id), Length.of(None, 5000))
    put(database, run_id, step=5000, phase="warmup")
    app = open_page("pages/live.py", run=run_id)
    (trained,) = [element.value for element in app.success]
    assert trained.startswith(
        "All 5,000 environment steps are trained, in 40 episodes; transition and fine-tune did not"
    )


def test_control_knows_the_budget(database, run_id):
    progress = control.progress_of(database, run_id)
    assert (progress.steps, progress.length.is_by_steps, progress.is_complete) == (BUDGET, True, False)
