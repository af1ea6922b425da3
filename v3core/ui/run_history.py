"""The history of a run, and its commands with their outcomes."""

from contextlib import suppress

import streamlit as st

from v3core.curriculum.edit import summary
from v3core.errors import V3Error
from v3core.jobs.kinds import COMMANDS, asked_length
from v3core.messages import _, said, say
from v3core.phrases import stored
from v3core.recall import recalled
from v3core.store.commands import APPLIED, EXTEND, CommandRow, RevisionRow, known_revisions
from v3core.store.database import Database
from v3core.store.history import read_events
from v3core.ui.status import age, clock, latency
from v3core.ui.text import Markdown, md, plain

_EVENTS_SHOWN, _COMMANDS_SHOWN = 200, 20
USER = _("user")
ACTORS = (
    USER,
    *(
        _("page"),
        _("command line"),
        _("terminal"),
        _("worker"),
        _("launcher"),
        _("monitor"),
        _("node"),
        _("supervisor"),
    ),
)
"""Who does what a run's history has; recognised by `recalled`."""


def run_history(database: Database, run_id: str) -> None:
    """The event log, newest first; closed at first, and read only while it is open."""
    expander = st.expander(
        md("History"), icon=":material/history:", key="history", on_change="rerun", bind="query-params"
    )
    if not expander.open:
        return
    events = read_events(database, run_id)
    with expander:
        st.table(
            said(
                [
                    {
                        _("When"): clock(event.at),
                        _("Who"): plain(recalled(event.actor)),
                        _("What"): plain(recalled(event.message)),
                    }
                    for event in events[::-1][:_EVENTS_SHOWN]
                ]
            ),
            border="horizontal",
            hide_index=True,
            height=320 if len(events) > 7 else "content",
            alt=say("History of the run, newest first"),
        )
        if len(events) > _EVENTS_SHOWN:
            st.caption(md("The latest {events_shown} of {events:,}.", events_shown=_EVENTS_SHOWN, events=len(events)))


def newest_command(database: Database, run_id: str, commands: list[CommandRow]) -> None:
    """One line for the head of the page: the newest command and how far it is; nothing if there is none."""
    if not commands:
        return
    command = commands[-1]
    title = command_title(command, known_revisions(database, run_id))
    asked = md("{}, {} ago", title, age(command.requested_at))
    icon, text = outcome(command)
    st.caption(md("{} {}: {}", icon, asked, text))


def command_panel(database: Database, run_id: str, commands: list[CommandRow]) -> None:
    """All commands, newest first, each with its times."""
    st.subheader(md("Commands"), anchor=False)
    if not commands:
        st.caption(md("No commands yet."))
        return
    newest = commands[::-1][:_COMMANDS_SHOWN]
    revisions = known_revisions(database, run_id)
    st.table(
        said(
            [
                {
                    _("Command"): command_title(command, revisions),
                    _("Requested"): md("{} by {}", clock(command.requested_at), recalled(command.actor or USER)),
                    _("Acknowledged"): _acknowledged(command),
                    _("Outcome"): md("{} {}", *outcome(command)),
                }
                for command in newest
            ]
        ),
        border="horizontal",
        hide_index=True,
        alt=say("Commands to the run and their outcomes"),
    )
    if len(commands) > _COMMANDS_SHOWN:
        st.caption(
            md("The latest {commands_shown} of {commands}.", commands_shown=_COMMANDS_SHOWN, commands=len(commands))
        )


def edit_title(revision: RevisionRow, revisions: list[RevisionRow]) -> str:
    """What a revision changes of the one that was in force before it, among all of the run, in a few words."""
    before = [one for one in revisions if one.state == APPLIED and one.revision < revision.revision]
    found = summary(before[-1].curriculum, revision.curriculum) if before else ""
    return found or _("Curriculum, revision {revision}", revision=revision.revision)


def command_title(command: CommandRow, revisions: list[RevisionRow]) -> Markdown:
    """What was asked, as in `Pause` or `Boundaries 150, 400`."""
    known = COMMANDS.get(command.kind)
    title = known.title if known else _("Unknown command {kind}", kind=command.kind)
    if command.revision is not None:
        return plain(edit_title(command.revision, revisions))
    if known and known.takes and command.value:
        value = command.value
        with suppress(V3Error):  # then as it is
            value = asked_length(value) if command.kind == EXTEND else value
        return md(known.asked, title, value)
    return plain(title)


def outcome(command: CommandRow) -> tuple[Markdown, Markdown]:
    """An icon, and what came of a command, as in `applied after 0.4 s at episode 412`."""
    if command.applied_at is not None:
        text = md("applied after {}", latency(command.requested_at, command.applied_at))
        if command.applied_episode is not None:
            text = md("{} at episode {:,}", text, command.applied_episode)
        return Markdown(":green[:material/check:]"), text
    if command.rejected_reason is not None:
        return Markdown(":red[:material/block:]"), md("rejected. {}", stored(command.rejected_reason))
    text = plain(_("acknowledged, not applied yet") if command.acknowledged_at else _("waiting for the worker"))
    return Markdown(":orange[:material/pending:]"), text


def _acknowledged(command: CommandRow) -> Markdown:
    if command.acknowledged_at is None:
        return plain("–" if not command.is_open else _("not yet"))
    return md("after {}", latency(command.requested_at, command.acknowledged_at))
