"""Alarms on charts: their episodes are marked on every chart of the run, and drawn with their evidence."""

import pytest

from tests.charts.test_figures import series
from tests.pages.recorded import add_recorded_run
from v3core.charts.alarm_evidence import evidence_figure
from v3core.charts.look import Look
from v3core.insight.alarms import RULES
from v3core.jobs.lifecycle import Status
from v3core.metrics import CHARTS
from v3core.store.opening import open_database
from v3core.ui.chart_sources import AsOfNow, Source, draw


@pytest.mark.parametrize("chart", [chart.name for chart in CHARTS])
def test_every_chart_of_a_run_marks_its_alarms(tmp_path, chart):
    database = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    run_id = add_recorded_run(database, Status.RUNNING, loads=(0.5, 0.5, 0.0, 0.0))
    layout = draw([AsOfNow(database, run_id)], Source(chart, (run_id,)))["layout"]
    marks = [(shape["x0"], shape["x1"]) for shape in layout["shapes"] if shape.get("name") == "alarm"]
    assert marks == [(9, 25), (9, 25)]
    assert "Alarms: Dead experts, episodes 10 to 25; Two experts share everything" in layout["meta"]["alt"]
    by_step = draw([AsOfNow(database, run_id)], Source(chart, (run_id,), look=Look(x="step")))["layout"]
    assert (180, 500) in [(shape["x0"], shape["x1"]) for shape in by_step["shapes"] if shape.get("name") == "alarm"]
    healthy = add_recorded_run(database, Status.RUNNING)
    layout = draw([AsOfNow(database, healthy)], Source(chart, (healthy,)))["layout"]
    assert not [shape for shape in layout["shapes"] if shape.get("name") == "alarm"]
    database.close()


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.draws], ids=lambda rule: rule.name)
def test_evidence_draws_what_the_rule_reads_where_it_held(rule):
    figure = evidence_figure(series(300), rule, 120, 180)
    assert len(figure.data) >= len(rule.draws)
    (mark,) = [shape for shape in figure.layout.shapes if shape.get("name") == "alarm"]
    assert (mark["x0"], mark["x1"]) == (119, 180)
    low, high = figure.layout.xaxis.range
    assert low <= 119 < 180 <= high
    assert rule.title in figure.layout.meta.alt


def test_each_metric_of_the_evidence_has_a_row_of_its_own():
    rule = next(rule for rule in RULES.values() if len(rule.draws) > 1)
    axes = [trace.yaxis for trace in evidence_figure(series(300), rule, 120, 180).data]
    assert set(axes) == {"y", *(f"y{row}" for row in range(2, len(rule.draws) + 1))}
