"""Moving the future phase boundaries of a run, with the outcome of each request."""

import streamlit as st

from v3core.curriculum import Curriculum, with_boundaries
from v3core.curriculum.typed import format_end
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import RESUMABLE, Status
from v3core.store.commands import RevisionRow, read_revisions
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui import news, shell, ticks
from v3core.ui.clicks import ACTOR, ask_to_take_over
from v3core.ui.live_chart import BoundaryMove
from v3core.ui.moments import age
from v3core.ui.text import md, plain

_APPLIED = "boundaries-applied"


def _key(run_id: str, index: int) -> str:
    return f"boundary-{run_id}-{index}"


def _seen_key(run_id: str) -> str:
    return f"boundaries-seen-{run_id}"


def _problem_key(run_id: str) -> str:
    return f"edit-problem-{run_id}"


def remember_drag(run_id: str, move: BoundaryMove) -> None:
    """Put a boundary dragged in a chart into the editor, as a draft."""
    st.session_state[_key(run_id, move.index)] = move.episode


def drafts(run_id: str, curriculum: Curriculum) -> dict[int, int]:
    """Boundary index to the episode in the editor that is not applied yet."""
    held = {index: (end, st.session_state.get(_key(run_id, index), end)) for index, end in _planned(curriculum)}
    return {index: int(episode) for index, (end, episode) in held.items() if episode is not None and episode != end}


def _planned(curriculum: Curriculum) -> list[tuple[int, int]]:
    """Phase index and planned end of the phases that end at an episode."""
    return [(index, end) for index, end in enumerate(curriculum.planned_ends) if end is not None]


def boundary_editor(database: Database, run: RunRow) -> None:
    """One field per boundary; those that the run has passed, or that training decides, are closed."""
    if not control.current_curriculum(database, run.id).planned_ends:
        return
    with st.container(border=True, key="boundaries"):
        st.subheader("Phase boundaries", anchor=False)
        ticks.ticking(1, news.of_run(database, run.id))(_editor)(database, run.id)


@shell.show_errors
def _editor(database: Database, run_id: str) -> None:
    if st.session_state.pop(_APPLIED, False):
        st.rerun()  # the charts are drawn again too: those of a run that does not train have no tick
    run = shell.run_or_rerun(database, run_id)
    curriculum = control.current_curriculum(database, run_id)
    open_ones = [index for index, end in _planned(curriculum) if end > run.episode]
    if not curriculum.boundaries:
        st.caption("Training decides when these phases end, so there is no boundary to move.")
    elif run.status == Status.COMPLETED or not open_ones:
        st.caption("All boundaries have passed; none can be moved.")
    else:
        then = (
            "resume: the run continues from its checkpoint with the new boundaries."
            if run.status in RESUMABLE
            else "apply: the run adopts them between two updates."
        )
        st.caption(
            "Each phase ends at this number of completed episodes. Change a number, or drag a dashed line in the "
            f"return chart, then {then}"
        )
    wanted = _fields(run, curriculum, open_ones)
    revisions = read_revisions(database, run_id)
    if not curriculum.boundaries:
        _newest_edit(revisions)
        return
    pending = [list(revision.curriculum.boundaries) for revision in revisions if revision.state == "pending"]
    changed = wanted not in [list(curriculum.boundaries), *pending]
    with st.container(horizontal=True):
        _confirm(database, run, curriculum, wanted, changed)
        st.button(
            "Undo",
            icon=":material/undo:",
            key="undo-boundaries",
            disabled=not changed,
            on_click=_forget,
            args=(run_id, curriculum),
        )
    if problem := st.session_state.get(_problem_key(run_id)):
        st.error(plain(problem))
    _newest_edit(revisions)


def _confirm(database: Database, run: RunRow, curriculum: Curriculum, wanted: list[int], changed: bool) -> None:
    """The button that brings the wanted boundaries into force: at once, or with a resume."""
    resumes, elsewhere = run.status in RESUMABLE, control.trained_elsewhere(run) is not None
    clicked = st.button(
        "Resume with these boundaries" if resumes else "Apply",
        icon=":material/resume:" if resumes else ":material/check:",
        type="primary" if changed else "secondary",
        key="apply-boundaries",
        disabled=not changed,
        on_click=None if elsewhere else _apply,
        args=None if elsewhere else (database, run.id, curriculum, wanted, resumes),
    )
    if clicked and elsewhere:
        try:
            asked = with_boundaries(curriculum, wanted)
        except V3Error as error:
            st.session_state[_problem_key(run.id)] = str(error)
        else:
            ask_to_take_over(database, run, asked)


def _fields(run: RunRow, curriculum: Curriculum, open_ones: list[int]) -> list[int]:
    wanted: list[int] = []
    first = _seen_key(run.id) not in st.session_state
    seen = st.session_state.get(_seen_key(run.id), curriculum.planned_ends)
    st.session_state[_seen_key(run.id)] = curriculum.planned_ends
    with st.grid("auto", min_column_width=200):
        for index, (phase, end) in enumerate(zip(curriculum.phases, curriculum.planned_ends, strict=False)):
            key = _key(run.id, index)
            if end is None:
                # The end is part of the key: a field without a callback keeps what it was first given.
                text = format_end(phase.until)
                st.text_input(
                    md("{} ends by", phase.name),
                    text,
                    key=f"{key}-{text}",
                    disabled=True,
                    help="Training decides when this phase ends; only ends by episode can be moved here.",
                )
                continue
            is_open = index in open_ones and run.status != Status.COMPLETED
            # An unchanged field follows the run; a changed one keeps what was typed or dragged.
            held = st.session_state.get(key)
            follows = held is not None and held != end and (not is_open or held == seen[index])
            forgotten = held is None and not first
            if follows or forgotten:
                st.session_state[key] = end
            value = st.number_input(
                md("{} ends at episode", phase.name),
                # Streamlit takes one or the other; without both, a tick at the wrong moment would show 0.
                value="min" if follows or forgotten else end,
                step=1,
                key=key,
                disabled=not is_open,
                help=None if is_open else "This boundary has passed.",
            )
            wanted.append(end if value is None else int(value))
    return wanted


def _apply(database: Database, run_id: str, curriculum: Curriculum, wanted: list[int], resumes: bool) -> None:
    try:
        asked = with_boundaries(curriculum, wanted)
        if resumes:
            control.resume(database, run_id, ACTOR, curriculum=asked)
        else:
            control.request_edit(database, run_id, asked, ACTOR)
    except V3Error as error:
        st.session_state[_problem_key(run_id)] = str(error)
    else:
        st.session_state.pop(_problem_key(run_id), None)
        st.session_state[_APPLIED] = True


def _forget(run_id: str, curriculum: Curriculum) -> None:
    st.session_state.pop(_problem_key(run_id), None)
    for index, _ in _planned(curriculum):
        st.session_state.pop(_key(run_id, index), None)


def _newest_edit(revisions: list[RevisionRow]) -> None:
    """The outcome of the latest request; the command panel lists all of them."""
    revision = revisions[-1]
    if revision.revision == 1:
        return
    ends = ", ".join(str(end) for end in revision.curriculum.boundaries) or "none"
    when = f"requested {age(revision.requested_at)} ago"
    if revision.state == "applied":
        st.caption(
            md(":green[:material/check:] Boundaries {}: applied at episode {:,}", ends, revision.applied_episode)
        )
    elif revision.state == "rejected":
        st.caption(md(":red[:material/block:] Boundaries {}: {}, rejected. {}", ends, when, revision.reason or ""))
    else:
        st.caption(md(":orange[:material/pending:] Boundaries {}: {}, waiting for the worker", ends, when))
