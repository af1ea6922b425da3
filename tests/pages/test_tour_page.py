"""The tour: its text with no run, and a run beside it."""

import pytest

from tests.pages.recorded import add_recorded_run
from tests.pages.test_states import text_of
from v3core.claims.statements import claims
from v3core.jobs.lifecycle import Status
from v3core.ui.shell import PAGES


def test_without_a_run_it_explains_and_offers_the_demo(open_page, database):
    app = open_page("pages/tour.py")
    assert not app.exception
    assert not app.error
    assert [header.value for header in app.subheader] == [
        "The bicycle: a policy that is learned as a whole",
        "The training wheels: a curriculum of the routing",
        "Three misunderstandings",
        "Does it help? What was measured",
    ]
    assert app.button(key="start-demo")
    assert len(app.get("page_link")) == len(PAGES) + 2


def test_beside_it_is_a_run_with_the_phases_that_it_has(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED, recorded=30, preset="v3")
    app = open_page("pages/tour.py", run=run_id)
    assert not app.exception
    assert not app.error
    phases = app.table[0].value
    assert list(phases["Phase"]) == ["warmup", "transition", "fine-tune"]
    assert list(phases["Routing"]) == ["softmax", "sparsemax", "sparsemax"]
    assert phases["Temperature"][1] == "1 → 0.5"
    assert "end of the run" in phases["Ends"][2]


def test_every_claim_has_a_verdict_of_the_studies_or_of_a_benchmark(open_page, database):
    rows = open_page("pages/tour.py").table[0].value
    assert len(rows) == len(claims())
    verdicts = dict(zip(rows["Claim"], rows["Verdict"], strict=True))
    assert verdicts["The curriculum costs nothing at inference"] == "Measured by a benchmark"
    assert "comparison" in verdicts["A softmax warmup prevents the collapse of experts"]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.FAILED])
def test_a_run_without_an_episode_is_no_obstacle(open_page, database, status):
    run_id = add_recorded_run(database, status, recorded=0)
    app = open_page("pages/tour.py", run=run_id)
    assert not app.exception
    assert not app.error


def test_a_run_that_is_not_there_is_said(open_page, database):
    add_recorded_run(database, Status.COMPLETED, recorded=5)
    app = open_page("pages/tour.py", run="nowhere")
    assert "There is no run 'nowhere'" in text_of(app)
