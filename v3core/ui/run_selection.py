"""What can be done with the runs that are selected in the list: with one the same as on Live, with several at once."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from v3core.archive import file_name
from v3core.jobs import control
from v3core.jobs.checkpoints import newest_present
from v3core.jobs.housekeeping import in_words, run_sizes
from v3core.jobs.kinds import COMMANDS, Command
from v3core.jobs.lifecycle import RESUMABLE, Status
from v3core.jobs.several import Outcome, for_each
from v3core.messages import Message, _, say
from v3core.paths import COMMAND
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, ask, asking, confirm, dialog, is_asked, or_notice
from v3core.ui.notices import notify
from v3core.ui.run_actions import MANY_EPISODES, is_second_click, run_actions
from v3core.ui.run_files import MAX_DOWNLOAD_BYTES, write_download
from v3core.ui.run_picker import compare_link
from v3core.ui.run_table import select, selected
from v3core.ui.status import counted
from v3core.ui.text import md, plain

MAX_COMPARED = 24
"""More lines than this cannot be told apart in one chart."""
BASELINE = "baseline"
"""The parameter of the address that names the pinned run."""
_ID_CHARACTERS = 8
_NAMES = 5
MISSING_ARCHIVES = "not-archived.txt"
"""The file in a ZIP file of archives that says which runs could not be archived."""
_RESULT = "runs-result"
_DOING: dict[str, Callable[[Message], Message]] = {
    "stop": lambda runs: _("Stopping {runs}.", runs=runs),
    "resume": lambda runs: _("Resuming {runs}.", runs=runs),
    "delete": lambda runs: _("Deleted {runs}.", runs=runs),
}


def selection_bar(database: Database, matching: Sequence[RunRow], queue_place: Callable[[RunRow], None]) -> None:
    """Buttons for the runs that are selected among those of the list.

    Args:
        database: where commands go.
        matching: the runs of the list, all pages of it.
        queue_place: draws the place in the queue of a run that waits, where its priority is changed.
    """
    by_id = {run.id: run for run in matching}
    chosen = [by_id[run_id] for run_id in selected() if run_id in by_id]
    with st.container(
        horizontal=True, vertical_alignment="center", gap="xsmall", key="selection", horizontal_alignment="left"
    ):
        if chosen:
            st.markdown(md("**{chosen:,} selected**", chosen=len(chosen)), width="content")
        else:
            st.caption(md("Select runs to stop, resume, compare, tag, archive or delete them."), width="content")
        if len(chosen) < len(matching):
            st.button(
                md("Select all {matching:,}", matching=len(matching)),
                key="select-all",
                type="tertiary",
                on_click=select,
                args=([run.id for run in matching],),
            )
        if chosen:
            st.button(
                md("Clear"), key="select-none", type="tertiary", icon=":material/close:", on_click=select, args=([],)
            )
            if len(chosen) == 1:
                _one(database, chosen[0], queue_place)
            else:
                _several(database, chosen)
            _with_any(database, chosen)
    if result := st.session_state.get(_RESULT):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(plain(result), icon=":material/rule:")
            st.button(md("Dismiss"), key="dismiss-result", type="tertiary", on_click=_forget_result)


def _forget_result() -> None:
    st.session_state.pop(_RESULT, None)


def _one(database: Database, run: RunRow, queue_place: Callable[[RunRow], None]) -> None:
    with database.read() as tx:
        point = newest_present(database, run.id, tx) if run.status in RESUMABLE else None
    if run.status == Status.QUEUED:
        queue_place(run)
    run_actions(database, run, compact=False, key="list", checkpoint=point)


def _several(database: Database, runs: list[RunRow]) -> None:
    for place, command in enumerate(command for command in COMMANDS.values() if command.button):
        fit = [run for run in runs if command.refusal(run) is None and run.status != command.done]
        if not fit:
            continue
        asks = command.kind == "delete"
        button = f"{command.kind}:selected"
        st.button(
            md("{} {}", command.title, len(fit)),
            icon=f":material/{command.icon}:",
            key=button,
            help=plain(_explained(command, len(fit), len(runs))),
            on_click=ask if asks else _do,
            args=(button,) if asks else (database, runs, command.kind, f"clicked:selected:{place}"),
        )
        if asks and is_asked(button):
            _ask_to_delete(database, runs)


def _explained(command: Command, fit: int, chosen: int) -> str:
    rest = chosen - fit
    return (
        command.meaning
        if not rest
        else _("{meaning} Not possible for {runs}.", meaning=command.meaning, runs=counted(rest, "selected run"))
    )


@or_notice
def _do(database: Database, runs: list[RunRow], kind: str, place: str) -> None:
    if is_second_click(place):
        return
    actions: dict[str, Callable[..., object]] = {"stop": control.stop, "resume": control.resume}
    action = actions.get(kind, partial(control.ask, kind=kind))
    outcome = for_each(runs, lambda run_id: action(database, run_id, actor=ACTOR))
    title = COMMANDS[kind].title
    _report(outcome, _DOING.get(kind, lambda runs: _("{title} requested for {runs}.", title=title, runs=runs)))


def _report(outcome: Outcome, doing: Callable[[Message], Message]) -> None:
    """Say what came of it: in a notice, and what was refused until it is dismissed."""
    _forget_result()
    text = outcome.describe(doing)
    if outcome.refused:
        st.session_state[_RESULT] = text
    else:
        notify(plain(text), icon=":material/check_circle:", seconds=4)


def _with_any(database: Database, runs: list[RunRow]) -> None:
    """What can be done with runs in any status."""
    if len(runs) > MAX_COMPARED:
        st.caption(md("Compare takes at most {max_compared}.", max_compared=MAX_COMPARED), width="content")
    elif len(runs) > 1:
        compare_link(_("Compare"), runs=",".join(run.id[:_ID_CHARACTERS] for run in runs))
    if asking(md("Edit tags"), icon=":material/label:", key="tag:selected"):
        _ask_for_tags(database, runs)
    if asking(md("Archive"), icon=":material/folder_zip:", key="archive:selected"):
        lines = (f"{COMMAND} archive {run.id[:8]} --to {file_name(run, 'v3run')}" for run in runs)
        offer_archives(database, runs, "\n".join(lines))
    if len(runs) == 1:
        (run,) = runs
        pinned = st.query_params.get(BASELINE, "")
        if pinned and run.id.startswith(pinned):
            st.button(md("Unpin baseline"), icon=":material/keep_off:", key="unpin:selected", on_click=unpin)
        else:
            st.button(
                md("Pin as baseline"),
                icon=":material/keep:",
                key="pin:selected",
                on_click=_pin,
                args=(run.id,),
                help=md("The other runs show their difference to it."),
            )


def _pin(run_id: str) -> None:
    st.query_params[BASELINE] = run_id[:_ID_CHARACTERS]


def unpin() -> None:
    """Without a baseline again."""
    st.query_params.pop(BASELINE, None)


@dialog(_("Delete the selected runs?"), icon=":material/delete:")
def _ask_to_delete(database: Database, runs: list[RunRow]) -> None:
    fit = [run for run in runs if COMMANDS["delete"].refusal(run) is None]
    sizes = run_sizes(database, [run.id for run in fit]).values()
    files, rows = (sum(getattr(size, part) for size in sizes) for part in ("files", "database"))
    st.markdown(
        md("**{}** with their episodes, checkpoints and logs. This cannot be undone.", counted(len(fit), "run"))
    )
    for run in fit[:_NAMES]:
        st.markdown(md("- {}", run.name))
    if len(fit) > _NAMES:
        st.markdown(md("- and {value:,} more", value=len(fit) - _NAMES))
    st.markdown(
        md(
            "Frees **{files}** of files and about **{rows}** in the database, which later runs reuse.",
            files=in_words(files),
            rows=in_words(rows),
        )
    )
    if rest := len(runs) - len(fit):
        st.caption(md("{rest} cannot be deleted now: stop them first.", rest=counted(rest, "selected run")))
    if sum(run.episode for run in fit) > MANY_EPISODES:
        st.caption(md("Deleting this many episodes takes a while; this page waits until it is done."))
    confirm(
        _("Delete {runs}", runs=counted(len(fit), "run")),
        ":material/delete:",
        "delete-selected",
        _delete,
        database,
        fit,
    )


def _delete(database: Database, runs: list[RunRow]) -> None:
    outcome = for_each(runs, partial(control.delete, database))
    gone = set(outcome.done)
    select([run_id for run_id in selected() if run_id not in gone])
    _report(outcome, _DOING["delete"])


@dialog(_("Tags of the selected runs"), icon=":material/label:")
def _ask_for_tags(database: Database, runs: list[RunRow]) -> None:
    counts = Counter(tag for run in runs for tag in (run.tags or "").split())
    st.caption(md("Of {runs}. Tags are words; the filter finds them with tag:WORD.", runs=counted(len(runs), "run")))
    st.text_input(md("Add"), key="tags-add", max_chars=control.MAX_TAGS, placeholder=say("paper baseline"))
    st.multiselect(
        md("Remove"), sorted(counts), key="tags-remove", disabled=not counts, placeholder=say("Choose options")
    )
    confirm(_("Save"), ":material/check:", "tags", _retag, database, runs)


def _retag(database: Database, runs: list[RunRow]) -> None:
    # From the fields as they are now: a click may arrive together with what was typed just before.
    add, remove = st.session_state["tags-add"], " ".join(st.session_state["tags-remove"])
    outcome = for_each(runs, lambda run_id: control.retag(database, run_id, add=add, remove=remove, actor=ACTOR))
    _report(outcome, lambda runs: _("Changed the tags of {runs}.", runs=runs))


@dialog(_("Archive"), icon=":material/folder_zip:")
def offer_archives(database: Database, runs: list[RunRow], instead: str) -> None:
    """A dialog to download archives of runs; `instead` is what to run in a shell if they are too large for that."""
    sizes = run_sizes(database, [run.id for run in runs]).values()
    st.markdown(
        md(
            "{runs}: each has the whole record of a run with its checkpoints and log, and can be imported into "
            "another V3 Lab. The runs stay here.",
            runs=counted(len(runs), "archive"),
        )
    )
    if sum(max(2 * size.database, size.total) for size in sizes) > MAX_DOWNLOAD_BYTES:
        st.caption(md("They are too large to download. Run this on the dashboard's machine instead:"))
        st.code(instead, language="sh", height="content" if "\n" not in instead else 200)
        return
    several = len(runs) > 1
    st.download_button(
        md("Download"),
        partial(_archives, database, runs) if several else partial(write_download, database, runs[0].id, "v3run"),
        f"{len(runs)}-runs.zip" if several else file_name(runs[0], "v3run"),
        "application/zip" if several else "application/octet-stream",
        key="download-archives",
        on_click="ignore",
        icon=":material/download:",
        type="primary",
    )


def _archives(database: Database, runs: Sequence[RunRow]) -> bytes:
    """A ZIP file with an archive of each run; they are compressed already. It says which runs are missing, and why."""
    names, content = {run.id: file_name(run, "v3run") for run in runs}, io.BytesIO()
    with zipfile.ZipFile(content, "w") as together:
        outcome = for_each(
            runs, lambda run_id: together.writestr(names[run_id], write_download(database, run_id, "v3run"))
        )
        if outcome.refused:
            together.writestr(MISSING_ARCHIVES, "\n".join(outcome.refused.values()) + "\n")
    return content.getvalue()
