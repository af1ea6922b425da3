"""Every page and every command that reads a run: without episodes, with one, with one expert or 64, without numbers."""

import json

import pytest

from tests.markdown import shown
from tests.pages.kinds import FAILURE, KINDS
from tests.pages.recorded import add_recorded_run
from tests.pages.run_list import names
from tests.pages.test_experts_on_live import sent
from tests.pages.test_measurements import figures
from tests.pages.test_states import PAGES, phase_rows, text_of
from v3core.cli import main
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.alarms import read_alarms

OPEN = {"experts": "true"}


@pytest.fixture(params=KINDS)
def odd(request, database):
    """A run of each kind."""
    return KINDS[request.param](database, request.param)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_it(open_page, database, odd, page):
    good = add_recorded_run(database, Status.COMPLETED, name="usual", evaluated=(20,))
    links = {
        "pages/live.py": {"run": odd, **OPEN},
        "pages/compare.py": {"runs": f"{odd},{good}"},
        "pages/launch.py": {"from": odd},
    }
    app = open_page(page, **links.get(page, {}))
    assert not app.exception
    assert "server's log" not in text_of(app), text_of(app)
    assert {error.value for error in app.error} <= {FAILURE, "See the log below."}  # why a failed run failed
    if page == "app.py":
        assert len(names(app)) == 2
    if page == "pages/live.py":
        app.session_state["health"] = True
        app.run()
        assert not app.exception
        drawn = figures(app) | sent(app)
        assert {"return", "schedule", "decisions", "updates"} <= set(drawn)
        json.dumps(drawn, allow_nan=False)  # a browser reads no NaN
    if page == "pages/compare.py":
        json.dumps(figures(app), allow_nan=False)
        assert "usual" in set(phase_rows(app)["Run"])


def test_commands_read_it(database, odd, capsys):
    def printed(*arguments):
        assert main(list(arguments)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert len(json.loads(printed("runs", "--json"))) == 1
    shown = json.loads(printed("show", odd, "--json"))
    assert shown["id"] == odd
    printed("show", odd)
    printed("log", odd)
    found = json.loads(printed("alarms", odd, "--json"))
    printed("alarms", odd)
    assert isinstance(found, list | dict)
    for ending in ("csv", "json", "parquet"):
        printed("export", odd, "--to", str(database.data_dir / f"of.{ending}"))
    printed("note", odd, "--tags", "odd")


@pytest.mark.parametrize("kind", ["older", "imported"])
def test_alarms_of_a_run_that_none_were_recorded_for_are_computed_and_said_to_be(open_page, database, kind, capsys):
    run_id = KINDS[kind](database, kind)
    stored = read_alarms(database, run_id)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert "2 of 4 experts dead" in text_of(app)
    assert ("computed now from its episodes" in text_of(app)) == (not stored)
    capsys.readouterr()
    assert main(["alarms", run_id]) == 0
    assert "dead_expert" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["app.py", "pages/live.py", "pages/compare.py"])
def test_a_run_is_deleted_while_a_page_shows_it(open_page, database, page):
    other, third = (add_recorded_run(database, Status.COMPLETED, name=name) for name in ("other", "third"))
    gone = add_recorded_run(database, Status.COMPLETED, name="gone", evaluated=(20,))
    links = {"pages/live.py": {"run": gone, **OPEN}, "pages/compare.py": {"runs": f"{gone},{other},{third}"}}
    app = open_page(page, **links.get(page, {}))
    assert "gone" in (names(app) if page == "app.py" else text_of(app) + str([box.options for box in app.multiselect]))
    control.delete(database, gone)
    app.run()
    assert not app.exception
    assert "server's log" not in text_of(app), text_of(app)
    if page == "app.py":
        assert names(app) == ["third", "other"]
    else:
        assert shown(app.warning[0].value).startswith("The run 'gone' was deleted.")
    if page == "pages/compare.py":
        assert len(app.warning) == 1
        assert app.multiselect[0].value == [other, third]


@pytest.mark.parametrize(
    ("text", "word"),
    [("status:faild", "status:faild"), ("seed:x v3", "seed:x"), ("colour:red", "colour:red"), ('v3 "', '"')],
)
def test_a_filter_that_cannot_be_read_names_the_word(open_page, database, text, word, capsys):
    add_recorded_run(database, Status.COMPLETED)
    app = open_page("app.py", q=text)
    assert not app.exception
    assert f"“{word}”" in text_of(app)
    assert main(["runs", "--filter", text]) == 1
    assert f"cannot be read at “{word}”" in capsys.readouterr().err.splitlines()[-1]
