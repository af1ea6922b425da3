"""What has changed since a part of a page was drawn, polled once per server for all open pages.

While any page is open, a thread polls the database twice a second. Only after a commit does it read the topics that the
open pages depend on. A topic has a value, which is compared with the value that a page was drawn with.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from v3core.jobs.files import log_file
from v3core.store.changes import Probe, milestones_of_run, recorded_of_run, row_of_run, state_of_run
from v3core.store.database import Database
from v3core.store.history import newest_event
from v3core.store.process_samples import newest_process_sample

LOOK_SECONDS = 0.5
UNASKED_SECONDS = 15.0
"""The thread ends, and a topic is forgotten, if no page has asked for this time."""


@dataclass(frozen=True)
class Topic:
    """A dependency of a part of a page."""

    name: str
    database: Database = field(compare=False)
    read: Callable[[], Hashable] | None = field(compare=False)
    """Reads the current value; None if every commit counts as a change."""
    in_database: bool = True
    """Whether it changes only with commits."""

    def value(self, token: Hashable) -> Hashable:
        """The current value; `token` is that of the newest commit. One that cannot be read differs from every other."""
        try:
            return token if self.read is None else self.read()
        except Exception:  # pages encounter the same error when they draw, and show it
            return object()


def of_anything(database: Database) -> Topic:
    """The whole database."""
    return Topic("anything", database, None)


def of_run(database: Database, run_id: str) -> Topic:
    """One run."""
    return Topic(f"run {run_id}", database, lambda: state_of_run(database, run_id))


def of_milestones(database: Database, run_id: str) -> Topic:
    """One run, without what changes with every episode and heartbeat."""
    return Topic(f"milestones {run_id}", database, lambda: milestones_of_run(database, run_id))


def of_numbers(database: Database, run_id: str) -> Topic:
    """The newest numbers of one run."""
    return Topic(f"numbers {run_id}", database, lambda: row_of_run(database, run_id))


def of_charts(database: Database, run_id: str) -> Topic:
    """What the charts of one run are drawn from."""
    return Topic(f"charts {run_id}", database, lambda: recorded_of_run(database, run_id))


def of_ends(database: Database) -> Topic:
    """Ends of runs."""
    return Topic("ends", database, lambda: newest_event(database))


def of_process(database: Database, run_id: str) -> Topic:
    """The samples of a run's process."""
    return Topic(f"process {run_id}", database, lambda: newest_process_sample(database, run_id))


def of_log(database: Database, run_id: str) -> Topic:
    """The log of a run."""

    def read() -> Hashable:
        try:
            found = log_file(run_id, database.data_dir).stat()
        except OSError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    return Topic(f"log {run_id}", database, read, in_database=False)


def value(topic: Topic) -> Hashable:
    """The value of a topic, at most half a second old; the first call reads it."""
    with _lock:
        if topic.database not in _watchers:
            _watchers[topic.database] = _Watcher(topic.database)
        watcher = _watchers[topic.database]
    return watcher.value(topic)


_lock = threading.Lock()
_watchers: "WeakKeyDictionary[Database, _Watcher]" = WeakKeyDictionary()


@dataclass
class _Known:
    value: Hashable
    asked: float


class _Watcher:
    """The topics of one database, and the thread that updates them."""

    def __init__(self, database: Database) -> None:
        self._probe = Probe(database)
        self._lock = threading.Lock()
        self._known: dict[Topic, _Known] = {}
        self._token: Hashable = None
        self._thread: threading.Thread | None = None

    def value(self, topic: Topic) -> Hashable:
        now = time.monotonic()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="news", daemon=True)
                self._thread.start()
            known = self._known.get(topic)
            if known is not None:
                known.asked = now
                return known.value
            token = self._token
        found = _Known(topic.value(token), now)
        with self._lock:
            return self._known.setdefault(topic, found).value

    def _watch(self) -> None:
        while True:
            self._look()
            time.sleep(LOOK_SECONDS)
            with self._lock:
                forgotten = time.monotonic() - UNASKED_SECONDS
                self._known = {topic: known for topic, known in self._known.items() if known.asked > forgotten}
                if not self._known:
                    self._thread = None
                    self._probe.close()
                    return

    def _look(self) -> None:
        try:
            token = self._probe.look()
        except Exception:
            token = object()
        with self._lock:
            changed = token != self._token
            self._token = token
            due = [topic for topic in self._known if changed or not topic.in_database]
        values = {topic: topic.value(token) for topic in due}
        with self._lock:
            for topic, new in values.items():
                if topic in self._known:
                    self._known[topic].value = new
