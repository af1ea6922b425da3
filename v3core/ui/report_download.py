"""The report of an experiment, to download."""

import re
from collections.abc import Sequence
from functools import partial

import streamlit as st

from v3core import __version__
from v3core.messages import speaking, spoken
from v3core.store.database import Database
from v3core.ui.text import md

_LONGEST = 80


def report_download(
    database: Database,
    experiment: str,
    *,
    has_episodes: bool,
    by: Sequence[str] = (),
    metric: str = "return",
    threshold: float | None = None,
) -> None:
    """A button; the report is made when it is clicked, as `gather` takes what is asked."""
    st.download_button(
        md("Report"),
        partial(_made, database, experiment, by, metric, threshold, spoken()),
        report_name(experiment),
        "text/html",
        key="report",
        icon=":material/summarize:",
        on_click="ignore",
        disabled=not has_episodes,
        help=md("One HTML file with verdict, charts, tables, curricula and settings, which needs no network.")
        if has_episodes
        else md("No run has finished an episode yet."),
    )


def report_name(experiment: str) -> str:
    """A file name made of the experiment's."""
    words = re.sub(r"[^\w.-]+", "-", experiment).strip("-.")
    return f"{words[:_LONGEST] or 'experiment'}.html"


def _made(
    database: Database, experiment: str, by: Sequence[str], metric: str, threshold: float | None, language: str
) -> bytes:
    from v3core.report import as_html, gather  # statistics and plotly, which pages need for nothing else

    with speaking(language):  # the browser asks for it apart from the page
        return as_html(gather(database, experiment, __version__, by=by, metric=metric, threshold=threshold)).encode()
