"""What open tabs have of charts: each is drawn once for all of them, and a tab is sent what it lacks, mostly one point.

A chart is drawn again only if something of its runs has changed; no script of a page runs for it. `push.py` says who
looks at what. docs/decisions/0029 has the reasons.
"""

import itertools
import json
import logging
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

from v3core.charts.folding import folded
from v3core.charts.patch import Step, patch, whole
from v3core.errors import V3Error
from v3core.jobs.lifecycle import ACTIVE
from v3core.messages import _, translated
from v3core.store.database import Database
from v3core.store.runs import UnknownRunError
from v3core.ui import news
from v3core.ui.chart_sources import NUMBERS, AsOfNow, Source, Zoom, draw

_VERSIONS_KEPT = 3
"""Of a chart: tabs that are further behind get all of it."""
_CHARTS_KEPT = 256
_RUNS_KEPT = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """One chart that a tab shows, and what it has of it."""

    id: str
    """What the tab calls it."""
    source: Source
    visible: Zoom | None = None
    have: str = ""
    """The version that the tab has; empty for none."""
    failed: str = ""
    """The error that the tab was sent last, until the chart can be drawn again."""


@dataclass(frozen=True)
class Answer:
    """What a tab is sent, and what it shows then."""

    text: str
    """JSON: the id of each chart that it has to change, to its version and its patch, or to an error; empty if none."""
    after: tuple[Shown, ...]
    """Without what rests until the page is drawn again: charts of runs that have ended or are deleted."""

    @property
    def failed(self) -> bool:
        """Whether a chart could not be drawn now, but perhaps later."""
        return any(one.failed for one in self.after)


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
        self.database = database
        self._lock = threading.Lock()
        self._charts: OrderedDict[tuple[Source, Zoom | None], _Chart] = OrderedDict()
        self._runs: OrderedDict[news.Topic, tuple[Hashable, AsOfNow]] = OrderedDict()
        self._server = secrets.token_hex(4)  # a version of another server, or of this one before its restart, is none
        self._numbers = itertools.count(1)

    def topics(self, showing: Iterable[Shown]) -> frozenset[news.Topic]:
        """What these charts depend on."""
        return frozenset(topic for shown in showing for topic in self._topics(shown.source))

    def answer(self, showing: Iterable[Shown]) -> Answer:
        """What a tab that shows these charts lacks of them."""
        parts, after = dict[str, str](), list[Shown]()
        for shown in showing:
            said, then = self._answer(shown)
            if said:
                parts[shown.id] = said
            if then is not None:
                after.append(then)
        return Answer(message(parts) if parts else "", tuple(after))

    def _answer(self, shown: Shown) -> tuple[str, Shown | None]:
        try:
            drawn, rests = self._newest(shown.source, shown.visible)
            if drawn.version == shown.have and not rests:
                return "", replace(shown, failed="") if shown.failed else shown
            before, steps = self._steps(shown, drawn)
        except UnknownRunError:
            return json.dumps({"gone": True}), None  # the page says so itself
        except V3Error as error:
            failed = str(translated(error.message, shown.source.language))
        except Exception as error:
            _log.exception("A chart could not be drawn: %s", shown.source)
            words = _("{error}. See the server's log for details.", error=f"{type(error).__name__}: {error}")
            failed = words.in_language(shown.source.language)
        else:
            of = f'"from": "{before}", "version": "{drawn.version}", "rests": {json.dumps(rests)}'
            return f'{{{of}, "steps": {steps}}}', None if rests else replace(shown, have=drawn.version, failed="")
        return "" if failed == shown.failed else json.dumps({"error": failed}), replace(shown, failed=failed)

    def _newest(self, source: Source, visible: Zoom | None) -> tuple[_Drawn, bool]:
        """The chart as of now, and whether it stays like that until a page says otherwise."""
        chart = self._kept(source, visible)
        with chart.lock:
            # Before anything is read: what changes meanwhile is drawn the next time.
            topics = self._topics(source)
            token = tuple(map(news.value, topics))
            runs = [self._run(*one) for one in zip(source.runs, topics, token, strict=True)]
            if not chart.versions or chart.token != token:
                tree, before = folded(draw(runs, source, visible)), chart.versions[-1] if chart.versions else None
                steps = patch(before.tree, tree) if before else None
                if steps != []:
                    drawn = _Drawn(f"{self._server}-{next(self._numbers)}", tree)
                    if before and steps:  # what most tabs will need
                        drawn.patches[before.version] = _written(steps)
                    chart.versions.append(drawn)
                chart.token = token
            has_ended = not any(one.run.status in ACTIVE for one in runs)
            # News can be older than what the page was drawn from: a run that was resumed meanwhile does not rest.
            return chart.versions[-1], has_ended and tuple(topic.value(None) for topic in topics) == token

    def _steps(self, shown: Shown, drawn: _Drawn) -> tuple[str, str]:
        """The version from which a tab is led to the newest, empty if it gets all of it, and the steps."""
        chart = self._kept(shown.source, shown.visible)
        with chart.lock:
            before = next((one for one in chart.versions if one.version == shown.have), None)
            have = before.version if before else ""
            if have not in drawn.patches:
                steps = patch(before.tree, drawn.tree) if before else whole(drawn.tree)
                drawn.patches[have] = _written(steps)
            return have, drawn.patches[have]

    def _kept(self, source: Source, visible: Zoom | None) -> _Chart:
        with self._lock:
            chart = self._charts.setdefault((source, visible), _Chart())
            self._charts.move_to_end((source, visible))
            while len(self._charts) > _CHARTS_KEPT:
                self._charts.popitem(last=False)
            return chart

    def _topics(self, source: Source) -> list[news.Topic]:
        of = news.of_numbers if source.chart == NUMBERS else news.of_charts
        return [of(self.database, run_id) for run_id in source.runs]

    def _run(self, run_id: str, topic: news.Topic, token: Hashable) -> AsOfNow:
        with self._lock:
            held = self._runs.get(topic)
        if held is None or held[0] != token:
            held = (token, AsOfNow(self.database, run_id))
            with self._lock:
                self._runs[topic] = held
                self._runs.move_to_end(topic)
                while len(self._runs) > _RUNS_KEPT:
                    self._runs.popitem(last=False)
        return held[1]


def message(parts: Mapping[str, str]) -> str:
    """What a tab is sent: the ids of charts, to JSON."""
    return '{"charts": {' + ", ".join(f"{json.dumps(name)}: {part}" for name, part in parts.items()) + "}}"


def _written(steps: list[Step]) -> str:
    return json.dumps(steps, separators=(",", ":"), allow_nan=False)


def feed_of(database: Database) -> Feed:
    """The feed of a database; one for all tabs."""
    with _lock:
        if database not in _feeds:
            _feeds[database] = Feed(database)
        return _feeds[database]


_lock = threading.Lock()
_feeds: "WeakKeyDictionary[Database, Feed]" = WeakKeyDictionary()
