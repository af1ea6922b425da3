"""Keeps the charts of open tabs up to date over one WebSocket per tab: nothing is sent while nothing is new.

A tab says which charts are on its screen, again whenever that changes (`live_chart_feed.js`). When a topic of one of
them changes, it is sent what it lacks. Tabs that have the same are answered once, with the same text, and a tab that
reads slowly has one unsent answer at most: the next one is made when it is sent. docs/decisions/0029 has the reasons.
"""

import asyncio
import json
import logging
import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from v3core.charts.look import Look
from v3core.errors import V3Error
from v3core.messages import ENGLISH, _, known_language, translated
from v3core.ui import news
from v3core.ui.chart_sources import Source, Zoom
from v3core.ui.feed import Answer, Feed, Shown, feed_of, message
from v3core.ui.known_hosts import may_connect
from v3core.ui.language import of_request
from v3core.ui.own_paths import path_of
from v3core.ui.shared import shared_database
from v3core.ui.ticks import VARIABLE, rest

NAME = "v3/feed"
EVERY_SECONDS = 0.75
"""The least time between two pushes: with half a second for the look at the database, an episode is drawn in 1.3 s."""
RETRY_SECONDS = 2.0
"""A chart that could not be drawn is tried again after this time."""
MAX_CHARTS = 64
MAX_BYTES = 256 * 1024
"""Of a message from a tab: 64 charts of 64 runs."""
_ANSWERS_KEPT = 256
_POLICY, _BROKEN = 1008, 1011
"""Reasons for closing, as in RFC 6455."""
_log = logging.getLogger(__name__)


def address() -> str:
    """Where tabs connect to."""
    return path_of(NAME)


class Wanted(BaseModel):
    """One chart that a tab shows."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=50)
    """What the tab calls it."""
    source: dict[str, Any]
    """The fields of a `Source`."""
    have: str = Field("", max_length=50)
    """The version that the tab has; empty for none."""
    visible: tuple[float, float, int] | None = None
    """From where to where on the x axis it is zoomed to, and its width in pixels."""


class Screen(BaseModel):
    """All charts that are on the screen of a tab."""

    model_config = ConfigDict(extra="forbid")

    charts: list[Wanted] = Field(max_length=MAX_CHARTS)
    asked: int = Field(default=0, ge=0)
    """Comes back with each answer to it, so that the tab knows one to something that it said before."""


class Pusher:
    """The open tabs of one database; only for the thread of the event loop that it was made on."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._loop = asyncio.get_running_loop()
        self._tabs: set[Tab] = set()
        self._watch: news.Watch | None = None
        self._answers: dict[tuple[Shown, ...], asyncio.Task[Answer]] = {}
        """Those since the last news."""
        self._news: set[news.Topic] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rests_until = 0.0

    def serves(self, feed: Feed) -> bool:
        """Whether it is that of a feed on this event loop."""
        return self.feed is feed and self._loop is asyncio.get_running_loop()

    def shows(self, tab: "Tab") -> None:
        """A tab shows what it shows now."""
        self._tabs.add(tab)
        self._look()

    def leaves(self, tab: "Tab") -> None:
        """A tab is closed, or shows charts of another database."""
        self._tabs.discard(tab)
        self._look()

    async def answer(self, showing: tuple[Shown, ...]) -> Answer:
        """What a tab with these charts lacks; computed once between two pieces of news."""
        task = self._answers.get(showing)
        if task is None:
            while len(self._answers) >= _ANSWERS_KEPT:
                del self._answers[next(iter(self._answers))]
            task = self._answers[showing] = self._loop.create_task(self._draw(showing))
        return await asyncio.shield(task)  # others wait for it too

    async def _draw(self, showing: tuple[Shown, ...]) -> Answer:
        began = self._loop.time()
        answer, used = await run_in_threadpool(self._measured, showing)
        now = self._loop.time()
        self._rests_until = max(self._rests_until, now + rest(now - began, used))  # a slow server pushes less often
        if answer.failed:
            self._answers.pop(showing, None)  # the next time it is tried again
        return answer

    def _measured(self, showing: tuple[Shown, ...]) -> tuple[Answer, float]:
        """The answer, and the processor time that it took."""
        used = time.thread_time()
        return self.feed.answer(showing), time.thread_time() - used

    def _look(self) -> None:
        topics = frozenset[news.Topic]().union(*(tab.topics for tab in self._tabs))
        if self._watch is None or topics - self._watch.topics:
            self._answers = {}  # what was answered may be old: nobody has watched these topics
        if topics and self._watch is None:
            self._watch = news.Watch(self.feed.database, self._hear)
        if self._watch is not None:
            self._watch.topics = topics
            if not topics:
                self._watch.close()
                self._watch = None

    def _hear(self, topics: frozenset[news.Topic]) -> None:
        """On the thread that looks at the database."""
        with suppress(RuntimeError):  # the server is ending
            self._loop.call_soon_threadsafe(self._collect, topics)

    def _collect(self, topics: frozenset[news.Topic]) -> None:
        self._news |= topics
        if self._timer is None:
            self._timer = self._loop.call_at(max(self._rests_until, self._loop.time()), self._push)

    def _push(self) -> None:
        self._timer, topics, self._news = None, frozenset(self._news), set()
        self._rests_until = self._loop.time() + every()
        self._wake(topics)

    def _wake(self, topics: frozenset[news.Topic]) -> None:
        self._answers = {}
        for tab in self._tabs:
            if tab.topics & topics:
                tab.due.set()


class Tab:
    """One connection: what its tab shows, and what it has been sent of it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._pusher: Pusher | None = None
        self._showing: tuple[Shown, ...] = ()
        self._asked = 0
        self._refused: dict[str, str] = {}
        """Of charts that cannot be shown, what to answer."""
        self.topics: frozenset[news.Topic] = frozenset()
        self.due = asyncio.Event()
        self._retry: asyncio.TimerHandle | None = None

    async def shows(self, said: str | bytes) -> None:
        """The tab says what is on its screen.

        Raises:
            V3Error: if that cannot be read, or the database cannot be opened; the tab keeps what it has shown.
        """
        showing, refused, asked = _read(said)
        feed = await run_in_threadpool(lambda: feed_of(shared_database()))
        pusher = _pusher_of(feed)
        if self._pusher not in (None, pusher):
            self.leaves()
        self._pusher, self._showing, self._refused, self._asked = pusher, showing, refused, asked
        self._attend()
        self.due.set()

    def leaves(self) -> None:
        """The connection is closed."""
        if self._pusher is not None:
            self._pusher.leaves(self)
        if self._retry is not None:
            self._retry.cancel()

    async def send(self) -> None:
        """Sends answers, one after another, until cancelled; what becomes new meanwhile is in the next."""
        while True:
            await self.due.wait()
            self.due.clear()
            assert self._pusher is not None
            if refused := self._refused:
                self._refused = {}
                await self._socket.send_text(_answering(self._asked, message(refused)))
            showing = self._showing
            if not showing:
                continue
            found = await self._pusher.answer(showing)
            if self._showing is not showing:
                continue  # it shows something else meanwhile, and has not got what was sent for this
            if self._showing != found.after:
                self._showing = found.after
                if len(self._showing) < len(showing):
                    self._attend()
            if found.failed:
                self._try_again()
            if found.text:
                await self._socket.send_text(_answering(self._asked, found.text))

    def _try_again(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self.due.set)

    def _attend(self) -> None:
        assert self._pusher is not None
        self.topics = self._pusher.feed.topics(self._showing)
        self._pusher.shows(self)


async def endpoint(socket: WebSocket) -> None:
    """The connection of one tab."""
    if not may_connect(socket.headers):
        await socket.close(_POLICY)
        return
    await socket.accept()
    tab = Tab(socket)
    sending = asyncio.create_task(_send(tab, socket))
    try:
        while (message := await socket.receive())["type"] == "websocket.receive":
            try:
                await tab.shows(message.get("text") or message.get("bytes") or b"")
            except V3Error as error:  # it shows what it has shown
                await socket.send_text(json.dumps({"error": translated(error, of_request(socket.headers))}))
    except (WebSocketDisconnect, RuntimeError):  # closed while an error was being sent
        pass
    finally:
        tab.leaves()
        sending.cancel()


async def _send(tab: Tab, socket: WebSocket) -> None:
    try:
        await tab.send()
    except (WebSocketDisconnect, RuntimeError):
        pass  # closed, which the receiver notices too
    except Exception:
        _log.exception("Charts can no longer be pushed to a tab, which connects again.")
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(_BROKEN)


def every() -> float:
    """Seconds between two pushes."""
    return float(os.environ.get(VARIABLE) or EVERY_SECONDS)


def _answering(asked: int, text: str) -> str:
    """A message that says what it answers."""
    return f'{{"asked": {asked}, {text[1:]}'


def _read(message: str | bytes) -> tuple[tuple[Shown, ...], dict[str, str], int]:
    """What a tab shows, the errors of charts that do not exist, and the number of what it says."""
    if len(message) > MAX_BYTES:
        raise V3Error(
            "The page asks for charts in {message:,} bytes, more than {max_bytes:,}; reload it.",
            message=len(message),
            max_bytes=MAX_BYTES,
        )
    try:
        screen = Screen.model_validate_json(message)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or _("the message")
        what = error.errors()[0]["msg"]
        raise V3Error(
            "The page asks for charts in a way that cannot be read ({where}: {what}); reload it.",
            where=where,
            what=what,
        ) from None
    showing, refused = dict[str, Shown](), dict[str, str]()
    for one in screen.charts:
        try:
            showing[one.id] = Shown(one.id, _source(one.source), _visible(one.visible), one.have)
        except V3Error as error:
            language = known_language(str(one.source.get("language")))
            refused[one.id] = json.dumps({"error": translated(error, language or ENGLISH)})
    return tuple(showing.values()), refused, screen.asked


def _source(fields: Mapping[str, Any]) -> Source:
    try:
        known: dict[str, Any] = dict(fields)
        known |= {"runs": tuple(map(str, fields["runs"])), "look": Look(**fields.get("look", {}))}
        return Source(**known)
    except (KeyError, TypeError):
        raise V3Error("The page asks for a chart that this server does not know; reload it.") from None


def _visible(value: tuple[float, float, int] | None) -> Zoom | None:
    if value is None:
        return None
    start, end, pixels = value
    if not (start < end and math.isfinite(start) and math.isfinite(end)):
        raise V3Error("The page is zoomed to nothing; reset its zoom.")
    return Zoom(start, end, max(pixels, 1))


def _pusher_of(feed: Feed) -> Pusher:
    """That of a feed, on this event loop; one for all tabs."""
    global _pusher
    if _pusher is None or not _pusher.serves(feed):
        _pusher = Pusher(feed)
    return _pusher


_pusher: Pusher | None = None
"""The newest one."""
