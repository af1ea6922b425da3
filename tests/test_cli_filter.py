"""`runs --filter` and `note`: the command line's part of finding and tagging runs."""

import json

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.cli import main
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.runs import get_run


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command on a database of its own; returns its exit code and what it printed."""
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)

    def run(*arguments):
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_runs_are_filtered_and_tags_added_and_removed(command):
    database = open_database()
    first, second = (add_recorded_run(database, status) for status in (Status.COMPLETED, Status.FAILED))
    assert command("note", first[:8], "--tags", "old, paper", "--notes", "Promising.")[0] == 0
    assert command("note", first, "--add-tags", "new", "--remove-tags", "old") == (0, "Noted.\n", "")
    assert get_run(database, first).tags == "paper new"
    for wanted, expected in (
        ("tag:new", [first]),
        ("promising -tag:old", [first]),
        ("status:failed", [second]),
        ("-status:failed", [first]),
    ):
        assert [run["id"] for run in json.loads(command("runs", "--json", "--filter", wanted)[1])] == expected
        assert [line.split()[0] for line in command("runs", "--filter", wanted)[1].splitlines()] == [
            run_id[:8] for run_id in expected
        ]
    assert command("runs", "--filter", "tag:none") == (0, "", "No runs match.\n")
    assert json.loads(command("runs", "--json", "--filter", "tag:none")[1]) == []
    database.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("runs", "--filter", "x status:faild"), "“status:faild”: it names no status; did you mean status:failed?"),
        (("note", "12"), "Nothing to change: give --tags, --add-tags, --remove-tags or --notes."),
        (("note", "12", "--tags", "a", "--add-tags", "b"), "Give either --tags, which replaces all tags"),
    ],
)
def test_a_mistake_is_one_sentence(command, arguments, sentence):
    code, out, err = command(*arguments)
    assert (code, out) == (1, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
