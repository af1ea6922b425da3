"""Jobs as the pages tell of them: why a button is closed, what was asked, what happened, who waits, what has ended."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from tests.pages.run_list import cells, names, select, table
from tests.pages.test_measurements import figures
from v3core.curriculum import with_boundaries
from v3core.jobs import control, slots
from v3core.jobs.kinds import COMMANDS
from v3core.jobs.lifecycle import Status, change_status
from v3core.store import commands
from v3core.store.history import EndRow
from v3core.store.runs import get_run, list_runs, update_run
from v3core.ui import notices, run_actions
from v3core.ui.notices import end_sentence
from v3core.ui.run_list import queue_places
from v3core.ui.status import age, latency

NOW = datetime.now(UTC)


def text_of(app):
    """Everything a page says."""
    kinds = (app.subheader, app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(shown(str(element.value)) for kind in kinds for element in kind)


FAR_AWAY = dict.fromkeys(("host", "machine", "boot_id"), "far-away")


def put(database, run_id, **values):
    """Set columns of a run."""
    with database.write() as tx:
        update_run(tx, run_id, values, only_in=tuple(Status))


def experiment_of(database, name, statuses):
    """Runs of one experiment."""
    ids = [add_recorded_run(database, status) for status in statuses]
    for run_id in ids:
        put(database, run_id, experiment=name)
    return ids


ALL = {"stop", "pause", "continue", "checkpoint", "resume", "delete"}


@pytest.mark.parametrize(
    ("status", "possible"),
    [
        (Status.QUEUED, {"stop", "delete"}),
        (Status.STARTING, {"stop"}),
        (Status.RUNNING, {"stop", "pause", "checkpoint"}),
        (Status.PAUSED, {"stop", "pause", "continue", "checkpoint"}),
        (Status.STALLED, {"stop", "pause", "continue", "checkpoint"}),
        (Status.STOPPING, {"stop"}),
        (Status.STOPPED, {"resume", "delete"}),
        (Status.COMPLETED, {"delete"}),
        (Status.FAILED, {"resume", "delete"}),
        (Status.LOST, {"resume", "delete"}),
    ],
)
def test_what_is_refused_is_what_cannot_be_done(database, status, possible):
    run = get_run(database, add_recorded_run(database, status, recorded=0))
    assert {action for action in ALL if COMMANDS[action].refusal(run) is None} == possible
    for action in ALL - possible:
        assert COMMANDS[action].refusal(run).endswith(".")


def test_a_run_without_a_checkpoint_that_can_be_read_is_not_resumed(open_page, database):
    run_id = add_recorded_run(database, Status.FAILED)
    app = open_page("pages/live.py", run=run_id)
    assert app.button(key=f"resume:live:{run_id}").help == "Continues from the checkpoint at episode 25."
    for file in (database.data_dir / "runs" / run_id / "checkpoints").iterdir():
        file.write_text("damaged")
    app.run()
    button = app.button(key=f"resume:live:{run_id}")
    assert (button.disabled, button.help) == (True, "Its checkpoints are missing or damaged, so it cannot be resumed.")


def test_live_pauses_and_says_what_waits(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    app = open_page("pages/live.py", run=run_id)
    app.button(key=f"pause:live:{run_id}").click().run()
    assert not app.exception
    (command,) = commands.read_commands(database, run_id)
    assert (command.kind, command.actor) == ("pause", "page")
    button = app.button(key=f"pause:live:{run_id}")
    assert (button.disabled, button.help) == (True, COMMANDS["pause"].pending)
    assert f"Pause, {age(datetime.now(UTC))} ago: waiting for the worker" in text_of(app)


def test_a_second_click_on_the_same_place_does_not_undo_the_first(open_page, database, monkeypatch):
    monkeypatch.setattr(run_actions, "DOUBLE_CLICK_SECONDS", 60.0)  # however long the page takes to be drawn
    run_id = add_recorded_run(database, Status.RUNNING)
    app = open_page("pages/live.py", run=run_id)
    app.button(key=f"pause:live:{run_id}").click().run()
    with database.write() as tx:
        (pause,) = commands.read_commands(tx, run_id)
        commands.apply_commands(tx, run_id, ids=[pause.id], episode=25, now=NOW)
        change_status(tx, get_run(tx, run_id), Status.PAUSED, "", actor="worker", now=NOW)
    app.run()
    app.button(key=f"continue:live:{run_id}").click().run()
    assert [command.kind for command in commands.read_commands(database, run_id)] == ["pause"]
    app.session_state[f"clicked:live:{run_id}:1"] = 0.0  # long ago
    app.button(key=f"continue:live:{run_id}").click().run()
    assert [command.kind for command in commands.read_commands(database, run_id)] == ["pause", "continue"]


def test_the_panel_tells_what_became_of_each_command(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    asked = NOW - timedelta(seconds=60)
    with database.write() as tx:
        wanted = with_boundaries(commands.curriculum_in_force(tx, run_id), [10, 20])
        late = commands.add_revision(tx, run_id, wanted, actor="page", now=asked, applied_episode=None)
        commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor="page", now=asked, revision_id=late)
        commands.reject_revision(tx, run_id, late, reason="Too late: *it* is at 25.", now=asked)
        pause = commands.add_command(tx, run_id, commands.PAUSE, actor="command line", now=asked)
        commands.acknowledge(tx, [pause], now=asked + timedelta(seconds=0.2))
        commands.apply_commands(tx, run_id, ids=[pause], episode=21, now=asked + timedelta(seconds=1.5))
        commands.add_command(tx, run_id, commands.CHECKPOINT, actor="page", now=NOW)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    (table,) = app.table
    shown = table.value.set_index("Command").T.to_dict()
    assert list(shown) == ["Checkpoint now", "Pause", "Boundaries 10, 20"]
    assert "waiting for the worker" in shown["Checkpoint now"]["Outcome"]
    assert shown["Checkpoint now"]["Acknowledged"] == "not yet"
    assert shown["Pause"]["Requested"].endswith(" by command line")
    assert shown["Pause"]["Acknowledged"] == f"after {latency(asked, asked + timedelta(seconds=0.2))}"
    assert shown["Pause"]["Outcome"].endswith(
        f"applied after {latency(asked, asked + timedelta(seconds=1.5))} at episode 21"
    )
    assert r"rejected. Too late: \*it\* is at 25." in shown["Boundaries 10, 20"]["Outcome"]


def test_history_is_newest_first_and_read_only_when_opened(open_page, database):
    run_id = add_recorded_run(database, Status.QUEUED)
    control.stop(database, run_id, "page")
    app = open_page("pages/live.py", run=run_id)
    assert len(app.table) == 1  # the commands
    app.session_state["history"] = True
    app.run()
    history = app.table[1].value
    assert history["Who"].to_list() == ["page", "user"]
    assert history["What"][0] == "Stopped while waiting in the queue."
    assert history["What"].to_list()[1].startswith("Queued: 40 episodes")


def test_a_failure_has_its_traceback_a_click_away(open_page, database):
    run_id = add_recorded_run(database, Status.FAILED, reason="It broke.")
    put(database, run_id, traceback="Traceback (most recent call last):\n  boom")
    app = open_page("pages/live.py", run=run_id)
    (expander,) = [expander for expander in app.expander if expander.label == "Traceback"]
    assert "boom" in expander.code[0].value
    assert not expander.proto.expanded


@pytest.mark.parametrize(
    ("status", "values", "sentence"),
    [
        (Status.RUNNING, {"rollout_at": NOW - timedelta(seconds=45)}, "No update for "),
        (Status.RUNNING, {"rollout_at": NOW + timedelta(hours=1)}, None),
        (Status.PAUSED, {"rollout_at": NOW - timedelta(seconds=45)}, "Paused between two rollouts; the run keeps"),
        (
            Status.STALLED,
            {"heartbeat_at": NOW - timedelta(days=2)},
            f"its last heartbeat was {age(NOW - timedelta(days=2), NOW)} ago. V3 Lab does not kill it.",
        ),
    ],
)
def test_live_says_why_a_run_does_not_advance(open_page, database, status, values, sentence):
    run_id = add_recorded_run(database, status)
    put(database, run_id, heartbeat_due_at=NOW + timedelta(hours=1))
    put(database, run_id, **values)
    text = text_of(open_page("pages/live.py", run=run_id))
    assert ("No update for" in text) is (sentence is not None and sentence.startswith("No update"))
    assert sentence is None or sentence in text


def test_a_run_of_another_host_is_said_to_be_there_and_closed(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    put(database, run_id, **FAR_AWAY, heartbeat_due_at=datetime.now(UTC) + timedelta(hours=1))
    app = open_page("pages/live.py", run=run_id)
    assert "on host far-away" in text_of(app)
    button = app.button(key=f"stop:live:{run_id}")
    assert (button.disabled, button.help) == (True, "It trains on host 'far-away'; run the command there.")
    assert "0 of " in text_of(open_page("app.py"))
    assert "1 on other hosts" in text_of(open_page("app.py"))


def test_going_on_with_a_run_of_another_host_is_asked_first(open_page, database):
    run_id = add_recorded_run(database, Status.STOPPED)
    put(database, run_id, **FAR_AWAY)
    app = open_page("pages/live.py", run=run_id)
    app.button(key=f"resume:live:{run_id}").click().run()
    assert get_run(database, run_id).status == "stopped"
    assert "was trained on host **far-away**. Resume it on this host?" in text_of(app)
    assert app.button(key="confirm-take-over").label == "Resume here"


def test_notes_and_tags_are_kept_shown_and_found(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED, name="tagged")
    app = open_page("pages/live.py", run=run_id)
    next(field for field in app.text_input if field.label == "Tags").set_value("best, paper")
    app.text_area[0].set_value("It *learned*.\nTwice.")
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception
    assert (get_run(database, run_id).tags, get_run(database, run_id).notes) == ("best paper", "It *learned*.\nTwice.")
    assert "It *learned*." in text_of(app)
    assert "paper" in text_of(app)
    for number in range(13):
        add_recorded_run(database, Status.QUEUED, name=f"other {number}")
    home = open_page("app.py")
    for words in ("tag:paper", "paper", "note:learned", "learned twice"):
        home.text_input(key="q").set_value(words).run()
        assert names(home) == ["tagged"]


def test_waiting_runs_show_their_place_and_their_priority_can_be_changed(open_page, database):
    first, second = (add_recorded_run(database, Status.QUEUED, name=name) for name in ("first", "second"))
    assert queue_places(list_runs(database)) == {first: 1, second: 2}
    app = open_page("app.py")
    assert cells(app, second)["status"]["notes"] == ["2nd in the queue"]
    select(app, second)
    app.number_input(key=f"priority:list:{second}:0").set_value(3).run()
    assert not app.exception
    assert queue_places(list_runs(database)) == {second: 1, first: 2}
    assert get_run(database, second).priority == 3
    assert app.number_input(key=f"priority:list:{second}:3").value == 3


def test_an_experiment_at_work_is_stopped_as_one_after_asking(open_page, database):
    experiment_of(database, "sweep *1*", [Status.QUEUED, Status.QUEUED, Status.PAUSED, Status.COMPLETED])
    experiment_of(database, "over", [Status.COMPLETED])
    app = open_page("app.py")
    assert "**sweep *1*** · 4 runs: 1 paused, 2 queued, 1 ended" in text_of(app)
    assert "over" not in [button.key.partition(":")[2] for button in app.button]
    button = app.button(key="stop-experiment:sweep *1*")
    assert button.label == "Stop 3 runs"
    button.click().run()
    assert [run.status for run in list_runs(database)].count("queued") == 2, "it asks first"
    assert "Stop 3 runs of **sweep *1***?" in text_of(app)
    assert control.stop_experiment(database, "sweep *1*") == 3


def test_slots_count_what_is_paused(open_page, database, monkeypatch):
    slots.set_slots(database, 4)
    for status in (Status.RUNNING, Status.PAUSED, Status.QUEUED):
        add_recorded_run(database, status)
    assert "3 runs · 2 of 4 slots in use, 1 of them paused · 1 waiting" in text_of(open_page("app.py"))


def test_ends_are_reported_once_on_any_page_and_old_ones_are_not_news(open_page, database, monkeypatch):
    add_recorded_run(database, Status.COMPLETED)
    app = open_page("pages/compare.py")
    assert not app.toast
    add_recorded_run(database, Status.STOPPED)
    for number in range(5):
        add_recorded_run(database, Status.FAILED, name=f"run {number}", reason="It *broke*.")
    app.run()
    assert [toast.value for toast in app.toast] == [
        *(rf"run {number} has failed after 25 episodes: It \*broke\*." for number in range(3)),
        "And 2 more; see Runs for all of them.",
    ]
    monkeypatch.setattr(notices, "AGAIN_SECONDS", 0)  # until then the browser takes them for the same ones
    app.run()
    assert not app.toast


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        ("completed", None, "mine completed after 1 episode."),
        ("lost", "It was killed.", "mine was lost after 1 episode: It was killed."),
        ("failed", None, "mine has failed after 1 episode: See its log."),
    ],
)
def test_how_a_run_ended_is_one_sentence(status, reason, sentence):
    assert end_sentence(EndRow(1, "id", "mine", status, reason, 1)) == sentence


def test_runs_says_which_database_is_open_and_sets_how_many_train_at_once(open_page, database):
    add_recorded_run(database, Status.QUEUED)
    slots.set_slots(database, 2)
    app = open_page("app.py")
    assert f"Database: {database.describe()}" in text_of(app).replace("\\", "")
    app.number_input(key="slots:2").set_value(7).run()
    assert slots.slots(database) == 7
    assert "of 7 slots in use" in text_of(app)


def test_a_run_that_cannot_be_started_here_says_what_it_waits_for(open_page, database, tmp_path):
    run_id = add_recorded_run(database, Status.QUEUED)
    gone = json.dumps(
        {"python": "/p", "folder": "/f", "path": [str(tmp_path / "gone")], "variables": {}, "imports": True}
    )
    put(database, run_id, launch=gone)
    said = "which does not exist on this machine; restore it, or stop the run"
    assert said in text_of(open_page("pages/live.py", run=run_id))
    app = open_page("app.py")
    (shown,) = [row for row in table(app)["rows"] if row["id"] == run_id]
    assert said in shown["waits"]  # below its name, where a sentence has room
    assert cells(app, run_id)["status"]["notes"] == ["1st in the queue"]


def test_a_completed_run_is_trained_longer_and_a_running_one_is_asked_to(open_page, database, monkeypatch):
    asked = resumed_longer(monkeypatch)
    done, trains = add_recorded_run(database, Status.COMPLETED), add_recorded_run(database, Status.RUNNING)
    length = get_run(database, done).episodes
    app = open_page("pages/live.py", run=done)
    app.number_input(key=f"longer-{done}-{length}").set_value(length + 50)
    app.button(key="train-longer-button").click().run()
    assert asked == [(done, length + 50)]
    app = open_page("pages/live.py", run=trains)
    app.button(key="train-longer-button").click().run()
    (command,) = commands.read_commands(database, trains)
    assert (command.kind, command.value) == ("extend", str(2 * length))
    assert f"Train longer to episode {2 * length:,}" in str(app.table[-1].value)


@pytest.mark.parametrize("ends_as", [Status.COMPLETED, Status.STOPPED, Status.FAILED])
def test_a_run_that_ended_before_the_page_noticed_is_trained_longer_all_the_same(
    open_page, database, monkeypatch, ends_as
):
    asked = resumed_longer(monkeypatch)
    run_id = add_recorded_run(database, Status.RUNNING)
    length = get_run(database, run_id).episodes
    app = open_page("pages/live.py", run=run_id)
    put(database, run_id, status=ends_as)
    app.button(key="train-longer-button").click().run()
    assert asked == [(run_id, 2 * length)]


def test_a_run_that_was_resumed_before_the_page_noticed_is_asked_to_train_longer(open_page, database):
    run_id = add_recorded_run(database, Status.STOPPED)
    app = open_page("pages/live.py", run=run_id)
    put(database, run_id, status=Status.RUNNING)
    app.button(key="train-longer-button").click().run()
    assert [command.kind for command in commands.read_commands(database, run_id)] == ["extend"]


def resumed_longer(monkeypatch):
    """Runs that are resumed from now on, with their length; no worker starts."""
    asked = []
    monkeypatch.setattr(control, "resume", lambda db, run_id, actor, episodes: asked.append((run_id, episodes)))
    return asked


def test_a_run_that_stops_is_not_made_longer_meanwhile(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.STOPPING))
    assert app.button(key="train-longer-button").disabled


def test_time_left_stands_on_live_and_on_the_list_of_runs_and_is_the_same(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    run = get_run(database, run_id)
    due = datetime.now(UTC) + timedelta(minutes=5)
    put(database, run_id, episodes_per_second=(run.episodes - run.episode) / 150, heartbeat_due_at=due)
    assert figures(open_page("pages/live.py", run=run_id))["numbers"]["left"] == "about 2.5 min left"
    assert cells(open_page("app.py"), run_id)["progress"]["text"] == "25 of 40 · transition · about 2.5 min left"
    assert get_run(database, run_id).to_dict()["seconds_left"] == pytest.approx(150)
    put(database, run_id, episodes_per_second=None)
    assert figures(open_page("pages/live.py", run=run_id))["numbers"]["left"] == ""
    assert "left" not in cells(open_page("app.py"), run_id)["progress"]["text"]
    assert get_run(database, run_id).to_dict()["seconds_left"] is None
