"""What if, the tree of forks, and what really happened on Live: also where there is nothing to begin with."""

import pytest

from tests.pages.recorded import add_recorded_run
from tests.pages.test_run_checkpoints import opened
from tests.pages.test_states import text_of
from v3core.comparison.fork_pairs import pairs_of
from v3core.curriculum import load_preset, preset_names, renamed
from v3core.jobs import control
from v3core.jobs.forks import fork
from v3core.jobs.lifecycle import Status
from v3core.store.history import read_checkpoints
from v3core.store.runs import get_run, list_runs


def edited(curriculum):
    """With another setting in its last phase."""
    last = curriculum.phases[-1].model_copy(update={"load_balance": 0.2})
    return curriculum.model_copy(update={"phases": (*curriculum.phases[:-1], last)})


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch):
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])
    monkeypatch.setattr("v3core.jobs.checkpoints.is_whole", lambda file: file.is_file())  # made files are no archives


def button(app, key):
    (found,) = [one for one in app.button if one.key == key]
    return found


def test_without_a_checkpoint_what_if_says_how_to_get_one(open_page, database):
    run = add_recorded_run(database, Status.RUNNING, recorded=0)
    app = opened(open_page, run, "what-if")
    assert not app.exception
    assert "There is no checkpoint yet that a fork could begin with" in text_of(app)


def test_a_fork_starts_from_the_chosen_checkpoint_and_the_tree_shows_it(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    app = opened(open_page, run, "what-if")
    assert not app.exception
    assert button(app, "what-if-start").disabled, "nothing is changed yet"
    button(app, "what-if-fork").click().run()
    assert not app.exception
    (child,) = [one for one in list_runs(database) if one.parent == run]
    assert child.parent_episode == read_checkpoints(database, run)[-1].episode
    assert f"Forked as **{child.name}**" in text_of(app).replace("\\", "")
    assert f"{child.name} · queued" in {link.proto.label for link in app.get("page_link")}
    (seeds,) = [field for field in app.text_input if field.key == f"what-if-seeds-{run}"]
    app = seeds.set_value("1-3, x").run()
    assert "'x' is not a seed" in text_of(app).replace("\\", "")
    assert button(app, "what-if-start").disabled


def test_seeds_of_pairs_are_refused_in_the_language_of_the_page(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    app = open_page("pages/live.py", run=run, lang="zh-CN")
    app.session_state["what-if"] = True
    (seeds,) = [field for field in app.run().text_input if field.key == f"what-if-seeds-{run}"]
    app = seeds.set_value("1-3, x").run()
    assert "“x”不是" in text_of(app).replace("\\", "")


def test_a_fork_whose_parent_is_gone_says_so_and_opens(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    child = fork(database, run, name="left alone")
    control.delete(database, run)
    app = open_page("pages/live.py", run=child)
    assert not app.exception
    assert "was forked at episode" in text_of(app)
    assert get_run(database, child).episode == get_run(database, child).parent_episode


def test_what_happened_is_saved_under_a_name_that_is_free(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    app = opened(open_page, run, "happened")
    assert not app.exception
    (field,) = [one for one in app.text_input if one.key == f"preset-name-{run}"]
    field.set_value("v3")
    app = button(app, "save-preset").click().run()
    assert "There is already a preset" in " ".join(str(one.value) for one in app.toast)
    (field,) = [one for one in app.text_input if one.key == f"preset-name-{run}"]
    field.set_value("from-a-page")
    app = button(app, "save-preset").click().run()
    assert not app.exception
    assert "Saved as preset" in text_of(app)
    assert "from-a-page" in preset_names()
    assert load_preset("from-a-page").description.startswith(f"What run {run[:8]} trained under")


def test_compare_shows_the_tree_of_forks(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    child = fork(database, run, name="a fork")
    app = open_page("pages/compare.py", runs=f"{run},{child}")
    assert not app.exception
    assert "Forks" in [header.value for header in app.subheader]
    assert "a fork · queued, from 25" in {link.proto.label for link in app.get("page_link")}


def test_pairs_are_started_once_in_two_tabs_and_told_apart_though_both_are_edited(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    wanted = renamed(get_run(database, run).config.curriculum.model_copy())
    origin = fork(database, run, name="edited once", curriculum=edited(wanted))
    count = len(list_runs(database))
    tabs = [opened(open_page, origin, "what-if") for _ in range(2)]
    for app in tabs:
        (field,) = [
            one for one in app.text_input if (one.key or "").endswith(f"-{len(wanted.phases) - 1}-load_balance")
        ]
        field.set_value("0.3").run()
        button(app, "what-if-start").click().run()
        assert not app.exception
        assert "10 runs started as experiment" in text_of(app)
    pairs = [one for one in list_runs(database) if one.parent == origin]
    assert len(pairs) == len(list_runs(database)) - count == 10
    found = pairs_of(pairs)
    assert (found.base, found.change, len(found.pairs)) == ("v3 (edited)", "v3 (edited 2)", 5)
    for one in pairs:  # whatever of the pages outlives the test finds nothing to start
        control.delete(database, one.id)
    control.delete(database, origin)
