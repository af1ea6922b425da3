"""Patches: applied to what a browser has, they give what a fresh page has; and they are small."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.charts.made import made_curve
from tests.charts.patched import applied, unfolded
from tests.charts.test_figures import CURRICULUM, FIGURES, TOTAL, evaluation
from v3core.charts.folding import folded
from v3core.charts.patch import patch, whole
from v3core.charts.series import RunSeries, boundaries_ahead, phase_bands
from v3core.store.bulk import COLUMNS

FLOATS = st.floats(width=32) | st.sampled_from([np.nan, np.inf, 1e300, 1e-300, 0.0])
ARRAYS = arrays(np.float64, st.integers(0, 6), elements=FLOATS) | arrays(
    np.float64, st.tuples(st.integers(0, 4), st.just(2)), elements=FLOATS
)
WHOLE = arrays(np.int64, st.integers(0, 6), elements=st.integers(-(2**40), 2**40) | st.integers(0, 3))
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3) | ARRAYS | WHOLE
KEYS = st.sampled_from(["a", "b", "x"])
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def received(steps: Any) -> Any:
    return json.loads(json.dumps(steps, allow_nan=False))


@given(before=TREES, now=TREES)
def test_a_patch_leads_from_any_figure_to_any_other(before: Any, now: Any) -> None:
    before, now = {"figure": before}, {"figure": now}
    fresh = applied(None, received(whole(now)))
    assert applied(applied(None, whole(before)), received(patch(before, now))) == fresh


@given(values=arrays(np.float64, 8, elements=FLOATS), head=st.integers(0, 8), more=ARRAYS)
def test_what_stays_does_not_travel(values: Any, head: int, more: Any) -> None:
    if more.ndim > 1:
        return
    now = np.concatenate((values[:head], more, values[head:]))
    steps = patch({"x": values}, {"x": now})
    assert applied(applied(None, whole({"x": values})), received(steps)) == applied(None, whole({"x": now}))
    assert patch({"x": now}, {"x": now.copy()}) == []


def test_of_a_sentence_the_words_that_changed_travel() -> None:
    before, now = (f"Return of a run 🎲: {count} of 4,000 episodes, mean of the last 100: 0.5." for count in (98, 99))
    steps = patch({"alt": before, "y": [1, 2]}, {"alt": now, "y": [1, 2]})
    assert steps == [["words", ["alt"], {"5": "99"}]]
    assert applied({"alt": before}, steps) == {"alt": now}


def test_the_extremes_of_a_line_travel_once() -> None:
    """The outline in front of which a mean is drawn follows from them, and x is the same for all lines."""
    random = np.random.default_rng(3)
    run = run_of(2500, 4, {name: random.random(COUNT) for name in COLUMNS})
    tree = FIGURES["losses"](run).tree()
    lines = [trace for trace in tree["data"] if trace.get("fill") != "toself"]
    sent = folded(tree)
    assert len({json.dumps(trace["x"]) for trace in sent["data"] if "outline" not in trace["x"]}) == 1
    assert sum(table[:1].size for table in sent["tables"]) == 1 + 3 * len(lines)


RANDOM = np.random.default_rng(1)
COUNT = 2500


def run_of(count: int, experts: int, rows: Mapping[str, Any]) -> RunSeries:
    """The first episodes of one run; its returns have gaps."""
    curve = made_curve(
        {name: column[:count] for name, column in rows.items()},
        loads=np.full((count, experts), 1 / experts),
        expert_grad_norms=np.random.default_rng(2).random((COUNT, experts))[:count],
    )
    bands, ahead = (
        phase_bands(CURRICULUM, episodes=TOTAL),
        boundaries_ahead(CURRICULUM, completed=count, episodes=TOTAL),
    )
    marks = [evaluation(at) for at in range(100, count + 1, 100)]
    return RunSeries("run", curve, bands, ahead, total=TOTAL, evaluations=marks)


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    found = {name: RANDOM.random(COUNT) for name in COLUMNS}
    found["return"][5:60:2] = np.nan
    return found


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("experts", [4, 64])
def test_a_run_that_grows_is_as_on_a_fresh_page(figure: str, experts: int, rows: Mapping[str, Any]) -> None:
    have, before = None, None
    for count in (0, 1, 2, 40, 300, 999, 1001, 1002, 2500, 900):
        grown = FIGURES[figure](run_of(count, experts, rows)).tree()
        now = folded(grown)
        have = applied(have, received(whole(now) if before is None else patch(before, now)))
        assert unfolded(have) == applied(None, whole(grown))
        before = now


@pytest.mark.parametrize("count", [300, 2300])
def test_of_a_hundred_new_episodes_all_charts_get_a_few_kilobytes(count: int, rows: Mapping[str, Any]) -> None:
    sizes = {}
    for name, figure in FIGURES.items():
        before, now = (folded(figure(run_of(many, 4, rows)).tree()) for many in (count, count + 100))
        sizes[name] = len(json.dumps(patch(before, now)))
    assert sum(sizes.values()) < 25_000, sizes
    assert sizes["return"] < 2_500, sizes  # with gaps
