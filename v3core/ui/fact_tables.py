"""Facts of episodes, such as the score and the cause of death in NetHack, on Live and Compare.

On Live nothing is read while the section is closed.
"""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from v3core.charts.fact_figures import fact_figure
from v3core.comparison.fact_rows import FACTS_WORDS, has_facts, run_fact_rows
from v3core.comparison.newest import window_of, window_words
from v3core.insight.seen_words import end_in_words
from v3core.jobs.retention import thinned_caption
from v3core.messages import _, said
from v3core.store.database import Database
from v3core.store.fact_records import FactResult, fact_points, fact_results, read_facts
from v3core.store.run_row import RunRow
from v3core.ui import news, shell, ticks
from v3core.ui.live_chart import live_chart
from v3core.ui.task_tables import PARTS
from v3core.ui.text import md

MOST_WORDS = 12
"""Of a fact, that are listed."""


def fact_section(database: Database, run: RunRow) -> None:
    """The section of Live; there is none for a run that records no facts."""
    if not has_facts(run):
        return
    section = st.expander(
        md("Episode facts"), icon=":material/fact_check:", key="facts", on_change="rerun", bind="query-params"
    )
    if section.open:
        with section:
            ticks.ticking(5, news.of_charts(database, run.id))(shell.show_errors()(_section))(database, run.id)


def _section(database: Database, run_id: str) -> None:
    run = shell.run_or_rerun(database, run_id)
    names = list(run.config.episode_facts)
    facts = read_facts(database, run.id, after=0, last=run.episode)
    if (sentence := thinned_caption(run)) is not None:
        st.caption(md(":material/compress: {}", sentence))
    window = window_of(database, run)
    newest = fact_results([one for one in facts if one[0] > window.after], names)
    if not newest:
        st.caption(md("No complete episode has any of the facts yet."))
        return
    numbers = [result for result in newest if result.numbers]
    for first in range(0, len(numbers), 3):
        for column, result in zip(st.columns(3), numbers[first : first + 3], strict=False):
            points = fact_points(facts, result.name, last=run.episode, parts=PARTS)
            with column:
                live_chart(fact_figure(run.name, result.name, points), key=f"fact-{result.name}-{run.id}", height=240)
    if numbers:
        st.dataframe(
            pd.DataFrame(said(list(map(_row, numbers)))), hide_index=True, width="stretch", key=f"facts-{run.id}"
        )
    for result in newest:
        if result.words:
            st.markdown(md("**{}**", result.name))
            st.dataframe(_words(result), hide_index=True, width="stretch", key=f"words-{result.name}-{run.id}")
    st.caption(
        md(
            "Tables are of {window}, charts of the whole run.",
            window=window_words(window),
        )
    )


def _row(result: FactResult) -> dict[str, object]:
    return {
        _("Fact"): result.name,
        _("Mean"): result.mean,
        _("Least"): result.least,
        _("Most"): result.most,
        _("Episodes"): result.numbers,
    }


def _words(result: FactResult) -> pd.DataFrame:
    """The most frequent words, with their share of the episodes."""
    rows = [(end_in_words(word), count, f"{count / result.episodes:.0%}") for word, count in result.words[:MOST_WORDS]]
    if left := result.words[MOST_WORDS:]:
        count = sum(count for _, count in left)
        rows.append((_("{left} others", left=len(left)), count, f"{count / result.episodes:.0%}"))
    return pd.DataFrame(said(rows), columns=said([_("Value"), _("Episodes"), _("Share")]))


def compared_facts(database: Database, runs: Sequence[RunRow], names: Sequence[str]) -> None:
    """On Compare: a row per run that records facts, with the mean of each number and the most frequent of words."""
    rows = run_fact_rows(database, runs, names)
    if rows:
        st.subheader(md("Facts of episodes"), anchor=False)
        st.dataframe(pd.DataFrame(said(rows)), hide_index=True, width="stretch", key="compared-facts")
        st.caption(md("{}", FACTS_WORDS))
