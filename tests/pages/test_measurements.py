"""What is recorded of a run is shown: evaluations, success, the experts, health, and what it is trained with."""

import json
from typing import Any

import pytest

from tests.charts.patched import applied
from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from tests.pages.test_states import phase_rows, text_of
from v3core.charts.look import Look
from v3core.charts.patch import whole
from v3core.jobs.lifecycle import Status
from v3core.metrics import AT_EVALUATIONS, CHARTS, COMPARED, METRICS, SCHEDULE
from v3core.store import schema
from v3core.store.runs import get_run, list_runs, set_compute
from v3core.ui import curriculum_editor
from v3core.ui.chart_sources import NOTHING_RECORDED, AsOfNow, Source, Zoom, draw
from v3core.ui.shared import shared_database


def figures(app, visible: Zoom | None = None) -> dict[str, Any]:
    """The charts and numbers of a page, by name, as the feed sends them to the browser."""
    found = {}
    for element in app.get("bidi_component"):
        data = json.loads(element.proto.json) if element.proto.WhichOneof("data") == "json" else {}
        if "source" in data:
            source = Source(
                **data["source"] | {"runs": tuple(data["source"]["runs"]), "look": Look(**data["source"]["look"])}
            )
            runs = [AsOfNow(shared_database(), run_id) for run_id in source.runs]
            found[source.chart] = applied(None, whole(draw(runs, source, visible)))
    return found


def traces(app, chart: str) -> list[str]:
    return [trace["name"] for trace in figures(app)[chart]["data"] if trace.get("showlegend", True)]


def lacking(app) -> set[str]:
    """The charts that say that they have nothing to show."""
    return {name for name, shown in figures(app).items() if NOTHING_RECORDED in str(shown)}


def test_evaluations_are_marked_on_the_return_chart(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING, evaluated=[10, 20])
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert "Evaluation, mean of 3" in traces(app, "return")
    assert "evaluated at episode 20: 40.0 over 3 episodes" in figures(app)["return"]["layout"]["meta"]["alt"]


def test_without_evaluations_and_success_there_is_no_mark_and_no_chart(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING))
    assert not any(name.startswith("Evaluation") for name in traces(app, "return"))
    assert "success" not in figures(app)
    assert "Success rate" not in text_of(app)


def test_success_has_a_chart_where_the_environment_says(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING, success=True, evaluated=[20]))
    assert traces(app, "success") == ["Rate in last 10", "Evaluation, mean of 3"]


def test_the_experts_are_charted(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING))
    assert traces(app, "entropy") == [
        *("H(E[α]), load", "E[H(α)], steps", "Specialisation within episodes", "Specialisation, pooled by steps"),
        "ln 4 = 1.386",
    ]
    assert traces(app, "effective") == ["Effective experts", "Support", "Dead experts", "N = 4"]
    assert traces(app, "gradients") == [f"Expert {number}" for number in range(1, 5)]
    assert not lacking(app)


def test_health_is_computed_only_when_it_is_opened(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED)
    app = open_page("pages/live.py", run=run_id)
    assert "updates" not in figures(app)
    app.session_state["health"] = True
    app.run()
    assert not app.exception
    assert len(figures(app)["updates"]["data"]) == 4
    assert len(figures(app)["network"]["data"]) == 4


def test_a_run_recorded_before_says_what_it_lacks(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED, older=True)
    app = open_page("pages/live.py", run=run_id)
    app.session_state["health"] = True
    app.run()
    assert not app.exception
    assert lacking(app) == {"effective", "gradients", "network"}
    assert len(figures(app)["updates"]["data"]) == 3
    assert traces(app, "entropy") == ["E[H(α)], steps", "ln 4 = 1.386"]


def test_the_hint_of_a_chart_says_what_each_of_its_metrics_means(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED, success=True)
    texts = []
    for experts in ("true", "false"):  # the section about the experts shows their loads in another chart
        app = open_page("pages/live.py", run=run_id, experts=experts)
        app.session_state["health"] = True
        app.run()
        texts += [shown(markdown.value) for markdown in app.markdown]
    for metric in METRICS.values():
        if metric.chart and metric.chart is not SCHEDULE:
            assert f"**{metric.label}**: {metric.sentence}" in texts
    for chart in CHARTS:
        assert f"**{chart.title}**" in texts
        assert not chart.about or chart.about in texts


@pytest.mark.parametrize(
    ("rollbacks", "sentence"),
    [
        ([], None),
        ([7], "1 update was undone because of a non-finite number, at episode 7;"),
        ([7, 20], "2 updates were undone because of a non-finite number, the newest at episode 20;"),
    ],
)
def test_undone_updates_are_reported_in_one_sentence(open_page, database, rollbacks, sentence):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING, rollbacks=rollbacks))
    # The alarm about them is another.
    warnings = [warning.value for warning in app.warning if "non-finite" in warning.value]
    assert len(warnings) == (1 if sentence else 0)
    assert not sentence or sentence in warnings[0]
    assert sentence or not app.warning


@pytest.mark.parametrize(
    ("preset", "recorded", "sentences"),
    [
        (
            "v3",
            25,
            [
                "Routing sparsemax",
                "4 experts, graph attention GATv1",
                "CartPole-v1",
                "requests the CPU, or CUDA",
            ],
        ),
        ("mixtral", 25, ["Routing top 2 of 4 experts, weights renormalised"]),
        ("mixtral", 0, ["Routing top 2 of 4 experts, weights renormalised"]),
        ("v3-entmax", 20, ["Routing entmax, α 1.4"]),
        ("deepseek-moe", 25, ["top 3 of 7 experts, weights probabilities", "7 experts, 1 shared"]),
        ("no-graph", 25, ["no message passing"]),
    ],
)
def test_the_header_says_what_the_run_is_trained_with(open_page, database, preset, recorded, sentences):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING, preset=preset, recorded=recorded))
    assert not app.exception
    for sentence in sentences:
        assert sentence in text_of(app)
    assert "Environments:" not in text_of(app)


def test_the_header_names_memory_and_what_computes_the_network(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    with database.write() as tx:
        run = get_run(tx, run_id)
        set_compute(tx, run, "cpu", "eager")
        policy = run.config.policy.model_copy(update={"memory": "gru"})
        content = run.config.model_copy(update={"policy": policy, "backend": "eager"}).model_dump_json()
        tx.execute(schema.runs.update().where(schema.runs.c.id == run_id).values(config=content))
    text = text_of(open_page("pages/live.py", run=run_id))
    assert "graph attention GATv1, GRU memory" in text
    assert "on the CPU, computed by torch" in text


def test_environments_are_reported_by_phase_where_they_change(open_page, database):
    app = open_page(
        "pages/live.py", run=add_recorded_run(database, Status.RUNNING, preset="bengio-minigrid", episodes=400)
    )
    (line,) = [caption.value for caption in app.caption if caption.value.startswith("Environments")]
    assert "on MiniGrid-Empty-5x5-v0, then " in line
    assert "on MiniGrid-DoorKey-5x5-v0" in line


def titles(names):
    return [COMPARED[name].label for name in names]


def test_compare_offers_the_metrics_that_the_runs_have(open_page, database):
    new = add_recorded_run(database, Status.COMPLETED, evaluated=[20], success=True)
    old = [add_recorded_run(database, Status.COMPLETED, older=True) for _ in range(2)]
    app = open_page("pages/compare.py", runs=",".join([new, old[0]]), show="Runs")
    used = [name for name, metric in COMPARED.items() if not metric.optional or name == "load_balance_loss"]
    used.remove("knockout_loss")  # no expert was removed
    assert app.selectbox(key="metric").options == titles(used)
    app.selectbox(key="metric").set_value("evaluation").run()
    assert not app.exception
    assert list(figures(app)) == ["compare"]
    app = open_page("pages/compare.py", runs=",".join(old), show="Runs")
    known = {name for name, metric in COMPARED.items() if metric.since == 1 and name not in AT_EVALUATIONS}
    # Of the loads, which were recorded, it can be worked out.
    assert set(app.selectbox(key="metric").options) == set(titles(known | {"effective_experts"}))


def test_the_phase_table_has_what_is_known(open_page, database):
    new = add_recorded_run(database, Status.COMPLETED, success=True)
    old = [add_recorded_run(database, Status.COMPLETED, older=True) for _ in range(2)]
    few = phase_rows(open_page("pages/compare.py", runs=f"{new},{old[0]}"))
    assert list(few.columns) == ["Run", "Phase", "Final return", "Dead"]
    whole = {"phase-columns": "true"}
    table = phase_rows(open_page("pages/compare.py", runs=f"{new},{old[0]}", **whole))
    assert table["Specialisation"][0] == pytest.approx(0.13)
    assert table["Router shift"][0] == pytest.approx(0.03)
    assert table["Success"][0] == pytest.approx(0.5)
    assert table["Specialisation"].isna().sum() > 0
    table = phase_rows(open_page("pages/compare.py", runs=",".join(old), **whole))
    assert not {"Specialisation", "Router shift", "Success"} & set(table.columns)


@pytest.mark.parametrize(("page", "chart"), [("live", "return"), ("compare", "compare")])
def test_what_is_zoomed_to_is_read_episode_by_episode(open_page, database, page, chart):
    run_id, other = (add_recorded_run(database, Status.COMPLETED, episodes=n, recorded=n) for n in (2100, 30))
    query = {"run": run_id} if page == "live" else {"runs": f"{run_id},{other}", "show": "Runs"}
    app = open_page(f"pages/{page}.py", **query)
    assert len(drawn(figures(app)[chart])) == 525
    # The means of the last 100 at the edge have all that they are made of.
    assert drawn(figures(app, Zoom(1000.0, 1010.0, 800))[chart]) == list(range(901, 1111))


def drawn(figure):
    """The episodes of the first line."""
    return next(trace["x"] for trace in figure["data"] if "fill" not in trace)


def test_all_charts_are_looked_at_as_the_address_says(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=250)
    app = open_page("pages/live.py", run=run_id, axis="Step", smooth="100")
    assert not app.exception
    for name, figure in figures(app).items():
        if name != "numbers":
            assert figure["layout"]["xaxis"]["title"]["text"] == "Environment steps"
            assert figure["layout"]["xaxis"]["range"] == [0, 250 * 20]
    assert "Mean of last 100" in traces(app, "return")
    app.segmented_control(key="axis").set_value("Since").run()
    app.selectbox(key="since").set_value("transition").run()
    assert figures(app)["loads"]["layout"]["xaxis"]["range"] == [0, 300]
    app.segmented_control(key="extent").set_value("So far").run()
    assert figures(app)["loads"]["layout"]["xaxis"]["range"] == [0, 150]
    app.segmented_control(key="axis").set_value("Time").run()
    assert not app.exception
    assert "since the start" in figures(app)["return"]["layout"]["xaxis"]["title"]["text"]


def test_a_launch_says_what_each_preset_does_and_which_are_absent(open_page):
    app = open_page("pages/launch.py")
    assert "Softmax warmup with strong load balancing" in text_of(app)
    assert "3 presets are not available: bengio-minigrid, memory-tasks, minihack-tasks" in text_of(app)
    app.selectbox(key="curriculum").set_value("switch").run()
    assert "Switch routing as in the paper" in text_of(app)
    app = open_page("pages/launch.py", env="MiniGrid-DoorKey-5x5-v0")
    assert "2 presets are not available: memory-tasks, minihack-tasks" in text_of(app)


def test_a_preset_whose_package_is_missing_says_what_to_do(open_page, monkeypatch):
    monkeypatch.setattr(curriculum_editor, "is_installed", lambda package: False)
    assert "needs the Python package minihack, which is not installed; run " in text_of(open_page("pages/launch.py"))


def test_the_evaluation_is_part_of_what_is_queued(open_page, database):
    app = open_page("pages/launch.py")
    episodes, every = (app.text_input(key=f"set:evaluation.{name}:CartPole-v1") for name in ("episodes", "every"))
    assert (episodes.value, every.value) == ("10", "")
    episodes.set_value("5").run()
    app.text_input(key="set:evaluation.every:CartPole-v1").set_value("50").run()
    app.button(key="start").click().run()
    assert not app.exception
    (run,) = list_runs(database)
    assert (run.config.evaluation.episodes, run.config.evaluation.every) == (5, 50)
