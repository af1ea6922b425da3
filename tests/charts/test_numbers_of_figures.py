"""Points, intervals and bands of charts lie where the numbers say, worked by hand."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.charts.made import made_curve
from tests.charts.test_group_figures import GroupStyle, final_figure, result, sweep_figure
from tests.store.conftest import START
from tests.store.recorded import process_sample
from v3core.charts.branches import branches_figure, difference_figure
from v3core.charts.figure import Figure
from v3core.charts.group_curves import _with_neighbour
from v3core.charts.outcomes import profile_figure
from v3core.charts.palette import METRICS
from v3core.charts.process import memory_figure, pace_figure, processor_figure, time_figure
from v3core.charts.series import PhaseBand, RunSeries
from v3core.charts.task_figures import tasks_figure
from v3core.charts.timelines import Timeline, timelines_figure
from v3core.insight.estimates import Estimate
from v3core.insight.grids import Band, Grid
from v3core.insight.profiles import performance_profile

LOOK = GroupStyle("#1f78d1")


def lines(figure: Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_an_interval_reaches_from_its_lower_to_its_upper_end():
    group = result("v3", [10.0, 20.0, 30.0, 50.0, 90.0])
    mean = final_figure([group], [LOOK], label="Return").data[1]
    final = group.final
    assert mean.x == [final.value]
    assert final.value - mean.error_x.arrayminus[0] == pytest.approx(final.low)
    assert final.value + mean.error_x.array[0] == pytest.approx(final.high)
    ends = [Estimate(5.0, 2.0, 9.0, 5), Estimate(6.0, None, None, 3), Estimate(np.nan, None, None, 0)]
    points = [(value, replace(result("v3", []), final=end)) for value, end in enumerate(ends, 1)]
    _runs, line = sweep_figure([("v3", LOOK, points)], setting="Epochs", label="Return").data
    assert (line.x, line.y) == ([1, 2], [5, 6])
    assert (line.error_y.array, line.error_y.arrayminus) == ([4, 0], [3, 0])
    assert line.marker.symbol == ["circle", "circle-open"]


def test_a_profile_has_its_interval_around_the_shares():
    profile = performance_profile([np.linspace(0, 1, 9)] * 2, np.array([0.2, 0.6]))
    high, low, share = sorted(
        profile_figure([("v3", LOOK, profile)]).data, key=lambda trace: trace.name or "", reverse=True
    )[-3:]
    bands = [trace for trace in (high, low, share) if trace.name != "v3"]
    drawn = {tuple(np.round(trace.y, 6)) for trace in bands}
    assert drawn == {tuple(np.round(profile.low, 6)), tuple(np.round(profile.high, 6))}
    for trace in (high, low, share):
        np.testing.assert_array_equal(trace.x, profile.scores)


def test_a_process_is_drawn_in_the_units_that_it_says():
    samples = [
        process_sample(),
        process_sample(
            at=START + timedelta(seconds=20),
            seconds=10.0,
            steps=5000,
            environments=3.0,
            learning=2.0,
            cpu=15.0,
            waited=1.0,
        ),
    ]
    times = [15.0, 35.0]
    pace = lines(pace_figure("run", samples))["Steps per second"]
    assert (pace.x, pace.y) == (times, [2000, 500])
    used = lines(processor_figure("run", samples))
    assert used["Processors in use"].y == pytest.approx([14 / 15, 1.5])
    assert used["Waiting for a processor"].y == pytest.approx([0.25 / 15, 0.1])
    assert used["Machine in use"].y == [0.5, 0.5]
    assert lines(memory_figure("run", samples))["Memory, MiB"].y == pytest.approx([3e8 / 2**20] * 2)
    shares = {name: trace.y for name, trace in lines(time_figure("run", samples)).items()}
    assert [4 / 15, 0.4] in [pytest.approx(share) for share in shares.values()]
    assert sum(np.array(share) for share in shares.values()) == pytest.approx([1, 1])


@pytest.mark.parametrize("share", [True, False])
def test_each_task_is_a_line_of_its_own_looks(share: bool):
    curves = {f"task {place}": [(10, 0.1 * place), (20, 0.5)] for place in range(2 * len(METRICS))}
    figure = tasks_figure("run", curves, title="Success", share=share)
    assert len({(trace.line.color, trace.line.dash) for trace in figure.data}) == len(curves)
    assert len({(trace.line.color, trace.marker.symbol) for trace in figure.data}) == len(curves)
    for place, trace in enumerate(figure.data):
        assert (trace.x, trace.y) == ([10, 20], [0.1 * place, 0.5])
        assert ("%{y:.0%}" in trace.hovertemplate) == share
    assert figure.layout.xaxis.range == [0, 20]


def test_a_fork_is_drawn_from_the_last_point_of_its_trunk():
    returns = np.arange(1.0, 201.0)
    runs = [RunSeries(name, made_curve({"return": returns}), total=200) for name in ("trunk", "fork")]
    trunk, fork = branches_figure(runs, [0, 50], ["v3", "switch"]).data
    means = [returns[max(0, end - 20) : end].mean() for end in range(1, 201)]
    np.testing.assert_allclose(trunk.y, means)
    assert list(fork.x) == list(range(50, 201))
    np.testing.assert_allclose(fork.y, means[49:])
    assert fork.line.color != trunk.line.color


def test_a_difference_has_every_pair_and_the_band_around_its_mean():
    x = np.array([60.0, 70.0, 80.0])
    grid = Grid("return", "episode", None, x, np.array([[1.0, 2, 3], [4.0, 5, 6]]), ("a", "b"))
    band = Band(x, np.array([2.0, 3, 4]), np.array([1.0, 2, 2]), np.array([3.0, 5, 9]), np.array([2, 2, 2]))
    figure = difference_figure(grid, band, 50, "v3", "switch")
    assert [list(trace.y) for trace in figure.data] == [[1, 2, 3], [4, 5, 6], [1, 2, 2], [3, 5, 9], [2, 3, 4]]
    assert all(list(trace.x) == [60, 70, 80] for trace in figure.data)
    assert figure.layout.xaxis.range == [50, 80]


def test_phases_of_curricula_are_numbered_from_one_with_their_words():
    bands = [PhaseBand("warmup", 0, 40, routing="softmax"), PhaseBand("fine", 40, 100, routing="sparsemax")]
    figure = timelines_figure([Timeline("v3", "v3", bands)])
    words = [text for (text,) in figure.data[0].customdata]
    assert "warmup" in words[0]
    assert "softmax" in words[0]
    assert "sparsemax" in words[1]
    assert [band["texts"][-1] for band in figure.layout.meta["bands"]] == ["1", "2"]


def test_a_dotted_part_begins_where_the_solid_one_ends():
    solid = np.array([True, True, False, False, True])
    part = np.array([False, False, True, True, False])
    assert _with_neighbour(part, solid).tolist() == [False, True, True, True, True]
    assert _with_neighbour(solid, part).tolist() == [True, True, True, True, True]
    alone = np.array([False, True, False, False, False])
    assert _with_neighbour(alone, np.zeros(5, dtype=bool)).tolist() == alone.tolist()
