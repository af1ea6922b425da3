"""A page for tests: one of its scripts takes long before it notices that it was stopped."""

import time

import streamlit as st

from v3core.ui import tick_gate

tick_gate.install()
SECONDS = 3.0
"""How long a script draws nothing, so that it cannot be stopped."""


@st.dialog("Asked")
def asked() -> None:
    """What a click opens."""
    st.markdown("Is it open?")


@st.fragment
def part() -> None:
    """A part with a button of its own."""
    if st.button("Ask"):
        asked()


if st.toggle("Slow"):
    st.caption("It is slow.")
    time.sleep(SECONDS)
    st.caption("It has ended.")
else:
    part()
