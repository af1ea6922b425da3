"""The files of a run: its records and checkpoints to download, archives to import, and evaluations of a checkpoint."""

import tempfile
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import streamlit as st

from v3core.archive import file_name, import_archive, write_archive
from v3core.errors import V3Error
from v3core.jobs.checkpoints import is_present
from v3core.jobs.evaluating import BackgroundEvaluation, Played
from v3core.jobs.housekeeping import in_words, run_sizes
from v3core.jobs.retention import thinned_sentence
from v3core.messages import _, said, say
from v3core.paths import COMMAND
from v3core.phrases import listed
from v3core.store.database import Database
from v3core.store.history import CheckpointRow, read_checkpoints
from v3core.store.run_row import RunRow
from v3core.ui import ticks
from v3core.ui.clicks import or_notice
from v3core.ui.navigation import open_page
from v3core.ui.option_labels import follow_language
from v3core.ui.status import clock, counted, number
from v3core.ui.text import md, plain

MAX_DOWNLOAD_BYTES = 256 << 20
"""The server keeps a download in memory; for larger ones use the command line, which streams to disk."""

EPISODES = 20
"""Default number of episodes of an evaluation."""
MAX_EPISODES = 1000


def run_exports(database: Database, run: RunRow) -> None:
    """A popover with a button for each form; nothing is written before its click."""
    with st.popover(md("Export"), icon=":material/download:", key=f"exports-{run.id}"):
        size = run_sizes(database, [run.id])[run.id]
        st.caption(
            md(
                "The run uses about {database} in the database and {files} in files.",
                database=in_words(size.database),
                files=in_words(size.files),
            )
        )
        too_large = max(2 * size.database, size.total) > MAX_DOWNLOAD_BYTES  # JSON repeats columns' names in each row
        with st.container(horizontal=True):
            for label, suffix, mime in (
                ("CSV", "csv", "text/csv"),
                ("Parquet", "parquet", "application/vnd.apache.parquet"),
                ("JSON", "json", "application/json"),
                (md("Archive"), "v3run", "application/octet-stream"),
            ):
                st.download_button(
                    label,
                    partial(write_download, database, run.id, suffix),
                    file_name(run, suffix),
                    mime,
                    key=f"export-{suffix}-{run.id}",
                    on_click="ignore",
                    icon=":material/folder_zip:" if suffix == "v3run" else ":material/table:",
                    disabled=too_large or (suffix == "v3run" and run.thinned_at is not None),
                )
        if (sentence := thinned_sentence(run)) is not None:
            st.caption(
                md(
                    "{sentence} Tables and JSON have the episodes that are left; a thinned run cannot be archived.",
                    sentence=sentence,
                )
            )
        else:
            st.caption(
                md(
                    "Tables have one row per episode, with nothing left out. JSON contains the whole record. The "
                    "archive also contains checkpoints and the log, and can be imported into another V3 Lab."
                )
            )
        if too_large:
            st.caption(md("It is too large to download. Run this on the dashboard's machine instead:"))
            short = run.id[:8]
            commands = f"{COMMAND} export {short} --to run.parquet\n{COMMAND} archive {short} --to run.v3run"
            st.code(commands, language="sh")


def write_download(database: Database, run_id: str, suffix: str) -> bytes:
    """The content of a download."""
    from v3core.store.export import export_runs

    with tempfile.TemporaryDirectory(prefix="v3-export-") as folder:
        target = Path(folder) / f"run.{suffix}"
        if suffix == "v3run":
            write_archive(database, run_id, target)
        else:
            export_runs(database, [run_id], target)
        return target.read_bytes()


def archive_import(database: Database) -> None:
    """A popover with an uploader. Not for a fragment that ticks: an upload takes time."""
    with (
        st.popover(md("Import a run"), icon=":material/upload:", key="import-popover"),
        st.form("import-form", border=False),
    ):
        upload = st.file_uploader(
            md("Archive"), type="v3run", help=md("An archive written by V3 Lab: see Export on the Live page.")
        )
        as_new = st.checkbox(md("Under a new id"), help=md("Keeps the original run as well."))
        if st.form_submit_button(md("Import"), icon=":material/check:", type="primary"):
            if upload is None:
                st.error(md("No archive selected; choose a .v3run file."))
                return
            try:
                with st.spinner(md("Checking and importing …")):
                    run_id = import_archive(database, upload, as_new=as_new)
            except V3Error as error:
                st.error(plain(error))
            else:
                open_page("live", run=run_id)


def run_checkpoints(database: Database, run: RunRow) -> None:
    """All checkpoints and what can be done with one; closed at first, and read only while it is open."""
    expander = st.expander(
        md("Checkpoints"), icon=":material/save:", key="checkpoints", on_change="rerun", bind="query-params"
    )
    if not expander.open:
        return
    rows = read_checkpoints(database, run.id)[::-1]
    with expander:
        if not rows:
            st.caption(
                md(
                    "No checkpoints yet. They are written at the start of each phase, at regular intervals, and at "
                    "the end."
                )
            )
            return
        st.dataframe(
            said([_described(database, row) for row in rows]),
            hide_index=True,
            height=min(36 + 35 * len(rows), 250),
            column_config=said(
                {
                    _("Episode"): st.column_config.NumberColumn(format="localized"),
                    _("Step"): st.column_config.NumberColumn(format="localized"),
                    _("File"): st.column_config.TextColumn(width="large"),
                }
            ),
            alt=say("Checkpoints of the run, newest first"),
        )
        there = [row for row in rows if is_present(database, database.data_dir / row.path)]
        if not there:
            st.warning(md("None of these files exists any more."), icon=":material/folder_off:")
            return
        _one(database, run, there)


def _at(episode: int) -> str:
    return say("Episode {at:,}", at=episode)


@st.fragment
def _one(database: Database, run: RunRow, rows: list[CheckpointRow]) -> None:
    """What can be done with one of them."""
    by_episode = {row.episode: row for row in rows}
    key = f"checkpoint-{run.id}"
    follow_language(key, by_episode, _at)
    episode = st.selectbox(
        md("Checkpoint"), list(by_episode), format_func=_at, key=key, width=240, placeholder=say("Choose an option")
    )
    row = by_episode[episode]
    file = database.data_dir / row.path
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            md("Download"),
            lambda: database.place.bring(file).read_bytes(),
            file_name(run, f"episode-{row.episode}.pt"),
            "application/octet-stream",
            key=f"download-checkpoint-{run.id}",
            on_click="ignore",
            icon=":material/download:",
            disabled=_bytes(database, row) > MAX_DOWNLOAD_BYTES,
        )
        field = f"evaluate-episodes-{run.id}"
        st.number_input(md("Episodes to evaluate"), 1, MAX_EPISODES, EPISODES, key=field, width=180)
        st.button(
            md("Evaluate"),
            icon=":material/play_circle:",
            key=f"evaluate-{run.id}",
            on_click=_evaluate,
            args=(database, run, row.episode, field),
        )
    _evaluated(run.id, row.episode)
    use_policy(database.place.name_of(file))


def use_policy(file: str) -> None:
    """The lines that act with a checkpoint, to copy."""
    st.caption(md("Use the policy in your own program, run from V3 Lab's folder or with that folder on PYTHONPATH:"))
    st.code(policy_snippet(file), language="python", wrap_lines=True)


def policy_snippet(file: str | Path) -> str:
    """A program that acts with a checkpoint, as `v3core.load_policy` documents it."""
    lines = (
        "import v3core",
        "",
        f"policy = v3core.load_policy({str(file)!r})",
        "policy.reset()  # at the beginning of every episode",
        "action = policy(observation)",
    )
    return "\n".join(lines)


def _described(database: Database, row: CheckpointRow) -> dict[str, object]:
    file = database.data_dir / row.path
    size = in_words(_bytes(database, row)) if is_present(database, file) else _("gone")
    at: dict[str, object] = {_("Episode"): row.episode, _("Step"): row.step, _("Written"): clock(row.at)}
    return {**at, _("Size"): size, _("File"): database.place.name_of(file)}


def _bytes(database: Database, row: CheckpointRow) -> int:
    """Those of earlier versions have no size in their row."""
    return row.bytes or (database.place.stamp(database.data_dir / row.path) or [0, 0])[1]


@st.cache_resource(max_entries=1, show_spinner=False)
def _under_way() -> dict[tuple[str, int], BackgroundEvaluation]:
    """Evaluations asked for on this server, by run and checkpoint; shared by all tabs."""
    return {}


@or_notice
def _evaluate(database: Database, run: RunRow, checkpoint: int, field: str) -> None:
    known = _under_way().get((run.id, checkpoint))
    if known is not None and not known.is_over():
        return  # a double click, or one in another tab
    episodes = int(st.session_state[field] or EPISODES)
    _under_way()[run.id, checkpoint] = BackgroundEvaluation(database, run, checkpoint, episodes)


def _evaluated(run_id: str, checkpoint: int) -> None:
    """The result of the latest evaluation of the checkpoint; polled once a second while in progress."""
    evaluation = _under_way().get((run_id, checkpoint))
    if evaluation is None:
        return
    if evaluation.is_over():
        try:
            if played := evaluation.result():
                st.success(plain(describe_played(played)), icon=":material/check_circle:")
        except V3Error as error:
            st.error(plain(error), icon=":material/error:")
        return

    @ticks.ticking(1)
    def wait() -> None:
        if evaluation.is_over():
            st.rerun()
        ticks.draw_again_in(1)
        st.info(
            md("Playing {episodes} …", episodes=counted(evaluation.episodes, "episode")),
            icon=":material/hourglass_top:",
        )

    wait()


def describe_played(played: Played) -> str:
    """An evaluation in one sentence, as in `20 episodes: mean return 487.2, standard deviation 21.3, …`."""
    returns = played.returns
    parts = [_("mean return {mean}", mean=number(fmean(returns)))]
    if len(returns) > 1:
        parts.append(_("standard deviation {deviation}", deviation=number(stdev(returns))))
    parts.append(_("from {least} to {most}", least=number(min(returns)), most=number(max(returns))))
    if played.successes:
        parts.append(_("{solved:g} of {episodes} solved", solved=sum(played.successes), episodes=len(played.successes)))
    return _("{episodes}: {parts}.", episodes=counted(len(returns), "episode"), parts=listed(parts))
