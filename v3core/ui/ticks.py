"""Parts of a page that look for news by themselves, and draw only when there is some.

The browser asks at an interval; `tick_gate` lets the question through only if `is_due` says so, and otherwise neither
a script runs nor is anything sent. So a page on which nothing happens costs next to nothing.
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

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

from v3core.ui import news

P = ParamSpec("P")

VARIABLE = "V3_TICK_SECONDS"
"""Sets the interval of every tick, each of which then counts as news; for tests, which make them frequent."""
REST = 3.0
"""After a drawing that took so long, a part rests for this multiple of it: a slow page must not fill a core."""
RETRY_SECONDS = 5.0
"""A part that could not be drawn is tried again so late."""
_KEPT = 4096


@dataclass
class _Part:
    """A part of a page in one browser tab, as it was drawn last."""

    values: Sequence[tuple[news.Topic, Hashable]]
    is_drawing: bool = True
    rests_until: float = 0.0
    ages_at: float = field(default=float("inf"))
    """When a text on it is no longer true, as `3 min ago`."""


_lock = threading.Lock()
_parts: "OrderedDict[tuple[str, str], _Part]" = OrderedDict()
_drawn_now: ContextVar[_Part | None] = ContextVar("drawn_now", default=None)


def ticking(seconds: float, *topics: news.Topic) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A decorator: `st.fragment` for a part of a page that is drawn again when one of the topics has changed.

    Args:
        seconds: how often it asks.
        topics: what it depends on.
    """

    def decorate(body: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(body)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
            _draw(topics, functools.partial(body, *args, **kwargs))

        fragment: Callable[P, None] = st.fragment(run_every=float(os.environ.get(VARIABLE) or seconds))(drawn)
        return fragment

    return decorate


def draw_again_in(seconds: float) -> None:
    """What is being drawn is not true for longer; no more than a hint, and none outside of a part that ticks."""
    part = _drawn_now.get()
    if part is not None:
        part.ages_at = min(part.ages_at, time.monotonic() + seconds)


def is_due(session_id: str, fragment_id: str) -> bool:
    """Whether a part must be drawn; quick, and safe from any thread. One that is not known must."""
    with _lock:
        part = _parts.get((session_id, fragment_id))
    if part is None:
        return True
    now = time.monotonic()
    if part.is_drawing or now < part.rests_until:
        return False
    if now >= part.ages_at or os.environ.get(VARIABLE):
        return True
    return any(news.value(topic) != value for topic, value in part.values)


def _draw(topics: Sequence[news.Topic], body: Callable[[], None]) -> None:
    context, fragment_id = get_script_run_ctx(), ThreadState.get().fragment_id
    assert context is not None
    key = (context.session_id, fragment_id or "")
    part = _Part([(topic, news.value(topic)) for topic in topics])  # before anything is read
    with _lock:
        _parts[key] = part
        _parts.move_to_end(key)
        while len(_parts) > _KEPT:
            _parts.popitem(last=False)
    token, began = _drawn_now.set(part), time.monotonic()
    try:
        body()
    except Exception:
        part.ages_at = time.monotonic() + RETRY_SECONDS
        raise
    except BaseException:  # Streamlit's own too, with which it ends a run early: it is not drawn in full
        with _lock:
            _parts.pop(key, None)
        raise
    finally:
        _drawn_now.reset(token)
        now = time.monotonic()
        part.rests_until = now + REST * (now - began)
        part.is_drawing = False
