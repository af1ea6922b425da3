"""Ticks of a page that was left are dropped wherever they are met; without the gate, each of these lets one through."""

import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from weakref import ref

import pytest
import streamlit
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner, ScriptRunnerEvent
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests
from streamlit.runtime.state import SafeSessionState

from v3core.ui import tick_gate, ticks

OLD, NEW = "hash of the old page", "hash of the new page"


@pytest.fixture(autouse=True, scope="module")
def gate():
    """Streamlit as the pages have it."""
    assert tick_gate.install()


@pytest.fixture
def pages():
    """A session that has drawn the new page."""
    return SimpleNamespace(current_page_script_hash=NEW)


def stopped_from_outside(requests: ScriptRequests) -> None:
    """As its session stops a script, by the method that ships; `st.stop` asks the requests alone."""
    runner = SimpleNamespace(_requests=requests)
    tick_gate._when_it_is_stopped(requests.request_stop, runner)


def arrives(pages, **fields):
    """What becomes of a message of the browser: the requests that reach the script."""
    reached = []
    session = SimpleNamespace(
        id="a session",
        _pages_manager=pages,
        _state=None,
        has_fragment=lambda _: True,
        _client_state=ClientState(),
        _scriptrunner=None,
        _create_scriptrunner=reached.append,
    )
    AppSession.request_rerun(session, ClientState(**fields))
    return reached


def test_a_tick_of_a_page_that_was_left_is_dropped_when_it_arrives(pages):
    assert arrives(pages, fragment_id="f", page_script_hash=OLD, is_auto_rerun=True) == []
    assert arrives(pages, fragment_id="f", page_script_hash=OLD) == []  # a click on it too
    assert len(arrives(pages, fragment_id="f", page_script_hash=NEW, is_auto_rerun=True)) == 1
    assert len(arrives(pages, page_script_hash=OLD)) == 1  # a link back


def test_a_tick_without_news_is_dropped_when_it_arrives_but_not_a_click(pages, monkeypatch):
    monkeypatch.setattr(ticks, "is_due", lambda session, fragment: (session, fragment) != ("a session", "f"))
    assert arrives(pages, fragment_id="f", page_script_hash=NEW, is_auto_rerun=True) == []
    assert len(arrives(pages, fragment_id="f", page_script_hash=NEW)) == 1
    assert len(arrives(pages, fragment_id="g", page_script_hash=NEW, is_auto_rerun=True)) == 1


def test_a_tick_does_not_turn_a_switch_that_waits_back():
    requests = ScriptRequests()
    requests.request_rerun(RerunData(page_script_hash=NEW, query_string="run=1"))
    assert requests.request_rerun(RerunData(page_script_hash=OLD, fragment_id="f", is_auto_rerun=True))
    assert requests.request_rerun(RerunData(page_script_hash=OLD, fragment_id="g"))
    waits = requests.on_scriptrunner_ready().rerun_data
    assert (waits.page_script_hash, waits.query_string, waits.fragment_id_queue) == (NEW, "run=1", [])


def test_a_tick_does_not_turn_the_address_of_a_rerun_that_waits_back():
    requests = ScriptRequests()
    requests.request_rerun(RerunData(page_script_hash=NEW, query_string="run=2"))
    requests.request_rerun(RerunData(page_script_hash=NEW, query_string="run=1", fragment_id="f", is_auto_rerun=True))
    assert requests.on_scriptrunner_ready().rerun_data.query_string == "run=2"


def test_a_click_that_a_tick_joins_is_still_a_click():
    requests = ScriptRequests()
    requests.request_rerun(RerunData(page_script_hash=NEW, fragment_id="dialog"))
    requests.request_rerun(RerunData(page_script_hash=NEW, fragment_id="f", is_auto_rerun=True))
    joined = requests.on_scriptrunner_ready().rerun_data
    assert (joined.fragment_id_queue, joined.is_auto_rerun) == (["dialog", "f"], False)


def holding(value):
    """The fields of a page as a message carries them: one number."""
    return WidgetStates(widgets=[WidgetState(id="field", double_value=value)])


def test_a_tick_does_not_set_fields_back():
    requests = ScriptRequests()
    requests.request_rerun(RerunData(page_script_hash=NEW, fragment_id="f", widget_states=holding(2)))
    requests.request_rerun(
        RerunData(page_script_hash=NEW, fragment_id="g", widget_states=holding(1), is_auto_rerun=True)
    )
    assert requests.on_scriptrunner_ready().rerun_data.widget_states == holding(2)


def test_a_tick_that_waits_does_not_set_fields_back_when_a_script_asks_for_a_rerun():
    """As after a dragged boundary: its callback has set the field, and the page is drawn again."""
    requests = ScriptRequests()
    tick = RerunData(page_script_hash=NEW, fragment_id="g", widget_states=holding(1), is_auto_rerun=True)
    requests.request_rerun(tick)
    requests.request_rerun(RerunData(page_script_hash=NEW))
    data = requests.on_scriptrunner_ready().rerun_data
    assert not data.is_auto_rerun
    assert not data.widget_states
    requests = ScriptRequests()
    requests.request_rerun(tick)
    requests.request_rerun(RerunData(page_script_hash=NEW, fragment_id="f", widget_states=holding(2)))
    assert requests.on_scriptrunner_ready().rerun_data.widget_states == holding(2)


class Runs(Exception):
    """A script is about to run."""


@pytest.fixture
def runner(pages):
    """Fails with `Runs` where Streamlit begins a script."""

    def begins():
        raise Runs

    return SimpleNamespace(
        _pages_manager=pages, _session_id="a session", _is_in_script_thread=begins, _requests=ScriptRequests()
    )


def test_a_tick_that_was_taken_before_a_dialog_opened_does_not_run_under_it(runner, monkeypatch):
    monkeypatch.setattr(ticks, "rests_for_dialog", lambda session, part: (session, part) == ("a session", "f"))
    tick = RerunData(page_script_hash=NEW, fragment_id_queue=["f"], is_auto_rerun=True)
    assert ScriptRunner._run_script(runner, tick) is None
    with pytest.raises(Runs):  # another part rests for no dialog
        ScriptRunner._run_script(runner, replace(tick, fragment_id_queue=["f", "g"]))
    with pytest.raises(Runs):  # the dialog was closed
        ScriptRunner._run_script(runner, replace(tick, is_auto_rerun=False))


def test_what_a_callback_has_set_is_not_set_back_by_a_tick_that_was_sent_before(runner, monkeypatch):
    seen = []
    monkeypatch.setattr(tick_gate, "handle_errors", lambda: None)
    tick = RerunData(page_script_hash=NEW, fragment_id_queue=["f"], widget_states=holding(1), is_auto_rerun=True)
    for data in (tick, replace(tick, is_auto_rerun=False)):
        tick_gate._when_it_would_run(lambda given: seen.append(given.widget_states), runner, data)
    assert seen == [WidgetStates(), holding(1)]


def test_a_tick_that_was_taken_before_the_switch_does_not_run_after_it(runner):
    late = RerunData(page_script_hash=OLD, fragment_id_queue=["f"])
    assert ScriptRunner._run_script(runner, late) is None
    for wanted in (RerunData(page_script_hash=NEW, fragment_id_queue=["f"]), RerunData(page_script_hash=OLD)):
        with pytest.raises(Runs):
            ScriptRunner._run_script(runner, wanted)


@pytest.mark.parametrize(
    ("ended_early", "event", "fragments", "left"),
    [
        (True, ScriptRunnerEvent.SCRIPT_STOPPED_WITH_SUCCESS, None, {"drawn"}),  # st.stop, or an error
        (True, ScriptRunnerEvent.SCRIPT_STOPPED_FOR_RERUN, None, {"drawn", "gone"}),  # the next run draws what follows
        (True, ScriptRunnerEvent.FRAGMENT_STOPPED_WITH_SUCCESS, ["drawn"], {"drawn", "gone"}),
    ],
)
def test_parts_that_a_page_no_longer_draws_are_forgotten_though_it_ended_early(ended_early, event, fragments, left):
    storage = MemoryFragmentStorage()
    for name in ("drawn", "gone"):
        storage.register(name, lambda: None)
    reported = []
    events = SimpleNamespace(send=lambda *_, **to: reported.append(to))
    runner = SimpleNamespace(
        _fragment_storage=storage, _join_wake_lock=nullcontext(), on_event=events, _requests=ScriptRequests()
    )
    drawn = SimpleNamespace(snapshot=lambda: {"drawn"})
    context = SimpleNamespace(
        fragment_ids_this_run=fragments, shared=SimpleNamespace(new_fragment_ids=drawn), has_script_started=False
    )
    ScriptRunner._on_script_finished(runner, context, event, ended_early, None)
    assert {name for name in ("drawn", "gone") if storage.contains(name)} == left
    assert [to["event"] for to in reported] == [event]


def test_a_script_that_was_stopped_begins_no_other_run(runner):
    """It would set the page and its address back, as when another run is picked on Live while a tick is under way."""
    wanted = RerunData(page_script_hash=NEW, query_string="run=before")
    with pytest.raises(Runs):
        ScriptRunner._run_script(runner, wanted)
    stopped_from_outside(runner._requests)
    assert ScriptRunner._run_script(runner, wanted) is None


def test_a_script_that_was_stopped_does_not_follow_its_own_wish_for_a_rerun(runner, monkeypatch):
    monkeypatch.setattr(tick_gate, "handle_errors", lambda: None)
    context = SimpleNamespace(fragment_ids_this_run=None)
    reached = []

    def is_stopped_and_ends(_=None):
        stopped_from_outside(runner._requests)
        event = ScriptRunnerEvent.SCRIPT_STOPPED_FOR_RERUN
        tick_gate._when_a_script_has_ended(lambda *_: None, runner, context, event, False, None)
        reached.append("runs once more")

    tick_gate._when_it_would_run(is_stopped_and_ends, runner, RerunData(page_script_hash=NEW))
    assert reached == []
    is_stopped_and_ends()  # the script that has installed the gate: an error would be in the server's log
    assert reached == ["runs once more"]


def test_a_script_that_was_stopped_takes_no_part_and_no_click_from_the_run_that_follows(monkeypatch):
    storage = MemoryFragmentStorage()
    storage.register("of the next run", lambda: None)
    finished = []
    state = SafeSessionState(SimpleNamespace(on_script_finished=lambda *_, **to: finished.append(to)), lambda: None)
    context = SimpleNamespace(script_requests=ScriptRequests())
    monkeypatch.setattr(tick_gate, "get_script_run_ctx", lambda **_: context)
    stopped_from_outside(context.script_requests)
    storage.clear(new_fragment_ids=frozenset())
    state.on_script_finished(frozenset(), remove_stale_widgets=True)
    assert storage.contains("of the next run")
    assert finished == []
    context.script_requests = ScriptRequests()
    storage.clear(new_fragment_ids=frozenset())
    state.on_script_finished(frozenset(), remove_stale_widgets=True)
    assert not storage.contains("of the next run")
    assert finished == [{"remove_stale_widgets": True}]


def test_a_page_that_ends_itself_leaves_no_part_of_the_page_before_it(monkeypatch):
    """Parts of Live were drawn into Compare, which ends with `st.stop` where there is one run only."""
    storage = MemoryFragmentStorage()
    storage.register("of the page before", lambda: None)
    context = SimpleNamespace(script_requests=ScriptRequests())
    monkeypatch.setattr(tick_gate, "get_script_run_ctx", lambda **_: context)
    context.script_requests.request_stop()  # all that `st.stop` asks for
    storage.clear(new_fragment_ids=frozenset())
    assert not storage.contains("of the page before")


def delta(place, fragment="", text=""):
    """A part of a page, on its way to the browser."""
    message = ForwardMsg()
    message.metadata.delta_path[:] = place
    message.delta.fragment_id = fragment
    message.delta.new_element.text.body = text
    return message


def waiting(*messages):
    """A session whose browser has not been sent these yet."""
    session = SimpleNamespace(_browser_queue=ForwardMsgQueue())
    for message in messages:
        session._browser_queue.enqueue(message)
    return session


def whole_page_finished():
    return ForwardMsg(script_finished=ForwardMsg.ScriptFinishedStatus.FINISHED_SUCCESSFULLY)


def test_what_waits_of_a_whole_page_is_sent_though_a_part_of_it_is_drawn_again():
    drawn = [delta([0, 0]), delta([0, 1], "part"), delta([0, 2]), whole_page_finished()]
    session = waiting(*drawn)
    AppSession._clear_queue(session, ["part"])
    again = delta([0, 1], "part", "again")
    session._browser_queue.enqueue(again)  # not in place of what waits: it belongs to a later run
    assert session._browser_queue.flush() == [*drawn, again]


def test_what_waits_is_dropped_when_the_whole_page_is_drawn_again():
    session = waiting(delta([0, 0]), whole_page_finished())
    AppSession._clear_queue(session)
    assert [message.WhichOneof("type") for message in session._browser_queue.flush()] == ["script_finished"]


def test_on_another_version_nothing_is_changed_and_that_is_said(monkeypatch, caplog):
    monkeypatch.delattr(AppSession, tick_gate._MARK)
    monkeypatch.setattr(streamlit, "__version__", "9.9.9")
    before = AppSession.request_rerun
    with caplog.at_level(logging.WARNING):
        assert not tick_gate.install()
    assert AppSession.request_rerun is before
    assert "9.9.9" in caplog.text


def test_the_version_that_is_known_is_the_one_that_is_pinned():
    pinned = (Path(__file__).parents[2] / "requirements.txt").read_text()
    assert f"streamlit=={tick_gate.KNOWN_VERSION} " in pinned


class Session:
    """A session whose page has been drawn, and what it is asked to run."""

    def __init__(self, pages):
        self.id, self._pages_manager, self._scriptrunner = "a session", pages, None
        self._client_state = ClientState(query_string="run=1", page_script_hash=OLD)
        self._event_loop = SimpleNamespace(call_later=lambda *call: self.later.append(call))
        self.fragments, self.later, self.requests = {"f"}, [], []
        self.has_fragment = self.fragments.__contains__
        self.request_rerun = self.requests.append


@pytest.fixture
def session(pages, monkeypatch):
    monkeypatch.setattr(ticks, "is_due", lambda session, part: part != "of no news")
    found = Session(pages)
    found.is_active = True
    runtime = SimpleNamespace(is_active_session=lambda name: name == found.id and found.is_active)
    monkeypatch.setattr(tick_gate.Runtime, "instance", lambda: runtime)
    return found


def test_a_part_that_is_due_is_drawn_at_the_address_of_its_page(session):
    tick_gate._draw_now(ref(session), "f")
    (tick,) = session.requests
    assert (tick.fragment_id, tick.is_auto_rerun) == ("f", True)
    assert (tick.query_string, tick.page_script_hash) == ("run=1", NEW)
    assert session._client_state.fragment_id == ""


def test_a_part_waits_while_its_page_runs(session):
    session._scriptrunner = object()
    tick_gate._draw_now(ref(session), "f")
    assert session.requests == []
    session._scriptrunner = None
    ((seconds, again, *arguments),) = session.later
    assert seconds == tick_gate.BUSY_SECONDS
    again(*arguments)
    assert len(session.requests) == 1


def test_what_is_gone_or_of_a_closed_tab_or_without_news_is_not_drawn(session, monkeypatch):
    forgotten = []
    monkeypatch.setattr(ticks, "forget", lambda *part: forgotten.append(part))
    tick_gate._draw_now(ref(session), "of no news")
    tick_gate._draw_now(ref(session), "of a page that was left")
    assert forgotten == [("a session", "of a page that was left")]
    session.is_active = False
    tick_gate._draw_now(ref(session), "f")
    assert (session.requests, session.later) == ([], [])


def test_the_parts_of_a_tab_that_is_closed_are_forgotten(monkeypatch):
    left = []
    monkeypatch.setattr(ticks, "leave", left.append)
    active = {"another"}
    manager = SimpleNamespace(disconnect_session=lambda *_, **__: None, get_active_session_info=lambda _: None)
    runtime = SimpleNamespace(
        _session_mgr=manager, _on_session_disconnected=lambda: None, is_active_session=active.__contains__
    )
    tick_gate.Runtime.disconnect_session(runtime, "a session", client=None)
    tick_gate.Runtime.disconnect_session(runtime, "another", client=None)
    assert left == ["a session"]
