"""What nobody foresaw ends in a sentence and a way on, on every page, never in a traceback."""

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.errors import V3Error
from v3core.jobs.lifecycle import Status

# What each page calls while it is drawn: in its script, and in a part that ticks.
CALLS = {
    "app.py": "v3core.ui.run_list._filtered",
    "pages/launch.py": "v3core.ui.environment_choice.known_environments",
    "pages/live.py": "v3core.ui.run_header.status_badge",
    "pages/compare.py": "v3core.ui.run_picker.list_runs",
    "pages/replay.py": "v3core.ui.replay_choice.recorded_replays",
}


def failing(error):
    """A function that does nothing else."""

    def fails(*_, **__):
        raise error

    return fails


def error_of(app):
    """The only error on the page: its title and its sentence."""
    assert not app.exception
    (error,) = app.error
    return error.proto.title, error.value


@pytest.mark.parametrize("page", CALLS)
def test_an_error_of_a_page_ends_in_a_sentence_and_offers_to_reload(page, open_page, database, monkeypatch):
    for status in (Status.COMPLETED, Status.STOPPED):
        add_recorded_run(database, status)
    with monkeypatch.context() as patch:
        patch.setattr(CALLS[page], failing(ZeroDivisionError("division by [zero](http://there)")))
        app = open_page(page)
    title, sentence = error_of(app)
    assert title == "This page could not be displayed"
    assert sentence.startswith("ZeroDivisionError")
    assert "http://there" not in sentence  # escaped, so that it is no link
    (reload,) = [button for button in app.button if button.label == "Reload"]
    reload.click().run()
    assert not app.error


def test_a_sentence_of_ours_is_shown_as_it_is(open_page, database, monkeypatch):
    add_recorded_run(database, Status.COMPLETED)
    monkeypatch.setattr(CALLS["pages/launch.py"], failing(V3Error("Gymnasium is away; try again.")))
    _, sentence = error_of(open_page("pages/launch.py"))
    assert sentence == "Gymnasium is away; try again."
