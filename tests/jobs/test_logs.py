"""Writing and reading the log of a run."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from v3core.jobs import logs
from v3core.jobs.files import log_file
from v3core.jobs.logs import logger, logging_to, read_log_tail
from v3core.places import Place


def test_a_run_without_a_log_has_an_empty_tail(tmp_path):
    assert read_log_tail("r", place=Place(tmp_path)) == ""


@pytest.mark.parametrize("block", [1, 7, 64 * 1024])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_tail_is_the_newest_lines(tmp_path, monkeypatch, block, count):
    monkeypatch.setattr(logs, "_BLOCK_BYTES", block)
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    lines = [f"line {number} ·" for number in range(20)]
    log_file("r").parent.mkdir(parents=True)
    log_file("r").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert read_log_tail("r", count).splitlines() == lines[-count:]


@pytest.fixture
def tokyo(monkeypatch):
    """A machine nine hours from UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_lines_carry_the_time_in_utc_and_end_with_the_run(tmp_path):
    file = tmp_path / "deep" / "worker.log"
    with logging_to(file):
        logger.info("Within %d.", 1)
    logger.error("After.")
    stamp, rest = file.read_text().split(" ", 1)
    assert rest == "INFO Within 1.\n"
    assert abs(datetime.fromisoformat(stamp) - datetime.now(UTC)) < timedelta(minutes=1)
