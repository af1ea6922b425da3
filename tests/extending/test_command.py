"""A command is added by its entry and by what the worker does; all else follows."""

import csv
from collections.abc import Iterator

import pytest

from tests.extending.conftest import Project
from tests.processes import kill_all

ENTRY = """
    Command(
        "greet",
        "Say hello",
        "waving_hand",
        "Notes a greeting in its history.",
        when=TRAINS,
        otherwise="only a training run can greet",
    ),
"""
ANSWER = '''
    def answer_greet(self, row: CommandRow) -> None:
        """Note it."""
        self.remark("Hello.")
        now, done = datetime.now(UTC), {"ids": [row.id], "episode": self._episode}
        self._writer.also(lambda tx: commands.apply_commands(tx, self._run.id, now=now, **done))
'''

LOOK = """
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

    from tests.runs import tiny_config, wait_until
    from tests.waiting import PATIENCE_SECONDS, wait_for
    from v3core.jobs import control
    from v3core.jobs.launcher import enqueue
    from v3core.store.commands import read_commands
    from v3core.store.history import read_events
    from v3core.store.opening import open_database

    database = open_database()
    (run,) = enqueue(database, [tiny_config(episodes=1_000_000)])
    wait_until(database, run, episode=4)
    app = AppTest.from_file("app.py", default_timeout=PATIENCE_SECONDS)
    app.query_params["run"] = run
    app.switch_page("pages/live.py").run()
    button = app.button(key=f"greet:live:{run}")
    assert (button.label, button.help, button.disabled) == ("Say hello", "Notes a greeting in its history.", False)
    button.click().run()
    assert not app.exception
    wait_for(lambda: read_commands(database, run)[-1].applied_at, what="the worker's answer")
    assert "Hello." in [event.message for event in read_events(database, run)]
    app.run()
    (table,) = app.table
    assert list(table.value["Command"]) == ["Say hello"]
    assert "applied after" in table.value["Outcome"][0]
    control.stop(database, run)
    control.wait_stopped(database, run, PATIENCE_SECONDS)
    print(run)
"""


@pytest.fixture
def workers(project: Project) -> Iterator[None]:
    """Those of the copy are ended in any case."""
    yield
    kill_all(project.folder / "recorded")


@pytest.mark.long
@pytest.mark.usefixtures("workers")
def test_a_command_takes_its_entry_and_its_answer(project: Project) -> None:
    kinds = "v3core/jobs/kinds.py"
    first = "    Command(\n        EDIT_CURRICULUM,"
    project.replace(kinds, first, f"{ENTRY.strip(chr(10))}\n{first}")
    project.insert("v3core/jobs/recorder.py", ANSWER, before="    def answer_checkpoint(")
    run = project.run("-c", LOOK).split()[-1]
    refused = project.run("-m", "v3core", "greet", run, fails=True)
    assert f"Run {run[:8]} 'tiny' is already stopped; only a training run can greet." in refused
    project.run("-m", "v3core", "export", run, "--what", "commands", "--to", "commands.csv")
    assert [row["kind"] for row in csv.DictReader(project.read("commands.csv").splitlines())] == ["greet", "stop"]
    project.write_docs("tests/test_docs.py")
    assert "| Say hello | `greet ID` | Notes a greeting in its history. |" in project.read("docs/jobs.md")
