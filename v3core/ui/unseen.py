"""Labels that are read out but not seen, for buttons that show an icon alone.

Streamlit calls such a button by its icon, `delete icon`, whatever it does and to which run, and has no parameter for a
name. The alternative text of a picture in its label is its name, and the picture is one transparent pixel.
"""

import streamlit as st

from v3core.ui.text import Markdown, md, plain

_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def unseen(template: str, *values: object) -> Markdown:
    """What a screen reader says of a button whose icon is all that is seen; `template` and `values` as of `md`."""
    return Markdown(f"![{md(template, *values)}]({_PIXEL})")


def about(what: str, meaning: str) -> None:
    """A small button that explains `what`. Streamlit's own marks for help are all called `Help` beside plain text."""
    with st.popover(unseen("About {}", what), icon=":material/help:", type="tertiary"):
        st.markdown(plain(meaning))
