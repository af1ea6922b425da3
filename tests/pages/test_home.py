"""Home: what is filtered, selected, sorted and pinned, and what is done with several runs at once."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import parse_qs

import pytest
from sqlalchemy import delete

from tests.pages.recorded import add_recorded_run
from tests.pages.run_list import cells, names, select, table
from tests.pages.test_states import text_of
from v3core.archive import import_archive
from v3core.insight.alarms import RULES
from v3core.jobs import control
from v3core.jobs.housekeeping import in_words, run_sizes
from v3core.jobs.lifecycle import Status
from v3core.store.alarms import AlarmRow, put_alarm
from v3core.store.commands import read_commands
from v3core.store.history import add_event
from v3core.store.runs import get_run, list_runs, update_run
from v3core.store.schema import alarms, runs
from v3core.ui import run_selection


def put(database, run_id, **values):
    with database.write() as tx:
        update_run(tx, run_id, values, only_in=tuple(Status))


def test_the_filter_is_in_the_address_and_names_a_word_that_it_cannot_read(open_page, database):
    for name, seed in (("first", 1), ("second", 2)):
        put(database, add_recorded_run(database, Status.COMPLETED, name=name), seed=seed)
    app = open_page("app.py", q="seed:2")
    assert names(app) == ["second"]
    app.text_input(key="q").set_value("first status:compleet").run()
    assert not app.exception
    assert "“status:compleet”: it names no status; did you mean status:completed?" in text_of(app)
    assert names(app) == []
    app.text_input(key="q").set_value("nobody").run()
    assert "No runs match" in text_of(app)


def test_the_order_is_in_the_address(open_page, database):
    for name in ("b", "c", "a"):
        add_recorded_run(database, Status.COMPLETED, name=name)
    assert names(open_page("app.py", sort="name")) == ["a", "b", "c"]
    assert names(open_page("app.py", sort="-name")) == ["c", "b", "a"]
    assert names(open_page("app.py", sort="nonsense")) == ["a", "c", "b"]


def test_columns_are_chosen(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED)
    app = open_page("app.py")
    shown = ["status", "progress", "curve", "alarms", "mean", "duration", "started", "tags"]
    assert list(cells(app, run_id)) == shown
    assert "spark" in cells(app, run_id)["curve"]
    app = open_page("app.py", columns=["Seed", "Mean"])
    assert not app.exception
    assert list(cells(app, run_id)) == ["mean", "seed"]


def test_active_alarms_are_counted(open_page, database):
    quiet, loud = (add_recorded_run(database, Status.COMPLETED, name=name) for name in ("quiet", "loud"))
    now = datetime.now(UTC)
    with database.write() as tx:
        for rule, state in (("dead_expert", "active"), ("collapse", "active"), ("undone_updates", "cleared")):
            alarm = AlarmRow(0, rule, "warmup", 5, 9, 0.0, 0.1, state, "Evidence")
            put_alarm(tx, loud, alarm, actor="test", now=now, notify=False)
    app = open_page("app.py", sort="-alarms")
    assert names(app) == ["loud", "quiet"]
    shown = cells(app, loud)["alarms"]
    assert (shown["badge"], RULES["dead_expert"].title in shown["title"]) == ("2", True)
    assert cells(app, quiet)["alarms"]["text"] == ""


def test_where_alarms_were_not_recorded_there_is_a_dash(open_page, database):
    older = add_recorded_run(database, Status.COMPLETED, loads=(0.5, 0.5, 0.0, 0.0))
    empty = add_recorded_run(database, Status.QUEUED)
    assert cells(open_page("app.py"), older)["alarms"]["badge"] == "2"
    with database.write() as tx:
        tx.execute(delete(alarms))
        tx.execute(runs.update().values(watched=None))
    app = open_page("app.py")
    assert cells(app, older)["alarms"] == {"text": "–", "title": "Not recorded while it trained; Live computes them."}
    assert cells(app, empty)["alarms"]["text"] == ""


def test_others_show_their_difference_to_the_pinned_run(open_page, database):
    """Returns are 20 + episode: at the same episode, all of this test's runs of the same environment are equal."""
    pinned, longer, other = (
        add_recorded_run(database, Status.COMPLETED, recorded=recorded, name=name, env=env)
        for recorded, name, env in ((20, "pinned", None), (40, "longer", None), (25, "other", "Acrobot-v1"))
    )
    better = add_recorded_run(database, Status.COMPLETED, recorded=10, name="better")
    with database.write() as tx:
        tx.exec_driver_sql('UPDATE episodes SET "return" = "return" + 5 WHERE run_id = ?', (better,))
    app = select(open_page("app.py"), pinned)
    app.button(key="pin:selected").click().run()
    assert not app.exception
    assert app.query_params["baseline"] == pinned[:8]
    shown = {run: cells(app, run)["difference"] for run in (pinned, longer, other, better)}
    assert {run: cell["text"] for run, cell in shown.items()} == {
        pinned: "baseline",
        longer: "±0.000",
        other: "–",
        better: "+5.000",
    }
    assert shown[better]["title"].startswith("Up to episode 10 of both runs. One run each:")
    assert "CartPole-v1" in shown[other]["title"]
    assert names(open_page("app.py", baseline=pinned[:8], sort="-difference"))[:2] == ["better", "longer"]
    app.button(key="unpin").click().run()
    assert "difference" not in cells(app, pinned)
    control.delete(database, pinned)
    assert "The pinned baseline does not exist any more." in text_of(open_page("app.py", baseline=pinned[:8]))


def test_several_are_stopped_and_it_is_said_which_cannot_be(open_page, database):
    ids = [
        add_recorded_run(database, status, name=status)
        for status in map(Status, ("queued", "queued", "completed", "running"))
    ]
    app = select(open_page("app.py"), *ids)
    assert "4 selected" in text_of(app)
    button = app.button(key="stop:selected")
    assert (button.label, "Not possible for 1 selected run." in button.help) == ("Stop 3", True)
    put(database, ids[1], status="stopped")  # meanwhile, in another tab
    button.click().run()
    assert not app.exception
    assert [get_run(database, run_id).status for run_id in ids] == ["stopped", "stopped", "completed", "stopping"]
    assert "Stopping 2 runs. Not done for 2 runs: Run " in text_of(app)
    assert f"Run {ids[1][:8]} 'queued' is already stopped; there is nothing to stop." in text_of(app)
    app.button(key="dismiss-result").click().run()
    assert "Not done" not in text_of(app)


def test_what_needs_a_worker_is_requested_of_each(open_page, database):
    ids = [add_recorded_run(database, Status.RUNNING) for _ in range(2)]
    app = select(open_page("app.py"), *ids)
    app.button(key="pause:selected").click().run()
    assert [[row.kind for row in read_commands(database, run_id)] for run_id in ids] == [["pause"], ["pause"]]
    assert [toast.value for toast in app.toast] == ["Pause requested for 2 runs."]


def test_several_are_resumed(open_page, database):
    ids = [add_recorded_run(database, status) for status in (Status.STOPPED, Status.FAILED, Status.COMPLETED)]
    app = select(open_page("app.py"), *ids)
    assert app.button(key="resume:selected").label == "Resume 2"
    app.button(key="resume:selected").click().run()
    assert [get_run(database, run_id).status for run_id in ids] == ["queued", "queued", "completed"]
    assert "Resuming 2 runs. Not done for 1 run:" in text_of(app)


def test_deleting_several_says_what_is_freed_and_asks_first(open_page, database):
    ids = [
        add_recorded_run(database, status, name=f"{status}!")
        for status in map(Status, ("completed", "failed", "running"))
    ]
    app = select(open_page("app.py"), *ids)
    app.button(key="delete:selected").click().run()
    assert not app.exception
    assert len(list_runs(database)) == 3
    sizes = run_sizes(database, ids[:2]).values()
    assert f"**{in_words(sum(size.files for size in sizes))}** of files" in text_of(app)
    assert "1 selected run cannot be deleted now: stop them first." in text_of(app)
    assert app.button(key="confirm-delete-selected").label == "Delete 2 runs"
    app.button(key="confirm-delete-selected").click().run()
    assert [run.id for run in list_runs(database)] == [ids[2]]
    assert app.session_state["runs-selected"] == [ids[2]]
    assert "1 selected" in text_of(app)


def test_of_several_some_are_deleted_and_it_is_said_which_are_not(open_page, database):
    """Between the question and the answer one is deleted and one resumed in another tab."""
    ids = [add_recorded_run(database, Status.COMPLETED, name=name) for name in ("stays", "goes", "went")]
    app = select(open_page("app.py"), *ids)
    app.button(key="delete:selected").click().run()
    control.delete(database, ids[2])
    put(database, ids[0], status="running")
    app.button(key="confirm-delete-selected").click().run()
    assert not app.exception
    assert [run.name for run in list_runs(database)] == ["stays"]
    said = text_of(app)
    assert "Deleted 1 run. Not done for 2 runs: Run " in said
    assert f"Run {ids[0][:8]} 'stays' is running; stop it before you delete it." in said
    assert f"Run {ids[2][:8]} 'went' was deleted meanwhile." in said
    assert app.session_state["runs-selected"] == [ids[0], ids[2]]


def test_of_several_the_tags_of_some_are_changed(open_page, database):
    ids = [add_recorded_run(database, status, name=status) for status in map(Status, ("completed", "running", "lost"))]
    control.annotate(database, ids[0], tags="x" * 495)
    app = select(open_page("app.py"), *ids)
    app.button(key="tag:selected").click().run()
    control.delete(database, ids[2])
    app.text_input(key="tags-add").set_value("too-long-for-one")
    app.button(key="confirm-tags").click().run()
    assert not app.exception
    assert [run.tags for run in map(partial(get_run, database), ids[:2])] == ["x" * 495, "too-long-for-one"]
    said = text_of(app)
    assert "Changed the tags of 1 run. Not done for 2 runs: " in said
    assert "longer than 500 characters" in said
    assert f"Run {ids[2][:8]} 'lost' was deleted meanwhile." in said


def test_of_several_some_cannot_be_resumed_any_more(open_page, database):
    ids = [add_recorded_run(database, Status.STOPPED, name=name) for name in ("still", "already", "went")]
    app = select(open_page("app.py"), *ids)
    assert app.button(key="resume:selected").label == "Resume 3"
    control.resume(database, ids[1])
    control.delete(database, ids[2])
    app.button(key="resume:selected").click().run()
    assert not app.exception
    assert [get_run(database, run_id).status for run_id in ids[:2]] == ["queued", "queued"]
    assert "Resuming 1 run. Not done for 2 runs: " in text_of(app)


def test_runs_of_any_status_are_compared_and_no_more_than_can_be_told_apart(open_page, database):
    ids = [add_recorded_run(database, status) for status in (Status.RUNNING, Status.LOST, Status.QUEUED)]
    app = select(open_page("app.py"), *ids)
    assert _compared(app) == [",".join(run_id[:8] for run_id in ids)]
    many = [add_recorded_run(database, Status.COMPLETED, recorded=0) for _ in range(run_selection.MAX_COMPARED - 2)]
    app = select(app, *ids, *many)
    assert "Compare takes at most 24." in text_of(app)
    assert _compared(app) == []


def _compared(app):
    links = [parse_qs(link.proto.query_string) for link in app.get("page_link") if link.proto.label == "Compare"]
    return [value for link in links for value in link.get("runs", [])]


def test_tags_of_several_are_changed(open_page, database):
    ids = [add_recorded_run(database, Status.COMPLETED) for _ in range(2)]
    control.annotate(database, ids[0], tags="old")
    app = select(open_page("app.py"), *ids)
    app.button(key="tag:selected").click().run()
    app.text_input(key="tags-add").set_value("new paper")
    app.multiselect(key="tags-remove").set_value(["old"])
    app.button(key="confirm-tags").click().run()
    assert not app.exception
    assert [get_run(database, run_id).tags for run_id in ids] == ["new paper", "new paper"]
    assert cells(app, ids[0])["tags"] == {"tags": ["new", "paper"]}


def test_archives_of_several_can_be_imported(open_page, database):
    ids = [add_recorded_run(database, Status.COMPLETED, name=name) for name in ("one", "two")]
    for run_id in ids:
        control.annotate(database, run_id, tags="kept", notes="Kept, too.")
    content = run_selection._archives(database, [get_run(database, run_id) for run_id in ids])
    for run_id in ids:
        control.delete(database, run_id)
    with zipfile.ZipFile(io.BytesIO(content)) as together:
        for name in together.namelist():
            import_archive(database, io.BytesIO(together.read(name)))
    found = list_runs(database)
    assert {(run.id, run.name, run.tags, run.notes) for run in found} == {
        (ids[0], "one", "kept", "Kept, too."),
        (ids[1], "two", "kept", "Kept, too."),
    }


def test_archives_of_several_say_which_run_is_missing(open_page, database):
    runs = [get_run(database, add_recorded_run(database, Status.COMPLETED, name=name)) for name in ("one", "two")]
    control.delete(database, runs[0].id)
    with zipfile.ZipFile(io.BytesIO(run_selection._archives(database, runs))) as together:
        assert len(together.namelist()) == 2
        said = together.read(run_selection.MISSING_ARCHIVES).decode()
    assert said == f"Run {runs[0].id[:8]} 'one' was deleted meanwhile.\n"


def test_the_duration_of_a_resumed_run_is_that_of_all_its_stretches(open_page, database):
    run_id = add_recorded_run(database, Status.STOPPED, name="resumed")
    other = add_recorded_run(database, Status.STOPPED, name="other")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with database.write() as tx:
        for hour, kind in (
            (0, "running"),
            (5, "stopped"),
            (8, "running"),
            (9, "paused"),
            (10, "running"),
            (11, "lost"),
        ):
            add_event(tx, run_id, actor="worker", kind=kind, message="m", now=began + timedelta(hours=hour))
    put(database, run_id, started_at=began + timedelta(hours=8), ended_at=began + timedelta(hours=11), generation=1)
    put(database, other, started_at=began, ended_at=began + timedelta(hours=6))
    assert cells(open_page("app.py"), run_id)["duration"]["text"] == "7 h"
    assert names(open_page("app.py", sort="-duration")) == ["resumed", "other"]


@pytest.mark.parametrize(("limit", "says"), [(1 << 40, False), (0, True)])
def test_archives_that_are_too_large_name_the_command(open_page, database, monkeypatch, limit, says):
    monkeypatch.setattr(run_selection, "MAX_DOWNLOAD_BYTES", limit)
    app = select(open_page("app.py"), add_recorded_run(database, Status.COMPLETED))
    app.button(key="archive:selected").click().run()
    assert not app.exception
    assert any("archive" in block.value for block in app.code) is says


def test_only_what_the_filter_keeps_is_selected(open_page, database):
    first, second = (add_recorded_run(database, Status.COMPLETED, name=name) for name in ("first", "second"))
    app = select(open_page("app.py"), first, second)
    app.text_input(key="q").set_value("first").run()
    assert "1 selected" in text_of(app)
    assert f"delete:list:{first}" in [button.key for button in app.button]
    app.text_input(key="q").set_value("").run()
    assert "2 selected" in text_of(app)
    app.button(key="select-none").click().run()
    assert table(app)["selected"] == []
    app.button(key="select-all").click().run()
    assert set(table(app)["selected"]) == {first, second}
    assert table(app)["given"] == 2


def test_a_run_deleted_elsewhere_leaves_the_selection(open_page, database):
    first, second = (add_recorded_run(database, Status.COMPLETED, name=name) for name in ("first", "second"))
    app = select(open_page("app.py"), first, second)
    control.delete(database, second)
    app.run()
    assert not app.exception
    assert "1 selected" in text_of(app)
    assert names(app) == ["first"]


def test_the_picker_finds_runs_by_their_tags(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED, name="tagged")
    control.annotate(database, run_id, tags="best paper")
    options = {
        option for page in ("pages/live.py", "pages/compare.py") for option in _options(open_page, database, page)
    }
    assert options == {f"tagged · {run_id[:6]} · best paper"} | {
        f"a queued run · {run.id[:6]}" for run in list_runs(database) if run.id != run_id
    }


def _options(open_page, database, page):
    if len(list_runs(database)) < 2:
        add_recorded_run(database, Status.QUEUED)
    app = open_page(page)
    return (app.selectbox[0] if page == "pages/live.py" else app.multiselect[0]).options


def test_what_is_sent_for_a_page_of_runs_is_small(open_page, database):
    for number in range(25):
        add_recorded_run(database, Status.COMPLETED, recorded=25, name=f"v3 · CartPole-v1 · seed {number}")
    assert len(json.dumps(table(open_page("app.py")))) < 20_000
