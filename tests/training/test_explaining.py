"""A look inside: the numbers are those of the policy's own forward pass, whatever the graph, actions or routing."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.looked_inside import STEPS, look_at
from v3core import load_policy
from v3core.charts.step_view import step_view
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, check_environment
from v3core.environments.node_words import node_words
from v3core.environments.replaying import play_again
from v3core.errors import V3Error
from v3core.insight.inside import Inside
from v3core.interruption import Interrupted
from v3core.policy import Gating
from v3core.training import explaining
from v3core.training.explaining import look_inside
from v3core.training.trainer import train

CHUNK = 8
MINIGRID = "MiniGrid-DoorKey-5x5-v0"
ROUTINGS = {
    "softmax": Gating(temperature=0.5),
    "sparsemax": Gating("sparsemax", temperature=0.1),
    "topk": Gating("topk", top_k=2),
    "switch": Gating("topk", top_k=1, top_k_weights="probabilities"),
}


class Odd(gymnasium.Env):
    """Two dials to turn; observes an image, a table, and a number in a Dict."""

    def __init__(self):
        picture = spaces.Box(0, 255, (12, 12, 3), np.uint8)
        parts = {
            "camera": picture,
            "table": spaces.MultiDiscrete([3, 4], start=[1, 0]),
            "speed": spaces.Box(-1, 1, (1,)),
        }
        self.observation_space, self.action_space = spaces.Dict(parts), spaces.MultiDiscrete([3, 2])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch):
    monkeypatch.setattr(explaining, "CHUNK", CHUNK)
    gymnasium.registry.pop("TestExplained-v0", None)
    gymnasium.register("TestExplained-v0", Odd)
    yield
    gymnasium.registry.pop("TestExplained-v0", None)


ENVIRONMENTS = [
    *("CartPole-v1", "Acrobot-v1", "LunarLander-v3", "Pendulum-v1", "FrozenLake-v1", "Taxi-v4", MINIGRID),
    "TestExplained-v0",
]


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("graph", ["gatv1", "gatv2", "mlp"])
def test_the_numbers_are_those_of_the_forward_pass_to_the_bit(env, graph):
    policy, spec, observations = look_at(env, graph=graph)
    inside = look_inside(policy, spec, observations)
    for first in range(0, STEPS, CHUNK):
        rows = slice(first, first + CHUNK)
        with torch.inference_mode():
            output = policy(torch.from_numpy(observations[rows]))
        for name in ("scene", "router_logits", "gates", "outputs", "values"):
            assert getattr(inside, name)[rows].tobytes() == getattr(output, name).numpy().tobytes(), name
        alone = output.expert_outputs.transpose(0, 1).contiguous().numpy()
        assert inside.expert_outputs[rows].tobytes() == alone.tobytes()
    assert len(inside) == STEPS
    assert inside.nodes.shape == (STEPS, spec.graph.nodes, 16)
    assert len(inside.node_names) == len(set(inside.node_names)) == spec.graph.nodes
    assert (inside.attention is None) == (graph == "mlp")


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("shared", [0, 2])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_the_parts_make_the_mixture_under_every_routing(env, routing, shared):
    policy, spec, observations = look_at(env, ROUTINGS[routing], shared_experts=shared)
    inside = look_inside(policy, spec, observations)
    mixture = np.einsum("te,teo->to", inside.gates, inside.expert_outputs)
    if shared:
        mixture += inside.shared
        assert np.abs(inside.shared).max() > 0.01
    else:
        assert inside.shared is None
    np.testing.assert_allclose(mixture, inside.outputs, atol=1e-5)
    used = (inside.gates > 0).sum(1)
    assert (used == {"softmax": 4, "topk": 2, "switch": 1}.get(routing, used)).all()
    assert inside.gating["routing"] == policy.gating.routing


def test_the_bias_for_choosing_is_used():
    policy, spec, observations = look_at("CartPole-v1", Gating("topk", top_k=1))
    policy.move_bias(torch.tensor([0.0, 9.0, 0.0, 0.0]))
    inside = look_inside(policy, spec, observations)
    assert (inside.gates.argmax(1) == 1).all()
    assert inside.bias == (0, 9, 0, 0)


@pytest.mark.parametrize("env", ["CartPole-v1", MINIGRID, "TestExplained-v0"])
@pytest.mark.parametrize("graph", ["gatv1", "gatv2"])
def test_attention_sums_to_1_and_makes_the_output_of_its_layer(env, graph):
    policy, spec, observations = look_at(env, graph=graph)
    inside = look_inside(policy, spec, observations)
    receivers, senders = inside.edges
    assert spec.graph.neighbours[receivers, senders].all()
    assert inside.edges.shape[1] == spec.graph.neighbours.sum()
    sums = np.zeros((STEPS, 2, 4, spec.graph.nodes))
    np.add.at(sums, (..., receivers), inside.attention)
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert inside.attention.std() > 0.01
    entering = torch.from_numpy(inside.nodes).permute(2, 1, 0)
    for place, layer in enumerate(policy.gat):
        with torch.no_grad():
            conv, normalised = layer.conv, layer._normalised(entering)
            values = torch.einsum("ow,wnb->onb", conv.weight, normalised)
            if graph == "gatv2":
                values += conv.bias_sender.unsqueeze(2)
            per_head = values.view(4, 4, spec.graph.nodes, STEPS)  # heads, width of a head
            weights = torch.from_numpy(inside.attention[:, place]).permute(1, 2, 0).unsqueeze(1)
            mixed = torch.zeros_like(per_head).index_add(
                2, torch.from_numpy(receivers).long(), weights * per_head[:, :, torch.from_numpy(senders).long()]
            )
            made_of_them = entering + torch.nn.functional.elu(mixed.flatten(0, 1) + conv.bias)
            entering = layer(entering)
        torch.testing.assert_close(made_of_them, entering, atol=1e-4, rtol=1e-4)


def test_of_a_long_episode_the_first_steps_have_attention(monkeypatch):
    policy, spec, observations = look_at("CartPole-v1")
    whole = look_inside(policy, spec, observations)
    per_step = 4 * (4 * 16 + 2 * 4 * 16)
    monkeypatch.setattr(explaining, "MAX_BYTES", per_step * 10)
    short = look_inside(policy, spec, observations)
    assert len(short.attention) == len(short.nodes) == 10
    assert short.attention.tobytes() == whole.attention[:10].tobytes()
    assert short.gates.tobytes() == whole.gates.tobytes()


def test_progress_is_reported_and_it_can_be_interrupted():
    policy, spec, observations = look_at("CartPole-v1")
    done = []
    look_inside(policy, spec, observations, progress=done.append)
    assert done == [8, 16, 19]
    with pytest.raises(Interrupted):
        look_inside(policy, spec, observations, interrupted=lambda: True)


@pytest.mark.parametrize("graph", ["gatv2", "mlp"])
def test_what_is_written_is_read_without_loading_it(tmp_path, graph):
    policy, spec, observations = look_at(MINIGRID, Gating("topk"), graph=graph, shared_experts=1)
    inside = look_inside(policy, spec, observations)
    inside.write(tmp_path / "inside")
    read = Inside.read(tmp_path / "inside")
    for name, value in vars(inside).items():
        found = getattr(read, name)
        if isinstance(value, np.ndarray):
            assert isinstance(found, np.memmap), name
            assert (found.dtype, found.shape, found.tobytes()) == (value.dtype, value.shape, value.tobytes())
        else:
            assert found == value, name


@pytest.mark.parametrize("damage", ["cut", "missing", "names", "version", "shape", "nothing"])
def test_what_is_damaged_is_refused_in_one_sentence(tmp_path, damage):
    policy, spec, observations = look_at("CartPole-v1")
    look_inside(policy, spec, observations).write(tmp_path)
    names, scene = tmp_path / "inside.json", tmp_path / "scene.npy"
    match damage:
        case "cut":
            scene.write_bytes(scene.read_bytes()[:-5])
        case "missing":
            scene.unlink()
        case "names":
            names.write_text(names.read_text()[:-5])
        case "version":
            names.write_text(names.read_text().replace("v3lab-inside-1", "v3lab-inside-9"))
        case "shape":
            np.save(scene, np.zeros((2, 3), np.float32))
        case "nothing":
            names.unlink()
    with pytest.raises(V3Error, match="make the replay again"):
        Inside.read(tmp_path)


def test_cells_are_where_the_grid_has_them_and_are_described():
    policy, spec, observations = look_at(MINIGRID)
    inside = look_inside(policy, spec, observations)
    assert inside.node_names[1] == "Column 1, row 2"
    assert inside.places[1].tolist() == [0, -1]
    assert inside.node_names[7] == "Column 2, row 1"
    assert inside.places[7].tolist() == [1, 0]
    assert inside.cells.count(True) == 49
    cells = observations[:, :147].reshape(STEPS, 49, 3)
    for step in range(STEPS):
        for node in range(49):
            word = inside.observed(step, node)
            assert ("door" in word) == (cells[step, node, 0] == 4)
            assert ("key" in word) == (cells[step, node, 0] == 5)
    assert any("door" in word for word in inside.words)
    door = next(word for word in inside.words if "door" in word)
    assert inside.colours[inside.words.index(door)].startswith("#")
    assert "use" in inside.observed(0, 50).split(", ")  # "use the key to open the door …"
    assert "the ×3" in inside.observed(0, 50).split(", ")
    facing = [("right", "down", "left", "up")[int(row[147])] for row in observations]
    assert [inside.observed(step, 49) for step in range(STEPS)] == [f"facing {where}" for where in facing]
    assert len({tuple(place) for place in inside.places.tolist()}) == 51


def test_numbers_of_nodes_are_those_of_the_environment():
    policy, spec, observations = look_at("CartPole-v1")
    inside = look_inside(policy, spec, observations)
    np.testing.assert_array_equal(inside.numbers, observations)
    assert inside.node_names[2] == "Pole angle"
    np.testing.assert_allclose(np.linalg.norm(inside.places, axis=1), 1, atol=1e-6)
    policy, spec, observations = look_at("TestExplained-v0")
    odd = look_inside(policy, spec, observations)
    table = list(odd.node_names).index("Table 1")
    part = next(part for part in spec.graph.parts if part.name == "table")
    np.testing.assert_array_equal(odd.numbers[:, table], observations[:, part.start] + 1)  # its values begin at 1
    assert np.isnan(odd.numbers[:, np.array(odd.cells)]).all()
    assert {"image", "categories", "hub"} <= set(odd.kinds)
    assert [odd.observed(0, node) for node, kind in enumerate(odd.kinds) if kind in {"image", "hub"}] == [""] * (
        odd.kinds.count("image") + odd.kinds.count("hub")
    )


def test_an_observation_that_is_not_a_number_is_said_to_be_none():
    policy, spec, observations = look_at("CartPole-v1")
    observations[3, 1] = np.nan
    inside = look_inside(policy, spec, observations)
    assert inside.observed(3, 1) == "nan"
    assert np.float32(inside.observed(3, 2)) == observations[3, 2]


@pytest.mark.parametrize("env", ["CartPole-v1", MINIGRID, "Taxi-v4", "Pendulum-v1"])
def test_of_a_recorded_episode_it_is_what_acted_up_to_rounding(small_run, recorder, monkeypatch, env):
    """The episode acted in other batches, and where there is one, by the native library."""
    monkeypatch.setattr(explaining, "CHUNK", 256)
    curriculum = {"name": "sparse", "phases": [{"name": "only", "routing": "sparsemax", "temperature": 0.5}]}
    config = small_run(env, curriculum=curriculum, episodes=3, evaluate=2)
    hooks = recorder()
    train(config, curriculum=config.curriculum, hooks=hooks)
    policy, replay = load_policy(hooks.saved[-1][0]), hooks.evaluations[-1].replays["best"]
    moments = list(play_again(policy.spec, replay, frames=False))
    inside = look_inside(policy.network, policy.spec, np.stack([moment.observation for moment in moments[:-1]]))
    for name in ("gates", "outputs", "values"):
        np.testing.assert_allclose(getattr(inside, name), getattr(replay, name), atol=1e-4, rtol=1e-4)
    assert inside.actions == replay.space
    assert inside.gating["routing"] == "sparsemax"
    for step in (1, len(replay)):
        text = {part["title"]: part["text"] for part in step_view(replay, inside, step=step)["explained"]}
        assert text["Gates"] == "" or "at most" in text["Gates"]
        assert "another network" not in text["Mixture"]


def test_the_agents_own_cell_says_what_it_carries():
    policy, spec, observations = look_at(MINIGRID)
    own = 3 * 7 + 6
    observations[2, 3 * own : 3 * own + 3] = (5, 4, 0)  # a yellow key in its hands
    inside = look_inside(policy, spec, observations)
    assert inside.observed(1, own) == "agent, carries nothing"
    assert inside.observed(2, own) == "agent, carries yellow key"
    assert not any("agent" in inside.observed(2, node) for node in range(49) if node != own)
    setup = EnvironmentSetup(MINIGRID, {}, ("minigrid.wrappers:FullyObsWrapper",))
    whole = check_environment(setup, allow_import=True)
    batch = EnvironmentBatch(whole, 1, 0)
    words = node_words(whole, batch.observations.copy())
    batch.close()
    of_agent = [word for word in words.words if word.startswith("agent")]
    assert len(of_agent) == 1
    assert of_agent[0].startswith("agent, facing")
