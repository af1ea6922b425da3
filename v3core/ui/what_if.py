"""What if: change the phases ahead, and start pairs of forks from one checkpoint, as it was and with the change."""

from uuid import NAMESPACE_OID, uuid5

import streamlit as st

from v3core.config import MAX_NAME
from v3core.curriculum import Curriculum, renamed_apart, settings_at
from v3core.curriculum.knobs import SPARSE
from v3core.errors import V3Error
from v3core.insight.alarms.remedies import BALANCE_ON_SOFTMAX_SETTING
from v3core.jobs.checkpoints import is_present
from v3core.jobs.forks import MAX_FORKS, Origin, fork, fork_all, origin_of, pairs
from v3core.jobs.sweep import experiments_of, free_name, parse_seeds
from v3core.messages import _, say
from v3core.paths import COMMAND
from v3core.store.database import Database
from v3core.store.history import read_checkpoints
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, list_runs
from v3core.ui.clicks import ACTOR, or_notice
from v3core.ui.phase_editor import PhaseForm, edited_phases
from v3core.ui.run_actions import is_second_click
from v3core.ui.run_picker import compare_link
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md, plain

PAIRS = 5
"""Pairs that the form offers: as many as an interval needs."""
_STARTED = "what-if-started"


def what_if(database: Database, run: RunRow) -> None:
    """The form; closed at first. Not in a part that ticks: people type."""
    expander = st.expander(
        md("What if: fork this run"),
        icon=":material/fork_right:",
        key="what-if",
        on_change="rerun",
        bind="query-params",
    )
    if not expander.open:
        return
    with expander:
        points = [
            row.episode
            for row in reversed(read_checkpoints(database, run.id))
            if not run.length.is_reached(row.episode, row.step) and is_present(database, database.data_dir / row.path)
        ]
        if not points:
            st.caption(
                md("There is no checkpoint yet that a fork could begin with; “Checkpoint now” above writes one.")
            )
            return
        episode = st.selectbox(
            md("Begin with the checkpoint at episode"),
            points,
            key=f"what-if-at-{run.id}",
            width=280,
            help=md("Forks have its weights, optimiser, normaliser, environments and random numbers."),
            placeholder=say("Choose an option"),
        )
        origin = origin_of(database, run.id, episode)
        _hint(run, origin)
        wanted, refused = _changed(run, origin)
        _start(database, run, origin, wanted, refused)
        _started(database, run)


def _changed(run: RunRow, origin: Origin) -> tuple[Curriculum | None, bool]:
    """The fields of the phases ahead; returns the curriculum with the change, None without one, and if it is wrong."""
    progress, here = origin.progress(run.length), max(len(origin.starts) - 1, 0)
    now = origin.checkpoint.episode
    # What is typed stays when another checkpoint is picked, unless the curriculum was another one there.
    phases = uuid5(NAMESPACE_OID, origin.curriculum.model_dump_json())
    form = PhaseForm("what-if", f"{run.id}-{phases}", f"what-if-all-{run.id}", _("The change"))
    edited = edited_phases(run, origin.curriculum, progress, here, form, now=now, named=renamed_apart)
    if edited is None or edited.is_refused:
        return None, True
    return (edited.curriculum if edited.is_changed else None), False


def _hint(run: RunRow, origin: Origin) -> None:
    """What raising the load balance cannot do in this run, and the fork in which it can."""
    now = settings_at(origin.curriculum, origin.progress(run.length), run.config.base.values())
    ahead = (now.routing, *(phase.routing for phase in origin.curriculum.phases[now.phase + 1 :]))
    command = f"{COMMAND} fork {run.id[:8]} --episode {origin.checkpoint.episode}"
    if run.config.ppo.balance_on == "gates" and any(routing in SPARSE for routing in ahead):
        st.caption(
            md(
                "The balance losses of this run read the gates, which have no gradient where they are 0: raising their "
                "coefficients brings no dead expert back. {command} starts a fork in which it can.",
                command=Markdown(f"`{command} --set {BALANCE_ON_SOFTMAX_SETTING}`"),
            )
        )


def _start(database: Database, run: RunRow, origin: Origin, wanted: Curriculum | None, refused: bool) -> None:
    """Which seeds, and the buttons that start forks."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            md("Seeds of the pairs"),
            f"{run.seed}-{run.seed + PAIRS - 1}",
            key=f"what-if-seeds-{run.id}",
            width=220,
            help=md(
                "For each seed two runs: one as it was, one with the change. The run's own seed continues its "
                "random numbers; others draw new ones from the checkpoint on."
            ),
        )
        name = st.text_input(
            md("Name of the experiment"),
            key=f"what-if-name-{run.id}",
            max_chars=MAX_NAME,
            placeholder=say("made from the run"),
        )
    seeds, problem = _seeds(typed)
    if problem:
        st.error(plain(problem))
    left = counted(run.episodes - origin.checkpoint.episode, "further episode")
    if run.length.is_by_steps and run.steps is not None:
        left = counted(run.steps - origin.checkpoint.step, "further step")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            md("Start {seeds}", seeds=counted(len(seeds), "pair")) if seeds else md("Start pairs"),
            icon=":material/fork_right:",
            type="primary" if wanted is not None and seeds else "secondary",
            key="what-if-start",
            disabled=wanted is None or not seeds,
            help=md("Change something above first.") if wanted is None else None,
            on_click=_start_pairs,
            args=(database, run.id, origin.checkpoint.episode, wanted, tuple(seeds), name or ""),
        )
        st.button(
            md("Fork from here"),
            icon=":material/subdirectory_arrow_right:",
            key="what-if-fork",
            disabled=refused,
            help=md("One run from this checkpoint, with the change if there is one, and this run's random numbers."),
            on_click=_fork,
            args=(database, run.id, origin.checkpoint.episode, wanted),
        )
        if seeds:
            st.caption(md("{counted} of {left} each.", counted=counted(2 * len(seeds), "run"), left=left))


def _seeds(typed: str | None) -> tuple[list[int], str]:
    try:
        seeds = parse_seeds(typed or "")
        if 2 * len(seeds) > MAX_FORKS:
            raise V3Error("{seeds} pairs are too many; choose at most {value}.", seeds=len(seeds), value=MAX_FORKS // 2)
    except V3Error as error:
        return [], error.message
    return seeds, ""


@or_notice
def _start_pairs(
    database: Database, run_id: str, episode: int, wanted: Curriculum, seeds: tuple[int, ...], name: str
) -> None:
    if is_second_click(f"what-if-pairs-{run_id}"):
        return
    run = get_run(database, run_id)
    taken = experiments_of(list_runs(database))
    made = f"What if · {run.name[: MAX_NAME - 40]} · from {episode}"
    experiment = name.strip() or free_name(made, taken)
    # The same in another tab, or clicked there before: the pairs that are there.
    token = uuid5(NAMESPACE_OID, f"what if {run_id} {episode} {wanted.model_dump_json()} {seeds} {name.strip()}")
    ids = fork_all(
        database,
        run_id,
        pairs(wanted, seeds),
        episode=episode,
        experiment=experiment,
        token=str(token),
        actor=ACTOR,
    )
    st.session_state[_STARTED] = (run_id, get_run(database, ids[0]).experiment or experiment, "")


@or_notice
def _fork(database: Database, run_id: str, episode: int, wanted: Curriculum | None) -> None:
    if is_second_click(f"what-if-fork-{run_id}"):
        return
    st.session_state[_STARTED] = (run_id, "", fork(database, run_id, episode=episode, curriculum=wanted, actor=ACTOR))


def _started(database: Database, run: RunRow) -> None:
    """What was started last from here, and the way to it."""
    parent, experiment, child = st.session_state.get(_STARTED, ("", "", ""))
    if parent != run.id:
        return
    if experiment:
        count = sum(other.experiment == experiment for other in list_runs(database))
        st.success(md("{} started as experiment **{}**.", counted(count, "run"), experiment), icon=":material/check:")
        compare_link(md("Compare the {} of {}", counted(count, "run"), experiment), experiment=experiment)
    elif any(other.id == child for other in list_runs(database)):
        st.success(md("Forked as **{}**.", get_run(database, child).name), icon=":material/check:")
        st.page_link(
            "pages/live.py", label=md("Watch the fork"), icon=":material/timeline:", query_params={"run": child}
        )
