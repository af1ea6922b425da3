"""What is shown of a step beside its frame: the graph with attention, the actions, and all numbers between."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import plotly.graph_objects as go
import pytest

from tests.looked_inside import STEPS, look_at, looked
from tests.made_replays import made
from v3core.charts.palette import expert_colours
from v3core.charts.replay_actions import MIXTURE, replay_actions
from v3core.charts.state_graph import MAX_EDGES, attention_of, received, state_graph
from v3core.charts.step_view import NOT_RECORDED, step_choices, step_view
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import check_environment
from v3core.environments.action_names import _CONTINUOUS, _DISCRETE, action_names, chosen_words
from v3core.environments.registry import known_environments
from v3core.insight.actions import ActionFacts, normal_distances
from v3core.insight.jumps import FAR_APART, LEAST_SHARE, RULES
from v3core.policy import Gating
from v3core.training.explaining import MAX_BYTES

MINIGRID = "MiniGrid-DoorKey-5x5-v0"
ENVIRONMENTS = [
    *("CartPole-v1", "Acrobot-v1", "LunarLander-v3", "Pendulum-v1", "FrozenLake-v1", "Taxi-v4", MINIGRID),
]
SEVERAL = ActionFacts("multi_discrete", (2, 3), (0, 5))
SWITCHES = ActionFacts("multi_binary", (2, 2, 2))


def parts(view):
    """The rows of each part by its title, with numbers as Python reads them."""
    return {
        part["title"]: {name: value.replace("−", "-") for name, value in part["rows"]} for part in view["explained"]
    }


def texts(view):
    return {part["title"]: part["text"] for part in view["explained"]}


def checked(figure):
    """The figure as plotly itself takes it."""
    return go.Figure(json.loads(figure.to_json()))


@pytest.fixture(scope="module")
def cartpole():
    return looked("CartPole-v1", Gating("topk", top_k=2, temperature=0.5), shared_experts=1)


@pytest.fixture(scope="module")
def minigrid():
    return looked(MINIGRID, graph="gatv2")


# -------------------------------------------------------- Graph ----------------------------------------------------


@pytest.mark.parametrize("head", [None, 1, 4])
@pytest.mark.parametrize("layer", [1, 2])
def test_arrows_have_the_attention_of_their_edges(cartpole, layer, head):
    _, inside = cartpole
    weights = attention_of(inside, 3, layer, head)
    of_layer = inside.attention[2, layer - 1].astype(np.float64)
    np.testing.assert_array_equal(weights, of_layer.mean(0) if head is None else of_layer[head - 1])
    figure = state_graph(inside, 3, layer, head)
    heads, nodes = figure.data[-2], figure.data[-1]
    words = {}
    for text in heads.customdata:
        receiver, rest = text.split(" attends to ")
        sender, weight = rest.rsplit(": ", 1)
        words[receiver, sender] = np.float32(weight)
    for (receiver, sender), weight in zip(inside.edges.T.tolist(), weights.tolist(), strict=True):
        if receiver != sender:
            assert words.pop((inside.node_names[receiver], inside.node_names[sender])) == np.float32(weight)
    assert not words
    share = received(inside, weights)
    assert share.sum() == pytest.approx(1)
    np.testing.assert_array_equal(nodes.marker.color, share)
    assert np.argmax(nodes.marker["size"]) == share.argmax()
    assert inside.node_names[share.argmax()] in figure.layout.meta.alt
    checked(figure)


def test_an_arrow_points_at_who_attends():
    _, inside = looked("CartPole-v1")
    edges = np.array([[0, 1], [1, 1]], dtype=np.int32)  # node 0 attends to node 1
    one = replace(inside, edges=edges, attention=np.ones((STEPS, 2, 4, 2), np.float32))
    figure = state_graph(one, 1, 1, None)
    (angle,) = figure.data[-2].marker.angle
    along = one.places[0] - one.places[1]
    assert angle == pytest.approx(math.degrees(math.atan2(along[0], along[1])), abs=0.1)
    strongest = figure.data[-3]  # of the class of the strongest
    start, end = (np.array([strongest.x[place], strongest.y[place]]) for place in (0, 1))
    assert np.linalg.norm(start - one.places[1]) < np.linalg.norm(start - one.places[0])
    assert np.linalg.norm(end - one.places[0]) < np.linalg.norm(end - one.places[1])


def test_only_the_strongest_of_many_edges_are_drawn(minigrid):
    _, inside = minigrid
    figure = state_graph(inside, 2, 2, None)
    weights = attention_of(inside, 2, 2, None)
    others = inside.edges[0] != inside.edges[1]
    assert others.sum() > 2 * MAX_EDGES
    assert len(figure.data[-2].customdata) == MAX_EDGES
    assert f"the {MAX_EDGES} strongest of {others.sum()}" in figure.layout.meta.caption
    shown = sorted(float(text.rsplit(" ", 1)[-1]) for text in figure.data[-2].customdata)
    np.testing.assert_allclose(shown, np.sort(weights[others])[-MAX_EDGES:], rtol=1e-6)
    assert len(figure.to_json()) < 60_000
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert sum(np.isfinite(trace.x).sum() for trace in lines) == 2 * MAX_EDGES
    checked(figure)


def test_a_grid_is_drawn_as_it_is_and_says_what_is_in_it(minigrid):
    _, inside = minigrid
    figure = state_graph(inside, 1, 1, 2)
    nodes = figure.data[-1]
    np.testing.assert_array_equal(np.stack((nodes.x, nodes.y), 1), inside.places)
    assert nodes.marker.symbol.count("square") == 49
    door = next(node for node in range(49) if "door" in inside.observed(0, node))
    assert nodes.text[door] == "door"
    assert "door" in nodes.customdata[door]
    assert nodes.marker.line.color[door].startswith("#")
    assert nodes.text[inside.node_names.index("Mission")] == "Mission"
    assert not any(nodes.text[node] for node in range(49) if inside.observed(0, node) in {"wall", "empty", "unseen"})


@pytest.mark.parametrize(
    ("env", "sizes"),
    [*((env, {}) for env in ENVIRONMENTS), ("CartPole-v1", {"layers": 1, "heads": 1}), (MINIGRID, {"graph": "gatv1"})],
)
def test_any_policy_has_a_view_that_plotly_takes(env, sizes):
    replay, inside = looked(env, **sizes)
    for step in (1, STEPS):
        view = json.loads(json.dumps(step_view(replay, inside, step=step, layer=1, head=1), allow_nan=False))
        go.Figure(view["graph"])
        go.Figure(view["actions"])
        assert view["graph_note"] == view["actions_note"] == ""
        assert view["graph"]["layout"]["meta"]["alt"]
        assert all(part["title"] and (part["text"] or part["rows"]) for part in view["explained"])


def test_a_name_with_markup_is_text():
    _, inside = looked("CartPole-v1")
    inside = replace(inside, node_names=("<b>x</b>", "%{y}", "c", "d"))
    text = state_graph(inside, 1, 1, None).to_json()
    assert "<b>x</b>" not in text
    assert "%{y}" not in text


def test_without_a_graph_or_attention_a_sentence_says_why():
    replay, inside = looked("CartPole-v1", graph="mlp")
    view = step_view(replay, inside, step=1)
    assert view["graph"] is None
    assert "graph=mlp" in view["graph_note"]
    assert "graph=mlp" in texts(view)["Attention"]
    assert step_choices(inside)["layers"] == step_choices(inside)["heads"] == []
    replay, inside = looked("CartPole-v1")
    short = replace(inside, attention=inside.attention[:5], nodes=inside.nodes[:5])
    assert step_view(replay, short, step=5)["graph"] is not None
    late = step_view(replay, short, step=6)
    assert late["graph"] is None
    assert "first 5 steps" in late["graph_note"]
    assert "first 5 steps" in texts(late)["Attention"]
    alone = step_view(replay, None, step=6, no_inside="Checkpoint 40 is gone.")
    assert alone["graph"] is None
    assert alone["graph_note"] == "Checkpoint 40 is gone."
    assert alone["explained"][0]["text"].startswith("Checkpoint 40 is gone.")
    assert "checkpoint" in step_view(replay, None, step=6)["graph_note"]


def test_choices_are_layers_and_heads_and_the_rules_are_explained(cartpole):
    choices = step_choices(cartpole[1])
    assert choices["layers"] == [(1, "Layer 1"), (2, "Layer 2")]
    assert choices["heads"][0] == (None, "Mean of heads")
    assert choices["heads"][-1] == (4, "Head 4")
    assert choices["help"].keys() == {"graph", "actions", "explained", *RULES}


# ------------------------------------------------------- Actions ---------------------------------------------------


def test_bars_are_the_probabilities_of_the_mixture_and_of_each_expert(cartpole):
    replay, _ = cartpole
    figure = checked(replay_actions(replay, 4))
    *bars, chosen = figure.data
    rows = np.concatenate((replay.outputs[3][None], replay.expert_outputs[3])).astype(np.float64)
    expected = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    np.testing.assert_allclose([bar.y for bar in bars], expected, rtol=1e-9)
    assert [bar.name for bar in bars] == [MIXTURE, "Expert 1", "Expert 2", "Expert 3", "Expert 4"]
    assert [bar.marker.color for bar in bars[1:]] == expert_colours(4)
    assert [bar.marker.opacity == 1 for bar in bars[1:]] == (replay.gates[3] > 0).tolist()
    assert list(chosen.x) == replay.actions[3].tolist()
    words = ("Push left", "Push right")
    ticks = list(figure.layout.xaxis.ticktext)
    assert ticks[replay.actions[3][0]] == f"<b>{words[replay.actions[3][0]]}</b>"
    assert words[replay.actions[3][0]] in figure.layout.meta["alt"]


def test_actions_that_were_not_allowed_are_shown_as_such(cartpole):
    replay, _ = cartpole
    masks = np.ones((STEPS, 2), dtype=np.bool_)
    masks[3, 1] = False
    replay = replace(replay, masks=masks, actions=np.zeros((STEPS, 1), np.int64))
    figure = replay_actions(replay, 4)
    assert [bar.y[1] for bar in figure.data[:-1]] == [0] * 5
    assert [(note.x, note.text) for note in figure.layout.annotations] == [(1, "not allowed")]
    (grey,) = figure.layout.shapes
    assert (grey["x0"], grey["x1"]) == (0.5, 1.5)
    assert not replay_actions(replay, 3).layout.shapes
    assert parts(step_view(replay, None, step=4))["Action probabilities"]["Push right"] == "not allowed"


@pytest.mark.parametrize("experts", [1, 8, 9, 64])
@pytest.mark.parametrize("actions", [2, 12, 40])
def test_many_experts_or_actions_are_a_heatmap(experts, actions):
    replay = made(3, experts, actions, space=ActionFacts("discrete", (actions,), (1,)))
    replay = replace(replay, environment=EnvironmentSetup("Other-v0"))
    figure = checked(replay_actions(replay, 2))
    kind = "bar" if experts <= 8 and actions <= 12 else "heatmap"
    assert figure.data[0].type == kind
    if kind == "heatmap":
        assert np.array(figure.data[0].z).shape == (experts + 1, actions)
        (outline,) = figure.layout.shapes
        assert outline.x0 + 0.5 == replay.actions[1][0]


def test_numbers_are_means_with_deviations_in_the_environments_units():
    replay, _ = looked("Pendulum-v1")
    figure = checked(replay_actions(replay, 2))
    *means, chosen = figure.data
    rows = np.concatenate((replay.outputs[1][None], replay.expert_outputs[1]))
    np.testing.assert_allclose([trace.y[0] for trace in means], 2 * rows[:, 0], rtol=1e-6)  # torque from −2 to 2
    assert means[0].error_y.array[0] == pytest.approx(replay.space.deviation[0])
    assert chosen.y[0] == replay.actions[1][0]
    unknown = replay_actions(replace(replay, space=None), 2)
    assert unknown.data[0].get("error_y") is None
    assert len({trace.x[0] for trace in means}) == 5


@pytest.mark.parametrize(
    ("space", "action", "marked"), [(SEVERAL, [1, 2], [1, 4]), (SWITCHES, [1, 0, 1], [0, 2]), (SWITCHES, [0, 0, 0], [])]
)
def test_several_components_are_side_by_side(space, action, marked):
    outputs = 5 if space is SEVERAL else 3
    replay = made(2, 2, outputs, actions=np.array([action, action]), space=space)
    figure = checked(replay_actions(replay, 1))
    assert list(figure.data[-1].x or []) == marked
    assert len(figure.data[0].y) == outputs
    if space is SEVERAL:
        np.testing.assert_allclose([sum(figure.data[0].y[:2]), sum(figure.data[0].y[2:])], 1)
        assert "2: 7" in figure.layout.meta["alt"]
    else:
        np.testing.assert_allclose(figure.data[0].y, 1 / (1 + np.exp(-replay.outputs[0].astype(float))))


def test_what_is_not_recorded_is_said():
    replay = made(2, 3, 5, actions=np.zeros((2, 2), np.int64))  # sizes of several components are not known
    view = step_view(replay, None, step=1)
    assert view["actions"] is None
    assert view["actions_note"] == NOT_RECORDED
    bare = made(2, 3, 2, expert_outputs=None)
    figure = replay_actions(bare, 1)
    assert [trace.name for trace in figure.data] == [MIXTURE, "Chosen"]
    view = step_view(bare, None, step=1, no_inside="The checkpoint was not kept.")
    assert "not recorded" in texts(view)["Experts' outputs"]
    assert view["actions_note"] == "Of the experts alone nothing was recorded. The checkpoint was not kept."


def test_what_is_not_a_number_breaks_nothing():
    replay, inside = looked("CartPole-v1")
    odd = replace(replay, outputs=np.full_like(replay.outputs, np.nan), values=np.full_like(replay.values, np.inf))
    view = step_view(odd, replace(inside, attention=np.full_like(inside.attention, np.nan)), step=1)
    json.dumps(view, allow_nan=False)
    assert texts(view)["Action"] == "The outputs of the policy are not numbers."
    assert texts(view)["Gates"] == ""
    both = replace(replay, gates=np.full_like(replay.gates, np.nan))
    assert texts(step_view(both, replace(inside, gates=both.gates), step=1))["Gates"] == ""


def test_nodes_without_words_are_counted():
    replay, inside = looked("CartPole-v1")
    kinds = ("image", "image", "group", "hub")
    odd = replace(inside, kinds=kinds)
    text = texts(step_view(replay, odd, step=1))["Observation"]
    assert [int(sentence[-1]) for sentence in text.rstrip(".").split(". ")] == [2, 1, 1]


def test_gumbel_is_softmax_where_there_is_no_noise():
    replay, inside = looked("CartPole-v1", Gating("gumbel", temperature=0.5))
    assert texts(step_view(replay, inside, step=1))["Temperature and routing"].startswith("gumbel (softmax")
    z = inside.router_logits[0].astype(float) / 0.5
    np.testing.assert_allclose(inside.gates[0], np.exp(z) / np.exp(z).sum(), rtol=1e-5)


@pytest.mark.parametrize("start", _DISCRETE)
def test_names_of_actions_are_as_many_as_the_environment_has(start):
    known_environments()  # their packages register them
    args = {"continuous": False} if start == "CarRacing-" else {}
    env = next(env for env in sorted(gymnasium.registry, reverse=True) if is_of(env, start))
    spec = check_environment(EnvironmentSetup(env, args), allow_import=False)
    assert spec.actions.sizes == (len(_DISCRETE[start]),)
    facts = ActionFacts("discrete", spec.actions.sizes, spec.actions.starts)
    assert action_names(spec.environment, facts, outputs=spec.actions.outputs) == list(_DISCRETE[start])


def is_of(env, start):
    """Whether an id of Gymnasium's own environments, or those of MiniGrid, begins like that."""
    return env.startswith(start) and not any(word in env for word in ("Continuous", "/", "WFC"))


@pytest.mark.parametrize("start", ["Pendulum-", "MountainCarContinuous-", "LunarLander", "BipedalWalker"])
def test_names_of_numbers_are_as_many_as_the_environment_has(start):
    env = next(env for env in sorted(gymnasium.registry) if env.startswith(start))
    setup = EnvironmentSetup(env, {"continuous": True} if start == "LunarLander" else {})
    spec = check_environment(setup, allow_import=False)
    facts = ActionFacts("continuous", span=(1.0,) * spec.actions.outputs)
    assert action_names(setup, facts, outputs=spec.actions.outputs) == list(_CONTINUOUS[start])


def test_an_action_has_words_of_its_own_kind():
    setup = EnvironmentSetup("Other-v0", {}, ("TimeLimit(3)",))
    names = action_names(setup, SEVERAL, outputs=5)
    assert names == ["1: 0", "1: 1", "2: 5", "2: 6", "2: 7"]
    assert chosen_words(names, SEVERAL, [1, 0]) == "1: 1, 2: 5"
    assert chosen_words(action_names(setup, SWITCHES, outputs=3), SWITCHES, [0, 1, 1]).endswith("Switch 3 on")
    many = ActionFacts("multi_binary", (2,) * 40)
    assert chosen_words(action_names(setup, many, outputs=40), many, [1] * 40).endswith("Switch 12 on and 28 more")
    wrapped = EnvironmentSetup("CartPole-v1", {}, ("TimeLimit(3)",))
    assert action_names(wrapped, ActionFacts("discrete", (2,), (0,)), outputs=2) == ["0", "1"]


# ------------------------------------------------------ Explained --------------------------------------------------


def test_the_way_from_observation_to_action_has_the_numbers_of_the_network(cartpole):
    replay, inside = cartpole
    view = step_view(replay, inside, step=7, head=2)
    at = 6
    assert [part["title"] for part in view["explained"]] == [
        "Observation",
        "Node features",
        "Attention, layer 1 (head 2)",
        "Attention, layer 2 (head 2)",
        "Scene",
        "Router logits",
        "Temperature and routing",
        "Gates",
        "Experts' outputs",
        "Mixture",
        "Action probabilities",
        "Action",
        "State value",
    ]
    found = parts(view)
    assert np.float32(found["Observation"]["Pole angle"]) == inside.numbers[at, 2]
    for title, row in (("Router logits", inside.router_logits[at]), ("Gates", replay.gates[at])):
        assert [np.float32(found[title][f"Expert {expert}"]) for expert in range(1, 5)] == list(row)
    scaled = [np.float32(found["Temperature and routing"][f"Expert {expert}"]) for expert in range(1, 5)]
    assert scaled == list(inside.router_logits[at] / np.float32(0.5))
    assert "topk" in texts(view)["Temperature and routing"]
    assert "0.5" in texts(view)["Temperature and routing"]
    assert [np.float32(one) for one in found["Mixture"].values()] == list(replay.outputs[at])
    expert = found["Experts' outputs"]["Expert 3"]
    assert expert == f"Push left {inside.expert_outputs[at, 2, 0]!s}, Push right {inside.expert_outputs[at, 2, 1]!s}"
    assert "Shared experts" in found["Experts' outputs"]
    listed = [int(name.split()[1]) - 1 for name in found["Scene"]]
    assert [np.float32(one) for one in found["Scene"].values()] == inside.scene[at, listed].tolist()
    assert sorted(np.abs(inside.scene[at, listed])) == sorted(np.abs(inside.scene[at]))[-5:]
    assert (inside.scene[at, listed] < 0).any()
    layer = found["Attention, layer 2 (head 2)"]
    assert np.float32(next(iter(layer.values()))) == inside.attention[at, 1, 1].max()
    assert found["Action"]["Chosen"] == ("Push left", "Push right")[replay.actions[at][0]]
    assert texts(view)["Action"] == "The most probable one."
    assert np.float32(found["State value"]["Expected return"]) == replay.values[at]
    assert texts(view)["Gates"] == ""


def test_gates_that_differ_from_the_recorded_ones_say_by_how_much(cartpole):
    replay, inside = cartpole
    near = replace(replay, gates=replay.gates + np.float32(1e-6))
    text = texts(step_view(near, inside, step=2))["Gates"]
    assert "at most" in text
    assert "1e-06" in text or "9.5e-07" in text
    far = replace(replay, gates=replay.gates[:, ::-1].copy())
    assert "another network" in texts(step_view(far, inside, step=2))["Gates"]


def test_a_minigrid_is_described_by_what_is_in_view(minigrid):
    replay, inside = minigrid
    view = step_view(replay, inside, step=1)
    rows = parts(view)["Observation"]
    door = next(node for node in range(49) if "door" in inside.observed(0, node))
    assert rows[inside.node_names[door]] == inside.observed(0, door)
    assert "Mission" in rows
    walls = sum(inside.observed(0, node) == "wall" for node in range(49))
    assert f"{walls} wall" in texts(view)["Observation"]
    assert not any(word in {"wall", "empty", "unseen"} for word in rows.values())


def test_a_sampled_action_is_called_so(cartpole):
    replay, _ = cartpole
    other = replace(replay, actions=1 - replay.actions)
    view = step_view(other, None, step=1)
    assert texts(view)["Action"].startswith("Sampled")
    mode, rows = replay.outputs[0].astype(np.float64), parts(view)["Action"]
    chance = np.exp(mode[other.actions[0, 0]]) / np.exp(mode).sum()
    assert float(rows["Its probability"]) == pytest.approx(chance, rel=1e-6)


def test_a_number_beyond_the_bounds_is_called_clipped():
    replay, _ = looked("Pendulum-v1")
    far = replace(replay, actions=np.full_like(replay.actions, 2.5))
    assert "clipped" in texts(step_view(far, None, step=1))["Action"]
    near = replace(replay, actions=np.full_like(replay.actions, 1.5))
    assert texts(step_view(near, None, step=1))["Action"] == "Sampled around the mean."
    mean = np.clip(2 * replay.outputs, -1.9, 1.9)
    replay = replace(replay, actions=mean, outputs=mean / 2)
    assert texts(step_view(replay, None, step=1))["Action"] == "The mean."


def test_of_many_experts_those_with_the_largest_gates_are_listed():
    replay, inside = looked("CartPole-v1", Gating(temperature=0.3), experts=20)
    rows = parts(step_view(replay, inside, step=1))["Gates"]
    best = np.argsort(-replay.gates[0])[:8]
    assert list(rows)[:8] == [f"Expert {expert + 1}" for expert in best]
    assert rows["12 more"] == "not listed"


def test_steps_beyond_the_ends_are_the_nearest(cartpole):
    replay, inside = cartpole
    assert step_view(replay, inside, step=0) == step_view(replay, inside, step=1)
    beyond = step_view(replay, inside, step=999, layer=9, head=9)
    assert beyond == step_view(replay, inside, step=STEPS, layer=2, head=4)


def test_look_at_plays_what_it_says():
    """The helper of these tests: its states are those of an environment."""
    _, spec, observations = look_at("CartPole-v1")
    assert observations.shape == (STEPS, spec.graph.size)
    assert np.abs(np.diff(observations, axis=0)).max() > 0


def test_a_view_is_quick_enough_to_play(minigrid):
    """It is asked for several times a second: 10 ms of processor time at most, the best of several."""
    replay, inside = minigrid
    spent = []
    for step in range(1, STEPS + 1):
        begin = time.process_time()
        step_view(replay, inside, step=step)
        spent.append(time.process_time() - begin)
    assert min(spent) < 0.010


def test_the_docs_have_the_numbers_of_the_rules():
    text = (Path(__file__).parents[2] / "docs" / "replays.md").read_text(encoding="utf-8")
    assert f"The {MAX_EDGES} strongest arrows" in text
    assert f"{MAX_BYTES >> 20} MiB" in text
    assert f"{100 * LEAST_SHARE:g} % of the gates" in text
    at, root = normal_distances()
    assert f"is {FAR_APART:g} or more, as {np.interp(FAR_APART, root, at):.1f} deviations" in text
