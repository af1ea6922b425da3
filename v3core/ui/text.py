"""User-written text for Streamlit's Markdown: every character is shown literally. And names for screen readers.

Names, tags, notes, ids, reasons and query parameters are untrusted: from an archive, a link, a row. Read as
Markdown they become links, icons and pictures that the browser fetches. So whatever is not a literal of ours passes
through `plain`, `lines` or `md` on its way to Streamlit; `tests/ui/test_markdown_arguments.py` checks this.

Streamlit shows these literally: `st.text`, `st.code`, cells of `st.dataframe`, options of `st.selectbox` and
`st.multiselect`, placeholders, and values of fields. The label of a field is Markdown on the screen but read out as it
is, so it had better be a literal of ours.
"""

import re
from collections.abc import Sequence
from typing import Any

import streamlit as st

from v3core.messages import Filling, Message, formatted, spoken, translated, translation
from v3core.ui import language as language

BREAK = ":color{}"
"""A directive without text and without colours: an empty span, neither seen, copied nor read out.

Addresses, `:smile:` and `->` are looked for in each run of text after its escapes are resolved, so an escape cannot
keep them from becoming links and symbols; a span in their middle can.
"""

_ESCAPES = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_<>~$#|&^"} | {sign: f"&#{ord(sign)};" for sign in "[]"})
"""A backslash before a bracket would show in `st.badge`, which escapes brackets itself."""
_APART = re.compile(
    r"""
    (?<=:)(?!\s|\d\d(?!\w))         # https://…, mailto:…, :smile:, :material/home:, :red[…]; not in 12:30
    | (?<=@)                        # me@example.com
    | (?<=www)(?=\.)                # www.example.com
    | \0                            # within an arrow, see below
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ARROW = re.compile(r"(?<![^\s:@])(?:<->|->|<-|--|>=|<=|~=)(?!\S)")
_LIST_MARK = re.compile(r"^(\d*)([-+=.)])(?!\S)")


class Markdown(str):
    """Markdown in which everything that people wrote is escaped."""

    __slots__ = ()


def plain(value: object) -> Markdown:
    """User-written text on one line: nothing in it is read as Markdown, an address, an icon or a picture."""
    line = " ".join(str(translated(value)).replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())
    line = _ARROW.sub(lambda arrow: "\0".join(arrow[0]), line)
    escaped = BREAK.join(piece.translate(_ESCAPES) for piece in _APART.split(line))
    escaped = _LIST_MARK.sub(r"\1\\\2", escaped.replace(f":{BREAK}", f"\\:{BREAK}"))
    if not line[:2].isascii() and (not line[0].isalpha() or line[0] == "ℹ"):
        escaped = BREAK + escaped  # messages take an emoji at their start for their icon
    return Markdown(escaped)


def lines(value: str) -> Markdown:
    """User-written text with its line breaks."""
    return Markdown("  \n".join(plain(line) for line in value.splitlines()))


def md(template: str, /, *values: object, **named: object) -> Markdown:
    """Our Markdown with user-written text in it, as in `md("**{}** of {:,} episodes", name, count)`.

    Said in the reader's language. Values are formatted as by `str.format`, and escaped, except those that are
    `Markdown` already.
    """
    return Markdown(_Escaping(spoken()).vformat(translation(template), values, named))


class _Escaping(Filling):
    def shown(self, value: Any, form: str) -> str:
        if isinstance(value, Markdown):
            return value
        is_said = isinstance(value, Message | Exception)
        return plain(value if is_said else formatted(value, form, self.language))


_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def unseen(template: str, *values: object) -> Markdown:
    """An accessible name for a button that shows only an icon; `template` and `values` as of `md`.

    Streamlit calls such a button by its icon, `delete icon`, whatever it does and to which run, and has no parameter
    for a name. The alternative text of a picture in its label is its name; the picture is one transparent pixel.
    """
    return Markdown(f"![{md(template, *values)}]({_PIXEL})")


def about(what: str, meaning: str, terms: Sequence[tuple[str, str]] = ()) -> None:
    """A small button that explains `what`, and then some terms, each with its meaning.

    Streamlit's own help icons are all called `Help` next to plain text.
    """
    with st.popover(unseen("About {}", what), icon=":material/help:", type="tertiary"):
        if meaning:
            st.markdown(plain(meaning))
        for term, its_meaning in terms:
            st.markdown(md("**{}**: {}", term, its_meaning))
