"""Rows that make no sense, on every page and in the commands: the run is shown as such, and the others go on."""

import json

import pytest

from tests.pages.recorded import add_recorded_run
from tests.pages.run_list import cells, names, table
from tests.pages.test_states import phase_rows, text_of
from tests.store.test_odd_rows import spoil
from v3core.cli import main
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store import commands

UNREADABLE = [
    ("runs", "status", "banana"),
    ("runs", "episodes", 0),
    ("runs", "experts", 10**9),
    ("runs", "created_at", "soon"),
    ("runs", "step", "many"),
]
PARTLY = [
    ("runs", "config", "{"),
    ("curriculum_revisions", "curriculum", "{}"),
    ("curriculum_revisions", "requested_at", "x"),
    ("commands", "kind", "dance"),
    ("commands", "requested_at", 7),
    ("events", "at", "x"),
    ("episodes", "return", "x"),
    ("episodes", "at", "x"),
    ("expert_loads", "load", "x"),
    ("phase_changes", "episode", "x"),
    ("phase_changes", "at", "x"),
    ("evaluations", "return", "x"),
    ("evaluations", "success", b"x"),
    ("rollups", "stats", b"x"),
    ("rollups", "phases", "{"),
    ("checkpoints", "bytes", "x"),
    ("checkpoints", "path", b"x"),
]


def add_odd(database, table, column, value):
    run_id = add_recorded_run(
        database, Status.STOPPED, name=f"odd {table} {column}", episodes=400, recorded=300, evaluated=(10, 20)
    )
    with database.write() as tx:
        curriculum = commands.curriculum_in_force(tx, run_id)
        now = commands.read_revisions(tx, run_id)[0].requested_at
        commands.add_command(tx, run_id, commands.PAUSE, actor="page", now=now)
    assert curriculum.phases
    spoil(database, run_id, "pid", 2**22 + 1)
    spoil(database, run_id, column, value, table)
    return run_id


def test_home_and_the_commands_go_on(open_page, database, capsys):
    good = add_recorded_run(database, Status.COMPLETED, name="a good run")
    odd = {add_odd(database, *case): case for case in UNREADABLE}
    app = open_page("app.py")
    assert not app.exception
    assert "server's log" not in text_of(app), text_of(app)
    assert "a good run" in names(app)
    assert {run_id for run_id in odd if cells(app, run_id)["status"]["badge"] == "Unreadable"} == set(odd)
    reasons = [row["whole_reason"] for row in table(app)["rows"] if row["id"] in odd]
    assert len(reasons) == len(odd)
    assert all("is invalid: " in reason for reason in reasons)
    assert v3core("runs") == v3core("export", good, "--to", str(database.data_dir / "good.csv")) == 0
    capsys.readouterr()
    assert v3core("runs", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert {run["id"]: run["status"] for run in listed} == {good: "completed", **dict.fromkeys(odd, "unreadable")}
    for run_id in odd:
        assert v3core("stop", run_id) == v3core("resume", run_id) == 1
        assert "Traceback" not in capsys.readouterr().err
        v3core("export", run_id, "--to", str(database.data_dir / "odd.json"))


@pytest.mark.parametrize(("table", "column", "value"), UNREADABLE + PARTLY)
def test_live_says_what_is_odd(open_page, database, table, column, value):
    run_id = add_odd(database, table, column, value)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert "server's log" not in text_of(app), text_of(app)
    if (table, column, value) in UNREADABLE:
        assert f"{column} is " in text_of(app)
        assert "Unreadable" in text_of(app)


def test_compare_goes_on_without_an_odd_run(open_page, database):
    good = [add_recorded_run(database, Status.COMPLETED, name=f"good {number}") for number in range(2)]
    odd = [add_odd(database, *case) for case in UNREADABLE[:3] + PARTLY]
    app = open_page("pages/compare.py", runs=",".join([*good, *odd]))
    assert not app.exception
    assert "server's log" not in text_of(app), text_of(app)
    assert "metric" in [box.key for box in app.selectbox], text_of(app)
    assert {"good 0", "good 1"} <= set(phase_rows(app)["Run"])


def test_launch_is_not_concerned(open_page, database):
    for case in UNREADABLE:
        add_odd(database, *case)
    app = open_page("pages/launch.py")
    assert not app.exception
    assert "server's log" not in text_of(app), text_of(app)
    assert control.current_curriculum(database, add_recorded_run(database, Status.STOPPED))


def v3core(*arguments):
    """A command, in this process; an exception that leaves it fails the test."""
    return main(list(arguments))
