"""The disk usage of a run, and its records as files to download."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from v3core.archive import import_archive, write_archive
from v3core.errors import V3Error
from v3core.jobs.housekeeping import RunSize, in_words, run_size
from v3core.paths import COMMAND
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.text import plain

MOST_DOWNLOAD_BYTES = 256 << 20
"""The server keeps a download in memory; for larger ones use the command line, which streams to disk."""

MOST_NAME = 150
"""Characters of a downloaded file's name before its id; file systems take 255 bytes."""


def run_exports(database: Database, run: RunRow) -> None:
    """A popover with a button for each form; nothing is written before its click."""
    with st.popover("Export", icon=":material/download:", key=f"exports-{run.id}"):
        size = run_size(database, run.id)
        st.caption(f"The run uses about {in_words(size.database)} in the database and {in_words(size.files)} in files.")
        too_large = _expected(size) > MOST_DOWNLOAD_BYTES
        with st.container(horizontal=True):
            for label, suffix, mime in (
                ("CSV", "csv", "text/csv"),
                ("Parquet", "parquet", "application/vnd.apache.parquet"),
                ("JSON", "json", "application/json"),
                ("Archive", "v3run", "application/octet-stream"),
            ):
                st.download_button(
                    label,
                    _written(database, run.id, suffix),
                    file_name(run, suffix),
                    mime,
                    key=f"export-{suffix}-{run.id}",
                    on_click="ignore",
                    icon=":material/folder_zip:" if suffix == "v3run" else ":material/table:",
                    disabled=too_large,
                )
        st.caption(
            "Tables have one row per episode, with nothing left out. JSON contains the whole record. The archive "
            "also contains checkpoints and the log, and can be imported into another V3 Lab."
        )
        if too_large:
            st.caption("It is too large to download. Run this on the dashboard's machine instead:")
            short = run.id[:8]
            lines = (
                f"{COMMAND} export {short} --to run.parquet",
                f"{COMMAND} archive {short} --to run.v3run",
            )
            st.code("\n".join(lines), language="sh")


def file_name(run: RunRow, suffix: str) -> str:
    """The name of a run's file: `v3-CartPole-v1-seed-1-3f2a1b2c.csv`, of signs that every file system takes."""
    words = re.sub(r"[^\w.+-]+", "-", f"{run.curriculum}-{run.env}-seed-{run.seed}", flags=re.ASCII)
    return f"{words[:MOST_NAME].strip('-.')}-{run.id[:8]}.{suffix}"


def _expected(size: RunSize) -> int:
    """About the bytes of the largest of the files: JSON repeats the names of the columns in each row."""
    return max(2 * size.database, size.total)


def _written(database: Database, run_id: str, suffix: str) -> Callable[[], bytes]:
    """Write the file of a download."""

    def write() -> bytes:
        from v3core.store.export import export_run

        with tempfile.TemporaryDirectory(prefix="v3-export-") as folder:
            target = Path(folder) / f"run.{suffix}"
            if suffix == "v3run":
                write_archive(database, run_id, target)
            else:
                export_run(database, run_id, target)
            return target.read_bytes()

    return write


def archive_import(database: Database) -> None:
    """A popover with an uploader. Not for a fragment that ticks: an upload takes time."""
    with (
        st.popover("Import a run", icon=":material/upload:", key="import-popover"),
        st.form("import-form", border=False),
    ):
        upload = st.file_uploader(
            "Archive", type="v3run", help="An archive written by V3 Lab: see Export on the Live page."
        )
        as_new = st.checkbox("Under a new id", help="Keeps the original run as well.")
        if st.form_submit_button("Import", icon=":material/check:", type="primary"):
            if upload is None:
                st.error("No archive selected; choose a .v3run file.")
                return
            try:
                with st.spinner("Checking and importing …"):
                    run_id = import_archive(database, upload, as_new=as_new)
            except V3Error as error:
                st.error(plain(error))
            else:
                st.switch_page("pages/live.py", query_params={"run": run_id})
