"""The bar with what is about to start, how long it takes, errors, and the button: always visible."""

from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import datetime

import streamlit as st

from v3core.config import RunConfig
from v3core.curriculum import setups_of
from v3core.environment_setup import format_args
from v3core.errors import V3Error
from v3core.insight.duration import Pace, time_needed
from v3core.jobs.identity import is_here
from v3core.jobs.launcher import slots
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.pace import read_pace
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md

MOST_PROBLEMS = 2
"""Number of errors that are shown in full: the bar must leave space for the page."""
MOST_MEASURED = 5
"""Earlier runs that an estimate rests on: the newest."""
MOST_LOOKED_AT = 40


def start_bar(
    database: Database, configs: Sequence[RunConfig], problems: Sequence[str], on_start: Callable[[], None]
) -> bool:
    """Pin the summary and the button to the bottom of the window; returns whether it was clicked.

    Args:
        database: its earlier runs are the basis of the estimate.
        configs: what would start; empty while something is wrong.
        problems: errors, one sentence each.
        on_start: called on a click.
    """
    with st.bottom, st.container(key="start-bar", gap="xsmall"):
        count = len(configs)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            if problems:
                _show_problems(problems)
            else:
                st.markdown(_summary(database, configs), width="stretch")
            label = md("Start {} runs", count) if count > 1 else "Start the run"
            clicked = st.button(
                label, type="primary", icon=":material/play_arrow:", key="start", disabled=bool(problems)
            )
        if clicked:
            on_start()
    return clicked


def _show_problems(problems: Sequence[str]) -> None:
    each = list(dict.fromkeys(problems))
    with st.container(gap=None, width="stretch"):
        for problem in each[:MOST_PROBLEMS]:
            st.markdown(md(":small[:red[:material/error: {}]]", problem))
        if len(each) > MOST_PROBLEMS:
            with st.popover(md("And {} more", len(each) - MOST_PROBLEMS), type="tertiary", icon=":material/error:"):
                for problem in each:
                    st.markdown(md(":red[:material/error:] {}", problem))


def _summary(database: Database, configs: Sequence[RunConfig]) -> Markdown:
    more = counted(configs[0].episodes, "episode")
    if len(configs) > 1:
        seeds = len({config.seed for config in configs})
        curricula = len(configs) // seeds
        each = "1 curriculum" if curricula == 1 else f"{curricula} curricula"
        more = f"{each} × {counted(seeds, 'seed')} · {more} each"
    time = estimate(database, configs)
    return md("**{}** · {}  \n:small[:material/timer: {}]", counted(len(configs), "run"), more, time)


def estimate(database: Database, configs: Sequence[RunConfig]) -> str:
    """How long these runs take and what that rests on, or that nothing was measured yet."""
    env, episodes = configs[0].env, configs[0].episodes
    try:
        everything, free = list_runs(database), slots(database)
    except V3Error:
        return "Time unknown."  # the error is shown where the database is needed
    # An imported run has no host: it was trained elsewhere.
    measured = [run for run in everything if run.env == env and run.episode > 1 and run.host and is_here(run)]
    earlier = measured[:MOST_LOOKED_AT]
    alike = [run for run in earlier if _work(run.config) in {_work(config) for config in configs}]
    # Episodes grow or shrink as the policy learns: what reached this length says more than what has these settings.
    groups = (
        ([run for run in alike if run.episode >= episodes], ""),
        ([run for run in earlier if run.episode >= episodes], " with other settings"),
        (alike, ", shorter than this one"),
        (earlier, " with other settings, shorter than this one"),
    )
    for runs, which in groups:
        chosen = runs[:MOST_MEASURED]
        # When the first episode of a run began is not known if it was resumed.
        began = [None if run.generation else run.started_at for run in chosen]
        paces = [
            _pace(database, run.id, run.generation, run.episode, start)
            for run, start in zip(chosen, began, strict=True)
        ]
        needed = time_needed(paces, episodes, len(configs), free)
        if needed is not None:
            basis = f"based on {counted(len(chosen), 'earlier run')} of {env}{which}"
            return f"{needed.describe().capitalize()} on {counted(free, 'slot')}, {basis}.{_wait(everything)}"
    return f"Time unknown: no earlier run of {env} on this machine.{_wait(everything)}"


def _wait(runs: Collection[RunRow]) -> str:
    before = sum(run.status == Status.QUEUED or (run.status in ACTIVE and is_here(run)) for run in runs)
    return f" {counted(before, 'run')} ahead in the queue not included." if before else ""


def _work(config: RunConfig) -> Hashable:
    """What determines the duration of a step: the settings, the network, and the environments."""
    setups = setups_of(config.environment, config.curriculum)
    parts = frozenset((setup.env_id, format_args(setup.args), setup.wrappers) for setup in setups)
    return config.ppo, config.policy, parts


@st.cache_data(max_entries=64, show_spinner=False)
def _pace(_database: Database, run_id: str, generation: int, episode: int, began: datetime | None) -> Pace:  # noqa: ARG001
    # `generation` is part of the key: a resume may replace episodes.
    points = read_pace(_database, run_id, episode)
    if began is not None and points and began < points[0][2]:
        points.insert(0, (0, 0, began))
    return Pace(
        [number for number, _, _ in points], [step for _, step, _ in points], [at.timestamp() for _, _, at in points]
    )
