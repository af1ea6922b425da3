"""Every page in every state of a run: designed, reported in words, and never a traceback."""

import pytest

from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from tests.pages.run_list import cells, names, select, table
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.runs import get_run, list_runs, update_run
from v3core.store.schema import STORED
from v3core.ui import run_actions
from v3core.ui.text import plain

PAGES = ["app.py", "pages/launch.py", "pages/live.py", "pages/compare.py", "pages/replay.py"]


def text_of(app):
    """Everything a page says."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.success)
    return "\n".join(shown(str(element.value)) for kind in kinds for element in kind)


def phase_rows(app):
    """The table of phases on Compare."""
    return next(frame.value for frame in app.dataframe if "Phase" in frame.value)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_is_a_beginning_not_an_error(open_page, page):
    app = open_page(page)
    assert not app.exception
    assert not app.error
    expected = {
        "app.py": "No runs yet",
        "pages/launch.py": "Launch",
        "pages/live.py": "No runs yet.",
        "pages/compare.py": "There are no runs yet; a comparison needs two.",
        "pages/replay.py": "No runs yet.",
    }
    assert expected[page] in text_of(app)


@pytest.mark.parametrize("status", sorted(STORED))
def test_home_shows_each_status_and_what_can_be_done(open_page, database, status):
    run_id = add_recorded_run(database, status, reason="It broke." if status is Status.FAILED else None)
    app = open_page("app.py")
    assert not app.exception
    assert cells(app, run_id)["status"]["badge"] == status.capitalize()
    assert not [button.key for button in app.button if ":list:" in button.key], "nothing is selected"
    select(app, run_id)
    assert not app.exception
    shown = {button.key: not button.disabled for button in app.button if ":list:" in button.key}
    can_be_done = {
        Status.QUEUED: {"stop", "delete"},
        Status.STARTING: {"stop"},
        Status.RUNNING: {"stop", "pause", "checkpoint"},
        Status.PAUSED: {"stop", "continue", "checkpoint"},
        Status.STALLED: {"stop", "pause", "checkpoint"},
        Status.STOPPING: set(),
        Status.COMPLETED: {"delete"},
    }.get(status, {"resume", "delete"})
    assert {key.partition(":")[0] for key, is_open in shown.items() if is_open} == can_be_done
    if status is Status.FAILED:
        assert table(app)["rows"][0]["reason"] == "It broke."


@pytest.mark.parametrize("status", sorted(STORED))
@pytest.mark.parametrize("recorded", [0, 1, 25])
def test_live_draws_each_status_with_any_number_of_episodes(open_page, database, status, recorded):
    if status in (Status.QUEUED, Status.STARTING) and recorded:
        pytest.skip("has no episodes")
    run_id = add_recorded_run(database, status, recorded=recorded, reason="It broke.")
    app = open_page("pages/live.py", run=run_id[:8])
    assert not app.exception
    text = text_of(app)
    assert f"a {status} run" in text
    assert status.capitalize() in text
    if status is Status.FAILED:
        assert "It broke." in text
    waiting = [info.value for info in app.info if info.icon == ":material/hourglass_empty:"]
    assert len(waiting) == (0 if recorded else 1)


def test_live_says_when_the_linked_run_is_gone(open_page, database):
    add_recorded_run(database, Status.COMPLETED)
    app = open_page("pages/live.py", run="ffffffff")
    assert not app.exception
    assert "There is no run 'ffffffff'" in app.warning[0].value
    assert "Choose another run above." in app.warning[0].value
    assert not app.subheader  # none is shown in its place
    (picker,) = [box for box in app.selectbox if box.label == "Run"]
    assert (picker.value, len(picker.options)) == (None, 1)
    picker.select_index(0).run()
    assert not app.warning
    assert app.subheader[0].value == "a completed run"


@pytest.mark.parametrize("linked", [True, False])
def test_after_a_delete_no_other_run_is_shown(open_page, database, linked):
    other, run_id = add_recorded_run(database, Status.COMPLETED, name="other"), None
    run_id = add_recorded_run(database, Status.STOPPED, name="*mine*")
    app = open_page("pages/live.py", **({"run": run_id[:8]} if linked else {}))
    app.button(key=f"delete:live:{run_id}").click().run()
    app.button(key="confirm-delete").click().run()
    assert not app.exception
    assert [run.id for run in list_runs(database)] == [other]
    assert shown(app.warning[0].value) == "The run '*mine*' was deleted. Choose another run above."
    assert not app.subheader
    (picker,) = [box for box in app.selectbox if box.label == "Run"]
    assert picker.value is None
    picker.select_index(0).run()
    assert not app.warning
    assert app.subheader[0].value == "other"


def test_deleting_the_only_run_says_so_too(open_page, database):
    run_id = add_recorded_run(database, Status.STOPPED, name="mine")
    app = open_page("pages/live.py", run=run_id)
    app.button(key=f"delete:live:{run_id}").click().run()
    app.button(key="confirm-delete").click().run()
    assert "The run 'mine' was deleted." in app.warning[0].value
    assert "No runs yet." in text_of(app)


def test_a_run_deleted_in_another_tab_is_said_to_be(open_page, database):
    add_recorded_run(database, Status.COMPLETED, name="other")
    run_id = add_recorded_run(database, Status.STOPPED, name="mine")
    app = open_page("pages/live.py", run=run_id)
    control.delete(database, run_id)
    app.run()
    assert "The run 'mine' was deleted." in app.warning[0].value
    assert not app.subheader


def test_live_says_what_the_policy_sees(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED)
    with database.write() as tx:
        update_run(tx, run_id, {"sees": "The policy sees speed. Not used: *place*."}, only_in=STORED)
    assert "The policy sees speed. Not used: *place*." in text_of(open_page("pages/live.py", run=run_id))


def boundary_fields(app):
    """The fields of the phase boundaries, in their order."""
    return [field for field in app.number_input if "ends at episode" in field.label]


def test_boundaries_ahead_are_open_and_those_behind_are_closed(open_page, database):
    add_recorded_run(database, Status.STOPPED, recorded=25)  # boundaries at 10 and 30
    app = open_page("pages/live.py")
    fields = {field.label: (field.value, field.disabled) for field in boundary_fields(app)}
    assert fields == {"warmup ends at episode": (10, True), "transition ends at episode": (30, False)}


def test_a_stopped_run_is_resumed_with_the_boundaries_that_were_moved(open_page, database):
    run_id = add_recorded_run(database, Status.STOPPED, recorded=25)
    app = open_page("pages/live.py")
    boundary_fields(app)[1].set_value(35).run()
    assert app.button(key="apply-boundaries").label == "Resume with these boundaries"
    app.button(key="apply-boundaries").click().run()
    assert not app.exception
    assert "Boundaries 10, 35: applied at episode 25" in text_of(app)
    assert get_run(database, run_id).status == "queued"


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (20, "would end at episode 20, but the run is already at 25; choose 26 or later."),
        (90, "ends at episode 90, but the run has only 40 episodes"),
        (5, "Phase 2 'transition' ends at episode 5 but phase 1 'warmup' ends at 10"),
    ],
)
def test_a_boundary_out_of_reach_is_refused_in_one_sentence(open_page, database, wanted, sentence):
    add_recorded_run(database, Status.STOPPED, recorded=25)
    app = open_page("pages/live.py")
    boundary_fields(app)[1].set_value(wanted).run()
    app.button(key="apply-boundaries").click().run()
    assert not app.exception
    (error,) = app.error
    assert sentence in error.value
    assert boundary_fields(app)[1].value == wanted, "what was typed stays, to be corrected"


def test_a_boundary_out_of_reach_is_refused_in_the_language_of_the_page(open_page, database):
    add_recorded_run(database, Status.STOPPED, recorded=25)
    app = open_page("pages/live.py", lang="zh-CN")
    ends = [field for field in app.number_input if "结束于回合" in field.label]
    ends[1].set_value(20).run()
    app.button(key="apply-boundaries").click().run()
    (error,) = app.error
    assert "但运行已到" in error.value


def test_a_link_to_several_runs_is_refused_in_the_language_of_the_page(open_page, database):
    ids = []
    while len({run_id[0] for run_id in ids}) == len(ids):  # two of them begin with the same letter
        ids.append(add_recorded_run(database, Status.STOPPED, recorded=1))
    app = open_page("pages/live.py", lang="zh-CN", run=ids[-1][0])
    assert "有多次运行与" in text_of(app)


def test_ends_that_training_decides_are_shown_as_what_they_are(open_page, database):
    run_id = add_recorded_run(database, Status.STOPPED, preset="bengio-minigrid", episodes=400)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    shown = [item for item in app.text_input if item.label.endswith("ends by")]
    assert [(item.value, item.disabled) for item in shown] == [
        ("success ≥ 0.9 (100) within 100", True),
        ("success ≥ 0.9 (100) within 200", True),
    ]
    assert not [item for item in app.number_input if "ends at episode" in item.label]
    assert "Training decides when these phases end" in text_of(app)


def test_compare_lays_two_runs_over_each_other(open_page, database):
    first = add_recorded_run(database, Status.COMPLETED, episodes=25, name="first")
    second = add_recorded_run(database, Status.RUNNING, name="second", preset="direct-sparsemax")
    app = open_page("pages/compare.py", runs=f"{first[:8]},{second}")
    assert not app.exception
    rows = phase_rows(app)
    assert rows[["Run", "Phase"]].to_numpy().tolist() == [
        ["first", "warmup"],
        ["first", "transition"],
        ["first", "fine-tune"],
        ["second", "sparse from the start"],
        ["second", "slower sparse learning"],
    ]
    assert rows["Final return"].notna().all()


def test_compare_tells_runs_of_one_name_apart(open_page, database):
    ids = [add_recorded_run(database, Status.COMPLETED, name="twin") for _ in range(2)]
    app = open_page("pages/compare.py", runs=",".join(ids))
    assert set(phase_rows(app)["Run"]) == {f"twin · {run_id[:6]}" for run_id in ids}


def test_compare_asks_for_a_second_run(open_page, database):
    first = add_recorded_run(database, Status.COMPLETED)
    add_recorded_run(database, Status.QUEUED)
    app = open_page("pages/compare.py", runs=first)
    assert "Choose two or more runs" in text_of(app)
    assert not app.exception


def test_compare_of_runs_without_episodes_says_so(open_page, database):
    ids = [add_recorded_run(database, Status.QUEUED) for _ in range(2)]
    app = open_page("pages/compare.py", runs=",".join(ids))
    assert not app.exception
    assert "None of these runs has finished an episode yet." in text_of(app)


def test_deleting_asks_first(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED)
    app = select(open_page("app.py"), run_id)
    app.button(key=f"delete:list:{run_id}").click().run()
    assert len(list_runs(database)) == 1
    assert app.button(key="confirm-delete").label == "Delete"
    assert "This cannot be undone." in text_of(app)


def test_deleting_many_episodes_says_that_it_takes_a_while(open_page, database, monkeypatch):
    monkeypatch.setattr(run_actions, "MANY_EPISODES", 20)
    for recorded, says in ((20, False), (21, True)):
        run_id = add_recorded_run(database, Status.COMPLETED, recorded=recorded)
        app = select(open_page("app.py"), run_id)
        app.button(key=f"delete:list:{run_id}").click().run()
        assert ("Deleting this many episodes takes a while" in text_of(app)) == says
        app.button(key="confirm-delete").click().run()
        assert list_runs(database) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_data_folder_that_cannot_be_written_is_one_sentence_on_every_page(open_page, monkeypatch, tmp_path, page):
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("V3_DATA_DIR", str(blocker / "data"))
    app = open_page(page)
    assert not app.exception
    (error,) = app.error
    assert f"The data folder {blocker}/data cannot be written" in shown(error.value)


def test_many_runs_are_paged_and_filtered(open_page, database):
    for number in range(28):
        add_recorded_run(database, Status.QUEUED, name=f"run {number:02d}")
    app = open_page("app.py")
    assert not app.exception
    assert names(app) == [f"run {number:02d}" for number in range(25)]
    assert names(open_page("app.py", page="2")) == ["run 25", "run 26", "run 27"]
    app.text_input(key="q").set_value('"run 03"').run()
    assert names(app) == ["run 03"]


@pytest.mark.parametrize("page", ["app.py", "pages/live.py"])
def test_signs_of_markdown_in_a_name_stand_for_themselves(open_page, database, page):
    add_recorded_run(database, Status.FAILED, name=":red[x] **y** $z$ <b>", reason="Bad *thing*_[here].")
    app = open_page(page)
    assert not app.exception
    if page == "app.py":
        (shown_row,) = table(app)["rows"]  # drawn as text in the browser: tests/browser/test_text_of_others.py
        assert (shown_row["name"], shown_row["reason"]) == (":red[x] **y** $z$ <b>", "Bad *thing*_[here].")
        return
    assert plain(":red[x] **y** $z$ <b>") in "".join(item.value for item in app.subheader)
    assert "Bad *thing*_[here]." in text_of(app)
    assert plain("Bad *thing*_[here].") in "".join(item.value for item in app.error)


def test_whether_the_log_is_open_is_read_from_the_address_and_that_of_a_failed_run_is_open(open_page, database):
    def log(app):
        (found,) = [part for part in app.expander if part.label == "Log"]
        return found.proto.expanded

    running = add_recorded_run(database, Status.RUNNING)
    failed = add_recorded_run(database, Status.FAILED)
    app = open_page("pages/live.py", run=running)
    assert not log(app)
    app.selectbox(key="picked-run").set_value(failed).run()
    assert log(app)
    assert not app.exception
    assert log(open_page("pages/live.py", run=running, log="true"))
    assert log(open_page("pages/live.py", run=failed))
    assert not log(open_page("pages/live.py", run=failed, log="false"))
