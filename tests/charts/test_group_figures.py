"""Charts of groups of runs draw what was compared, say how certain it is, and plotly takes them."""

import numpy as np
import plotly.graph_objects as go
import pytest

from v3core.charts.group_curves import GroupCurve, groups_figure
from v3core.charts.outcomes import (
    GroupStyle,
    final_figure,
    parallel_figure,
    phases_figure,
    profile_figure,
    sweep_figure,
)
from v3core.charts.palette import curriculum_colour
from v3core.charts.series import PhaseBand
from v3core.charts.timelines import Timeline, timelines_figure
from v3core.insight.compared import GroupResult, RunResult
from v3core.insight.estimates import iqm_of
from v3core.insight.grids import Grid, band
from v3core.insight.profiles import performance_profile


def checked(figure):
    """As plotly itself reads it: it refuses what it does not know."""
    return go.Figure(figure.tree())


def curve(name, rows, x=(10.0, 20.0, 30.0)):
    grid = Grid("return", "step", None, np.array(x), np.array(rows), tuple(f"{name}{row}" for row in range(len(rows))))
    return GroupCurve(name, "#1f78d1", "solid", grid, band(grid))


def drawn(*groups, **more):
    return checked(groups_figure(groups, name="n", label="Return", axis="step", **more))


def lines(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_a_group_of_five_has_its_mean_its_interval_and_every_run():
    rows = [[value, value + 1, value + 2] for value in (1.0, 2.0, 3.0, 4.0, 10.0)]
    figure = drawn(curve("v3", rows))
    mean = next(trace for trace in figure.data if trace.showlegend)
    assert mean.y[0] == pytest.approx(3.0), "the interquartile mean of 1, 2, 3, 4, 10 leaves out 1 and 10"
    low, high = mean.customdata[0][:2]
    assert low < 3 < high
    assert [trace.y[0] for trace in lines(figure, "v3, interval")] == [high, low]
    runs = figure.data[0]
    assert [value for value in runs.y if not np.isnan(value)] == [value for row in rows for value in row]
    assert np.isnan(runs.y[3]), "a gap between two runs"


def test_three_and_four_are_exploratory_without_an_interval_and_fewer_are_their_runs_only():
    three = drawn(curve("v3", [[1.0, 1, 1]] * 3))
    assert [trace.name for trace in three.data if trace.showlegend] == ["v3 (exploratory)"]
    assert three.data[-1].line.dash == "dot"
    assert not lines(three, "v3, interval")
    two = drawn(curve("v3", [[1.0, 1, 1]] * 2))
    assert [(trace.name, len(trace.y)) for trace in two.data] == [("v3", 8)]


def test_where_runs_end_the_count_falls_and_the_interval_ends():
    rows = [[1.0, 1, 1]] * 4 + [[1.0, 1, np.nan]]
    figure = drawn(curve("v3", rows), common=20.0)
    (count,) = lines(figure, "v3, runs")
    assert list(count.y) == [5, 5, 4]
    assert len(lines(figure, "v3, interval")[0].x) == 2
    dotted = next(trace for trace in figure.data if trace.line.dash == "dot")
    assert list(np.isnan(dotted.y)) == [True, False, False], "it begins where the solid line ends"
    (line,) = [shape for shape in figure.layout.shapes if shape.name == "common"]
    assert line.x0 == 20


@pytest.mark.parametrize("rows", [[], [[np.nan] * 3] * 5])
def test_groups_without_a_value_are_drawn_as_nothing(rows):
    figure = drawn(curve("v3", rows or np.empty((0, 3))))
    assert "no values" in figure.layout.meta["alt"]


def result(name, finals, env="CartPole-v1"):
    runs = tuple(
        RunResult(f"{name}{seed}", f"{name} {seed}", seed, "completed", 10, 100, final, "", None)
        for seed, final in enumerate(finals, 1)
    )
    return GroupResult(name, env, "v3", runs, iqm_of(finals), None, 0, 0, 0)


@pytest.mark.parametrize(("count", "marks"), [(1, 0), (2, 0), (3, 1), (5, 1)])
def test_final_values_are_points_and_from_three_on_a_mean(count, marks):
    group = result("v3", [float(value) for value in range(count)])
    figure = checked(final_figure([group], [GroupStyle("#1f78d1")], label="Return"))
    points, *means = figure.data
    assert sorted(points.x) == list(range(count))
    assert [seed for (seed,) in points.customdata] == list(range(1, count + 1))
    assert len(means) == marks
    if means:
        assert means[0].x[0] == group.final.value
        assert (means[0].error_x.array is not None) == (count >= 5)


def test_a_run_that_does_not_count_is_no_point():
    group = result("v3", [1.0, 2.0])
    left_out = RunResult("x", "x", 3, "failed", 1, 1, float("nan"), "failed", None)
    group = GroupResult(**{**vars(group), "runs": (*group.runs, left_out)})
    assert len(checked(final_figure([group], [GroupStyle("#1f78d1")], label="Return")).data[0].x) == 2


def test_phases_have_a_box_from_five_runs_on_and_points_below():
    values = [{"warm": [1.0] * 5, "fine": [2.0] * 5}, {"warm": [1.0, 3.0]}]
    figure = checked(
        phases_figure(
            ["warm", "fine"], values, ["many", "few"], [GroupStyle("#1f78d1"), GroupStyle("#d55e00")], label="Return"
        )
    )
    many, few = figure.data
    assert list(many.x) == ["warm"] * 5 + ["fine"] * 5
    assert many.line.color == "#1f78d1"
    assert few.line.color == "rgba(0,0,0,0)"
    assert list(few.y) == [1, 3]


def test_a_sweep_is_a_line_over_the_values_with_intervals_on_a_suitable_axis():
    points = [(value, result("v3", [value + more for more in range(5)])) for value in (0.001, 0.01, 0.1)]
    figure = checked(sweep_figure([("v3", GroupStyle("#1f78d1"), points)], setting="Load balance", label="Return"))
    runs, line = figure.data
    assert list(line.x) == [0.001, 0.01, 0.1]
    assert list(zip(runs.x, runs.y, strict=True)) == [(value, value + more) for value, _ in points for more in range(5)]
    assert all(above > 0 for above in line.error_y.array)
    assert figure.layout.xaxis.type == "log"
    linear = checked(sweep_figure([("v3", GroupStyle("#1f78d1"), points[1:])], setting="Load balance", label="Return"))
    assert linear.layout.xaxis.type is None


def test_swept_settings_in_parallel_have_a_line_per_run_at_its_values():
    axes = [("Epochs", ["1", "2", "4"]), ("Rate", ["0.1", "0.2"])]
    runs = [((0, 1), 5.0, "one"), ((2, 0), 7.0, "two"), ((1, 1), float("nan"), "three")]
    figure = checked(parallel_figure(axes, runs, label="Return"))
    by_name = {trace.name: trace for trace in figure.data if trace.name}
    assert list(by_name["one"].y) == [0, 1]
    assert list(by_name["two"].y) == [1, 0]
    assert by_name["one"].line.color != by_name["two"].line.color
    assert "no final value" in by_name["three"].hovertemplate
    assert [note.text for note in figure.layout.annotations] == ["1", "2", "4", "0.1", "0.2"]


def test_curricula_stand_above_one_another():
    bands = [PhaseBand("warmup", 0, 40, routing="softmax"), PhaseBand("fine", 40, 100, routing="sparsemax")]
    figure = checked(
        timelines_figure([Timeline("v3", "v3", bands), Timeline("switch", "switch", [PhaseBand("all", 0, 80)])])
    )
    assert [list(trace.base) for trace in figure.data] == [[0, 40], [0]]
    assert [list(trace.x) for trace in figure.data] == [[40, 60], [80]]
    assert list(figure.layout.xaxis.range) == [0, 100]
    assert [note.text for note in figure.layout.annotations] == ["warmup", "fine", "all"]


@pytest.mark.parametrize(("runs", "traces"), [(4, 1), (5, 3)])
def test_a_profile_is_the_share_of_runs_above_each_score(runs, traces):
    scores = [np.linspace(0, 1, runs), np.linspace(0, 1, runs)]
    profile = performance_profile(scores, np.array([-0.5, 0.5, 1.0]))
    figure = checked(profile_figure([("v3", GroupStyle("#1f78d1"), profile)]))
    assert len(figure.data) == traces, "an interval from five runs on"
    assert list(figure.data[-1].y) == [1, 0.5 if runs == 4 else 0.4, 0]


def test_a_phase_without_a_place_is_named_after_the_last_that_has_one():
    bands = [PhaseBand("warmup", 0, 40, routing="softmax")]
    figure = checked(timelines_figure([Timeline("v3", "v3", bands, later=("sparse", "fine"))]))
    assert [note.text for note in figure.layout.annotations] == ["warmup → sparse → fine"]
    assert "sparse, fine" in figure.layout.meta["alt"]


def test_edits_of_a_curriculum_have_its_colour_in_timelines_over_steps():
    rows = [Timeline(f"v3 · lr={lr}", "v3 (edited)", [PhaseBand("all", 0, 5_000)]) for lr in (1, 2)]
    figure = checked(timelines_figure(rows, unit="step"))
    assert figure.layout.xaxis.title.text == "Environment steps"
    assert {trace.marker.line.color for trace in figure.data} == {curriculum_colour("v3")}
    assert "steps 1 to 5,000" in figure.data[0].customdata[0][0]
