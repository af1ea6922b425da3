"""The section of Live about a run's process."""

import json

from sqlalchemy import update

from tests.charts.patched import applied
from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from tests.store.recorded import process_sample
from v3core.jobs.lifecycle import Status
from v3core.store.process_samples import add_process_sample
from v3core.store.schema import runs
from v3core.ui import process_panel


def opened(open_page, run_id):
    """Live with the section open."""
    app = open_page("pages/live.py", run=run_id)
    app.session_state["process"] = True
    return app.run()


def drawn_here(app):
    """The figures that the page itself draws, by what they show."""
    data = [json.loads(element.proto.json) for element in app.get("bidi_component") if element.proto.json]
    found = [applied(None, json.loads(each["figure"])) for each in data if isinstance(each, dict) and "figure" in each]
    return {figure["layout"]["uirevision"].partition(":")[0]: figure for figure in found}


def test_it_reads_nothing_until_it_is_opened(open_page, database, monkeypatch):
    run_id = add_recorded_run(database, Status.RUNNING)
    monkeypatch.setattr(process_panel, "read_process_samples", None)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert "Process" in {expander.label for expander in app.expander}


def test_it_says_why_a_run_is_slow_with_the_numbers_of_the_last_minute(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    with database.write() as tx:
        add_process_sample(tx, run_id, process_sample(seconds=600.0, steps=0))  # older than a minute
        for _ in range(4):
            add_process_sample(tx, run_id, process_sample(environments=12.0, acting=1.0, learning=1.5, updates=3))
    app = opened(open_page, run_id)
    assert not app.exception
    assert any("The environments take 80% of the time" in shown(markdown.value) for markdown in app.markdown)
    numbers = {metric.label: metric.value for metric in app.metric}
    assert (numbers["Steps per second"], numbers["Seconds per update"]) == ("2,000", "0.5")
    assert (numbers["Processors in use"], numbers["Memory in use"], numbers["Threads"]) == ("0.93", "286 MiB", "3")
    assert "GPU memory" not in numbers
    drawn = drawn_here(app)
    assert {"process-time", "process-cpu", "process-pace", "process-memory"} <= set(drawn)
    assert len(drawn["process-time"]["data"]) == 5
    assert sum(trace["y"][-1] for trace in drawn["process-time"]["data"]) == 1


def test_it_says_what_memory_costs(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    with database.write() as tx:
        add_process_sample(tx, run_id, process_sample())
    assert not any("The policy has memory" in shown(caption.value) for caption in opened(open_page, run_id).caption)
    with database.write() as tx:
        config = json.loads(tx.execute(runs.select().where(runs.c.id == run_id)).one().config)
        config["policy"]["memory"], config["backend"] = "gru", "native"
        tx.execute(update(runs).where(runs.c.id == run_id).values(config=json.dumps(config), device="cpu"))
    app = opened(open_page, run_id)
    assert not app.exception
    assert any(
        "The policy has memory (GRU): learning goes through its rollouts in pieces of 64 steps" in shown(caption.value)
        for caption in app.caption
    )
    said = [shown(one.value) for one in [*app.markdown, *app.caption]]
    assert any("the graph computed by the native library, memory and heads by torch" in text for text in said)


def test_without_samples_it_says_when_there_will_be_one(open_page, database):
    app = opened(open_page, add_recorded_run(database, Status.RUNNING))
    assert not app.exception
    assert any("No samples of the run's process yet" in shown(caption.value) for caption in app.caption)
