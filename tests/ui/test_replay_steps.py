"""What is known of a step, for the browser: of the step asked for, or a sentence."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from tests.made_replays import made
from v3core.insight.replays import MEDIAN
from v3core.jobs.kept_replays import write_replays
from v3core.jobs.made_replays import State, Wanted, made_folder, write_state
from v3core.store.opening import open_database
from v3core.ui import replay_steps

RUN = "00000000-0000-0000-0000-000000000000"
REPLAY = made(5, 3)


@pytest.fixture
def database(tmp_path: Path, monkeypatch) -> Iterator[None]:
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    monkeypatch.setattr(replay_steps, "shared_database", lambda: opened)
    write_replays(opened, RUN, 7, {MEDIAN: REPLAY}, experts=3, boundaries=())
    yield opened
    opened.close()


def answer(query: str) -> tuple[int, dict]:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query.encode()}
    response = asyncio.run(replay_steps.endpoint(Request(scope)))
    return response.status_code, json.loads(response.body)


@pytest.mark.parametrize("step", [1, 4, 5])
def test_a_step_has_the_numbers_that_were_recorded(database, step):
    status, said = answer(f"run={RUN}&episode=7&seed=&step={step}&layer=&head=")
    assert (status, said["step"]) == (200, step)
    gates = next(part for part in said["explained"] if part["title"].startswith("Gates"))
    by_expert = {row[0]: float(row[1].split()[0]) for row in gates["rows"]}
    assert [by_expert[f"Expert {expert + 1}"] for expert in range(3)] == pytest.approx(REPLAY.gates[step - 1], rel=1e-5)
    assert said["graph"] is None
    assert "checkpoint" in said["graph_note"]


def test_what_is_being_computed_is_not_said_to_be_missing(database):
    folder = made_folder(database, Wanted(RUN, 7, None))
    folder.mkdir(parents=True)
    write_state(folder, State(stage="drawing"))
    assert answer(f"run={RUN}&episode=7&step=1")[1]["graph_note"] == replay_steps.NOT_YET


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (f"run={RUN}&episode=7&step=two", "'two' is not a whole number."),
        (f"run={RUN}&episode=7&step=1&layer=-1", "'-1' is not a whole number."),
        (f"run={RUN}&episode=8&step=1", "The episode is not played yet."),
        (f"run={RUN}&episode=7&seed=3&step=1", "The episode is not played yet."),
        ("run=../../etc&episode=7&step=1", "There is no run '../../etc'."),
        ("", "'' is not a whole number."),
    ],
)
def test_an_address_that_names_no_step_is_refused(database, query, sentence):
    assert answer(query) == (400, {"error": sentence})
