"""Checks of this machine, and how to fix what is missing."""

import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from v3core import __version__
from v3core.environments.nethack import ids
from v3core.errors import V3Error
from v3core.jobs.housekeeping import in_words, leftovers
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.launchers.interface import Launcher
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.notice import webhook
from v3core.jobs.slots import slots
from v3core.messages import _
from v3core.native import library
from v3core.paths import COMMAND, DATA_VARIABLE, INSTALLED, PACKAGE, data_address, data_dir, shipped
from v3core.phrases import all_of, counted, stored
from v3core.serve import DEFAULT_PORT, check_port
from v3core.store.opening import check_database, open_database

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LITTLE_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    ok: bool
    detail: str
    """What was found; where something is missing, how to get it."""
    needed: bool = True
    """Whether the app cannot work without it."""


def examine() -> Iterator[Finding]:
    """Look at Python, packages, data, disk, port, webhook, launcher, cores, native library, browser, NetHack."""
    yield Finding(
        _("Version"),
        True,
        _(
            "{version}, {value} in {package}",
            version=__version__,
            value=_("installed") if INSTALLED else _("a checkout"),
            package=PACKAGE,
        ),
    )
    yield Finding(_("Python"), True, ".".join(map(str, sys.version_info[:3])))
    yield from _packages()
    yield from _data()
    yield from _attempt(_("Port {default_port}", default_port=DEFAULT_PORT), _port)
    yield from _attempt(_("Webhook"), _webhook)
    yield from _attempt(_("Launcher"), _launcher)
    yield Finding(_("Cores"), True, str(os.cpu_count() or 1))
    is_off = os.environ.get(library.VARIABLE) == "0"
    yield from _attempt(_("Native library"), _native, ok_without=is_off)
    yield _browser()
    yield _nethack()


def _packages() -> Iterator[Finding]:
    wrong = 0
    file = shipped("requirements.txt")
    pins = re.findall(r"^([\w-]+)(?:\[[\w,-]+\])?==([\w.]+)", file.read_text(), re.MULTILINE)
    for name, pinned in pins:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong += 1
            yield Finding(name, False, _("is not installed; run `pip install -r {file}`", file=file))
            continue
        if found.split("+")[0] != pinned:
            wrong += 1
            yield Finding(
                name,
                False,
                _(
                    "is {found}, tested with {pinned}; run `pip install -r {file}`",
                    found=found,
                    pinned=pinned,
                    file=file,
                ),
                False,
            )
    if not wrong:
        yield Finding(_("Packages"), True, _("all {pins} at their pinned versions", pins=len(pins)))


def _data() -> Iterator[Finding]:
    folder, where = data_dir(), data_address()
    why = _("the user data folder") if INSTALLED else _("in the current folder")
    why = _("from {data_variable}", data_variable=DATA_VARIABLE) if os.environ.get(DATA_VARIABLE) else why
    try:
        database = open_database()
        try:
            check_database(database)
            database.place.check()
            found = leftovers(database)
            limit = slots(database)
        finally:
            database.close()
    except V3Error as error:
        yield Finding(_("Database"), False, error.message)
        return
    yield Finding(_("Data folder"), True, _("{folder}, {why}", folder=where, why=why))
    if where != str(folder):
        yield Finding(_("Scratch folder"), True, _("{folder}, for what is being written and for copies", folder=folder))
    yield Finding(_("Database"), True, database.describe())
    yield Finding(
        _("Slots"),
        True,
        _("{limit} runs train at once on this machine, others wait; see {command} slots", limit=limit, command=COMMAND),
    )
    if found:
        room = in_words(sum(leftover.bytes for leftover in found))
        yield Finding(
            _("Leftovers"),
            False,
            _("{room} in {found} places; see {command} tidy", room=room, found=len(found), command=COMMAND),
            needed=False,
        )
    free = shutil.disk_usage(folder).free
    yield Finding(
        _("Disk"),
        free > LITTLE_DISK_BYTES,
        _("{free} free in {folder}", free=in_words(free), folder=folder),
        needed=False,
    )


def _attempt(subject: str, look: Callable[[], str], *, ok_without: bool = False) -> Iterator[Finding]:
    """What `look` returns, if anything, or the error that it raises."""
    try:
        detail = look()
    except V3Error as error:
        yield Finding(subject, ok_without, error.message, needed=False)
    else:
        if detail:
            yield Finding(subject, True, detail)


def _port() -> str:
    check_port(DEFAULT_PORT)
    return _("free")


def _webhook() -> str:
    target = webhook()
    return _("{shown} is called when a run ends", shown=target.shown) if target else ""


def _launcher() -> str:
    launcher = chosen()
    if launcher.name == LocalLauncher.name:
        return launcher.name
    _check_launcher(launcher)
    offer = launcher.offer()
    if offer.problem:
        raise V3Error(stored(offer.problem))
    slots = sum(node.slots for node in offer.nodes)
    nodes = counted(len(offer.nodes), "node")
    return _("{name}, {nodes} with {slots}", name=launcher.name, nodes=nodes, slots=counted(slots, "slot"))


def _check_launcher(launcher: Launcher) -> None:
    """Raise V3Error if it cannot start runs of the database here."""
    try:
        database = open_database()
    except V3Error:
        return  # said of the database
    try:
        launcher.check(database)
    finally:
        database.close()


def _native() -> str:
    library.load()
    return _("computes the network, of policies with memory its graph, from {library}", library=library.LIBRARY)


def _browser() -> Finding:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    missing = _("not found; only needed for `make test`: install Debian's package chromium, or Google Chrome")
    return Finding(_("Browser for the tests"), found is not None, found or missing, needed=False)


def _nethack() -> Finding:
    """Whether the optional packages of NetHack are there, at the versions that were tested, and can be loaded."""
    missing = [package for package in ids.PACKAGES if not ids.is_installed(package)]
    if missing:
        what = _(
            "{missing} not installed; only needed for NetHack and MiniHack: {how_to_install}",
            missing=all_of(missing),
            how_to_install=ids.how_to_install(),
        )
        return Finding("NetHack", False, what, needed=False)
    found = {package: importlib.metadata.version(package) for package in ids.PACKAGES}
    try:
        ids.import_package("MiniHack-Room-5x5-v0")
    except V3Error as error:
        return Finding("NetHack", False, error.message, needed=False)
    words = all_of([f"{package} {version}" for package, version in found.items()])
    if found != ids.PACKAGES:
        tested = all_of([f"{package} {version}" for package, version in ids.PACKAGES.items()])
        return Finding(
            "NetHack",
            False,
            _(
                "{words}, tested with {tested}; {how_to_install}",
                words=words,
                tested=tested,
                how_to_install=ids.how_to_install(),
            ),
            needed=False,
        )
    return Finding("NetHack", True, words)
