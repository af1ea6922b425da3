"""The page of experiments: the list, one experiment in every state, and what is done with all of its runs."""

from datetime import UTC, datetime

import pytest

from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from tests.pages.run_list import names
from tests.pages.test_states import text_of
from tests.runs import TINY
from v3core.curriculum import parse
from v3core.environment_setup import EnvironmentSetup
from v3core.jobs import experiments, housekeeping
from v3core.jobs.experiments import Candidate, Grid, progress_of
from v3core.jobs.lifecycle import Status
from v3core.store.runs import get_run, update_run

_TEXT = "{{name: {0}, phases: [{{name: only, routing: {0}}}]}}"
CURRICULA = [Candidate(parse(_TEXT.format(name))) for name in ("softmax", "sparsemax")]


def start(database, name="E", seeds=(1, 2)):
    grid = Grid(
        CURRICULA, [EnvironmentSetup("CartPole-v1")], seeds, [("ppo.epochs", ("1",))], 20, recipes={"CartPole-v1": TINY}
    )
    return experiments.start(database, grid, name)[1]


def put(database, run_id, **values):
    with database.write() as tx:
        update_run(tx, run_id, values, only_in=tuple(Status))


def recorded(database, name="E", **changes):
    """An experiment of recorded runs, made before experiments had a record."""
    runs = [
        add_recorded_run(
            database, Status.COMPLETED, preset=preset, recorded=40, evaluated=[40], name=f"{preset} {seed}"
        )
        for preset in ("v3", "direct-sparsemax")
        for seed in (1, 2)
    ]
    for place, run_id in enumerate(runs):
        put(database, run_id, experiment=name, seed=place % 2 + 1, **changes)
    return runs


def bars(app):
    """The texts of progress bars."""
    return [bar.proto.text for bar in app.get("progress")]


def button(app, key):
    return app.button(key=key)


def test_without_experiments_the_page_says_how_to_get_one(open_page):
    app = open_page("pages/experiments.py")
    assert not app.exception
    assert "No experiments yet" in text_of(app)


def test_experiments_are_listed_newest_first_with_their_progress(open_page, database):
    recorded(database, "Old")
    ids = start(database, "New one")
    put(database, ids[0], status=Status.FAILED, reason="No.", ended_at=datetime.now(UTC))
    app = open_page("pages/experiments.py")
    assert not app.exception
    assert [label for label in (one.label for one in app.button) if "**" in label] == ["**New one**", "**Old**"]
    assert bars(app) == [
        "0 of 4 runs completed · 0 of 80 episodes · :red[1 failed]",
        "4 of 4 runs completed · 160 of 160 episodes",
    ]
    app.button[0].click().run()
    assert app.query_params["experiment"] in ("New one", ["New one"])
    assert app.title[0].value == "New one"


def test_one_experiment_shows_progress_failures_and_what_was_asked_for(open_page, database):
    ids = start(database)
    put(
        database, ids[0], status=Status.FAILED, reason="The *environment* broke.", ended_at=datetime.now(UTC), episode=7
    )
    put(database, ids[1], status=Status.LOST, ended_at=datetime.now(UTC))
    housekeeping.delete(database, ids[3])
    app = open_page("pages/experiments.py", experiment="E")
    assert not app.exception
    text = shown(text_of(app))
    assert "curricula: softmax, sparsemax · environments: CartPole-v1 · ppo.epochs: 1 · seeds: 1, 2" in text
    in_chinese = shown(text_of(open_page("pages/experiments.py", experiment="E", lang="zh")))
    assert "课程：softmax、sparsemax · 环境：CartPole-v1 · ppo.epochs：1 · 种子：1、2" in in_chinese
    assert "1 run of this experiment was deleted." in text
    assert "**2 runs failed**" in text
    assert "Failed after 7 episodes" in text
    assert "Lost after 0 episodes: see its log." in text
    assert button(app, "resume-failed").label == "Resume 2 failed"
    assert button(app, "stop-all").label == "Stop 1 run"
    assert names(app) == [get_run(database, run_id).name for run_id in (ids[2], ids[1], ids[0])]


def test_an_experiment_without_a_record_has_everything_that_needs_none(open_page, database):
    recorded(database)
    app = open_page("pages/experiments.py", experiment="E")
    assert not app.exception
    (table,) = app.dataframe
    assert list(table.value["Group"]) == ["direct-sparsemax", "v3"]
    assert list(table.value["Completed"]) == ["2 of 2", "2 of 2"]
    assert list(table.value["Interval"]) == ["–", "–"]
    assert "Undecided between" in text_of(app)
    assert "each over the newest episodes of the phase that it is in" in table.proto.columns
    assert button(app, "stop-all").disabled
    assert button(app, "resume-failed").disabled
    button(app, "add-seeds").click().run()
    assert "with seeds 3 to 7: 10 runs · 400 episodes" in text_of(app)
    app.number_input(key="more-seeds").set_value(3)
    button(app, "confirm-add-seeds").click().run()
    assert not app.exception
    added = [run for run in progress_of(database, "E").runs if run.status == Status.QUEUED]
    assert sorted((run.curriculum, run.seed) for run in added) == [
        (preset, seed) for preset in ("direct-sparsemax", "v3") for seed in (3, 4, 5)
    ]


def test_all_runs_are_stopped_after_a_question_and_resumed_at_a_click(open_page, database):
    ids = start(database)
    app = open_page("pages/experiments.py", experiment="E")
    button(app, "stop-all").click().run()
    assert progress_of(database, "E").counts == {"queued": 4}
    button(app, "confirm-stop-experiment").click().run()
    assert progress_of(database, "E").counts == {"stopped": 4}
    put(database, ids[0], status=Status.FAILED)
    app = open_page("pages/experiments.py", experiment="E")
    button(app, "resume-failed").click().run()
    assert progress_of(database, "E").counts == {"queued": 1, "stopped": 3}
    button(app, "resume-stopped").click().run()
    assert not app.exception
    assert progress_of(database, "E").counts == {"queued": 4}


def test_what_cannot_be_resumed_is_said_until_it_is_dismissed(open_page, database):
    ids = start(database)
    for run_id in ids:
        put(database, run_id, status=Status.FAILED, episode=5, host="elsewhere", machine="another", boot_id="another")
    app = open_page("pages/experiments.py", experiment="E")
    button(app, "resume-failed").click().run()
    assert "Not done for 4 runs:" in text_of(app)
    button(app, "dismiss-experiment-result").click().run()
    assert "Not done for" not in text_of(app)


def test_archives_of_all_runs_are_offered(open_page, database):
    start(database)
    app = open_page("pages/experiments.py", experiment="E")
    button(app, "archive-all").click().run()
    assert not app.exception
    assert "4 archives: each has the whole record of a run" in text_of(app)


@pytest.mark.parametrize("name", ["Nothing", "e", "*E*", "x" * 500, "</script>"])
def test_an_unknown_experiment_is_said_with_a_way_back(open_page, database, name):
    start(database)
    app = open_page("pages/experiments.py", experiment=name)
    assert not app.exception
    assert len(app.warning) == 1
    assert "There is no experiment" in app.warning[0].value
    assert app.button[0].label == "All experiments"


def test_an_experiment_that_is_deleted_meanwhile_is_said(open_page, database):
    ids = start(database)
    app = open_page("pages/experiments.py", experiment="E")
    for run_id in ids:
        housekeeping.delete(database, run_id)
    app.run()
    assert not app.exception
    assert "There is no experiment 'E'" in app.warning[0].value
