"""The bar with what is about to start, how long it takes, errors, and the button: always visible."""

from collections.abc import Callable, Hashable, Sequence

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

MAX_PROBLEMS = 2
"""Number of errors that are shown in full: the bar must leave space for the page."""
MAX_MEASURED = 5
"""Earlier runs that an estimate rests on: the newest."""
MAX_LOOKED_AT = 40


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
        for problem in each[:MAX_PROBLEMS]:
            st.markdown(md(":small[:red[:material/error: {}]]", problem))
        if len(each) > MAX_PROBLEMS:
            with st.popover(md("And {} more", len(each) - MAX_PROBLEMS), type="tertiary", icon=":material/error:"):
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
    ahead = sum(run.status == Status.QUEUED or (run.status in ACTIVE and is_here(run)) for run in everything)
    wait = f" {counted(ahead, 'run')} ahead in the queue not included." if ahead else ""
    # An imported run has no host: it was trained elsewhere.
    measured = [run for run in everything if run.env == env and run.episode > 1 and run.host and is_here(run)]
    earlier = measured[:MAX_LOOKED_AT]
    alike = [run for run in earlier if _work(run.config) in {_work(config) for config in configs}]
    # Episodes grow or shrink as the policy learns: what reached this length says more than what has these settings.
    groups = (
        ([run for run in alike if run.episode >= episodes], ""),
        ([run for run in earlier if run.episode >= episodes], " with other settings"),
        (alike, ", shorter than this one"),
        (earlier, " with other settings, shorter than this one"),
    )
    for runs, which in groups:
        chosen = runs[:MAX_MEASURED]
        needed = time_needed([_pace(database, run) for run in chosen], episodes, len(configs), free)
        if needed is not None:
            basis = f"based on {counted(len(chosen), 'earlier run')} of {env}{which}"
            return f"{needed.describe().capitalize()} on {counted(free, 'slot')}, {basis}.{wait}"
    return f"Time unknown: no earlier run of {env} on this machine.{wait}"


def _work(config: RunConfig) -> Hashable:
    """What determines the duration of a step: the settings, the network, and the environments."""
    setups = setups_of(config.environment, config.curriculum)
    parts = frozenset((setup.env_id, format_args(setup.args), setup.wrappers) for setup in setups)
    return config.ppo, config.policy, parts


@st.cache_data(
    max_entries=64, show_spinner=False, hash_funcs={RunRow: lambda run: (run.id, run.generation, run.episode)}
)
def _pace(_database: Database, run: RunRow) -> Pace:
    points = read_pace(_database, run.id, run.episode)
    # When the first episode of a run that was resumed began is not known.
    if run.generation == 0 and run.started_at is not None and points and run.started_at < points[0][2]:
        points.insert(0, (0, 0, run.started_at))
    return Pace(
        [number for number, _, _ in points], [step for _, step, _ in points], [at.timestamp() for _, _, at in points]
    )
