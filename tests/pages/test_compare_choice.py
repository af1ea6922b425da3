"""What Compare offers while nothing is chosen, and that an experiment is compared whole."""

import pytest

from tests.pages.recorded import add_recorded_run
from tests.pages.test_states import phase_rows, text_of
from v3core.jobs.lifecycle import Status
from v3core.store.runs import update_run


@pytest.fixture
def experiment(database):
    """`experiment(name, count)` adds so many completed runs of that name; returns their ids."""

    def add(name, count):
        ids = [add_recorded_run(database, Status.COMPLETED, episodes=25, name=f"{name} {n}") for n in range(count)]
        with database.write() as tx:
            for run_id in ids:
                update_run(tx, run_id, {"experiment": name}, only_in=["completed"])
        return ids

    return add


def links(app):
    """Label and query of every link to Compare outside the sidebar."""
    found = app.main.get("page_link")
    return {link.proto.label: link.proto.query_string for link in found if link.proto.page.endswith("compare")}


def offers(app):
    """Buttons that show a comparison on this page, by label."""
    return {button.label: button for button in app.main.get("button") if button.label.startswith("Compare")}


def test_an_experiment_of_ten_runs_is_compared_with_all_ten(open_page, experiment):
    ids = experiment("Ten & more", 10)
    app = open_page("pages/compare.py", experiment="Ten & more")
    assert not app.exception
    assert sorted(app.multiselect[0].value) == sorted(ids)
    assert "10 runs, " in text_of(app)
    assert len(set(phase_rows(app)["Run"])) == 10


def test_home_links_to_all_of_the_newest_experiment(open_page, experiment):
    experiment("Ten & more", 10)
    assert links(open_page("app.py")) == {"Compare the latest experiment": "experiment=Ten+%26+more"}


def test_an_empty_compare_offers_the_newest_experiments_and_counts_the_rest(open_page, experiment):
    for number in range(7):
        experiment(f"Try {number}", 2)
    app = open_page("pages/compare.py")
    assert list(offers(app)) == [f"Compare Try {number} (2 runs)" for number in (6, 5, 4, 3, 2)]
    assert "2 older experiments are listed on Runs." in text_of(app)
    offers(app)["Compare Try 4 (2 runs)"].click().run()
    assert app.query_params["experiment"] == "Try 4"
    assert len(app.multiselect[0].value) == 2


def test_without_experiments_it_offers_the_two_newest_runs(open_page, database):
    ids = [add_recorded_run(database, Status.COMPLETED, name=f"run {number}") for number in range(3)]
    app = open_page("pages/compare.py")
    assert list(offers(app)) == ["Compare the two latest runs"]
    offers(app)["Compare the two latest runs"].click().run()
    assert app.query_params["runs"] == f"{ids[2]},{ids[1]}"
    assert sorted(app.multiselect[0].value) == sorted(ids[1:])


def test_an_experiment_that_is_not_there_is_said_to_be_missing(open_page, experiment):
    experiment("Here", 2)
    app = open_page("pages/compare.py", experiment="Gone")
    assert "There is no experiment 'Gone'; it may have been deleted." in text_of(app)
    assert list(offers(app)) == ["Compare Here (2 runs)"]


def test_choosing_other_runs_leaves_the_experiment(open_page, experiment):
    ids = experiment("Ten & more", 3)
    app = open_page("pages/compare.py", experiment="Ten & more")
    app.multiselect[0].set_value(ids[:2]).run()
    assert sorted(app.multiselect[0].value) == sorted(ids[:2])
    assert "2 runs, " in text_of(app)
