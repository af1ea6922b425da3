"""What a browser shows of Markdown that V3 Lab has escaped."""

import html
import re

from v3core.ui.text import BREAK


def shown(markdown: str) -> str:
    """The text as it was before it was escaped; directives of ours, like `**`, stay."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown.replace(BREAK, "")))
