"""The thread of a server that looks after all runs each second, whether a page is open or not."""

import logging
import threading
import time

from v3core.errors import V3Error
from v3core.jobs.notice import WebhookCaller
from v3core.jobs.supervisor import reconcile
from v3core.store.database import Database
from v3core.store.opening import open_database

LOOK_SECONDS = 1.0
FRESH_SECONDS = 5.0
"""Whoever asks whether the runs are looked after takes a look of this age for a yes."""

_log = logging.getLogger(__name__)


class Watchdog:
    """Looks after the runs of one database, on a thread that ends with its process.

    Every server has one, also where several share a database: what each finds is one conditional update. A look that
    fails, because the database is busy or damaged say, is logged once, and the next one tries again.
    """

    def __init__(self, url: str | None = None, look_seconds: float = LOOK_SECONDS) -> None:
        """Of the database at `url`, default V3_DATABASE_URL; `look_seconds` lie between two looks."""
        self._url, self._look_seconds = url, look_seconds
        self._database: Database | None = None
        self._looked_at = float("-inf")
        self._complaint = ""
        self._ended = threading.Event()
        self._webhooks = WebhookCaller(_log.warning)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> "Watchdog":
        """Begin to look; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Look no more; returns once the look under way has ended."""
        self._ended.set()
        self._thread.join()

    def looks_after(self, database: Database) -> bool:
        """Whether the runs of this database were looked after within the last seconds."""
        watched, fresh = self._database, time.monotonic() - self._looked_at < FRESH_SECONDS
        return fresh and watched is not None and watched.url == database.url

    def _watch(self) -> None:
        while True:
            try:
                if self._database is None:
                    self._database = open_database(self._url)
                if not self._database.is_there():  # opened again, it would be created again, empty
                    raise V3Error(f"The database {self._database.describe()} is missing; restore it.")
                reconcile(self._database)
                self._webhooks.call(self._database)
            except Exception as error:  # nothing may end it: nobody would start another
                self._complain(error)
            else:
                self._looked_at, self._complaint = time.monotonic(), ""
            if self._ended.wait(self._look_seconds):
                break
        if self._database is not None:
            self._database.close()

    def _complain(self, error: Exception) -> None:
        if self._complaint != str(error):
            self._complaint = str(error)
            _log.warning("The runs could not be checked: %s", error, exc_info=not isinstance(error, V3Error))
        if self._database is not None:  # its file may be another one by now
            self._database.close()


_lock = threading.Lock()
_watchdogs: dict[str | None, Watchdog] = {}


def ensure_watchdog(url: str | None = None) -> Watchdog:
    """The watchdog of this process for a database, started by the first who asks."""
    with _lock:
        if url not in _watchdogs:
            _watchdogs[url] = Watchdog(url).start()
        return _watchdogs[url]


def is_looked_after(database: Database) -> bool:
    """Whether a watchdog of this process has looked after the runs of this database within the last seconds."""
    with _lock:
        watchdogs = list(_watchdogs.values())
    return any(watchdog.looks_after(database) for watchdog in watchdogs)
