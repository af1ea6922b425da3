"""What open pages ask for while they are looked at: patches of the charts that are on their screens.

A tab asks once for all of its charts (`live_chart_feed.js`), and says which version of each it has. A chart is drawn
once for all tabs, and only if something of its runs has changed; each tab is then sent what it lacks, which is mostly
one point. No script of a page runs for it. docs/decisions/0029 has the reasons.
"""

import itertools
import json
import logging
import os
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from v3core.charts.look import Look
from v3core.charts.patch import Step, patch, whole
from v3core.errors import V3Error
from v3core.jobs.lifecycle import ACTIVE
from v3core.store.database import Database
from v3core.store.runs import UnknownRunError
from v3core.ui import news
from v3core.ui.chart_sources import NUMBERS, AsOfNow, Source, Zoom, draw
from v3core.ui.shared import shared_database
from v3core.ui.ticks import VARIABLE

NAME = "v3/feed"
EVERY_SECONDS = 0.75
"""How often a tab asks: with half a second for the look at the database, an episode is drawn within 1.3 s."""
MAX_CHARTS = 64
_VERSIONS_KEPT = 3
"""Of a chart: tabs that ask less often than that get all of it."""
_CHARTS_KEPT = 256
_RUNS_KEPT = 64
_log = logging.getLogger(__name__)


def address() -> str:
    """Where the browser asks."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + base if base else ''}/{NAME}"


def every() -> float:
    """Seconds between two questions of a tab."""
    return float(os.environ.get(VARIABLE) or EVERY_SECONDS)


class Wanted(BaseModel):
    """One chart that a tab shows."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=200)
    """What the tab calls it."""
    source: dict[str, Any]
    """The fields of a `Source`."""
    have: str = Field("", max_length=50)
    """The version that the tab has; empty for none."""
    visible: tuple[float, float, int] | None = None
    """From where to where on the x axis it is zoomed to, and its width in pixels."""


class Question(BaseModel):
    """What a tab asks."""

    charts: list[Wanted] = Field(max_length=MAX_CHARTS)


@dataclass
class _Drawn:
    version: str
    tree: Mapping[str, Any]
    patches: dict[str, str] = field(default_factory=dict)
    """From the version that a tab has, empty for none, to the JSON that leads here."""


@dataclass
class _Chart:
    lock: threading.Lock = field(default_factory=threading.Lock)
    token: Hashable = None
    versions: "deque[_Drawn]" = field(default_factory=lambda: deque(maxlen=_VERSIONS_KEPT))


class Feed:
    """The charts of one database, for all tabs of this server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._charts: OrderedDict[tuple[Source, Zoom | None], _Chart] = OrderedDict()
        self._runs: OrderedDict[news.Topic, tuple[Hashable, AsOfNow]] = OrderedDict()
        self._server = secrets.token_hex(4)  # a version of another server, or of this one before its restart, is none
        self._numbers = itertools.count(1)
        self._idle: OrderedDict[bytes, dict[news.Topic, Hashable]] = OrderedDict()
        """Questions that were answered with nothing, to the topics and values for which that holds."""

    def has_nothing_for(self, body: bytes) -> bool:
        """Whether this question was asked before, by any tab, and nothing has changed since it had no answer."""
        with self._lock:
            values = self._idle.get(body)
        return values is not None and all(news.value(topic) == value for topic, value in values.items())

    def answer(self, body: bytes) -> str:
        """JSON: the id of each chart that the tab has to change, to its version and its patch, or to an error.

        Raises:
            ValidationError: if the question cannot be read.
        """
        question, values = Question.model_validate_json(body), dict[news.Topic, Hashable]()
        said = {one.id: self._answer(one, values) for one in question.charts}
        parts = [f"{json.dumps(name)}: {one}" for name, one in said.items() if one]
        if not parts:
            with self._lock:
                self._idle[body] = values
                while len(self._idle) > _CHARTS_KEPT:
                    self._idle.popitem(last=False)
        return "{" + ", ".join(parts) + "}"

    def _answer(self, wanted: Wanted, values: dict[news.Topic, Hashable]) -> str:
        try:
            source, visible = _source(wanted.source), _visible(wanted.visible)
            drawn, rests = self._newest(source, visible, values)
            if drawn.version == wanted.have and not rests:
                return ""
            steps = self._steps(source, visible, drawn, wanted.have)
        except UnknownRunError:
            return json.dumps({"gone": True})
        except V3Error as error:
            return json.dumps({"error": str(error)})
        except Exception as error:
            _log.exception("A chart could not be drawn: %s", wanted.source)
            return json.dumps({"error": f"{type(error).__name__}: {error}. See the server's log for details."})
        return f'{{"version": "{drawn.version}", "rests": {json.dumps(rests)}, "steps": {steps}}}'

    def _newest(self, source: Source, visible: Zoom | None, values: dict[news.Topic, Hashable]) -> tuple[_Drawn, bool]:
        """The chart as of now, and whether it stays like that until a page says otherwise.

        `values` takes what it was drawn for.
        """
        chart = self._kept(source, visible)
        with chart.lock:
            # Before anything is read: what changes meanwhile is drawn the next time.
            of = news.of_numbers if source.chart == NUMBERS else news.of_charts
            topics = [of(self._database, run_id) for run_id in source.runs]
            token = tuple(map(news.value, topics))
            values |= zip(topics, token, strict=True)
            runs = [self._run(*one) for one in zip(source.runs, topics, token, strict=True)]
            if not chart.versions or chart.token != token:
                tree, before = draw(runs, source, visible), chart.versions[-1] if chart.versions else None
                steps = patch(before.tree, tree) if before else None
                if steps != []:
                    drawn = _Drawn(f"{self._server}-{next(self._numbers)}", tree)
                    if before and steps:  # what most tabs will need
                        drawn.patches[before.version] = _written(steps)
                    chart.versions.append(drawn)
                chart.token = token
            return chart.versions[-1], not any(one.run.status in ACTIVE for one in runs)

    def _steps(self, source: Source, visible: Zoom | None, drawn: _Drawn, have: str) -> str:
        chart = self._kept(source, visible)
        with chart.lock:
            before = next((one for one in chart.versions if one.version == have), None)
            have = before.version if before else ""
            if have not in drawn.patches:
                steps = patch(before.tree, drawn.tree) if before else whole(drawn.tree)
                drawn.patches[have] = _written(steps)
            return drawn.patches[have]

    def _kept(self, source: Source, visible: Zoom | None) -> _Chart:
        with self._lock:
            chart = self._charts.setdefault((source, visible), _Chart())
            self._charts.move_to_end((source, visible))
            while len(self._charts) > _CHARTS_KEPT:
                self._charts.popitem(last=False)
            return chart

    def _run(self, run_id: str, topic: news.Topic, token: Hashable) -> AsOfNow:
        with self._lock:
            held = self._runs.get(topic)
        if held is None or held[0] != token:
            held = (token, AsOfNow(self._database, run_id))
            with self._lock:
                self._runs[topic] = held
                self._runs.move_to_end(topic)
                while len(self._runs) > _RUNS_KEPT:
                    self._runs.popitem(last=False)
        return held[1]


def _written(steps: list[Step]) -> str:
    return json.dumps(steps, separators=(",", ":"), allow_nan=False)


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
    if not start < end:
        raise V3Error("The page is zoomed to nothing; reset its zoom.")
    return Zoom(start, end, max(pixels, 1))


async def endpoint(request: Request) -> Response:
    """Answers a question of a tab; 204 if there is nothing to change."""
    body = await request.body()
    if _asked is not None and _asked.has_nothing_for(body):  # mostly, so neither a thread nor a parser is needed
        return Response(status_code=204)
    try:
        said = await run_in_threadpool(_ask, body)
    except ValidationError as error:
        return JSONResponse({"error": f"{error.error_count()} fields cannot be read."}, status_code=400)
    except V3Error as error:
        return JSONResponse({"error": str(error)}, status_code=503)
    return Response(said, media_type="application/json") if said != "{}" else Response(status_code=204)


def _ask(body: bytes) -> str:
    global _asked
    _asked = feed_of(shared_database())
    return _asked.answer(body)


def feed_of(database: Database) -> Feed:
    """The feed of a database; one for all tabs."""
    with _lock:
        if database not in _feeds:
            _feeds[database] = Feed(database)
        return _feeds[database]


_lock = threading.Lock()
_feeds: "WeakKeyDictionary[Database, Feed]" = WeakKeyDictionary()
_asked: Feed | None = None
"""The feed that was asked last."""
