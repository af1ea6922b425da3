"""A thread in every server that checks on all runs once a second, whether or not a page is open."""

import logging
import threading
import time
from typing import Self

from v3core.errors import V3Error
from v3core.jobs.notice import WebhookCaller
from v3core.jobs.supervisor import reconcile
from v3core.store.database import Database
from v3core.store.opening import open_database

LOOK_SECONDS = 1.0
FRESH_SECONDS = 5.0
"""Runs count as watched if they were checked within this time."""

_log = logging.getLogger(__name__)


class Watchdog:
    """Checks on the runs of one database, on a thread that ends with its process.

    Every server has one, even if several share a database, because each change is one conditional update. A check that
    fails, for example because the database is busy or damaged, is logged once and tried again.
    """

    def __init__(self, url: str | None = None, look_seconds: float = LOOK_SECONDS) -> None:
        """For the database at `url`, default V3_DATABASE_URL, with `look_seconds` between two checks."""
        self._url, self._look_seconds = url, look_seconds
        self._database: Database | None = None
        self._looked_at = float("-inf")
        self._complaint = ""
        self._ended = threading.Event()
        self._webhooks = WebhookCaller(_log.warning)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop the thread; returns after the current check."""
        self._ended.set()
        self._thread.join()

    def watches(self, database: Database) -> bool:
        """Whether the runs of this database were checked within the last seconds."""
        watched, fresh = self._database, time.monotonic() - self._looked_at < FRESH_SECONDS
        return fresh and watched is not None and watched.url == database.url

    def _watch(self) -> None:
        while True:
            try:
                if self._database is None:
                    self._database = open_database(self._url)
                if not self._database.is_there():  # opened again, it would be created again, empty
                    raise V3Error("The database {describe} is missing; restore it.", describe=self._database.describe())
                reconcile(self._database)
                self._webhooks.call(self._database)
            except Exception as error:  # the thread must survive every error, because it is not restarted
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
    """The watchdog of this process for a database, started on the first call."""
    with _lock:
        if url not in _watchdogs:
            _watchdogs[url] = Watchdog(url).start()
        return _watchdogs[url]


def is_watched(database: Database) -> bool:
    """Whether a watchdog of this process has checked the runs of this database within the last seconds."""
    with _lock:
        watchdogs = list(_watchdogs.values())
    return any(watchdog.watches(database) for watchdog in watchdogs)
