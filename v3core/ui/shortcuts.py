"""Keyboard shortcuts, each declared once. `page_frame.js` shows their sheet and acts on those that go somewhere."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from v3core.messages import _


@dataclass(frozen=True)
class Shortcut:
    """A key, or two pressed one after the other."""

    keys: str
    """As pressed, with a blank between two."""
    meaning: str
    where: str = _("Everywhere")
    """The part of the app in which it works."""
    page: str = ""
    """The page that it opens, as its path in the address; `/` for Runs."""
    focus: str = ""
    """The accessible name of the field that it moves to."""
    on: tuple[str, ...] = ()
    """The pages with that field, as their paths in the address; the key does nothing on others."""


SHORTCUTS = (
    Shortcut("?", _("Show or hide this sheet")),
    Shortcut("g r", _("Go to Runs"), page="/"),
    Shortcut("g n", _("Go to Launch, for a new run"), page="/launch"),
    Shortcut("g e", _("Go to Experiments"), page="/experiments"),
    Shortcut("g l", _("Go to Live"), page="/live"),
    Shortcut("g c", _("Go to Compare"), page="/compare"),
    Shortcut("g p", _("Go to Replay"), page="/replay"),
    Shortcut("g t", _("Go to Claims, and how they were tested"), page="/claims"),
    Shortcut("g o", _("Go to the tour: what a curriculum changes, and what it does not"), page="/tour"),
    Shortcut("/", _("Type into the filter"), _("Runs"), focus=_("Filter"), on=("/", "/experiments")),
    Shortcut("j", _("Next run"), _("Runs")),
    Shortcut("k", _("Previous run"), _("Runs")),
    Shortcut("x", _("Select the run, or deselect it"), _("Runs")),
    Shortcut("Shift x", _("Select all runs from the last selected one to this one"), _("Runs")),
    Shortcut("Enter", _("Open the run"), _("Runs")),
    Shortcut("← →", _("Move the boundary that has the focus"), _("Live and Launch")),
    Shortcut("Space", _("Play or pause"), _("Replay")),
    Shortcut("← → Home End", _("One step back or on, to the first or to the end"), _("Replay")),
    Shortcut("s d v", _("To the next switch, disagreement, or value error"), _("Replay")),
    Shortcut("Esc", _("Close a dialog or a menu")),
)


@cache
def as_data() -> list[dict[str, Any]]:
    """As the browser takes them; with messages."""
    return [asdict(shortcut) for shortcut in SHORTCUTS]
