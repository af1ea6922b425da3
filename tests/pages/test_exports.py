"""Downloads on Live and imports on Runs, as pages see them."""

from dataclasses import replace

import pytest

from tests.pages.recorded import add_recorded_run
from tests.pages.test_states import text_of
from v3core.archive import file_name, write_archive
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.runs import get_run, list_runs
from v3core.ui import run_files
from v3core.ui.run_files import write_download


@pytest.fixture
def run(database):
    """A stopped run."""
    return add_recorded_run(database, Status.STOPPED)


def test_live_says_how_much_room_a_run_takes_and_offers_every_form(open_page, run):
    app = open_page("pages/live.py", run=run)
    assert not app.exception
    assert "The run uses about " in text_of(app)
    offered = {element.proto.label: element.proto.disabled for element in app.get("download_button")}
    assert offered == {"CSV": False, "Parquet": False, "JSON": False, "Archive": False}


def test_nothing_is_written_before_the_click(open_page, run, monkeypatch):
    monkeypatch.setattr(run_files, "write_archive", lambda *_: pytest.fail("written"))
    monkeypatch.setattr("v3core.store.export.export_runs", lambda *_: pytest.fail("written"))
    assert not open_page("pages/live.py", run=run).exception


@pytest.mark.parametrize(
    ("suffix", "begins"),
    [("csv", b"run_id,curriculum,seed,episode,"), ("parquet", b"PAR1"), ("json", b"{"), ("v3run", b"PK")],
)
def test_a_click_sends_the_file(database, run, suffix, begins):
    assert write_download(database, run, suffix).startswith(begins)


def test_a_downloads_name_says_what_it_is_of(database, run):
    row = get_run(database, run)
    assert file_name(row, "csv") == f"v3-CartPole-v1-seed-1-{run[:8]}.csv"
    odd = replace(row, curriculum='../"é"\n' + "x" * 300, env="my_envs:Slow-v0")
    assert file_name(odd, "json").startswith("xxx")
    assert len(file_name(odd, "json")) < 200
    assert "/" not in file_name(odd, "json")
    assert file_name(replace(odd, curriculum="a b"), "csv") == f"a-b-my_envs-Slow-v0-seed-1-{run[:8]}.csv"


def test_what_is_too_large_for_the_browser_goes_by_the_command_line(open_page, run, monkeypatch):
    monkeypatch.setattr(run_files, "MAX_DOWNLOAD_BYTES", 10)
    app = open_page("pages/live.py", run=run)
    assert all(element.proto.disabled for element in app.get("download_button"))
    assert f"archive {run[:8]} --to run.v3run" in app.code[-1].value or any(
        f"archive {run[:8]} --to run.v3run" in code.value for code in app.code
    )


def test_an_archive_is_uploaded_on_the_page_runs(open_page, database, run, tmp_path):
    write_archive(database, run, tmp_path / "run.v3run")
    control.delete(database, run)
    app = open_page("app.py")
    app.file_uploader[0].upload("run.v3run", (tmp_path / "run.v3run").read_bytes())
    (button,) = [button for button in app.button if "import-form" in button.key]
    button.click().run()
    assert not app.exception
    assert [row.id for row in list_runs(database)] == [run]


def test_an_archive_that_is_refused_stays_chosen_for_a_second_try(open_page, database, run, tmp_path):
    write_archive(database, run, tmp_path / "run.v3run")
    app = open_page("app.py")
    app.file_uploader[0].upload("run.v3run", (tmp_path / "run.v3run").read_bytes())
    (button,) = [button for button in app.button if "import-form" in button.key]
    button.click().run()
    assert "already exists; delete it first, or import the archive under a new id" in app.error[0].value
    (new_id,) = [box for box in app.checkbox if box.label == "Under a new id"]
    new_id.check()
    (button,) = [button for button in app.button if "import-form" in button.key]
    button.click().run()
    assert not app.exception
    assert len(list_runs(database)) == 2


def test_a_bad_upload_is_one_sentence(open_page, database):
    app = open_page("app.py")
    (button,) = [button for button in app.button if "import-form" in button.key]
    button.click().run()
    assert "No archive selected" in app.error[0].value
    app.file_uploader[0].upload("run.v3run", b"nothing")
    (button,) = [button for button in app.button if "import-form" in button.key]
    button.click().run()
    assert not app.exception
    assert "is not a V3 Lab archive" in app.error[0].value
    assert list_runs(database) == []
