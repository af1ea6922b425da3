"""What is missing on this machine, and how to get it."""

import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from v3core.errors import V3Error
from v3core.jobs.housekeeping import in_words, leftovers
from v3core.jobs.launcher import slots
from v3core.jobs.webhook import webhook
from v3core.serve import DEFAULT_PORT, ROOT, check_port
from v3core.store.database import Database, data_dir

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LITTLE_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    ok: bool
    detail: str
    """What was found; where something is missing, how to get it."""
    needed: bool = True
    """Whether the app cannot work without it."""


def examine() -> Iterator[Finding]:
    """Look at Python, packages, data folder, database, disk, port, webhook, cores and the tests' browser."""
    yield _python()
    yield from _packages()
    yield from _data()
    yield _port()
    yield from _webhook()
    yield Finding("Cores", True, str(os.cpu_count() or 1))
    yield _browser()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", True, version)


def _packages() -> Iterator[Finding]:
    wrong = 0
    pins = re.findall(r"^([\w-]+)(?:\[[\w,-]+\])?==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    for name, pinned in pins:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong += 1
            yield Finding(name, False, "is not installed; run `make run`, or `pip install -r requirements.txt`")
            continue
        if found.split("+")[0] != pinned:
            wrong += 1
            yield Finding(
                name, False, f"is {found}, tested with {pinned}; run `pip install -r requirements.txt`", False
            )
    if not wrong:
        yield Finding("Packages", True, f"all {len(pins)} at their pinned versions")


def _data() -> Iterator[Finding]:
    try:
        database = Database.open()
        try:
            database.check()
            found = leftovers(database)
            limit = slots(database)
        finally:
            database.close()
    except V3Error as error:
        yield Finding("Database", False, str(error))
        return
    yield Finding("Database", True, database.describe())
    yield Finding("Slots", True, f"{limit}: as many runs train at once here, others wait; see python -m v3core slots")
    if found:
        room = in_words(sum(leftover.bytes for leftover in found))
        yield Finding("Left over", False, f"{room} in {len(found)} places; see python -m v3core tidy", needed=False)
    folder = Path(data_dir()).resolve()
    free = shutil.disk_usage(folder).free
    gigabytes = f"{free / (1 << 30):.1f} GiB free in {folder}"
    yield Finding("Disk", free > LITTLE_DISK_BYTES, gigabytes, needed=False)


def _port() -> Finding:
    try:
        check_port(DEFAULT_PORT)
    except V3Error as error:
        return Finding(f"Port {DEFAULT_PORT}", False, str(error), needed=False)
    return Finding(f"Port {DEFAULT_PORT}", True, "free")


def _webhook() -> Iterator[Finding]:
    try:
        target = webhook()
    except V3Error as error:
        yield Finding("Webhook", False, str(error), needed=False)
        return
    if target:
        yield Finding("Webhook", True, f"{target.shown} is called when a run has ended")


def _browser() -> Finding:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found:
        return Finding("Browser for the tests", True, found)
    return Finding(
        "Browser for the tests",
        False,
        "none; only `make test` needs one: install Debian's package chromium, or Google Chrome",
        needed=False,
    )
