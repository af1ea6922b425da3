"""What can be done with a run: the same buttons everywhere, training longer, and its tags and notes."""

import time
from collections.abc import Collection
from contextlib import suppress

import streamlit as st

from v3core.config import MAX_EPISODES, MAX_STEPS
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.kinds import COMMANDS, Command, trained_elsewhere
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status
from v3core.messages import Message, _
from v3core.store.database import Database
from v3core.store.history import CheckpointRow
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError
from v3core.ui.clicks import ACTOR, ask, ask_to_take_over, confirm, dialog, is_asked, or_notice
from v3core.ui.status import counted
from v3core.ui.text import lines, md, plain, unseen

MANY_EPISODES = 50_000
"""More take seconds to delete."""
DOUBLE_CLICK_SECONDS = 1.0
"""A second click that soon on the same place is the same wish, also if the button there has changed meanwhile."""


def run_actions(
    database: Database,
    run: RunRow,
    *,
    compact: bool,
    key: str,
    checkpoint: CheckpointRow | None,
    asked: Collection[str] = (),
) -> None:
    """Buttons for what can be done with `run` now; the others are closed and say why.

    Args:
        database: where commands go.
        run: its current row.
        compact: icons only, for lists, without those that a run of this kind never can do.
        key: distinguishes the same run's buttons on one page.
        checkpoint: from which a resume would continue, if there is one.
        asked: kinds of the commands that the run has not answered yet, if known.
    """
    with st.container(horizontal=True, horizontal_alignment="right" if compact else "left", gap="xsmall"):
        for number, command in enumerate(_buttons(run, compact)):
            kind, label = command.kind, command.title
            problem = _problem(command, run, asked, checkpoint)
            meaning = problem or (resume_sentence(run, checkpoint) if kind == "resume" else command.meaning)
            asks_first = kind == "delete" or (kind == "resume" and trained_elsewhere(run) is not None)
            button = f"{kind}:{key}:{run.id}"
            st.button(
                unseen("{} {}", label, run.name) if compact else plain(label),
                icon=f":material/{command.icon}:",
                type="tertiary" if compact else "secondary",
                key=button,
                help=md("{}: {}", label, meaning) if compact else plain(meaning),
                disabled=problem is not None,
                on_click=ask if asks_first else _do,
                args=(button,) if asks_first else (database, run.id, kind, f"clicked:{key}:{run.id}:{number}"),
            )
            if asks_first and problem is None and is_asked(button):
                (_confirm_delete if kind == "delete" else ask_to_take_over)(database, run)


def _buttons(run: RunRow, compact: bool) -> list[Command]:
    """What has a button: a list leaves out what a run of this kind never can."""
    shown = {kind: command for kind, command in COMMANDS.items() if command.button}
    for kind, command in COMMANDS.items():
        if command.undoes:  # one takes the place of the other
            del shown[command.undoes if run.status == COMMANDS[command.undoes].done else kind]
    if not compact:
        return list(shown.values())
    if run.status in ACTIVE:
        return [command for command in shown.values() if command.answered_by == "worker"]
    return [command for command in shown.values() if run.status in command.when]


def _problem(command: Command, run: RunRow, asked: Collection[str], checkpoint: CheckpointRow | None) -> str | None:
    """Why a button is closed; None if it is not."""
    if problem := command.refusal(run, asked):
        return problem
    if command.kind == "resume" and checkpoint is None and run.episode > 0:
        return _("Its checkpoints are missing or damaged, so it cannot be resumed.")
    return command.pending if command.kind in asked or run.status == command.done else None


def resume_hint(run: RunRow, checkpoint: CheckpointRow | None) -> str:
    """How an ended run can be continued, or why not."""
    return _problem(COMMANDS["resume"], run, (), checkpoint) or _resumption(run, checkpoint)[1]


def resume_sentence(run: RunRow, checkpoint: CheckpointRow | None) -> str:
    """From where a resume continues, and which episodes are trained again."""
    return _resumption(run, checkpoint)[0]


def _resumption(run: RunRow, checkpoint: CheckpointRow | None) -> tuple[Message, Message]:
    """The same by itself and, where there is no button beside it, with what the button is called."""
    if checkpoint is None:
        return (
            _("Starts from the beginning, because no episode was completed."),
            _("Resume starts from the beginning, because no episode was completed."),
        )
    at, again = checkpoint.episode, run.episode - checkpoint.episode
    if again <= 0:
        return (
            _("Continues from the checkpoint at episode {episode:,}.", episode=at),
            _("Resume continues from the checkpoint at episode {episode:,}.", episode=at),
        )
    later = counted(again, "later episode")
    return (
        _(
            "Continues from the checkpoint at episode {episode:,}; {again} will be trained again.",
            episode=at,
            again=later,
        ),
        _(
            "Resume continues from the checkpoint at episode {episode:,}; {again} will be trained again.",
            episode=at,
            again=later,
        ),
    )


def is_second_click(place: str) -> bool:
    """Whether this place was clicked a moment ago already: in a double click, the button may have changed meanwhile."""
    now = time.monotonic()
    before = st.session_state.get(place)
    st.session_state[place] = now
    return before is not None and now - before < DOUBLE_CLICK_SECONDS


@or_notice
def _do(database: Database, run_id: str, kind: str, place: str) -> None:
    if is_second_click(place):
        return
    if kind == "resume":
        control.resume(database, run_id, ACTOR)
    elif kind == "stop":
        control.stop(database, run_id, ACTOR)
    else:
        control.ask(database, run_id, ACTOR, kind=kind)


@dialog(_("Delete this run?"), icon=":material/delete:")
def _confirm_delete(database: Database, run: RunRow) -> None:
    episodes = counted(run.episode, "episode")
    st.markdown(md("**{}** with its {}, checkpoints and log. This cannot be undone.", run.name, episodes))
    if run.episode > MANY_EPISODES:
        st.caption(md("Deleting this many episodes takes a while; this page waits until it is done."))
    confirm(_("Delete"), ":material/delete:", "delete", _delete, database, run.id)


def _delete(database: Database, run_id: str) -> None:
    with suppress(UnknownRunError):  # deleted already: by a first click, or in another tab
        control.delete(database, run_id)


def train_longer(database: Database, run: RunRow) -> None:
    """A field for the new length, and its button."""
    by_steps = run.steps is not None and (run.length.is_by_steps or run.step >= run.steps)
    key = f"longer-{run.id}-{run.steps if by_steps else run.episodes}"
    meaning = _("The run adopts it between two updates.")
    if run.status == Status.QUEUED:
        meaning = _("The run starts with the new length.")
    elif run.status in ENDED:
        meaning = _("Resumes it with the new length, from its newest checkpoint.")
    problem = None if run.status in ENDED else COMMANDS["extend"].refusal(run)
    with st.container(horizontal=True, vertical_alignment="bottom", key="train-longer"):
        planned, most = (run.steps or 0, MAX_STEPS) if by_steps else (run.episodes, MAX_EPISODES)
        st.number_input(
            md("Train up to step") if by_steps else md("Train up to episode"),
            min_value=planned + 1,
            max_value=most,
            value=min(2 * planned, most),
            key=key,
            help=md(
                "Phase boundaries do not move, and the last phase lasts until the new end. A ramp up to the old end "
                "keeps its slope, then stays constant."
            ),
            width=220,
        )
        st.button(
            md("Train longer"),
            icon=":material/more_time:",
            key="train-longer-button",
            disabled=problem is not None,
            help=plain(problem or meaning),
            on_click=_ask,
            args=(database, run.id, key, "steps" if by_steps else "episodes"),
        )


@or_notice
def _ask(database: Database, run_id: str, key: str, unit: str) -> None:
    wanted = int(st.session_state[key])
    episodes, steps = (None, wanted) if unit == "steps" else (wanted, None)
    control.train_up_to(database, run_id, episodes, ACTOR, steps=steps)


def notes_editor(database: Database, run: RunRow) -> None:
    """A popover with both. Not for a fragment that ticks, which would interrupt typing."""
    with (
        st.popover(md("Notes and tags"), icon=":material/edit_note:", key=f"notes-{run.id}"),
        st.form(f"notes-form-{run.id}", border=False),
    ):
        tags = st.text_input(
            md("Tags"),
            run.tags or "",
            max_chars=control.MAX_TAGS,
            help=md("Words, separated by spaces. The filter on Runs finds them."),
        )
        notes = st.text_area(md("Notes"), run.notes or "", max_chars=control.MAX_NOTES, height=140)
        if st.form_submit_button(md("Save"), icon=":material/check:", type="primary"):
            try:
                control.annotate(database, run.id, tags=tags, notes=notes, actor=ACTOR)
            except V3Error as error:
                st.error(plain(error))
            else:
                st.rerun()


def tag_badges(run: RunRow) -> None:
    """The run's tags, in the direction of the container around."""
    for tag in (run.tags or "").split():
        st.badge(plain(tag), icon=":material/label:", color="gray")


def notes_line(run: RunRow) -> None:
    """The run's tags, and its notes as they were typed, line by line; nothing if it has neither."""
    if not (run.tags or run.notes):
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        tag_badges(run)
        if run.notes:
            st.caption(lines(run.notes), width="content")
