"""What the list on the home page says of a run, and the order of its rows."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs
from v3core.ui.run_list import facts_beside_the_name, in_order, queue_places
from v3core.ui.status import age


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("v3 · CartPole-v1 · seed 1", []),
        ("v3 · CartPole-v1 · seed 12", ["seed 1"]),
        ("mine", ["v3", "CartPole-v1", "seed 1"]),
        ("mine (v3)", ["CartPole-v1", "seed 1"]),
        ("v30", ["v3", "CartPole-v1", "seed 1"]),
    ],
)
def test_the_second_line_says_only_what_the_name_does_not(database, name, facts):
    run = get_run(database, add_recorded_run(database, Status.COMPLETED, name=name))
    *named, ago = facts_beside_the_name(run, run.started_at or run.created_at)
    assert (named, ago) == (facts, f"{age(datetime.now(UTC))} ago")
    assert facts_beside_the_name(replace(run, experiment="Both"), run.created_at)[-1] == "Both"


def test_what_trains_stands_above_what_waits_and_that_above_what_has_ended(database):
    wanted = [Status.COMPLETED, Status.RUNNING, Status.FAILED, Status.QUEUED, Status.PAUSED, Status.QUEUED]
    ids = [add_recorded_run(database, status) for status in wanted]
    runs = list_runs(database)
    shown = [ids.index(run.id) for run in in_order(runs, queue_places(runs))]
    assert shown == [4, 1, 3, 5, 2, 0]
