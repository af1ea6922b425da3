"""What has changed since a part of a page was drawn, polled once per server for all open pages.

While any page is open, a thread polls the database twice a second. Only after a commit does it read the topics that the
open pages depend on. A topic has a value, which is compared with the value that a page was drawn with; a `Watch` is
called when that of one of its topics changes.
"""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from v3core.errors import V3Error
from v3core.jobs.files import log_file
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.shipped_logs import parts_of
from v3core.store.changes import (
    Probe,
    milestones_of_run,
    recorded_of_run,
    row_of_run,
    state_of_experiment,
    state_of_run,
)
from v3core.store.database import Database
from v3core.store.history import newest_event
from v3core.store.process_samples import newest_process_sample

LOOK_SECONDS = 0.5
UNASKED_SECONDS = 15.0
"""A topic is forgotten if it is not watched and no page has asked for this time; the thread ends without topics."""


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


def of_experiment(database: Database, name: str) -> Topic:
    """The runs of an experiment."""
    return Topic(f"experiment {name}", database, lambda: state_of_experiment(database, name))


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
        if database.place.is_remote:
            return tuple(parts_of(database.place, run_id).items())
        try:
            found = log_file(run_id, database.data_dir).stat()
        except OSError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    return Topic(f"log {run_id}", database, read, in_database=False)


def of_launcher(database: Database) -> Topic:
    """What the launcher of this server has: its nodes and their slots, or why they are not known."""

    def read() -> Hashable:
        try:
            return chosen().seen()
        except V3Error as error:  # of V3_LAUNCHER, the same until the server is started again
            return str(error)

    return Topic("launcher", database, read, in_database=False)


def value(topic: Topic) -> Hashable:
    """The value of a topic, at most half a second old; the first call reads it."""
    return _watcher(topic.database).value(topic)


class Watch:
    """Is called when topics of a database change, from the first reading of their values until it is closed."""

    def __init__(self, database: Database, wake: Callable[[frozenset[Topic]], None]) -> None:
        """`wake` takes the topics that have changed, on the thread that looks: it must return at once."""
        self._topics: frozenset[Topic] = frozenset()
        self.wake = wake
        self._watcher = _watcher(database)
        self._watcher.watches(self, True)

    @property
    def topics(self) -> frozenset[Topic]:
        """Those that are watched; may be replaced at any time. One that nobody has asked for is news at first."""
        return self._topics

    @topics.setter
    def topics(self, topics: frozenset[Topic]) -> None:
        self._topics = topics
        self._watcher.attend()

    def close(self) -> None:
        self._watcher.watches(self, False)


def _watcher(database: Database) -> "_Watcher":
    with _lock:
        if database not in _watchers:
            _watchers[database] = _Watcher(database)
        return _watchers[database]


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
        self._watches: set[Watch] = set()
        self._reading = threading.Lock()
        self._token: Hashable = None
        self._thread: threading.Thread | None = None

    def value(self, topic: Topic) -> Hashable:
        now = time.monotonic()
        with self._lock:
            self._look_from_now_on()
            known = self._known.get(topic)
            if known is not None:
                known.asked = now
                return known.value
            token = self._token
        found = _Known(topic.value(token), now)
        with self._lock:
            known = self._known.setdefault(topic, found)
            self._look_from_now_on()  # it may have ended meanwhile: there was nothing to look for
            is_older = known is found and token != self._token
        if is_older:  # than the newest commit, after which it was not known yet
            self._read([topic])
        return known.value

    def _look_from_now_on(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="news", daemon=True)
            self._thread.start()

    def watches(self, watch: Watch, is_open: bool) -> None:
        with self._lock:
            if is_open:
                self._watches.add(watch)
            else:
                self._watches.discard(watch)

    def attend(self) -> None:
        """Look from now on if anything is watched."""
        with self._lock:
            if self._watched():
                self._look_from_now_on()

    def _watched(self) -> frozenset[Topic]:
        return frozenset[Topic]().union(*(watch.topics for watch in self._watches))

    def _watch(self) -> None:
        while True:
            self._look()
            time.sleep(LOOK_SECONDS)
            with self._lock:
                forgotten = time.monotonic() - UNASKED_SECONDS
                watched = self._watched()
                self._known = {
                    topic: known for topic, known in self._known.items() if known.asked > forgotten or topic in watched
                }
                if not self._known and not watched:
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
            due = {topic for topic in self._known if changed or not topic.in_database}
            due |= self._watched() - self._known.keys()  # forgotten before it was watched
        self._read(due)

    def _read(self, due: Iterable[Topic]) -> None:
        with self._reading:  # so that no older value replaces a newer one
            values = {topic: topic.value(self._token) for topic in due}
            with self._lock:
                watched = self._watched()
                news = frozenset(topic for topic, new in values.items() if self._changes(topic, new, watched))
                woken = [(watch, news & watch.topics) for watch in self._watches]
        for watch, topics in woken:
            if topics:
                watch.wake(topics)

    def _changes(self, topic: Topic, new: Hashable, watched: Collection[Topic]) -> bool:
        known = self._known.get(topic)
        if known is None:
            if topic in watched:
                self._known[topic] = _Known(new, time.monotonic())
            return topic in watched
        if known.value == new:
            return False
        known.value = new
        return True
