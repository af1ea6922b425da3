"""Which of a browser's ticks are let through: none of a page that was left, and none without news.

Streamlit lets each message of a browser say which page it is for, and announces that page to the browser when the
message is processed, even for a tick: a fragment that reruns by itself. A tick that was in progress when the page was
switched therefore announces the old page after the new one was drawn, and the browser clears everything. Here such
ticks are dropped, at the three places where one may be: when it arrives, when it is merged with the switch that waits,
and when it is about to run. Parts that a page which ended early no longer draws are forgotten: a late tick finds
none. docs/decisions/0015 has the wire's account.

A script that was stopped, because a link or a click asked for another run of the page, changes nothing any more. It
runs until it next draws, beside the run that follows, and when it ends Streamlit lets it clean up after itself:
what it would take away is that run's.

And ticks are made here: a part that is due is drawn without its browser being asked.

This changes private methods of one version of Streamlit, which requirements.txt pins; on another it changes nothing,
and says so.
"""

import functools
import logging
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from weakref import ReferenceType, ref

import streamlit
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime import Runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner, ScriptRunnerEvent
from streamlit.runtime.scriptrunner_utils import script_requests
from streamlit.runtime.scriptrunner_utils.exceptions import StopException
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests, ScriptRequestType
from streamlit.runtime.state import SafeSessionState

from v3core.ui import ticks
from v3core.ui.page_frame import handle_errors
from v3core.ui.text import md

KNOWN_VERSION = "1.67.0"
"""The version of Streamlit whose methods these are; read them again before you change this."""

BUSY_SECONDS = 0.25
"""A part that is due while its page runs is looked at again after this time."""

_MARK = "drops_tick_gate"
_FROM_OUTSIDE = "is_stopped_from_outside"
_is_gated: ContextVar[bool] = ContextVar("is_gated", default=False)
"""Whether the script of this thread began by `_when_it_would_run`."""
_log = logging.getLogger(__name__)


def install() -> bool:
    """Change Streamlit in this process, once.

    Returns:
        Whether it is changed now; False, with a warning, on a version that is not known.
    """
    if hasattr(AppSession, _MARK):
        return True
    if streamlit.__version__ != KNOWN_VERSION:
        _log.warning(
            md(
                "Streamlit %s is installed, but V3 Lab is tested with %s: a page may stay empty if you leave "
                "another one while it updates. Install the version in requirements.txt."
            ),
            streamlit.__version__,
            KNOWN_VERSION,
        )
        return False
    setattr(AppSession, _MARK, True)
    _wrap(AppSession, "request_rerun", _when_it_arrives)
    _wrap(AppSession, "_clear_queue", _when_it_begins)
    _wrap(ScriptRequests, "_request_rerun_locked", _when_it_is_merged)
    _wrap(ScriptRunner, "_run_script", _when_it_would_run)
    _wrap(ScriptRunner, "_on_script_finished", _when_a_script_has_ended)
    _wrap(ScriptRunner, "request_stop", _when_it_is_stopped)
    _wrap(SafeSessionState, "on_script_finished", _unless_stopped)
    _wrap(MemoryFragmentStorage, "clear", _unless_stopped)
    _wrap(Runtime, "disconnect_session", _when_a_tab_leaves)
    ticks.let_server_draw()
    return True


def _wrap(kind: type, name: str, around: Any) -> None:
    original = getattr(kind, name)

    @functools.wraps(original)
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return around(functools.partial(original, self, **named), self, *arguments)

    setattr(kind, name, method)


def _when_it_arrives(go_on: Any, session: Any, client: Any) -> None:
    """On the server's own thread, before a thread is started for it."""
    if isinstance(session, AppSession):
        ticks.attend(session.id, functools.partial(_draw, ref(session)))
    if client is not None and client.fragment_id:
        if client.page_script_hash != _current_page(session):
            return
        if client.is_auto_rerun and not ticks.is_due(session.id, client.fragment_id):
            return
    go_on(client)


def _when_it_is_merged(go_on: Any, requests: Any, new: RerunData) -> bool:
    """Streamlit merges a request with the one that waits, and the newer one's page counts: the switch would be lost."""
    waits = requests._rerun_data if requests._state is ScriptRequestType.RERUN else None
    if (
        waits is not None
        and script_requests._is_full_app_rerun(waits)
        and (new.fragment_id or new.fragment_id_queue)
        and (new.is_auto_rerun or new.page_script_hash != waits.page_script_hash)
    ):
        return True  # the whole page is about to be drawn
    # Fields in a tick are as they were when it was sent: merged with what is no tick, they would set back what a
    # callback has set meanwhile, as by a dragged boundary.
    if waits is not None and new.is_auto_rerun:
        new = replace(new, widget_states=None)
    elif waits is not None and waits.is_auto_rerun:
        requests._rerun_data = replace(waits, widget_states=None)
    is_accepted = bool(go_on(new))
    merged = requests._rerun_data
    if waits is not None and not waits.is_auto_rerun and merged.is_auto_rerun:
        requests._rerun_data = replace(merged, is_auto_rerun=False)  # Streamlit takes a click for the tick after it
    return is_accepted


def _when_it_would_run(go_on: Any, runner: Any, data: RerunData) -> None:
    """On the script's thread, after the previous run has ended: the page cannot be switched meanwhile."""
    if data.fragment_id_queue and data.page_script_hash != _current_page(runner):
        return
    if data.is_auto_rerun:
        parts = [part for part in data.fragment_id_queue if not ticks.rests_for_dialog(runner._session_id, part)]
        if not parts:
            return  # the tick arrived before the dialog opened
        # A tick carries the fields of the page as they were when it was sent. Whatever people change has a message of
        # its own, so here is only what a callback has set meanwhile and would be set back, as by a dragged boundary.
        data = replace(data, fragment_id_queue=parts, widget_states=WidgetStates())
    if not _is_stopped(runner._requests):
        handle_errors()
        token = _is_gated.set(True)
        try:
            with suppress(StopException):  # of `_when_a_script_has_ended`
                go_on(data)
        finally:
            _is_gated.reset(token)


def _when_it_begins(go_on: Any, session: Any, fragment_ids_this_run: list[str] | None = None) -> None:
    """Streamlit drops what is not sent yet of the parts that are drawn again, but sends that the run before has ended.

    If that was of the whole page, the browser removes those parts, what follows moves up, and the next tick draws at
    a place where nothing is ("Cannot set a node at a delta path"). So all of it is sent.
    """
    if fragment_ids_this_run:
        session._browser_queue._delta_index_map = {}  # what is drawn now belongs after what waits
    else:
        go_on(fragment_ids_this_run)


def _when_a_script_has_ended(go_on: Any, runner: Any, context: Any, event: Any, ended_early: bool, run: Any) -> None:
    """Streamlit forgets the parts that a page no longer draws, but not where `st.stop` or an error ended its script.

    A tick of such a part that was in progress would draw it at its old place, where the browser has nothing any more
    ("Bad delta path index"), and the whole page is lost.
    """
    if ended_early and event is ScriptRunnerEvent.SCRIPT_STOPPED_WITH_SUCCESS and not context.fragment_ids_this_run:
        runner._fragment_storage.clear(new_fragment_ids=context.shared.new_fragment_ids.snapshot())
    go_on(context, event, ended_early, run)
    is_next = event is ScriptRunnerEvent.SCRIPT_STOPPED_FOR_RERUN and _is_stopped(runner._requests)
    if is_next and _is_gated.get():  # not the script that has installed this: nobody catches it there
        raise StopException  # after `st.rerun` it would run once more, and set the page and its address back


def _unless_stopped(go_on: Any, _state: Any, *arguments: Any) -> None:
    """What a script cleans up at its end: parts, clicks and fields. Once it is stopped, they are those of the next run.

    They would be lost: a part that is not known any more takes no click and no tick.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or context.script_requests is None:
        go_on(*arguments)
        return
    with context.script_requests._lock:  # it is not stopped meanwhile: the next run begins after this
        if not _is_stopped(context.script_requests):
            go_on(*arguments)


def _is_stopped(requests: ScriptRequests) -> bool:
    """Whether another run of the page takes its place; `st.stop` in the script itself asks for nothing like that."""
    return requests._state is ScriptRequestType.STOP and getattr(requests, _FROM_OUTSIDE, False)


def _when_it_is_stopped(go_on: Any, runner: Any) -> None:
    setattr(runner._requests, _FROM_OUTSIDE, True)
    go_on()


def _when_a_tab_leaves(go_on: Any, runtime: Any, session_id: str) -> None:
    go_on(session_id)
    if not runtime.is_active_session(session_id):
        ticks.leave(session_id)


def _draw(session: "ReferenceType[AppSession]", part: str, seconds: float) -> None:
    """Draw a part of a session after some seconds if it is due then; on any thread."""
    if (found := session()) is not None:
        with suppress(RuntimeError):  # the server is ending
            found._event_loop.call_soon_threadsafe(_draw_later, session, part, seconds)


def _draw_later(session: "ReferenceType[AppSession]", part: str, seconds: float) -> None:
    if (found := session()) is not None:
        found._event_loop.call_later(seconds, _draw_now, session, part)


def _draw_now(session: "ReferenceType[AppSession]", part: str) -> None:
    found = session()
    if found is None or not Runtime.instance().is_active_session(found.id) or not ticks.is_due(found.id, part):
        return
    if not found.has_fragment(part):
        ticks.forget(found.id, part)
    elif found._scriptrunner is not None:
        _draw_later(session, part, BUSY_SECONDS)  # until its script has ended, the session has the address of before
    else:
        tick = ClientState()
        tick.CopyFrom(found._client_state)
        tick.fragment_id, tick.is_auto_rerun, tick.page_script_hash = part, True, _current_page(found)
        found.request_rerun(tick)


def _current_page(owner: Any) -> str:
    """The page that this session drew last, as a hash."""
    return str(owner._pages_manager.current_page_script_hash)
