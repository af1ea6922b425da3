"""The list of experiments; and of one its progress, and what failed."""

import streamlit as st

from v3core.insight.duration import time_left
from v3core.jobs import experiments
from v3core.jobs.costs import seconds_left
from v3core.jobs.experiments import Progress
from v3core.jobs.lifecycle import Status
from v3core.messages import _, several
from v3core.phrases import listed, strung
from v3core.recall import recalled
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.experiment_actions import experiment_actions
from v3core.ui.run_picker import compare_link, show_here
from v3core.ui.start_bar import read_pace
from v3core.ui.status import age, counted, status_badges
from v3core.ui.text import Markdown, md, plain

PER_PAGE = 20
_FAILURES = 5
"""Failures that are shown before the rest is opened."""


def experiment_list(database: Database) -> None:
    """All experiments, the newest first, a page of them at a time."""
    found = experiments.list_experiments(database)
    if not found:
        with st.container(border=True, horizontal_alignment="center", key="empty"):
            st.space("small")
            st.markdown(
                md(
                    "No experiments yet. Launch several curricula, environments, seeds or values of a setting at "
                    "once: they become an experiment."
                ),
                text_alignment="center",
            )
            st.page_link("pages/launch.py", label=md("Set up an experiment"), icon=":material/rocket_launch:")
            st.space("small")
        return
    pages = (len(found) - 1) // PER_PAGE + 1
    place = st.container()
    page = min(st.pagination(pages, key="page", bind="query-params"), pages) if pages > 1 else 1
    with place:
        for number_, progress in enumerate(found[(page - 1) * PER_PAGE : page * PER_PAGE]):
            _line(progress, number_)


def _line(progress: Progress, place: int) -> None:
    with st.container(border=True, key=f"experiment-{place}", gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            show_here(md("**{}**", progress.name), ":material/lab_research:", experiment=progress.name)
            with st.container(horizontal=True, vertical_alignment="center", width="content"):
                st.caption(md("{} ago", age(progress.created_at)), width="content")
                if len(progress.runs) > 1:
                    compare_link(_("Compare"), experiment=progress.name)
        _bar(progress, None)


def experiment_head(database: Database, progress: Progress) -> None:
    """How an experiment stands, what can be done with it, and what failed."""
    left = None if progress.is_over else seconds_left(database, progress.runs, read_pace)
    _bar(progress, left)
    status_badges(progress.counts)
    if asked := _asked(progress):
        st.caption(plain(asked))
    if progress.deleted:
        deleted = several(
            "{count:,} run of this experiment was deleted.",
            "{count:,} runs of this experiment were deleted.",
            count=progress.deleted,
        )
        st.caption(plain(deleted))
    experiment_actions(database, progress)
    _failures(progress)


def _bar(progress: Progress, left: float | None) -> None:
    completed = progress.counts.get(Status.COMPLETED, 0)
    failed = md(" · :red[{:,} failed]", len(progress.failed)) if progress.failed else Markdown()
    ahead = md(" · {}", time_left(left)) if left else Markdown()
    runs = counted(len(progress.runs), "run")
    text = md(
        "{:,} of {} completed · {}{}{}",
        completed,
        runs,
        progress.reached(),
        failed,
        ahead,
    )
    st.progress(progress.share, text=text)


_ASKED = {"curricula": _("curricula"), "environments": _("environments")}
"""Titles of what every launch names; a setting has its path."""


def _asked(progress: Progress) -> str:
    """What the experiment was launched with, as in `curricula: v3, switch · ppo.epochs: 4, 8 · seeds: 1, 2`."""
    if not progress.launches:
        return ""
    first, parts = progress.launches[0], []
    settings = first.get("settings")
    named = {key: first.get(key) for key in _ASKED}
    for title, values in (named | (settings if isinstance(settings, dict) else {})).items():
        if isinstance(values, list) and values:
            parts.append(_("{setting}: {values}", setting=_ASKED.get(title, title), values=listed(values)))
    seeds = sorted({run.seed for run in progress.runs})
    return strung(" · ", [*parts, _("seeds: {seeds}", seeds=listed(seeds))])


def _failures(progress: Progress) -> None:
    """The runs that failed or were lost, each with its reason and a link."""
    failed = progress.failed
    if not failed:
        return
    with st.container(border=True, gap="xsmall", key="experiment-failures"):
        st.markdown(md(":red[:material/error:] **{failed} failed**", failed=counted(len(failed), "run")))
        for run in failed[:_FAILURES]:
            _failure(run)
        if len(failed) > _FAILURES:
            with st.expander(md("{value:,} more", value=len(failed) - _FAILURES), key="more-failures"):
                for run in failed[_FAILURES:]:
                    _failure(run)


def _failure(run: RunRow) -> None:
    with st.container(gap=None):
        st.page_link("pages/live.py", label=plain(run.name), icon=":material/monitoring:", query_params={"run": run.id})
        after, why = counted(run.episode, "episode"), recalled(run.reason) if run.reason else _("see its log.")
        if run.status == Status.LOST:
            st.caption(md("Lost after {after}: {why}", after=after, why=why))
        else:
            st.caption(md("Failed after {after}: {why}", after=after, why=why))
