"""The charts of the experts draw what is recorded, whatever that is, and plotly takes them."""

import json
import math

import numpy as np
import pytest

from tests.charts.made import made_curve
from tests.charts.test_figures import OF_CHART, checked, payload, series
from v3core.charts.expert_figures import (
    AREA,
    HEATMAP,
    LOADS,
    actions_figure,
    decisions_figure,
    distance_history_figure,
    distances_figure,
    knockout_figure,
    loads_figure,
    map_figure,
)
from v3core.charts.flat import name_places
from v3core.charts.palette import expert_colours
from v3core.charts.patch import whole
from v3core.charts.series import RunSeries
from v3core.insight.experts import ExpertProfile, StateMap
from v3core.insight.removals import removals
from v3core.metrics import GRADIENTS

DISCRETE = {"probabilities": [[0.25, 0.75]], "first": [0]}
KINDS = {
    "discrete": DISCRETE,
    "from one": {"probabilities": [[0.2, 0.3, 0.5]], "first": [1]},
    "several": {"probabilities": [[0.5, 0.5], [0.2, 0.3, 0.5]], "first": [0, 0]},
    "switches": {"on": [0.1, 0.9, 0.5]},
    "numbers": {"mean": [-1.5, 3.0], "deviation": [0.5, 1.0]},
}


def profiles(experts, actions=DISCRETE, *, used=True):
    """Experts whose distance to each other grows with their numbers."""
    return [
        ExpertProfile(1 / experts, 1 / experts, actions, actions if used else None, tuple(
            abs(one - other) / max(experts, 2) for other in range(experts)
        ))
        for one in range(experts)
    ]  # fmt: skip


@pytest.mark.parametrize("metric", LOADS)
@pytest.mark.parametrize("form", [AREA, HEATMAP])
@pytest.mark.parametrize("experts", [1, 4, 64])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_areas_and_heatmap_agree_with_the_rows(metric, form, experts, count):
    loads = np.random.default_rng(count).dirichlet(np.ones(experts), size=count).reshape(count, experts)
    hard = np.eye(experts)[loads.argmax(1)] if count else np.empty((0, experts))
    curve = made_curve({"return": np.zeros(count)}, loads=loads, hard_loads=hard)
    recorded = loads if metric == "load" else hard
    figure = loads_figure(RunSeries("run", curve, total=100), form=form, metric=metric)
    payload(figure)
    if form == HEATMAP:
        (trace,) = figure.data
        assert trace.z.shape == (count, experts)
        assert trace.z == pytest.approx(recorded)
        assert len(trace.y) == experts
        return
    areas = [trace for trace in figure.data if trace.stackgroup]
    assert [trace.name for trace in areas] == [f"Expert {number}" for number in range(1, experts + 1)]
    assert [trace.line.color for trace in areas] == expert_colours(experts)
    for number, trace in enumerate(areas):
        assert trace.x.tolist() == list(range(1, count + 1))
        assert trace.y == pytest.approx(recorded[:, number])
    fair = [trace.y[0] for trace in figure.data if not trace.stackgroup]
    assert fair == pytest.approx([place / experts for place in range(1, experts if experts < 64 else 0)])
    assert sum(bool(trace.showlegend) for trace in figure.data if not trace.stackgroup) == (experts == 4)


@pytest.mark.parametrize("count", [0, 1, 300])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("experts", [1, 4, 64])
def test_any_run_has_all_charts(count, missing, experts):
    run = series(count, experts=experts, missing=missing)
    for figure in (
        *(loads_figure(run, form=form, metric=metric) for form in (AREA, HEATMAP) for metric in LOADS),
        decisions_figure(run),
        distance_history_figure(run, []),
        distance_history_figure(run, [(10, profiles(experts)), (20, profiles(experts))]),
    ):
        checked(figure)
        json.dumps(whole(figure.tree()), allow_nan=False)
        assert figure.layout.meta.alt


def test_exact_zeros_are_what_the_support_leaves():
    run = RunSeries("run", made_curve({"support": [1.0, 3.0, 4.0]}, loads=np.full((3, 4), 0.25)), total=3)
    assert decisions_figure(run).data[-1].y.tolist() == [0.75, 0.25, 0.0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("experts", [1, 4, 64])
@pytest.mark.parametrize("used", [True, False])
def test_actions_of_every_kind(kind, experts, used):
    actions = KINDS[kind]
    figure = actions_figure(
        "run", profiles(experts, actions, used=False) if used else profiles(experts, actions), used=used
    )
    payload(figure)
    figure = actions_figure("run", profiles(experts, actions), used=used)
    payload(figure)
    flat = [value for part in actions.get("probabilities", []) for value in part] or next(iter(actions.values()))
    if figure.data[0].type == "heatmap":
        assert figure.data[0].z.shape == (experts, len(flat))
        assert (figure.data[0].z == flat).all()
    else:
        assert len(figure.data) == experts
        for trace, colour in zip(figure.data, expert_colours(experts), strict=True):
            assert trace.y.tolist() == flat
            assert trace.marker.color == colour, "the colour of the expert everywhere"
    names = {"from one": ["1", "2", "3"], "several": ["1:0", "1:1", "2:0", "2:1", "2:2"]}.get(kind)
    assert names is None or figure.layout.xaxis.ticktext == names


def test_many_names_of_actions_have_room_below_the_chart():
    def figure(count):
        named = {"probabilities": [[1 / count] * count], "first": [0], "names": ["FAR_NW"] * count}
        return actions_figure("run", profiles(4, named), used=False)

    few, many = figure(8), figure(23)
    assert (few.layout.xaxis.automargin, many.layout.xaxis.automargin) == (False, True)
    assert many.layout.height - few.layout.height == 6 * len("Far north-west") - 20


def test_the_matrix_and_its_history_have_the_recorded_distances():
    four, many = profiles(4), profiles(64)
    matrix = distances_figure("run", four)
    payload(matrix)
    assert matrix.data[0].z.tolist() == [list(expert.distances) for expert in four]
    assert "smallest 0.25, mean 0.42, largest 0.75" in matrix.layout.meta.alt
    payload(distances_figure("run", many))
    run = series(30)
    lines = {trace.name: trace.y.tolist() for trace in distance_history_figure(run, [(10, four), (20, four)]).data}
    assert lines["1 and 4"] == [0.75, 0.75]
    assert len(lines) == 6
    lines = {trace.name: trace.y.tolist() for trace in distance_history_figure(run, [(10, many)]).data}
    assert lines["Closest"] == [pytest.approx(1 / 64)]
    assert lines["Farthest"] == [pytest.approx(63 / 64)]
    unknown = [ExpertProfile(None, None, DISCRETE, None, (None, None)) for _ in range(2)]
    payload(distances_figure("run", unknown))
    payload(distance_history_figure(run, [(10, unknown), (20, four)]))


def test_the_map_by_scenario_names_the_most_frequent_and_marks_the_state_that_is_shown():
    count = 40
    places = tuple(range(9)) + (8,) * (count - 9)
    line, zeros = tuple(map(float, range(count))), (0,) * count
    names = tuple(f"<b>{place}" for place in range(9))
    points = StateMap(line, line, zeros, line, zeros, zeros, (0.5, 0.25), scenario=places, scenarios=names)
    figure = map_figure("run", points, 2, by_scenario=True, shown=3)
    payload(figure)
    *groups, ring = figure.data
    assert [trace.name for trace in groups][:2] == ["&#60;b&#62;8", "&#60;b&#62;0"]
    assert groups[-1].name == "2 others"
    assert sorted(x for trace in groups for x in trace.x.tolist()) == list(line)
    assert len({trace.marker.color for trace in groups}) == len(groups) == 8
    assert (ring.x.tolist(), ring.y.tolist()) == ([3.0], [3.0])


def test_the_map_has_every_state_once_in_the_colour_of_its_expert():
    points = StateMap((0.0, 1.0, 2.0), (3.0, 4.0, 5.0), (2, 0, 2), (0.9, 0.8, 0.7), (1, 1, 2), (0, 7, 3), (0.5, 0.25))
    figure = map_figure("run", points, 4)
    payload(figure)
    assert [(trace.name, trace.x.tolist(), trace.marker.color) for trace in figure.data] == [
        ("Expert 1", [1.0], expert_colours(4)[0]),
        ("Expert 3", [0.0, 2.0], expert_colours(4)[2]),
    ]
    assert figure.data[1].customdata.tolist() == [[1, 0, 0.9, 3], [2, 3, 0.7, 3]]
    assert "50% of the variance" in figure.layout.xaxis.title.text
    payload(map_figure("run", StateMap((), (), (), (), (), (), ()), 1))
    odd = StateMap((0.0,), (0.0,), (-3,), (0.5,), (1,), (0,), (0.0, 0.0))
    assert map_figure("run", odd, 2).data == []


@pytest.mark.parametrize(("count", "experts"), [(1, 2), (10, 4), (20, 64)])
def test_bars_with_intervals_for_each_expert(count, experts):
    random = np.random.default_rng(0)
    complete = random.normal(100, 10, count).tolist()
    without = {expert: random.normal(50, 20, count).tolist() for expert in range(experts)}
    found = removals(complete, without)
    figure = knockout_figure("run", complete, found)
    payload(figure)
    (bars,) = figure.data
    assert bars.y == pytest.approx([np.mean(values) for values in without.values()])
    assert bars.marker.color == expert_colours(experts)
    assert math.isnan(bars.error_y.array[0]) == (count == 1), "one episode has no interval"
    assert figure.layout.shapes[0].y0 == pytest.approx(np.mean(complete))
    assert ("needed" in figure.layout.meta.alt) == (count > 1)
    json.dumps(whole(figure.tree()), allow_nan=False)
    nothing = knockout_figure("run", [math.nan], removals([math.nan], {0: [math.nan]}))
    payload(nothing)
    json.dumps(whole(nothing.tree()), allow_nan=False)


def test_axes_reach_a_little_beyond_the_states_and_experts_are_counted_from_one():
    line = (0.0, 10.0, 20.0)
    points = StateMap(line, (5.0,) * 3, (0, 1, 1), (0.9,) * 3, (1, 1, 1), (0, 1, 2), (0.5,))
    layout = map_figure("run", points, 2).layout
    assert (layout.xaxis.range, layout.yaxis.range) == ([-1, 21], [4, 6])
    assert "Axis 2 (0% of the variance)" in layout.yaxis.title.text
    assert distances_figure("run", profiles(4)).data[0].customdata == [["1", "2", "3", "4"]] * 4


@pytest.mark.parametrize(
    ("actions", "names", "values"),
    [
        ({"probabilities": [[0.2, 0.8]], "first": [3]}, ["3", "4"], [0.2, 0.8]),
        ({"probabilities": [[0.2, 0.8]]}, ["0", "1"], [0.2, 0.8]),
        (
            {"probabilities": [[0.2, 0.8], [0.5, 0.4, 0.1]], "first": [0, 5]},
            ["1:0", "1:1", "2:5", "2:6", "2:7"],
            [0.2, 0.8, 0.5, 0.4, 0.1],
        ),
        ({"on": [0.3, 0.9]}, ["1", "2"], [0.3, 0.9]),
        ({"mean": [0.3, -2.0], "deviation": [0.1, 0.5]}, ["1", "2"], [0.3, -2.0]),
    ],
)
def test_actions_have_their_own_numbers_and_values(actions, names, values):
    experts = [ExpertProfile(0.5, 0.5, actions, None, (0, None)), ExpertProfile(0.5, 0.5, actions, None, (None, 0))]
    figure = actions_figure("run", experts, used=False)
    assert list(figure.layout.xaxis.ticktext) == names
    for place, trace in enumerate(figure.data):
        assert list(trace.y) == values
        assert trace.name == f"Expert {place + 1}"
        if "deviation" in actions:
            assert list(trace.error_y.array) == actions["deviation"]
            np.testing.assert_allclose(trace.x, np.arange(2) + 0.7 * (place - 0.5) / 2)


def test_loads_say_the_fair_share_and_a_history_is_over_episodes():
    run = series(30)
    titles = {form: loads_figure(run, form=form, metric="load").layout.yaxis.title for form in (AREA, HEATMAP)}
    assert titles[AREA]["text"] == "Load (fair: 25%)"
    assert not (titles[HEATMAP] or {}).get("text")
    history = distance_history_figure(run, [(10, profiles(4)), (25, profiles(4))])
    assert all(trace.x.tolist() == [10, 25] for trace in history.data)


@pytest.mark.parametrize(("value", "most"), [(0.1, 0.1), (0.0, 1.0)])
def test_a_heatmap_of_a_single_value_has_a_bar_from_0(value, most):
    curve = made_curve(
        {"return": np.ones(20)}, loads=np.full((20, 64), 0.01), expert_grad_norms=np.full((20, 64), value)
    )
    trace = OF_CHART[GRADIENTS](RunSeries("run", curve, total=100)).data[0]
    assert (trace.type, trace.zmin, trace.zmax) == ("heatmap", 0, most)


def test_rows_of_many_experts_fit_on_a_screen():
    heights = [distances_figure("run", profiles(experts)).layout.height for experts in (4, 16, 32, 64)]
    assert heights == sorted(heights)
    assert heights[-1] <= 640


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([str(number) for number in range(1, 65)], ["1", "7", "13", "19", "25", "31", "37", "43", "49", "55", "61"]),
        ([str(number) for number in range(1, 13)], [str(number) for number in range(1, 13)]),
        ([f"turn {number}" for number in range(18)], [f"turn {number}" for number in range(18)]),
    ],
)
def test_numbers_on_an_axis_fit_on_a_phone_and_words_are_all_there(names, shown):
    assert name_places(names)["ticktext"] == shown
