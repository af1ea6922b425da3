"""`python -m v3core log`: the end of a run's log, and its traceback."""

from datetime import UTC, datetime

import pytest

from v3core.cli import main
from v3core.config import build_run_config, recipe_for
from v3core.curriculum import load_curriculum, scaled
from v3core.jobs.files import log_file
from v3core.jobs.launcher import create
from v3core.store.opening import open_database
from v3core.store.runs import update_run


@pytest.fixture
def run_id(tmp_path, monkeypatch):
    """A run that has printed ten lines, and failed in `train`."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    curriculum = scaled(load_curriculum("v3")[0], 40)
    recipe = recipe_for("CartPole-v1")
    config = build_run_config(
        name="a run", env="CartPole-v1", seed=1, episodes=40, curriculum=curriculum, recipe=recipe
    )
    database = open_database()
    with database.write() as tx:
        created = create(tx, config, now=datetime.now(UTC))
        update_run(tx, created, {"status": "failed", "traceback": "Traceback …\n  in train"}, only_in={"queued"})
    database.close()
    log_file(created).parent.mkdir(parents=True)
    log_file(created).write_text("".join(f"line {number}\n" for number in range(10)))
    return created


def test_the_log_ends_with_its_newest_lines(run_id, capsys):
    assert main(["log", run_id[:8], "--lines", "2"]) == 0
    assert capsys.readouterr().out == "line 8\nline 9\n"
    assert main(["log", run_id]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_the_traceback_is_printed_on_demand(run_id, capsys):
    assert main(["log", run_id, "--traceback"]) == 0
    assert capsys.readouterr().out == "Traceback …\n  in train\n"


def test_what_is_not_there_is_said(run_id, capsys):
    database = open_database()
    with database.write() as tx:
        update_run(tx, run_id, {"traceback": None}, only_in={"failed"})
    database.close()
    assert main(["log", run_id, "--traceback"]) == 1
    assert capsys.readouterr().err == (f"Run {run_id[:8]} 'a run' is failed and has no traceback; omit --traceback.\n")
    log_file(run_id).unlink()
    assert main(["log", run_id]) == 0
    assert capsys.readouterr() == ("", "The log is still empty.\n")
    database = open_database()
    with database.write() as tx:
        update_run(tx, run_id, {"started_at": datetime.now(UTC), "host": "far"}, only_in={"failed"})
    database.close()
    assert main(["log", run_id]) == 1
    assert capsys.readouterr().err == (
        f"Run {run_id[:8]} 'a run' has no log here; its worker wrote to {log_file(run_id)} on far.\n"
    )
    assert main(["log", "nothing"]) == 1
    assert "There is no run 'nothing'" in capsys.readouterr().err
