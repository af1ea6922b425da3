"""Keyboard shortcuts, each declared once. `page_frame.js` shows their sheet and acts on those that go somewhere."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Shortcut:
    """A key, or two pressed one after the other."""

    keys: str
    """As pressed, with a blank between two."""
    meaning: str
    where: str = "Everywhere"
    """The part of the app in which it works."""
    page: str = ""
    """The page that it opens, as its path in the address; `/` for Runs."""
    focus: str = ""
    """The accessible name of the field that it moves to."""
    on: tuple[str, ...] = ()
    """The pages with that field, as their paths in the address; the key does nothing on others."""


SHORTCUTS = (
    Shortcut("?", "Show or hide this sheet"),
    Shortcut("g r", "Go to Runs", page="/"),
    Shortcut("g n", "Go to Launch, for a new run", page="/launch"),
    Shortcut("g e", "Go to Experiments", page="/experiments"),
    Shortcut("g l", "Go to Live", page="/live"),
    Shortcut("g c", "Go to Compare", page="/compare"),
    Shortcut("g p", "Go to Replay", page="/replay"),
    Shortcut("g t", "Go to Claims, and how they were tested", page="/claims"),
    Shortcut("g o", "Go to the tour: what a curriculum changes, and what it does not", page="/tour"),
    Shortcut("/", "Type into the filter", "Runs", focus="Filter", on=("/", "/experiments")),
    Shortcut("j", "Next run", "Runs"),
    Shortcut("k", "Previous run", "Runs"),
    Shortcut("x", "Select the run, or deselect it", "Runs"),
    Shortcut("Shift x", "Select all runs from the last selected one to this one", "Runs"),
    Shortcut("Enter", "Open the run", "Runs"),
    Shortcut("← →", "Move the boundary that has the focus", "Live and Launch"),
    Shortcut("Space", "Play or pause", "Replay"),
    Shortcut("← → Home End", "One step back or on, to the first or to the end", "Replay"),
    Shortcut("s d v", "To the next switch, disagreement, or value error", "Replay"),
    Shortcut("Esc", "Close a dialog or a menu"),
)


def as_data() -> list[dict[str, str]]:
    """As the browser takes them."""
    return [asdict(shortcut) for shortcut in SHORTCUTS]
