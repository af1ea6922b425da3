"""Opening another page after a click, with one entry in the browser's history."""

from uuid import uuid4

import streamlit as st

from v3core.ui.language import PARAMETER

# As "forward" does. `st.switch_page` leaves an entry that has the page before with the parameters of the next.
_JS = """
const went = (window.__v3labWent ??= new Set())

export default function ({ data }) {
  if (went.has(data.once)) return
  went.add(data.once)
  const links = [...document.querySelectorAll('[data-testid="stSidebar"] a[href]')]
  // Under the dashboard's own address, which may have a path before the page.
  const link = links.find((one) => one.getAttribute("href").split("/").pop() === data.page)
  const url = new URL(link?.href ?? data.page, window.location.href)
  const language = new URL(window.location.href).searchParams.get(data.parameter)
  url.search = new URLSearchParams(language ? { ...data.query, [data.parameter]: language } : data.query).toString()
  if (url.href === window.location.href) return
  window.history.pushState({}, "", url)
  window.dispatchEvent(new PopStateEvent("popstate", { state: {} }))
}
"""

_component = st.components.v2.component("v3_navigation", html="<span></span>", js=_JS)


def open_page(page: str, **query: str) -> None:
    """Open a page by the last part of its address, such as `live`, with these parameters; the script continues."""
    data = {"page": page, "query": query, "once": str(uuid4()), "parameter": PARAMETER}
    _component(key="open-page", data=data, height=1)
