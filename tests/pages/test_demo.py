"""The demo convinces: it says what to look for before, while and after it trains, with the numbers recorded."""

import pytest

from tests.pages.recorded import add_recorded_run
from tests.pages.test_states import phase_rows
from v3core.curriculum import load_preset
from v3core.jobs.demo import WITH, WITHOUT, demo_configs, start_demo
from v3core.jobs.lifecycle import Status
from v3core.metrics import METRICS
from v3core.rollup import NEWEST_WINDOW
from v3core.store.runs import list_runs, update_run

SPREAD = (1 / 16,) * 16
COLLAPSED = (0.6, 0.38, 0.02, *(0.0,) * 13)


def text_of(app):
    return "\n".join(element.value for element in [*app.markdown, *app.caption, *app.subheader])


def comparisons(app):
    """Label and query of each link to Compare with a query."""
    links = [(link.proto.label, link.proto.page, link.proto.query_string) for link in app.get("page_link")]
    return {label: query for label, page, query in links if page == "compare" and query}


@pytest.fixture
def demo(database):
    """`demo(status of the run with a curriculum, of that without)`: a demo's runs; returns their ids."""

    def add(*statuses, experiment="Demo", recorded=25, episodes=40):
        ids = []
        for preset, loads, status in zip((WITH, WITHOUT), (SPREAD, COLLAPSED), statuses, strict=True):
            run_id = add_recorded_run(
                database, status, preset=preset, loads=loads, episodes=episodes, recorded=recorded, name=preset
            )
            with database.write() as tx:
                update_run(tx, run_id, {"experiment": experiment}, only_in=tuple(Status))
            ids.append(run_id)
        return ids

    return add


def test_home_says_what_the_demo_shows_and_queues_it_once(open_page, database):
    app = open_page("app.py")
    assert "without the curriculum a few experts take over all of the load and the others die" in text_of(app)
    app.button(key="start-demo").click().run()
    assert not app.exception
    queued = sorted((run.curriculum, run.env, run.seed, run.status, run.experiment) for run in list_runs(database))
    assert queued == [(preset, "CartPole-v1", 1, "queued", "Demo") for preset in (WITH, WITHOUT)]
    assert start_demo(database) == [run.id for run in sorted(list_runs(database), key=lambda run: run.curriculum)]
    assert len(list_runs(database)) == 2


def test_the_demos_runs_differ_in_their_curriculum_and_name_only():
    first, second = (config.model_dump(exclude={"curriculum", "name"}) for config in demo_configs())
    assert first == second
    assert first["policy"]["experts"] == 16


@pytest.mark.parametrize(
    ("place", "words"),
    [(0, "every expert should keep a share of the load until the end"), (1, "The others are **dead**")],
)
def test_live_says_what_to_look_for_and_leads_to_the_other_run(open_page, demo, place, words):
    ids = demo(Status.RUNNING, Status.RUNNING)
    app = open_page("pages/live.py", run=ids[place])
    assert not app.exception
    assert words in text_of(app)
    assert "The demo is complete" not in text_of(app)
    assert comparisons(app) == {"Compare them as they train": "experiment=Demo&metric=Dead+experts"}


@pytest.mark.parametrize(("place", "which"), [(0, "without"), (1, "with")])
def test_the_other_run_of_the_demo_is_shown_and_named_by_the_address(open_page, demo, place, which):
    ids = demo(Status.RUNNING, Status.RUNNING)
    app = open_page("pages/live.py", run=ids[place])
    (button,) = [button for button in app.button if button.label == f"Look at the run {which} the curriculum"]
    button.click().run()
    assert not app.exception
    assert app.query_params["run"] == ids[1 - place]
    assert app.selectbox[0].value == ids[1 - place]


def test_when_both_have_ended_live_and_home_offer_the_comparison_with_what_came_of_it(open_page, demo):
    ids = demo(Status.COMPLETED, Status.COMPLETED)
    for page, query in (("app.py", {}), *(("pages/live.py", {"run": run}) for run in ids)):
        app = open_page(page, **query)
        assert not app.exception
        assert "The demo is complete." in text_of(app)
        assert "**0 of 16** experts are dead with the curriculum and **13 of 16** experts are dead without" in text_of(
            app
        )
        assert comparisons(app)["Compare the two runs"] == "experiment=Demo&metric=Dead+experts"


def test_home_speaks_of_the_demo_until_something_else_is_started(open_page, demo, database):
    demo(Status.COMPLETED, Status.COMPLETED)
    demo(Status.COMPLETED, Status.RUNNING, experiment="Demo (2)")
    assert "The demo is complete" not in text_of(open_page("app.py")), "the newer one is under way"
    add_recorded_run(database, Status.COMPLETED)
    assert "The demo is complete" not in text_of(open_page("app.py"))


def test_a_demo_that_was_stopped_before_its_first_episode_has_nothing_to_say_of_experts(open_page, demo):
    ids = demo(Status.STOPPED, Status.FAILED, recorded=0)
    app = open_page("pages/live.py", run=ids[0])
    assert not app.exception
    assert "The demo ended early." in text_of(app)
    assert "experts are dead with" not in text_of(app)


def test_a_demo_that_was_trained_longer_and_then_stopped_is_complete(open_page, demo, database):
    ids = demo(Status.COMPLETED, Status.STOPPED, recorded=load_preset(WITHOUT).episodes, episodes=900)
    assert "The demo is complete." in text_of(open_page("pages/live.py", run=ids[1]))


def test_compare_shows_the_dead_experts_and_how_to_read_them(open_page, demo):
    demo(Status.COMPLETED, Status.COMPLETED)
    app = open_page("pages/compare.py", experiment="Demo", metric="Dead experts")
    assert not app.exception
    assert app.selectbox(key="metric").value == "recent_dead_experts"
    text = text_of(app)
    assert "if it gets less than 1% of the load" in text
    # The window of the metric that the demo's links open, as its own description has it.
    assert f"**{METRICS['recent_dead_experts'].title}** these episodes are {NEWEST_WINDOW}." in text
    assert str(NEWEST_WINDOW) in METRICS["recent_dead_experts"].meaning
    table = phase_rows(app)
    assert table["Dead"].tolist()[-1] == 13
    assert "**13 of 16** experts are dead without" in text_of(app)


def test_other_runs_are_no_demo(open_page, database):
    """The presets of the demo in an experiment of one's own, and other curricula in one of that name."""
    ids = [add_recorded_run(database, Status.COMPLETED, preset=preset) for preset in (WITH, WITHOUT, "v3", "v3")]
    with database.write() as tx:
        for run_id, experiment in zip(ids, ["Mine", "Mine", "Demo", "Demo"], strict=True):
            update_run(tx, run_id, {"experiment": experiment}, only_in=["completed"])
    for page, query in (
        ("app.py", {}),
        ("pages/live.py", {"run": ids[0]}),
        ("pages/live.py", {"run": ids[2]}),
        ("pages/compare.py", {"experiment": "Mine"}),
    ):
        app = open_page(page, **query)
        assert not app.exception
        assert "The demo is complete" not in text_of(app)
        assert not [expander.label for expander in app.expander if "Demo" in expander.label]
