"""Every number that a page draws of a run is worked out here with numpy, from what was recorded of each episode."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.charts.patched import applied
from tests.known_run import EXPERTS, PHASES, RUN, add_known_run, known_columns
from v3core.charts.look import Look
from v3core.charts.patch import whole
from v3core.metrics import (
    AT_EVALUATIONS,
    COMPARED,
    DECISIONS,
    EFFECTIVE,
    ENTROPY,
    ENTROPY_SHARE,
    LOSSES,
    METRICS,
    MOST_USED_LOAD,
    NETWORK,
    POOLED_EXPERTS,
    RETURN,
    SUCCESS,
    UPDATES,
    WINDOWED,
    Chart,
    of_chart,
)
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.ui.chart_sources import COMPARE, AsOfNow, Source, Zoom, _caption, draw, loads_chart, numbers_of

COUNT, SIZE, WINDOW = 2100, 4, 100
"""Episodes, those of a point of a chart, and those of a moving average."""
RAW = known_columns(COUNT)
ENDS = np.arange(SIZE, COUNT + 1, SIZE)
_OF_EXPERTS = range(1, EXPERTS + 1)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("known")
    database = open_database(f"sqlite:///{folder / 'v3.db'}", folder)
    add_known_run(database, RAW)
    yield database
    database.close()


def drawn(db: Database, chart: str, *, visible: Zoom | None = None, **source: Any) -> dict[str, Any]:
    """A chart as the browser gets it."""
    figure: dict[str, Any] = applied(None, whole(draw([AsOfNow(db, RUN)], Source(chart, (RUN,), **source), visible)))
    return figure


def lines(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["name"]: trace for trace in figure["data"]}


def numbers(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def parts(name: str, size: int = SIZE) -> np.ndarray:
    """A column in buckets, shape [buckets, size]."""
    return RAW[name][: COUNT // size * size].reshape(-1, size)


def trailing(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the last `window` up to each point's end, NaN before there are as many."""
    return np.array([values[end - window : end].mean() if end >= window else np.nan for end in ENDS])


def by_steps(load: str, window: int) -> np.ndarray:
    """Loads over all steps of the last `window`, shape [points, experts]; a point has the mean of its episodes."""
    steps = np.repeat(parts("length").mean(1), SIZE)
    of_each = [np.repeat(parts(f"{load}_{number}").mean(1), SIZE) for number in _OF_EXPERTS]
    return np.column_stack([trailing(steps * one, window) / trailing(steps, window) for one in of_each])


def shown_in(chart: Any) -> list[Any]:
    """The metrics of a chart of a run that recorded all of them."""
    others = {metric.instead_of for metric in of_chart(chart)}
    return [metric for metric in of_chart(chart) if metric.name not in others]


def same(found: Any, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(numbers(found), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "chart", [LOSSES, UPDATES, NETWORK, DECISIONS, ENTROPY, EFFECTIVE], ids=lambda chart: chart.name
)
def test_a_point_is_the_mean_of_its_episodes_with_their_extremes(db: Database, chart: Any) -> None:
    shown = lines(drawn(db, chart.name))
    rows = chart in (LOSSES, UPDATES, NETWORK, DECISIONS)
    for metric in shown_in(chart):
        line = shown[metric.label if rows else metric.legend or metric.title]
        part = parts(metric.name)
        same(line["x"], ENDS)
        if metric.name in WINDOWED:
            same(line["y"], part[:, -1])
            assert "customdata" not in line
        else:
            same(line["y"], part.mean(1))
            same(line["customdata"], np.column_stack((part.min(1), part.max(1))))
    if chart is DECISIONS:
        same(shown["Exact zeros"]["y"], 1 - parts("support").mean(1) / EXPERTS)
        for metric in of_chart(chart):
            band = shown[f"{metric.label}: lowest to highest"]
            part = parts(metric.name)
            same(band["x"], np.concatenate((ENDS, ENDS[::-1])))
            same(band["y"], np.concatenate((part.max(1), part.min(1)[::-1])))


def test_specialisation_is_read_out_as_of_the_last_episode(db: Database) -> None:
    alt = drawn(db, ENTROPY.name)["layout"]["meta"]["alt"]
    assert f"latest specialisation {RAW['specialisation'][-1]:.3f}." in alt
    level = lines(drawn(db, ENTROPY.name))["ln 4 = 1.386"]
    same(level["y"], np.full(2, math.log(4)))


def test_each_expert_has_its_own_numbers(db: Database) -> None:
    loads, gradients = (lines(drawn(db, chart)) for chart in ("loads", "gradients"))
    of_areas = {metric: lines(drawn(db, loads_chart("area", metric))) for metric in ("load", "hard_load")}
    for number in _OF_EXPERTS:
        name = f"Expert {number}"
        same(loads[name]["y"], parts(f"load_{number}").mean(1))
        same(gradients[name]["y"], parts(f"expert_grad_norm_{number}").mean(1))
        for metric, areas in of_areas.items():
            same(areas[name]["y"], parts(f"{metric}_{number}").mean(1))
    for metric in ("load", "hard_load"):
        (heatmap,) = drawn(db, loads_chart("heatmap", metric))["data"]
        assert heatmap["y"] == [f"Expert {number}" for number in _OF_EXPERTS]
        same(heatmap["z"], np.column_stack([parts(f"{metric}_{number}").mean(1) for number in _OF_EXPERTS]))
    newest = [RAW[f"load_{number}"][-1] for number in _OF_EXPERTS]
    heaviest = (
        f"latest highest load: expert {int(np.argmax(newest)) + 1} with {max(newest):.0%}; an even share is 25.0%"
    )
    assert heaviest in drawn(db, "loads")["layout"]["meta"]["alt"]


@pytest.mark.parametrize("form", ["area", "heatmap"])
@pytest.mark.parametrize("load", ["load", "hard_load"])
def test_smoothed_loads_are_over_all_steps_together(db: Database, form: str, load: str) -> None:
    wanted = by_steps(load, 20)
    figure = drawn(db, loads_chart(form, load), look=Look(window=20))
    if form == "heatmap":
        same(figure["data"][0]["z"], wanted)
        return
    has = np.isfinite(wanted[:, 0])
    for number in _OF_EXPERTS:
        same(lines(figure)[f"Expert {number}"]["y"], wanted[has, number - 1])


def test_returns_and_their_moving_average(db: Database) -> None:
    figure = drawn(db, "return")
    shown, average = lines(figure), trailing(RAW["return"], WINDOW)
    same(shown["Mean of 4 episodes"]["y"], parts("return").mean(1))
    same(shown["Mean of last 100"]["y"], average)
    assert f"mean of the last 100: {average[-1]:.1f}." in figure["layout"]["meta"]["alt"]


def test_success_is_a_share_of_episodes(db: Database) -> None:
    figure = drawn(db, "success")
    shown, average, size = lines(figure), trailing(RAW["success"], WINDOW), 64
    wide = [RAW["success"][start : start + size].mean() for start in range(0, COUNT, size)]
    same(shown["Rate in 64 episodes"]["y"], np.array(wide))
    same(shown["Rate in last 100"]["y"], average)
    assert f", of the last 100: {average[-1]:.0%}." in figure["layout"]["meta"]["alt"]


def test_the_schedule_has_what_was_in_effect_and_what_was_planned(db: Database) -> None:
    figure = drawn(db, "schedule")
    effective = [trace for trace in figure["data"] if trace["name"] == "In effect"]
    planned = [trace for trace in figure["data"] if trace["name"] == "Planned"]
    for knob, trace in zip(("temperature", "lr"), effective, strict=False):
        same(trace["y"], parts(knob).mean(1))
    x, y = numbers(planned[0]["x"]), numbers(planned[0]["y"])
    begin = PHASES["late"].start
    same(y[x < begin], np.ones((x < begin).sum()))
    same(y[x > begin], 1 + (x[x > begin] - begin) / (COUNT - begin))


@pytest.mark.parametrize("metric", [name for name in COMPARED if name not in AT_EVALUATIONS])
def test_runs_are_compared_by_the_mean_of_their_last_episodes(db: Database, metric: str) -> None:
    line = drawn(db, COMPARE, metric=metric)["data"][0]
    if metric == ENTROPY_SHARE:
        wanted = trailing(RAW["routing_entropy"] / math.log(EXPERTS), WINDOW)
    elif metric == MOST_USED_LOAD:
        wanted = by_steps("load", WINDOW).max(axis=1)
    elif metric == POOLED_EXPERTS:
        loads = by_steps("load", WINDOW)
        wanted = np.exp(-(loads * np.log(loads)).sum(axis=1))
    elif metric in WINDOWED:
        wanted = RAW[metric][ENDS - 1]
    else:
        wanted = trailing(RAW[metric], WINDOW)
    same(line["x"], ENDS)
    same(line["y"], wanted)


def test_what_is_zoomed_to_has_every_episode(db: Database) -> None:
    figure = drawn(db, UPDATES.name, visible=Zoom(1000.0, 1010.0, 800))
    for metric in shown_in(UPDATES):
        line = lines(figure)[metric.label]
        episodes = numbers(line["x"]).astype(int)
        assert {1000, 1010} <= set(episodes.tolist())
        same(line["y"], RAW[metric.name][episodes - 1])


def test_a_smoothed_line_is_the_mean_of_as_many_episodes_along_their_steps(db: Database) -> None:
    look = Look(x="step", window=20)
    line = lines(drawn(db, UPDATES.name, look=look))[METRICS["approx_kl_last"].label]
    same(line["x"], RAW["step"][ENDS - 1])
    same(line["y"], trailing(RAW["approx_kl_last"], 20))


@pytest.mark.parametrize("chart", [EFFECTIVE.name, COMPARE])
def test_what_is_over_a_window_already_is_not_averaged_again(db: Database, chart: str) -> None:
    figure = drawn(db, chart, look=Look(window=20), metric="recent_dead_experts")
    line = figure["data"][0] if chart == COMPARE else lines(figure)[METRICS["recent_dead_experts"].title]
    same(line["y"], RAW["recent_dead_experts"][ENDS - 1])


def test_the_numbers_at_the_head_are_of_the_newest_episodes(db: Database) -> None:
    one = AsOfNow(db, RUN)
    tiles = {tile["label"]: tile["value"] for tile in numbers_of(one.run, one.mean)["tiles"]}
    assert (tiles["Phase"], tiles["Steps"]) == ("late", f"{RAW['length'].sum():,}")
    assert float(tiles["Mean return, last 100 in phase"]) == pytest.approx(RAW["return"][-WINDOW:].mean(), abs=6e-4)
    assert float(tiles["Latest return"]) == pytest.approx(RAW["return"][-1], abs=6e-4)


def test_captions_say_that_means_cross_phases_where_they_do(db: Database) -> None:
    def caption(chart: Chart, window: int = 0) -> str:
        return str(drawn(db, chart.name, look=Look(window=window))["layout"]["meta"].get("caption", ""))

    assert caption(RETURN).startswith("Drawn: ")
    assert caption(RETURN).endswith(" episodes; moving means cross phases")
    assert caption(SUCCESS) == "Moving means cross phases"
    assert caption(UPDATES, window=20).endswith("; moving means cross phases")
    assert "cross" not in caption(RETURN, window=1) + caption(SUCCESS, window=1) + caption(UPDATES)
    whole_run = AsOfNow(db, RUN).series(None)
    in_its_first = replace(whole_run, starts=whole_run.starts[:1])
    assert str(_caption(RETURN, in_its_first, Look(), recorded=True)) == caption(RETURN, window=1)
