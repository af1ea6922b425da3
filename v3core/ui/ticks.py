"""Parts of a page that are redrawn when there is news of them.

The server draws a part when one of its topics changes or a text on it becomes outdated; until then no script runs and
nothing is sent, so an open page costs next to nothing. The browser ticks too, but seldom, in case that something was
missed; `tick_gate` lets a tick through only if `is_due` is true.
"""

import functools
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import ParamSpec
from weakref import WeakKeyDictionary

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

from v3core.store.database import Database
from v3core.ui import news

P = ParamSpec("P")
Draw = Callable[[str, float], None]
"""Draws a part, by the id of its fragment, after some seconds if it is due then; returns at once, on any thread."""

VARIABLE = "V3_TICK_SECONDS"
"""Sets the interval of every tick and makes every tick redraw; for tests."""
KEEP_SECONDS = 10.0
"""How often the browser ticks for each part."""
REST = 3.0
"""After a redraw, a part pauses for this multiple of its processor time, so that a slow page does not fill a core."""
RETRY_SECONDS = 5.0
"""A part that could not be drawn is tried again after this time."""
_KEPT = 4096


@dataclass
class _Part:
    """A part of a page in one browser tab, as last drawn."""

    values: Sequence[tuple[news.Topic, Hashable]]
    is_drawing: bool = True
    rests_until: float = 0.0
    ages_at: float = field(default=float("inf"))
    """When a text on it becomes outdated, such as `3 minutes ago`."""
    has_dialog: bool = False
    """Whether it has opened a dialog. The dialog would lose its buttons if the part was drawn without it."""


_lock = threading.Lock()
_tabs: "OrderedDict[str, str]" = OrderedDict()
"""The name of a tab to its session."""
_hidden: set[str] = set()
"""Sessions of tabs that nobody looks at."""
_parts: "OrderedDict[tuple[str, str], _Part]" = OrderedDict()
_draws: dict[str, "Draw"] = {}
"""The sessions of open tabs, to how their parts are drawn."""
_is_server_drawing = False
_watches: "WeakKeyDictionary[Database, news.Watch]" = WeakKeyDictionary()
_drawn_now: ContextVar[_Part | None] = ContextVar("drawn_now", default=None)


def ticking(seconds: float, *topics: news.Topic) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorator: `st.fragment` for a part of a page, redrawn when a topic has changed, at most every `seconds`."""

    def decorate(body: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(body)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
            _draw(topics, functools.partial(body, *args, **kwargs), seconds)

        every = KEEP_SECONDS if _is_server_drawing else seconds
        fragment: Callable[P, None] = st.fragment(run_every=float(os.environ.get(VARIABLE) or every))(drawn)
        return fragment

    return decorate


def rest(took: float, used: float) -> float:
    """Seconds to pause after work that took so long, of which it used the processor for `used`.

    Not a multiple of the first, which on a busy machine is mostly waiting: there a page would show for 15 seconds what
    it had when it was opened.
    """
    return max(took, REST * used)


def let_server_draw() -> None:
    """From now on the server draws the parts of sessions that it attends to, and browsers tick seldom."""
    global _is_server_drawing
    _is_server_drawing = True


def draw_again_in(seconds: float) -> None:
    """The text being drawn becomes outdated after `seconds`; has no effect outside a ticking part."""
    part = _drawn_now.get()
    if part is not None:
        part.ages_at = min(part.ages_at, time.monotonic() + seconds)


def rest_for_dialog() -> None:
    """What is being drawn opens a dialog, and rests until the dialog is closed, which draws it again."""
    part = _drawn_now.get()
    if part is not None:
        part.has_dialog = True


def rests_for_dialog(session_id: str, fragment_id: str) -> bool:
    """Whether a part must not be drawn because of the dialog that it has opened."""
    part = _part(session_id, fragment_id)
    return part is not None and part.has_dialog


def is_due(session_id: str, fragment_id: str) -> bool:
    """Whether a part must be redrawn; fast and thread-safe. True for an unknown part, never in a hidden tab."""
    if session_id in _hidden:
        return False
    part = _part(session_id, fragment_id)
    if part is None:
        return True
    now = time.monotonic()
    if part.is_drawing or part.has_dialog or now < part.rests_until:
        return False
    if now >= part.ages_at or os.environ.get(VARIABLE):
        return True
    return any(news.value(topic) != value for topic, value in part.values)


def name_tab(session_id: str, tab: str) -> None:
    """A browser tab has this name, by which it says whether it is hidden."""
    with _lock:
        _tabs[tab] = session_id
        _tabs.move_to_end(tab)
        while len(_tabs) > _KEPT:
            _hidden.discard(_tabs.popitem(last=False)[1])


def note_hidden(tab: str, is_hidden: bool) -> None:
    """A tab is hidden and rests, or is shown again: its next tick draws what has changed. An unknown tab is ignored."""
    with _lock:
        if (session_id := _tabs.get(tab)) is None:
            return
        if is_hidden:
            _hidden.add(session_id)
        else:
            _hidden.discard(session_id)
        parts = [fragment_id for session, fragment_id in _parts if session == session_id]
    _follow()
    for fragment_id in parts:
        _ask(session_id, fragment_id, 0.0)


def attend(session_id: str, draw: Draw) -> None:
    """The parts of this session are drawn like this from now on."""
    _draws.setdefault(session_id, draw)


def leave(session_id: str) -> None:
    """The tab of a session is closed: nothing of it is followed any longer."""
    with _lock:
        _draws.pop(session_id, None)
        for key in [key for key in _parts if key[0] == session_id]:
            del _parts[key]
    _follow()


def forget(session_id: str, fragment_id: str) -> None:
    """A part is no longer on its page."""
    with _lock:
        _parts.pop((session_id, fragment_id), None)
    _follow()


def _follow() -> None:
    """Watch the topics of all parts that somebody looks at, and no others."""
    with _lock:
        wanted: dict[Database, set[news.Topic]] = {database: set() for database in _watches}
        for (session_id, _), part in _parts.items():
            if session_id in _draws and session_id not in _hidden:
                for topic, _value in part.values:
                    wanted.setdefault(topic.database, set()).add(topic)
        for database, topics in wanted.items():
            if topics and database not in _watches:
                _watches[database] = news.Watch(database, _hear)
            if database in _watches:
                _watches[database].topics = frozenset(topics)
            if not topics:
                _watches.pop(database).close()


def _hear(topics: frozenset[news.Topic]) -> None:
    """On the thread that looks at the database."""
    with _lock:
        parts = [(key, part) for key, part in _parts.items() if any(topic in topics for topic, _ in part.values)]
    for key, part in parts:
        if not part.is_drawing:  # otherwise it is looked at when it has been drawn
            _ask(*key, part.rests_until)


def _ask(session_id: str, fragment_id: str, moment: float) -> None:
    """Have a part drawn at a moment, if it is due then."""
    draw = _draws.get(session_id)
    if draw is not None and session_id not in _hidden:
        draw(fragment_id, max(0.0, moment - time.monotonic()))


def _part(session_id: str, fragment_id: str) -> _Part | None:
    with _lock:
        return _parts.get((session_id, fragment_id))


def _draw(topics: Sequence[news.Topic], body: Callable[[], None], seconds: float = 0.0) -> None:
    context, fragment_id = get_script_run_ctx(), ThreadState.get().fragment_id
    assert context is not None
    key = (context.session_id, fragment_id or "")
    part = _Part([(topic, news.value(topic)) for topic in topics])  # before anything is read
    with _lock:
        _parts[key] = part
        _parts.move_to_end(key)
        while len(_parts) > _KEPT:
            _parts.popitem(last=False)
    token, began, used = _drawn_now.set(part), time.monotonic(), time.thread_time()
    try:
        body()
    except Exception:
        part.ages_at = time.monotonic() + RETRY_SECONDS
        raise
    except BaseException:  # including Streamlit's own, which end a script run early: the part is incomplete
        with _lock:
            if _parts.get(key) is part:  # a run that was stopped may end after the one that follows has drawn it
                del _parts[key]
        raise
    finally:
        _drawn_now.reset(token)
        now = time.monotonic()
        part.rests_until = max(now + rest(now - began, time.thread_time() - used), began + seconds)
        part.is_drawing = False
        if key[0] in _draws and _part(*key) is part:
            _follow()
            is_changed = any(news.value(topic) != value for topic, value in part.values)
            next_at = part.rests_until if is_changed else max(part.ages_at, part.rests_until)
            if next_at < float("inf"):
                _ask(*key, next_at)
