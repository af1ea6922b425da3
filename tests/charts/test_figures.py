"""Figures: drawn from any data, and saying what the data says."""

import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.charts.made import made_curve
from v3core.charts.compare import compare_figure, metrics_of
from v3core.charts.expert_figures import decisions_figure
from v3core.charts.figure import Figure
from v3core.charts.figures import (
    effective_experts_figure,
    entropy_figure,
    expert_gradients_figure,
    expert_loads_figure,
    return_figure,
    rows_figure,
    success_figure,
)
from v3core.charts.frame import drawn_words
from v3core.charts.schedule import curriculum_preview, knobs_in_use, planned_curve, schedule_figure
from v3core.charts.series import EvaluationPoint, RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import BaseValues, Curriculum, Phase, PhaseStart, Ramp, Until, load_preset, preset_names, scaled
from v3core.metrics import (
    CHARTS,
    COMPARED,
    DECISIONS,
    EFFECTIVE,
    ENTROPY,
    ENTROPY_SHARE,
    EVALUATION,
    EVALUATION_SUCCESS,
    GRADIENTS,
    KNOCKOUT,
    LOADS,
    LOSSES,
    METRICS,
    MOST_USED_LOAD,
    NETWORK,
    POOLED_EXPERTS,
    RETURN,
    SCHEDULE,
    SUCCESS,
    UPDATES,
    Chart,
    of_chart,
)
from v3core.rollup import COUNT, Series
from v3core.store.bulk import COLUMNS

BASE = BaseValues(lr=1e-3, load_balance=0.02, entropy=0.01)
TOTAL = 1000
CURRICULUM = scaled(load_preset("v3"), TOTAL)
OF_CHART: Mapping[Chart, Callable[[RunSeries], Figure]] = {
    RETURN: lambda series: return_figure(series, threshold=475),
    SUCCESS: success_figure,
    LOADS: expert_loads_figure,
    ENTROPY: entropy_figure,
    DECISIONS: decisions_figure,
    EFFECTIVE: effective_experts_figure,
    GRADIENTS: expert_gradients_figure,
    LOSSES: lambda series: rows_figure(series, LOSSES),
    SCHEDULE: lambda series: schedule_figure(series, CURRICULUM, BASE),
    UPDATES: lambda series: rows_figure(series, UPDATES),
    NETWORK: lambda series: rows_figure(series, NETWORK),
}
FIGURES = {
    **{chart.name: figure for chart, figure in OF_CHART.items()},
    "compare": lambda series: compare_figure([series, series]),
}


def series(count: int, *, experts: int = 4, missing: bool = False, total: int = TOTAL) -> RunSeries:
    """A run with a number in every column, or with episodes and no number but their loads."""
    random = np.random.default_rng(count)
    loads = random.dirichlet(np.ones(experts), size=count) if experts > 1 else np.ones((count, experts))
    return RunSeries(
        name="run",
        curve=made_curve(
            {name: np.full(count, np.nan) if missing else random.random(count) for name in COLUMNS},
            loads=loads.reshape(count, experts),
            expert_grad_norms=None if missing else random.random((count, experts)),
        ),
        bands=phase_bands(CURRICULUM, episodes=total),
        boundaries=boundaries_ahead(CURRICULUM, completed=count, episodes=total),
        total=total,
        evaluations=() if missing or not count else (evaluation(count),),
    )


def only(columns: Mapping[str, Any], *, total: int = 0, experts: int = 4) -> RunSeries:
    """A run of which nothing but these columns and even loads is recorded."""
    count = len(next(iter(columns.values())))
    return RunSeries("run", made_curve(columns, loads=np.full((count, experts), 1 / experts)), total=total)


def buckets(size: int, numbers: range) -> Series:
    """Returns that equal their bucket's number, as a store reads them."""
    values = np.array(numbers, dtype=float)[:, None, None] * np.array([1, 0])
    stats = np.broadcast_to(values, (len(numbers), 5, 2)).copy()
    stats[:, COUNT] = size
    return Series(size, np.array(numbers), stats, ("return", "length"), 0, numbers.stop * size)


def in_buckets(curve: Series, view: Series | None = None) -> RunSeries:
    return RunSeries("run", curve, total=curve.newest, view=view)


def evaluation(episode: int, **changes: Any) -> EvaluationPoint:
    values = {"count": 10, "mean": 0.5, "lowest": 0.1, "highest": 0.7, "success": 0.9, "env": "A-v0"}
    return EvaluationPoint(episode, **{**values, **changes})


def checked(figure: Figure) -> go.Figure:
    """As plotly itself reads it: it refuses what it does not know."""
    return go.Figure(figure.tree())


def payload(figure: Figure) -> Any:
    """As the browser gets it."""
    return json.loads(checked(figure).to_json(validate=True))


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize(
    ("count", "missing"),
    [(0, False), (1, False), (2, True), (300, False), (1500, False), (1500, True)],
    ids=["none", "one", "all missing", "some", "buckets", "buckets all missing"],
)
@pytest.mark.parametrize("experts", [1, 4, 64])
def test_any_data_can_be_drawn(figure: str, count: int, missing: bool, experts: int) -> None:
    layout = payload(FIGURES[figure](series(count, experts=experts, missing=missing)))["layout"]
    assert layout["meta"]["alt"].endswith(".")
    assert layout["uirevision"]
    assert layout["xaxis"]["title"]["text"] == "Episode"
    assert layout["xaxis"]["range"] == [0, max(TOTAL, count)]


@pytest.mark.parametrize("figure", FIGURES)
def test_the_theme_is_left_to_the_page(figure: str) -> None:
    layout = payload(FIGURES[figure](series(300)))["layout"]
    assert "color" not in json.dumps(layout["template"])
    assert not {"font", "paper_bgcolor", "plot_bgcolor", "title"} & layout.keys()
    for axis in (value for key, value in layout.items() if key.startswith(("xaxis", "yaxis"))):
        assert not {"gridcolor", "linecolor", "color"} & axis.keys()


def test_return_shows_every_episode_then_buckets_with_their_extremes() -> None:
    few = return_figure(series(300), threshold=475)
    assert [trace.name for trace in few.data][:3] == ["Episode", "Mean of last 100", "Reward threshold 475"]
    assert few.data[0].mode == "markers"
    returns = np.zeros(1500)
    returns[777] = 500
    many = return_figure(only({"return": returns}, total=1500))
    outline = many.data[0]
    assert outline.fill == "toself"
    assert max(outline.y) == 500
    assert many.data[1].name == "Mean of 2 episodes"
    long = return_figure(in_buckets(buckets(1024, range(1000))))
    assert long.data[1].name == "Mean of 1,024 episodes"
    assert max(many.data[1].y) == 250
    assert many.data[2].y[-1] == pytest.approx(0)


def test_gaps_stay_gaps_in_the_band_of_extremes() -> None:
    values = np.ones(1500)
    values[600:800] = np.nan
    figure = return_figure(only({"return": values}))
    outline, mean = figure.data[0], figure.data[1]
    assert np.isnan(outline.y).sum() == 1  # two outlines
    assert np.isnan(mean.y).sum() == 100


def test_loads_are_stacked_to_one_and_experts_counted_from_one() -> None:
    figure = expert_loads_figure(series(1500))
    assert [trace.name for trace in figure.data] == ["Expert 1", "Expert 2", "Expert 3", "Expert 4"]
    np.testing.assert_allclose(sum(trace.y for trace in figure.data), 1)
    assert list(figure.layout.yaxis.range) == [0, 1]
    assert expert_loads_figure(series(300, experts=64)).data[0].type == "heatmap"


def test_routing_entropy_is_measured_against_ln_n() -> None:
    figure = entropy_figure(series(300))
    level = next(trace for trace in figure.data if trace.name == "ln 4 = 1.386")
    assert level.y[0] == level.y[1] == math.log(4)
    assert figure.layout.yaxis.range[0] == 0
    assert figure.layout.yaxis.range[1] > math.log(4)


def test_phases_are_drawn_fainter_ahead_and_named() -> None:
    figure = return_figure(series(300))
    rectangles = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert [(shape.x0, shape.x1) for shape in rectangles] == [(0, 250), (250, 750), (750, 1000)]
    bands = phase_bands(CURRICULUM, episodes=TOTAL, starts=[PhaseStart(0, 0), PhaseStart(250, 9)])
    figure = return_figure(replace(series(300), bands=bands))
    rectangles = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert [(shape.x0, shape.x1) for shape in rectangles] == [(0, 250), (250, 300), (300, 750), (750, 1000)]
    opacity = [float(shape.fillcolor.rstrip(")").split(",")[-1]) for shape in rectangles]
    assert opacity[0] == opacity[1] > opacity[2] == opacity[3]
    assert [note.text for note in figure.layout.annotations] == ["warmup", "transition", "fine-tune"]
    lines = {shape.name: shape.x0 for shape in figure.layout.shapes if shape.type == "line"}
    assert lines == {"boundary": 250, "boundary:1": 750, "now": 300}
    assert figure.layout.meta["boundaries"] == [
        {"index": 1, "episode": 750, "earliest": 301, "latest": 999, "label": "transition → fine-tune"}
    ]


def test_steps_are_steps_and_ramps_are_ramps() -> None:
    curriculum = Curriculum(
        name="c",
        phases=(
            Phase(name="a", until=Until(episode=100), temperature=2.0, lr=0.1),
            Phase(name="b", until=Until(episode=300), temperature=Ramp(start=1.0, to=0.5)),
            Phase(name="c", lr=0.01),
        ),
    )
    x, y = planned_curve(curriculum, 400, BASE, "lr")
    assert y[x < 300].tolist() == [0.1] * len(y[x < 300])
    assert y[x == 300].tolist() == [0.1, 0.01]
    assert y[x > 300].tolist() == [0.01] * len(y[x > 300])
    assert (x[0], x[-1]) == (0, 400)
    x, y = planned_curve(curriculum, 400, BASE, "temperature")
    assert y[x == 100].tolist() == [2.0, 1.0]
    assert y[x == 300].tolist() == [0.5, 0.5]
    inside = (x > 100) & (x < 300)
    np.testing.assert_allclose(y[inside], 1 - 0.5 * (x[inside] - 100) / 200)
    assert inside.sum() > 40


def test_schedule_lays_the_plan_over_what_was_in_effect() -> None:
    figure = schedule_figure(series(300), CURRICULUM, BASE)
    assert [(trace.name, trace.yaxis) for trace in figure.data] == [
        (name, axis) for axis in ("y", "y2", "y3", "y4") for name in ("Planned", "In effect")
    ]
    assert [note.text for note in figure.layout.annotations][:2] == ["warmup · softmax", "transition · sparsemax"]
    shown = schedule_figure(series(1500), CURRICULUM, BASE)
    assert [trace.name for trace in shown.data if trace.showlegend is not False] == ["Planned", "In effect"]


def test_preview_shows_every_setting_and_the_routing() -> None:
    figure = curriculum_preview(CURRICULUM, TOTAL, BASE)
    assert [trace.name for trace in figure.data] == [
        "Temperature",
        "Learning rate",
        "Load balance coefficient",
        "Entropy bonus coefficient",
    ]
    assert "fine-tune · sparsemax" in [note.text for note in figure.layout.annotations]
    assert [boundary["episode"] for boundary in figure.layout.meta["boundaries"]] == [250, 750]


@pytest.mark.parametrize(
    ("metric", "runs"), [*((metric, 2) for metric in COMPARED), *itertools.product(("return", EVALUATION), (0, 1, 12))]
)
def test_runs_are_compared_each_with_its_colour_and_its_phases(metric: str, runs: int) -> None:
    data = [series(200 + 300 * place) for place in range(runs)]
    figure = compare_figure(data, metric=metric)
    lines = [trace for trace in figure.data if trace.type == "scatter"]
    strips = [trace for trace in figure.data if trace.type == "bar"]
    assert len(lines) == len(strips) == runs
    assert len({trace.line.color for trace in lines}) == runs
    assert [len(strip.base) for strip in strips] == [3] * runs
    assert [note.text for note in figure.layout.annotations] == ["warmup", "transition", "fine-tune"] * runs
    assert [band["texts"][0] for band in figure.layout.meta["bands"]] == ["warmup", "transition", "fine-tune"] * runs
    payload(figure)


def test_a_comparison_says_over_how_many_episodes_each_run_is_averaged() -> None:
    long, short = in_buckets(buckets(1024, range(1000))), in_buckets(buckets(1, range(300)))
    assert compare_figure([short, short]).layout.yaxis.title.text == "Return, mean of last 30"
    assert compare_figure([long, long]).layout.yaxis.title.text == "Return, mean of last 1,024"
    assert compare_figure([short, long]).layout.yaxis.title.text == "Return, mean of last 30 to 1,024"


def test_a_comparison_draws_what_is_looked_at() -> None:
    run = in_buckets(buckets(1024, range(1000)), view=buckets(128, range(400, 700)))
    figure = compare_figure([run, in_buckets(buckets(1, range(300)))])
    assert list(figure.data[0].x[[0, -1]]) == [401 * 128, 700 * 128]
    assert list(figure.data[0].y[[0, -1]]) == [400, 699]
    assert list(figure.data[1].x[[0, -1]]) == [1, 300]
    assert list(figure.layout.xaxis.range) == [0, 1_024_000]


def test_rows_do_not_overlap_and_stay_inside() -> None:
    layout = rows_figure(series(300), LOSSES).layout
    domains = [layout[axis].domain for axis in ("yaxis4", "yaxis3", "yaxis2", "yaxis")]
    edges = [edge for domain in domains for edge in domain]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] < 1


def test_a_preview_draws_each_setting_by_its_own_plan() -> None:
    figure = curriculum_preview(CURRICULUM, TOTAL, BASE)
    for trace, knob in zip(figure.data, knobs_in_use(CURRICULUM, BASE), strict=True):
        np.testing.assert_array_equal(trace.y, planned_curve(CURRICULUM, TOTAL, BASE, knob)[1])


def test_buckets_are_drawn_by_their_means_with_their_extremes_at_hand() -> None:
    values = np.random.default_rng(4).normal(size=2048)
    run = RunSeries("run", made_curve({"return": values, "approx_kl": values}), total=2048)
    pairs = values[: 1024 * 2].reshape(-1, 4)[:512]
    (row,) = [trace for trace in rows_figure(run, UPDATES).data if trace.fill != "toself"]
    np.testing.assert_allclose(row.y, pairs.mean(1))
    np.testing.assert_allclose(row.customdata, np.column_stack((pairs.min(1), pairs.max(1))))
    last = compare_figure([run, run]).data[0].y[-1]
    assert last == pytest.approx(values[-100:].mean())
    assert rows_figure(run, UPDATES).layout.xaxis.unifiedhovertitle.text == "Episode %{x:,d} (last of 4)"
    assert return_figure(series(300)).layout.xaxis.unifiedhovertitle.text == "Episode %{x:,d}"


def test_the_scale_of_a_chart_says_what_it_is_of() -> None:
    titles = {chart: checked(OF_CHART[chart](series(30))).layout.yaxis.title.text for chart in CHARTS}
    assert titles == {
        **dict.fromkeys(CHARTS),
        **{RETURN: "Return", SUCCESS: "Success rate", LOADS: "Load (even: 25%)", ENTROPY: "Entropy (nats)"},
        **{EFFECTIVE: "Experts", GRADIENTS: "Gradient norm"},
    }


def test_a_loss_that_a_run_does_not_use_is_not_offered() -> None:
    unused, used = (only({"return": np.ones(5), "diversity_loss": np.full(5, value)}) for value in (0.0, 0.1))
    assert "diversity_loss" not in metrics_of([unused])
    assert "diversity_loss" in metrics_of([unused, used])


def test_a_chart_grows_with_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that is added to a chart takes nothing of the room of those that are there."""

    def room() -> float:
        layout = rows_figure(series(300), LOSSES).layout
        low, high = layout.yaxis.domain
        return (high - low) * (layout.height - layout.margin.t - layout.margin.b)

    before = room()
    added = (*of_chart(LOSSES), METRICS["total_loss"], METRICS["diversity_loss"])
    monkeypatch.setattr("v3core.charts.figures.of_chart", lambda _: added)
    assert len(rows_figure(series(300), LOSSES).data) == 6
    assert room() == pytest.approx(before, rel=0.05)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_a_preview_and_a_schedule(name: str) -> None:
    curriculum = load_preset(name)
    figure = curriculum_preview(curriculum, 4000, BASE)
    knobs = knobs_in_use(curriculum, BASE)
    assert len(figure.data) == len(knobs)
    payload(figure)
    payload(schedule_figure(series(300), curriculum, BASE))


def test_an_end_that_training_decides_is_dotted_and_reported() -> None:
    figure = curriculum_preview(load_preset("bengio-minigrid"), 4000, BASE)
    lines = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert [(shape.x0, shape.line.dash) for shape in lines] == [(1000, "dot"), (3000, "dot")]
    assert "until success ≥ 0.9 (100) within 1000" in figure.layout.meta["alt"]


def test_evaluations_are_marks_apart_with_their_range() -> None:
    data = replace(series(300), evaluations=(evaluation(100), evaluation(300, mean=0.6, lowest=0.6, highest=0.8)))
    mark = return_figure(data).data[-1]
    assert (mark.name, mark.mode, mark.marker.symbol) == ("Evaluation, mean of 10", "markers", "diamond")
    assert list(mark.x) == [100, 300]
    np.testing.assert_allclose(mark.y, [0.5, 0.6])
    np.testing.assert_allclose(mark.error_y.array, [0.2, 0.2])
    np.testing.assert_allclose(mark.error_y.arrayminus, [0.4, 0.0])
    assert mark.marker.color not in {trace.line.color for trace in checked(return_figure(data)).data[:2]}
    assert "customdata[2]" not in mark.hovertemplate
    several = replace(data, evaluations=(evaluation(100), evaluation(300, env="B-v0", count=5)))
    mark = return_figure(several).data[-1]
    assert (mark.name, "customdata[2]" in mark.hovertemplate) == ("Evaluation, mean", True)


def test_an_evaluation_without_a_number_is_not_drawn() -> None:
    none = replace(series(300), evaluations=(evaluation(300, mean=math.nan, success=math.nan),))
    for figure in (return_figure(none), success_figure(none)):
        assert not [trace for trace in figure.data if trace.name.startswith("Evaluation")]


def test_success_is_a_rate() -> None:
    solved = np.arange(1, 401) % 4 == 0
    figure = success_figure(only({"success": solved}, total=400))
    bucket, average = figure.data
    assert bucket.name == "Rate in 8 episodes"
    np.testing.assert_allclose(bucket.y, 0.25)
    assert average.y[-1] == pytest.approx(0.25)
    assert figure.layout.yaxis.tickformat == ".0%"


def test_specialisation_stands_beside_what_it_is_the_difference_of() -> None:
    figure = entropy_figure(series(300))
    names = [trace.name for trace in figure.data]
    assert names == [
        *("H(E[α]), load", "E[H(α)], steps", "Specialisation within episodes", "Specialisation, pooled by steps"),
        "ln 4 = 1.386",
    ]
    assert figure.data[2].fill == "tozeroy"
    figure = entropy_figure(only({"routing_entropy": np.ones(300)}))
    assert [trace.name for trace in figure.data] == ["E[H(α)], steps", "ln 4 = 1.386"]


def test_each_experts_gradient_has_its_experts_colour() -> None:
    loads, gradients = expert_loads_figure(series(300)), expert_gradients_figure(series(300))
    assert [trace.line.color for trace in gradients.data] == [trace.line.color for trace in loads.data]
    assert expert_gradients_figure(series(300, experts=64)).data[0].type == "heatmap"


def test_effective_experts_are_measured_against_their_number() -> None:
    figure = effective_experts_figure(series(300))
    assert [trace.name for trace in figure.data] == ["Effective experts", "Support", "Dead experts", "N = 4"]
    assert list(figure.data[-1].y) == [4, 4]
    assert figure.layout.yaxis.range[1] > 4


def test_health_leaves_out_what_was_not_recorded_and_says_where_it_cuts() -> None:
    columns = {"explained_variance": np.linspace(-50, 0.9, 300), "load_cv": np.ones(300)}
    figure = rows_figure(only(columns), NETWORK)
    assert [trace.name for trace in figure.data] == [METRICS[name].title for name in ("load_cv", "explained_variance")]
    assert list(figure.layout.yaxis2.range) == [-1, 1.05]
    assert (figure.layout.yaxis.rangemode, figure.layout.yaxis2.rangemode) == ("tozero", None)
    assert any("(shown from −1)" in note.text for note in figure.layout.annotations)


def test_metrics_are_those_that_a_run_has() -> None:
    bare = only({"return": np.array([1, 2])})
    assert metrics_of([bare]) == ["return", "length", "effective_experts", "most_used_load", "pooled_effective_experts"]
    assert "specialisation" in metrics_of([bare, series(3)])
    assert metrics_of([series(0)]) == list(COMPARED)


def test_evaluations_are_compared_point_by_point() -> None:
    runs = [replace(series(300), evaluations=(evaluation(100), evaluation(200, mean=0.8))), series(0)]
    figure = compare_figure(runs, metric="evaluation")
    assert list(figure.data[0].x) == [100, 200]
    assert list(figure.data[0].y) == [0.5, 0.8]
    assert figure.data[0].mode == "lines+markers"
    assert figure.layout.yaxis.title.text == "Mean return of evaluations"


def test_effective_experts_of_runs_that_recorded_only_loads_are_those_of_the_loads() -> None:
    two, three = (np.tile([1 / used] * used + [0.0] * (4 - used), (300, 1)) for used in (2, 3))
    runs = [RunSeries("run", made_curve({"return": np.ones(300)}, loads=loads)) for loads in (two, three)]
    for trace, expected in zip(compare_figure(runs, metric="effective_experts").data[:2], (2, 3), strict=True):
        np.testing.assert_allclose(trace.y[np.isfinite(trace.y)], expected)


def test_every_chart_has_its_figure() -> None:
    assert set(OF_CHART) == set(CHARTS)
    assert {metric.chart for metric in METRICS.values()} == {None, *CHARTS}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
@pytest.mark.parametrize("count", [30, 2500])
def test_each_metric_of_a_chart_is_drawn_under_its_name(chart: Chart, count: int) -> None:
    """Every column has a number of its own, so that no other can stand in its place."""
    numbers = {name: (place + 1) / 100 for place, name in enumerate(COLUMNS)}
    loads, norms = (np.tile(row, (count, 1)) for row in ((0.5, 0.3, 0.2), (0.91, 0.92, 0.93)))
    columns = {name: np.full(count, number) for name, number in numbers.items()}
    figure = OF_CHART[chart](RunSeries("run", made_curve(columns, loads=loads, expert_grad_norms=norms), total=count))
    drawn = {(trace.name, round(value, 9)) for trace in figure.data if trace.fill != "toself" for value in trace.y}
    drawn = {(name, value) for name, value in drawn if np.isfinite(value)}
    if chart in (LOADS, GRADIENTS):
        expected = (loads if chart is LOADS else norms)[0]
        assert drawn == {(f"Expert {place + 1}", value) for place, value in enumerate(expected)}
    elif chart is SCHEDULE:
        in_effect = {value for name, value in drawn if name == "In effect"}
        assert in_effect == {numbers[knob] for knob in knobs_in_use(CURRICULUM, BASE)}
    elif chart in (RETURN, SUCCESS):
        (metric,) = of_chart(chart)
        assert {value for name, value in drawn if "threshold" not in name} == {numbers[metric.name]}
    else:
        named = {value: name for name, value in drawn}
        replaced = {metric.instead_of for metric in of_chart(chart)}
        for metric in (metric for metric in of_chart(chart) if metric.name not in replaced):
            assert named[numbers[metric.name]] in (metric.legend, metric.label, metric.title)


def test_each_metric_is_compared_by_its_own_numbers() -> None:
    columns = {name: np.full(20, (place + 1) / 100) for place, name in enumerate(COLUMNS)}
    run = RunSeries(
        "run",
        made_curve(columns, loads=np.full((20, 4), 0.25)),
        evaluations=(replace(evaluation(20), success=0.25, knockout=0.75),),
    )
    for name, metric in COMPARED.items():
        figure = compare_figure([run, run], metric=name)
        entropy = columns["routing_entropy"] / math.log(4)
        known = {
            EVALUATION: 0.5,
            EVALUATION_SUCCESS: 0.25,
            KNOCKOUT: 0.75,
            MOST_USED_LOAD: 0.25,
            POOLED_EXPERTS: 4.0,
            ENTROPY_SHARE: entropy[0],
        }
        expected = known.get(name) or columns[name][0]
        drawn = np.asarray(figure.data[0].y)
        np.testing.assert_allclose(drawn[np.isfinite(drawn)], expected, err_msg=name)
        assert figure.layout.yaxis.title.text.startswith(metric.label)


def test_what_is_drawn_over_several_episodes_is_their_mean() -> None:
    returns = np.random.default_rng(3).normal(size=300)
    run = replace(only({"return": returns, "success": returns}), total=300)
    means = [returns[end - 30 : end].mean() if end >= 30 else np.nan for end in range(1, 301)]
    np.testing.assert_allclose(return_figure(run).data[1].y, means)
    np.testing.assert_allclose(success_figure(run).data[1].y, means)
    np.testing.assert_allclose(compare_figure([run, run]).data[0].y, means)
    assert f"mean of the last 30: {means[-1]:.1f}" in return_figure(run).layout.meta["alt"]
    assert f"of the last 30: {means[-1]:.0%}" in success_figure(run).layout.meta["alt"]


@pytest.mark.parametrize("figure", [expert_loads_figure, expert_gradients_figure])
def test_each_of_many_experts_has_its_row(figure: Callable[[RunSeries], Figure]) -> None:
    rows = np.tile(np.arange(20) / 190, (30, 1))
    (heatmap,) = figure(RunSeries("run", made_curve({"return": np.ones(30)}, loads=rows, expert_grad_norms=rows))).data
    assert heatmap.transpose  # so that new episodes are appended
    np.testing.assert_allclose(heatmap.z, rows)
    assert (heatmap.y[0], heatmap.y[-1]) == ("Expert 1", "Expert 20")


def test_the_alternative_text_names_the_expert_that_carries_most() -> None:
    loads = np.tile([0.1, 0.7, 0.2], (5, 1))
    figure = expert_loads_figure(RunSeries("run", made_curve({"return": np.ones(5)}, loads=loads)))
    assert "latest highest load: expert 2 with 70%" in figure.layout.meta["alt"]


def test_a_ramp_over_steps_is_planned_by_the_steps_that_are_recorded() -> None:
    until = Until(step=200)
    phases = (Phase(name="a", until=until, temperature=Ramp(start=1.0, to=0.5)), Phase(name="b"))
    run = replace(only({"step": np.arange(10, 110, 10)}), total=20, starts=(PhaseStart(0, 0),))
    planned = schedule_figure(run, Curriculum(name="c", phases=phases), BASE).data[0]
    assert dict(zip(planned.x, planned.y, strict=True))[4] == pytest.approx(1 - 0.5 * 40 / 200)


@pytest.mark.parametrize(
    ("figure", "metric"),
    [
        ("return", "return"),
        ("losses", "action_entropy"),
        ("loads", "load_2"),
        ("entropy", "specialisation"),
        ("success", "success"),
        ("effective", "support"),
        ("gradients", "expert_grad_norm_4"),
        ("updates", "approx_kl"),
        ("network", "gated_dormant_share"),
        ("schedule", "lr"),
        ("compare", "return"),
    ],
)
def test_no_chart_leaves_out_a_metric_that_it_does_not_find(figure: str, metric: str) -> None:
    """A name that no store knows is an error: as NaN it would be a chart that stays empty."""
    known = series(300).curve
    names = tuple("renamed" if name == metric else name for name in known.metrics)
    with pytest.raises(KeyError, match=metric):
        FIGURES[figure](replace(series(300), curve=replace(known, metrics=names)))


@pytest.mark.parametrize(
    ("count", "age", "sentence"),
    [
        (0, "", "No episodes yet"),
        (1, "0 s", "Drawn: 1 episode; newest 0 s old"),
        (412, "", "Drawn: all 412 episodes"),
        (1000, "2 s", "Drawn: all 1,000 episodes; newest 2 s old"),
        (1001, "2 min", "Drawn: 501 buckets of 2 episodes, 1,001 episodes; newest 2 min old"),
    ],
)
def test_caption_says_what_is_drawn_of_what_there_is(count: int, age: str, sentence: str) -> None:
    assert drawn_words(series(count), age) == sentence


def test_caption_says_that_only_a_part_is_looked_at() -> None:
    assert (
        drawn_words(in_buckets(buckets(2, range(600)), view=buckets(1, range(400)))) == "Drawn: 400 of 1,200 episodes"
    )


def test_updates_are_drawn_by_their_last_epoch_where_all_of_the_run_recorded_it():
    def rows(**columns):
        run = RunSeries("run", made_curve({"approx_kl": np.full(20, 0.01), **columns}), total=20)
        return [trace.name for trace in rows_figure(run, UPDATES).data if trace.fill != "toself"]

    last, mean = METRICS["approx_kl_last"].label, METRICS["approx_kl"].label
    assert rows() == [mean]
    assert rows(approx_kl_last=np.full(20, 0.02)) == [last]
    assert rows(approx_kl_last=np.repeat([np.nan, 0.02], 10)) == [mean, last]
    nothing = RunSeries("run", made_curve({"return": np.ones(20)}), total=20)
    titles = [annotation["text"] for annotation in rows_figure(nothing, UPDATES).layout.annotations]
    assert last in titles
    assert mean not in titles
