"""Keeps the browser's address in line with what a page shows, so that a copied link shows the same."""

import streamlit as st

from v3core.ui.text import Markdown

# `st.query_params` would add an entry to the history, from which "back" leads to a page that adds it again.
_JS = """
export default function ({ data }) {
  const url = new URL(window.location.href);
  const last = url.pathname.split("/").filter(Boolean).pop() ?? "";
  if (last !== data.page || !data.value || url.searchParams.has(data.name)) return;
  url.searchParams.set(data.name, data.value);
  window.history.replaceState(window.history.state, "", url);
}
"""

_component = st.components.v2.component("v3_address", html="<span></span>", js=_JS)


def name_in_address(page: str, name: str, value: str) -> None:
    """Put a parameter into the address of the page that is open, in place: the history gets no new entry.

    Args:
        page: the last part of its path; if the browser has left it meanwhile nothing happens.
        name: of the parameter; one that is there already stays.
        value: what it names; nothing is changed if it is empty.
    """
    _component(key=f"address-{name}", data={"page": page, "name": name, "value": value}, height=1)


def show_here(label: Markdown, icon: str, **query: str) -> None:
    """A button that looks like a link to another address of the page that is open.

    Streamlit follows a real link to the same page without changing the address, so that a reload or "back" would lead
    to something else than what is shown.
    """
    if st.button(label, icon=icon, type="tertiary", key=f"show-{query}"):
        st.query_params.from_dict(query)
        st.rerun()
