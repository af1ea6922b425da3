"""The curricula of compared runs: timelines, the settings that differ, and a text difference of any two."""

import difflib
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from v3core.comparison import Setting
from v3core.comparison.launched import curricula_of, differing_rows, timelines_picture
from v3core.curriculum.presets import dump
from v3core.messages import said, say
from v3core.store.run_row import RunRow
from v3core.ui.live_chart import live_chart
from v3core.ui.text import md


def timelines(runs: Sequence[RunRow]) -> None:
    """The curricula above one another."""
    figure = timelines_picture(runs)
    with st.container(border=True):
        live_chart(figure, key="timelines", height=int(figure.layout.height))


def differing_settings(runs: Sequence[RunRow], settings: Sequence[Setting]) -> None:
    """A table: each setting that differs, and how many runs have which value."""
    if not settings:
        st.caption(md("These runs have the same settings; only their seeds or names differ."))
        return
    st.dataframe(pd.DataFrame(said(differing_rows(runs, settings))), hide_index=True, alt=say("Settings that differ"))


def text_difference(runs: Sequence[RunRow]) -> None:
    """Two curricula line by line."""
    found = curricula_of(runs)
    if len(found) < 2:
        return
    names = list(found)
    with st.container(horizontal=True):
        first = st.selectbox(
            md("Curriculum"),
            names,
            key="diff-from",
            bind="query-params",
            width=260,
            placeholder=say("Choose an option"),
        )
        second = st.selectbox(
            md("Compared with"),
            names,
            index=1,
            key="diff-to",
            bind="query-params",
            width=260,
            placeholder=say("Choose an option"),
        )
    if first == second:
        st.caption(md("Choose two different curricula."))
        return
    before, after = (dump(found[name].curriculum).splitlines() for name in (first, second))
    text = "\n".join(difflib.unified_diff(before, after, fromfile=first, tofile=second, lineterm="", n=100))
    st.code(text or say("No difference."), language="diff", wrap_lines=True)
