"""The chart below a replay draws every step, whatever it is, and plotly takes it."""

import math

import numpy as np
import pytest

from tests.charts.test_figures import payload
from tests.made_replays import made
from v3core.charts.palette import expert_colours
from v3core.charts.replay_timeline import MOST_POINTS, timeline_figure


def of(figure, name):
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


@pytest.mark.parametrize("experts", [1, 3, 64])
@pytest.mark.parametrize("steps", [1, 2, 40])
def test_every_step_is_drawn_as_it_was_recorded(experts, steps):
    replay = made(steps, experts)
    figure = timeline_figure("one", replay)
    payload(figure)
    for expert, colour in enumerate(expert_colours(experts)):
        trace = of(figure, f"Gate of expert {expert + 1}")
        assert trace.x.tolist() == list(range(1, steps + 1))
        assert trace.y == pytest.approx(replay.gates[:, expert])
        assert trace.line.color == colour
    strip = of(figure, "Largest gate")
    assert strip.z[:, 0].tolist() == replay.experts.tolist()
    assert strip.customdata[:, 0].tolist() == (replay.experts + 1).tolist()
    assert figure.layout.xaxis.range == [0.5, steps + 1.5]
    assert figure.layout.xaxis.unifiedhovertitle.text == "Step %{x:,d}"
    # Each expert has its own part of the colour scale, in its colour.
    places = (strip.z[:, 0] - strip.zmin) / (strip.zmax - strip.zmin)
    for place, expert in zip(places, replay.experts, strict=True):
        below = [edge for edge in strip.colorscale if edge[0] <= place][-1]
        assert below[1] == expert_colours(experts)[expert]
    assert of(figure, "Reward").y == pytest.approx(replay.rewards)
    assert of(figure, "State value").y == pytest.approx(replay.values)
    assert of(figure, "Action").y.tolist() == replay.actions[:, 0].tolist()


def test_a_long_replay_is_drawn_in_buckets_and_says_so():
    steps = 27_000
    replay = made(steps, 2)
    figure = timeline_figure("long", replay)
    payload(figure)
    reward = of(figure, "Reward")
    size = math.ceil(steps / MOST_POINTS)
    assert len(reward.x) == math.ceil(steps / size) <= MOST_POINTS
    assert reward.y[0] == pytest.approx(replay.rewards[:size].mean())
    assert reward.y[-1] == pytest.approx(replay.rewards[(len(reward.x) - 1) * size :].mean())
    assert figure.layout.xaxis.unifiedhovertitle.text == f"Steps from %{{x:,d}}, {size} together"
    assert figure.layout.meta["caption"] == f"Drawn: {len(reward.x):,} buckets of {size} steps, 27,000 steps"
    first = replay.experts[:size]
    assert of(figure, "Largest gate").z[0, 0] == np.bincount(first).argmax()


def test_actions_have_their_names_and_several_components_a_line_each():
    figure = timeline_figure("named", made(3, actions=np.array([[0], [1], [7]])), ["left", "right"])
    assert of(figure, "Action").customdata == ["left", "right", "7"]
    figure = timeline_figure("pairs", made(3, actions=np.array([[0.5, -1]] * 3, dtype=np.float32)))
    payload(figure)
    assert of(figure, "Action 2").y.tolist() == [-1, -1, -1]


def test_numbers_that_are_not_finite_are_left_out():
    replay = made(3, rewards=np.array([math.nan, math.inf, 1.0]), gates=np.full((3, 3), np.nan, dtype=np.float32))
    payload(timeline_figure("odd", replay))
