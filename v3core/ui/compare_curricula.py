"""The curricula of compared runs: timelines, the settings that differ, and a text difference of any two."""

import difflib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from v3core.charts.series import end_of_axis, phase_bands
from v3core.charts.timelines import timelines_figure
from v3core.comparison import Setting
from v3core.comparison.groups import settings_of, shown_value
from v3core.curriculum import Curriculum
from v3core.curriculum.presets import dump
from v3core.errors import V3Error
from v3core.store.run_row import RunRow
from v3core.ui.live_chart import live_chart


def launched_with(runs: Sequence[RunRow]) -> list[tuple[RunRow, Curriculum]]:
    """Each run with its curriculum as launched; without those whose configuration cannot be read."""
    found = []
    for run in runs:
        with suppress(V3Error):
            found.append((run, run.config.curriculum))
    return found


def curricula_of(runs: Sequence[RunRow]) -> dict[str, tuple[Curriculum, int]]:
    """Each different curriculum as launched, by a name of its own, and where an axis of its run ends."""
    found: dict[str, tuple[Curriculum, int]] = {}
    for run, curriculum in launched_with(runs):
        number = 1
        while (name := curriculum.name if number == 1 else f"{curriculum.name} ({number})") in found:
            if found[name][0] == curriculum:
                break
            number += 1
        found.setdefault(name, (curriculum, end_of_axis(curriculum, run.expected_episodes)))
    return found


def timelines(runs: Sequence[RunRow]) -> None:
    """The curricula above one another."""
    rows = [
        (name, phase_bands(curriculum, episodes=episodes, starts=()))
        for name, (curriculum, episodes) in curricula_of(runs).items()
    ]
    with st.container(border=True):
        live_chart(timelines_figure(rows), key="timelines", height=34 * len(rows) + 70)


def differing_settings(runs: Sequence[RunRow], settings: Sequence[Setting]) -> None:
    """A table: each setting that differs, and how many runs have which value."""
    if not settings:
        st.caption("These runs have the same settings; only their seeds or names differ.")
        return
    owned = [settings_of(run) for run in runs]
    rows = []
    for setting in settings:
        counts = Counter(shown_value(one.get(setting.path)) for one in owned)
        said = ", ".join(f"{shown_value(value)} ({counts[shown_value(value)]})" for value in setting.values)
        rows.append({"Setting": setting.title, "Path": setting.path, "Values (runs)": said})
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Settings that differ")


def text_difference(runs: Sequence[RunRow]) -> None:
    """Two curricula line by line."""
    found = curricula_of(runs)
    if len(found) < 2:
        return
    names = list(found)
    with st.container(horizontal=True):
        first = st.selectbox("Curriculum", names, key="diff-from", bind="query-params", width=260)
        second = st.selectbox("Compared with", names, index=1, key="diff-to", bind="query-params", width=260)
    if first == second:
        st.caption("Choose two different curricula.")
        return
    before, after = (dump(found[name][0]).splitlines() for name in (first, second))
    text = "\n".join(difflib.unified_diff(before, after, fromfile=first, tofile=second, lineterm="", n=100))
    st.code(text or "No difference.", language="diff", wrap_lines=True)
