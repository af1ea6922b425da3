"""plotly.min.js gets to where Streamlit serves it."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from v3core.errors import V3Error
from v3core.ui.plotly_js import NAME, ensure_plotly_js


def test_file_is_put_there_once_and_replaced_when_it_differs(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    target = ensure_plotly_js(folder)
    assert target == folder / NAME
    assert target.read_text(encoding="utf-8").startswith("/**\n* plotly.js (cartesian")
    written = target.stat().st_mtime_ns
    ensure_plotly_js(folder)
    assert target.stat().st_mtime_ns == written
    target.write_text("half a file")
    ensure_plotly_js(folder)
    assert target.stat().st_size > 1_000_000


def test_several_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: ensure_plotly_js(tmp_path), range(16)))) == 1
    assert os.listdir(tmp_path) == [NAME]  # noqa: PTH208  the names are what matters


def test_folder_that_cannot_be_made_is_reported_in_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(V3Error, match=r"cannot be written to .*static: .*; make the folder writable\."):
        ensure_plotly_js(blocked / "static")
