"""Looking at a run along another axis, from a boundary, as far as it is, or smoothed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.charts.made import made_curve
from tests.charts.test_figures import CURRICULUM, OF_CHART, TOTAL, checked, evaluation
from v3core.charts.compare import compare_figure, environment_words
from v3core.charts.expert_figures import AREA, HEATMAP, decisions_figure, loads_figure
from v3core.charts.figure import Figure
from v3core.charts.figures import entropy_figure, return_figure, rows_figure
from v3core.charts.look import AXES, Look, along, episodes_of, unit_of
from v3core.charts.series import RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import PhaseStart
from v3core.errors import V3Error
from v3core.metrics import CHARTS, DECISIONS, ENTROPY, LOADS, RETURN, SCHEDULE, UPDATES, Chart

COUNT = 300
LENGTHS = np.arange(1, COUNT + 1) % 7 + 1
STEPS = np.cumsum(LENGTHS)


def run_of(count: int = COUNT, *, limit: int = 1000, experts: int = 4, support: float = np.nan) -> RunSeries:
    """Episodes of different lengths, a third of a second each; the second phase began after 250."""
    columns = {
        "return": np.arange(count, dtype=float),
        "step": STEPS[:count],
        "approx_kl": np.arange(count, dtype=float),
        "routing_entropy": np.ones(count),
        "support": np.full(count, support),
    }
    curve = made_curve(columns, loads=np.full((count, experts), 1 / max(experts, 1)), limit=limit)
    return RunSeries(
        "run",
        curve,
        phase_bands(CURRICULUM, episodes=TOTAL, starts=(PhaseStart(0, 0), PhaseStart(250, int(STEPS[249])))),
        boundaries_ahead(CURRICULUM, completed=count, episodes=TOTAL),
        total=TOTAL,
        evaluations=[evaluation(at) for at in range(100, count + 1, 100)],
        seconds=curve.episode / 3,
    )


def looked(chart: Chart, run: RunSeries, **look: Any) -> Figure:
    return along(OF_CHART[chart](replace(run, window=look.get("window", 0))), run, Look(**look))


@pytest.mark.parametrize("x", AXES)
@pytest.mark.parametrize(("count", "experts"), [(0, 4), (1, 1), (COUNT, 64), (COUNT, 4)])
@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_every_chart_can_be_looked_at_in_every_way(chart: Chart, x: Any, count: int, experts: int) -> None:
    for look in ({}, {"so_far": True}, {"since": 250}, {"window": 1}, {"window": 100}):
        figure = looked(chart, run_of(count, experts=experts), x=x, **look)
        start, end = checked(figure).layout.xaxis.range
        assert start <= 0 < end


@pytest.mark.parametrize(("x", "places"), [("step", STEPS), ("time", np.arange(1, COUNT + 1) / 3)])
@pytest.mark.parametrize("limit", [1000, 100])
def test_points_lie_at_the_step_and_time_at_which_their_episodes_ended(x: Any, places: Any, limit: int) -> None:
    run = run_of(limit=limit)
    figure = looked(UPDATES, run, x=x)
    line = next(trace for trace in figure.data if trace.fill != "toself")
    np.testing.assert_allclose(line.x, places[run.curve.episode - 1])
    assert figure.layout.xaxis.range[1] == pytest.approx(places[-1])
    boundary = next(shape for shape in figure.layout.shapes if shape.name == "boundary")
    assert boundary.x0 == pytest.approx(places[249], rel=0.01)
    # Where those ahead will be is not known.
    assert figure.layout.meta.boundaries == []
    assert not [shape for shape in figure.layout.shapes if str(shape.name).startswith("boundary:")]
    assert all(shape.x1 > shape.x0 for shape in figure.layout.shapes if shape.type == "rect")
    planned = looked(SCHEDULE, run, x=x).data[0]
    assert np.isfinite(planned.y).sum() < len(planned.y)
    marks = looked(RETURN, run, x=x).data[-1]
    np.testing.assert_allclose(marks.x, places[[99, 199, 299]], rtol=0.01)


def test_the_unit_of_time_fits_the_run() -> None:
    def title(seconds: float) -> str:
        run = run_of()
        return str(looked(UPDATES, replace(run, seconds=run.curve.episode * seconds), x="time").layout.xaxis.title.text)

    assert [title(each) for each in (0.1, 1, 100)] == [
        f"{unit} since the start" for unit in ("Seconds", "Minutes", "Hours")
    ]


def test_since_a_boundary_the_axis_begins_there() -> None:
    figure = looked(RETURN, run_of(), since=250)
    assert figure.layout.xaxis.range == [0, TOTAL - 250]
    assert figure.layout.meta.since == 250
    assert max(figure.data[0].x) == 50
    assert next(shape for shape in figure.layout.shapes if shape.name == "boundary:1").x0 == 500
    assert [boundary["episode"] for boundary in figure.layout.meta.boundaries] == [750]  # of the run, for the handle


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ({}, "Episode %{x:,d}"),
        ({"since": 250}, "%{x:,d} episodes since episode 250"),
        ({"x": "step"}, "Step %{x:,d}"),
        ({"x": "time"}, "%{x:,.4~g} seconds since the start"),
    ],
)
def test_a_hover_says_where_a_point_is_on_its_axis(look: Any, said: str) -> None:
    run = replace(run_of(limit=100), seconds=run_of(limit=100).curve.episode * 0.1)
    line = looked(UPDATES, run, **look)
    assert line.layout.xaxis.unifiedhovertitle.text.startswith(said)
    heatmap = along(loads_figure(run, form="heatmap", metric="load"), run, Look(**look)).data[0]
    assert heatmap.hovertemplate == f"%{{y}}: %{{z:.0%}}<br>{said}<extra></extra>"


def test_the_axis_ends_at_the_newest_episode_or_at_the_end_of_the_plan() -> None:
    assert looked(RETURN, run_of(16)).layout.xaxis.range == [0, TOTAL]
    assert looked(RETURN, run_of(16), so_far=True).layout.xaxis.range == [0, 16]


@pytest.mark.parametrize("x", AXES)
def test_a_zoom_is_read_as_episodes(x: Any) -> None:
    run = run_of()
    figure = looked(UPDATES, run, x=x)
    places = figure.data[-1].x
    np.testing.assert_allclose(episodes_of(run, Look(x=x), places[99], places[199]), (100, 200), atol=1e-6)
    assert episodes_of(run, Look(since=250), 10, 20) == (260, 270)


@pytest.mark.parametrize("limit", [1000, 100])
@pytest.mark.parametrize("window", [10, 100])
def test_means_are_of_every_episode_and_the_extremes_stay_behind(limit: int, window: int) -> None:
    run = replace(run_of(limit=limit), window=window)
    behind, line = rows_figure(run, UPDATES).data
    span = run.curve.span_of(window)
    expected = [np.arange(max(0, end - span), end).mean() if end >= window else np.nan for end in run.curve.episode]
    np.testing.assert_allclose(line.y, expected)  # it starts where the window is full
    assert "dash" not in line.line
    assert max(behind.y) == COUNT - 1
    assert min(behind.y) == 0
    assert "extremes" not in str(line.name)


def test_with_fewer_episodes_than_the_window_it_is_said() -> None:
    def names(count: int, window: int) -> list[str]:
        figure = return_figure(replace(run_of(count), window=window, evaluations=()))
        return [str(trace.name) for trace in figure.data]

    assert names(42, 100) == ["Episode", "Mean of the 42 so far, not 100"]
    assert names(100, 100) == ["Episode", "Mean of last 100"]
    assert names(42, 10) == ["Episode", "Mean of last 10"]
    assert names(42, 1) == ["Episode"]


@pytest.mark.parametrize("chart", [RETURN, LOADS, ENTROPY, UPDATES], ids=lambda chart: chart.name)
@pytest.mark.parametrize("limit", [1000, 100])
def test_no_mean_is_of_fewer_episodes_than_it_says(chart: Chart, limit: int) -> None:
    """In no chart; a run that is shorter than the window has dotted lines, and says so."""
    figure = looked(chart, run_of(limit=limit), window=100)
    lines = [trace for trace in figure.data if trace.mode == "lines" and is_line(trace)]
    assert lines
    for line in lines:
        assert min(x for x, y in zip(line.x, line.y, strict=True) if np.isfinite(y)) in (100, 104), line.name
        assert line.line.dash is None
    if chart is LOADS:  # areas cannot be dotted
        return
    for line in [trace for trace in looked(chart, run_of(42), window=100).data if is_line(trace)]:
        assert (line.line.dash, np.isfinite(line.y[0])) == ("dot", True), line.name


@pytest.mark.parametrize("count", [297, 298, 299])
@pytest.mark.parametrize(
    ("chart", "window"),
    [(RETURN, 2), (RETURN, 10), (RETURN, 100), (LOADS, 100), (ENTROPY, 100), (UPDATES, 10)],
    ids=lambda given: getattr(given, "name", given),
)
def test_the_newest_bucket_is_smoothed_once_it_is_full(chart: Chart, window: int, count: int) -> None:
    """Buckets of 4 episodes: 297 are one into the newest. The mean of 100 returns is recorded, and so exact."""
    run = run_of(count, limit=100)
    assert run.curve.size == 4
    lines = [trace for trace in looked(chart, run, window=window).data if is_line(trace)]
    for line in lines:
        newest = max(x for x, y in zip(line.x, line.y, strict=True) if np.isfinite(y))
        assert newest == (count if (chart, window) == (RETURN, 100) else 296), line.name
    assert lines


@pytest.mark.parametrize("limit", [1000, 100])
@pytest.mark.parametrize("window", [10, 100])
def test_a_mean_over_episodes_without_a_number_is_dotted(limit: int, window: int) -> None:
    run = run_of(limit=limit)
    size = run.curve.size
    columns = {"approx_kl": np.where(np.arange(COUNT) == 150, np.nan, 1.0), "return": np.ones(COUNT)}
    curve = made_curve(columns, loads=np.full((COUNT, 4), 0.25), limit=limit)
    _, line, dotted = [
        trace for trace in rows_figure(replace(run, curve=curve, window=window), UPDATES).data if "x" in trace
    ]
    episodes, span = curve.episode, curve.span_of(window)
    of_151 = (episodes >= 151) & (episodes - span < 151)
    reached = episodes >= window
    np.testing.assert_array_equal(np.isfinite(dotted.y), of_151 & reached)
    np.testing.assert_array_equal(np.isfinite(line.y), ~of_151 & reached)
    assert (line.line.dash, dotted.line.dash, size) == (None, "dot", 4 if limit == 100 else 1)
    assert (dotted.showlegend, dotted.legendgroup) == (False, line.legendgroup)
    assert "some missing" in dotted.name


def test_of_compared_runs_and_of_returns_too_missing_numbers_are_dotted() -> None:
    run = run_of()
    curve = made_curve({"return": np.where(np.arange(COUNT) == 150, np.nan, 1.0)}, loads=np.full((COUNT, 4), 0.25))
    gaps = replace(run, curve=curve, window=50)
    for figure in (compared([gaps, run], window=50), return_figure(gaps)):
        dotted = [trace for trace in figure.data if (trace.line or {}).get("dash") == "dot"]
        assert [np.flatnonzero(np.isfinite(trace.y)).tolist() for trace in dotted] == [list(range(150, 200))]
    assert compared([replace(run_of(299, limit=100), name="b")], window=50).data[0].y[-2:].tolist() == [
        pytest.approx(np.arange(244, 296).mean()),
        pytest.approx(np.nan, nan_ok=True),
    ]


@pytest.mark.parametrize("form", [AREA, HEATMAP])
def test_loads_and_decisions_of_the_experts_are_as_smooth_as_all_charts(form: str) -> None:
    loads = np.column_stack((np.arange(COUNT) / COUNT, 1 - np.arange(COUNT) / COUNT))
    curve = made_curve({"close_choice_share": np.arange(COUNT) / COUNT}, loads=loads)
    run = replace(run_of(), curve=curve, window=10)
    figure = loads_figure(run, form=form, metric="load")
    found = figure.data[0].y if form == AREA else figure.data[0].z[9:, 0]
    expected = [np.arange(end - 10, end).mean() / COUNT for end in range(10, COUNT + 1)]
    np.testing.assert_allclose(found, expected)
    shares = [trace for trace in decisions_figure(run).data if trace.name.startswith("Close choices")]
    np.testing.assert_allclose(shares[-1].y[9:], expected)


def test_exact_zeros_are_a_share_however_they_are_smoothed() -> None:
    for window in (0, 1, 50):
        figure = looked(DECISIONS, run_of(support=3.0), window=window)
        zeros = [trace for trace in figure.data if trace.legendgroup == "Exact zeros"]
        assert zeros
        assert {round(float(y), 6) for trace in zeros for y in trace.y if np.isfinite(y)} == {0.25}


def is_line(trace: Any) -> bool:
    """Whether it is a mean: neither what it is made of, nor a level."""
    others = ("lowest to highest", "every episode", "4 episodes", "Episode", "Evaluation", "threshold", "ln ")
    return not any(word in trace.name for word in others)


def test_no_smoothing_shows_what_is_recorded() -> None:
    plain = entropy_figure(run_of())
    assert [trace.name for trace in entropy_figure(replace(run_of(), window=1)).data] == [t.name for t in plain.data]


@pytest.mark.parametrize("look", [{"x": "moon"}, {"since": -1}, {"window": 10**6}])
def test_a_look_that_makes_no_sense_is_refused(look: Any) -> None:
    with pytest.raises(V3Error, match="cannot be looked at"):
        Look(**look)


def compared(runs: list[RunSeries], **look: Any) -> Figure:
    as_seen = Look(**look)
    figure = compare_figure(runs, look=as_seen, unit=unit_of(runs, as_seen))
    checked(figure)
    return figure


@pytest.mark.parametrize(("x", "places"), [("step", STEPS), ("time", np.arange(1, COUNT + 1) / 3)])
def test_compared_runs_lie_along_the_same_axis_in_the_same_unit(x: Any, places: Any) -> None:
    slow = replace(run_of(), name="slow", seconds=run_of().curve.episode * 120.0)  # ten hours
    fast, other, *_ = compared([run_of(), slow], x=x, window=1).data
    hours = x == "time"
    np.testing.assert_allclose(fast.x, places / (3600 if hours else 1))
    np.testing.assert_allclose(other.x, np.arange(1, COUNT + 1) / 30 if hours else places)
    assert compared([run_of(), slow], x=x).layout.xaxis.range == [0, pytest.approx(10 if hours else STEPS[-1])]


def test_compared_runs_begin_where_each_of_them_began_the_phase() -> None:
    early = replace(
        run_of(),
        name="early",
        bands=phase_bands(CURRICULUM, episodes=TOTAL, starts=(PhaseStart(0, 0), PhaseStart(40, 1))),
    )
    never = replace(run_of(20), name="never", bands=phase_bands(CURRICULUM, episodes=TOTAL))
    figure = compared([run_of(), early, never], phase=CURRICULUM.phases[1].name, so_far=True)
    first, second = [trace for trace in figure.data if trace.type == "scatter"]
    assert (first.x[-1], second.x[-1]) == (COUNT - 250, COUNT - 40)
    assert figure.layout.xaxis.range == [0, COUNT - 40]
    assert "has not begun: never." in figure.layout.meta.caption
    assert first.line.color == compared([run_of(), early, never]).data[0].line.color  # of the same run


def test_a_comparison_ends_at_the_newest_episode_and_is_as_smooth_as_asked_for() -> None:
    assert compared([run_of(), run_of(16)]).layout.xaxis.range == [0, TOTAL]
    assert compared([run_of(100), run_of(16)], so_far=True).layout.xaxis.range == [0, 100]
    line, short, *_ = compared([run_of(), run_of(16)], window=50).data
    np.testing.assert_allclose(line.y[49:], [np.arange(end - 50, end).mean() for end in range(50, COUNT + 1)])
    assert np.isnan(line.y[:49]).all()
    assert (line.line.dash, short.line.dash) == (None, "dot")
    np.testing.assert_allclose(compared([run_of()], window=1).data[0].y, np.arange(COUNT))


def test_two_environments_never_share_an_axis_without_a_word() -> None:
    names, same = ["one", "two", "three"], ["CartPole-v1"] * 3
    assert environment_words(names, same) == ""
    sentence = environment_words(names, ["CartPole-v1", "MiniGrid-Empty-5x5-v0", "CartPole-v1"])
    assert sentence.endswith("different scales: CartPole-v1 (one, three); MiniGrid-Empty-5x5-v0 (two).")
    figure = compare_figure([run_of(), run_of()], environments=["A-v0", "B-v0"])
    assert "different environments" in figure.layout.meta.caption
