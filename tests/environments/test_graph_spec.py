"""The state graph of an observation space."""

import numpy as np
import pytest
from gymnasium import spaces

from v3core.environments import state_graph
from v3core.environments.graph_spec import image_cells
from v3core.errors import V3Error

CATEGORIES = {"object": 11, "colour": 6, "state": 4}


def only(graph):
    (part,) = graph.parts
    return part


def test_a_vector_is_a_complete_graph_with_a_node_per_feature():
    graph = state_graph(spaces.Box(-np.inf, np.inf, (5,), np.float64))
    assert (only(graph).kind, only(graph).group) == ("features", 1)
    assert (graph.nodes, graph.size, graph.dtype) == (5, 5, "float32")
    assert graph.neighbours.shape == (5, 5)
    assert graph.neighbours.all()
    assert graph.edges == 20


@pytest.mark.parametrize(("features", "nodes", "group"), [(64, 64, 1), (65, 33, 2), (129, 43, 3), (4096, 64, 64)])
def test_a_long_vector_shares_nodes(features, nodes, group):
    graph = state_graph(spaces.Box(-1, 1, (features,)))
    assert (graph.nodes, only(graph).group) == (nodes, group)
    assert nodes * group >= features


def test_a_grid_joins_each_cell_to_itself_and_its_eight_neighbours():
    graph = state_graph(spaces.Box(0, 255, (7, 7, 3), np.uint8), CATEGORIES)
    assert (only(graph).kind, graph.nodes, only(graph).categories, graph.dtype) == ("grid", 49, (11, 6, 4), "uint8")
    degrees = graph.neighbours.sum(1).reshape(7, 7)
    assert degrees[0, 0] == 4
    assert degrees[0, 3] == 6
    assert (degrees[1:-1, 1:-1] == 9).all()
    assert (graph.neighbours == graph.neighbours.T).all()
    assert graph.neighbours.diagonal().all()


def test_cells_are_numbered_as_the_array_lies_in_memory():
    graph = state_graph(spaces.Box(0, 255, (3, 5, 3), np.uint8), CATEGORIES)
    cells = np.arange(15).reshape(3, 5)
    assert set(np.flatnonzero(graph.neighbours[cells[1, 4]])) == {
        cells[c, r] for c, r in [(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4)]
    }


@pytest.mark.parametrize(
    ("space", "shape", "dtype"),
    [
        (spaces.Box(0, 255, (96, 96, 3), np.uint8), (96, 96, 3), "uint8"),
        (spaces.Box(0, 255, (84, 84), np.uint8), (84, 84, 1), "uint8"),
        (spaces.Box(0, 255, (4, 84, 80), np.uint8), (84, 80, 4), "uint8"),
        (spaces.Box(0, 255, (12, 84, 84), np.uint8), (84, 84, 12), "uint8"),
        (spaces.Box(0, 1, (84, 84), np.float32), (84, 84, 1), "float32"),
        (spaces.Box(0, 1, (4, 4, 16), np.float32), (4, 4, 16), "float32"),
        (spaces.Box(0, 1, (10, 10, 6), np.bool_), (10, 10, 6), "uint8"),
        (spaces.Box(-1, 1, (20, 30, 3), np.float32), (20, 30, 3), "float32"),
    ],
)
def test_images_become_the_cells_of_a_feature_map(space, shape, dtype):
    graph = state_graph(space)
    rows, columns = image_cells(*shape[:2])
    assert rows * columns <= 64
    assert (only(graph).kind, only(graph).shape, graph.nodes, graph.dtype) == ("image", shape, rows * columns, dtype)
    assert graph.neighbours.sum(1).max() == 9


@pytest.mark.parametrize(
    ("space", "categories"),
    [
        (spaces.Discrete(500, start=3), (500,)),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), (2, 3, 4, 5)),
        (spaces.MultiBinary((2, 2)), (2, 2, 2, 2)),
    ],
)
def test_names_of_values_become_a_node_each(space, categories):
    graph = state_graph(space)
    assert (only(graph).kind, only(graph).categories, graph.nodes) == ("categories", categories, len(categories))
    assert graph.neighbours.all()


def test_many_switches_are_grouped_features():
    graph = state_graph(spaces.MultiBinary(100))
    assert (only(graph).kind, graph.nodes, graph.dtype) == ("features", 50, "uint8")


def test_a_dict_is_the_union_of_its_parts_with_a_hub_for_each_key():
    inner = spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))])
    graph = state_graph(spaces.Dict({"camera": spaces.Box(0, 255, (16, 16, 1), np.uint8), "robot": inner}))
    kinds = [(part.name, part.kind, part.nodes, part.start, part.size) for part in graph.parts]
    assert kinds == [
        ("camera", "hub", 1, 0, 0),
        ("camera", "image", 64, 0, 256),
        ("robot", "hub", 1, 256, 0),
        ("robot.0", "hub", 1, 256, 0),
        ("robot.0", "categories", 1, 256, 1),
        ("robot.1", "hub", 1, 257, 0),
        ("robot.1", "features", 2, 257, 2),
    ]
    camera, robot, first, second = 0, 65, 66, 68
    near = graph.neighbours
    assert set(np.flatnonzero(near[camera])) == {*range(65), robot, first, second}
    assert set(np.flatnonzero(near[67])) == {robot, first, 67}  # the Discrete sees itself and the hubs of its keys
    assert not near[1:65, 66:].any()  # pixels see nothing of the robot but through hubs
    assert (near == near.T).all()


def test_bytes_stay_bytes_inside_a_dict():
    camera = spaces.Box(0, 255, (16, 16, 3), np.uint8)
    assert state_graph(spaces.Dict({"camera": camera, "door": spaces.Discrete(2)})).dtype == "uint8"
    assert state_graph(spaces.Dict({"camera": camera, "speed": spaces.Box(-1, 1, (1,))})).dtype == "float32"


def test_the_graph_depends_on_the_space_alone():
    first, second = (state_graph(spaces.Box(-1, 1, (5,), np.float32)) for _ in range(2))
    assert first == second
    assert (first.neighbours == second.neighbours).all()


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (spaces.Text(5), "are a Text, which has no fixed size or is not numeric; wrap it"),
        (spaces.Sequence(spaces.Discrete(2)), "are a Sequence, which has no fixed size"),
        (spaces.Graph(spaces.Box(-1, 1, (2,)), None), "are a Graph, which has no fixed size"),
        (spaces.OneOf([spaces.Discrete(2), spaces.Discrete(3)]), "are a OneOf, which has no fixed size"),
        (spaces.Dict({"a": spaces.Text(3)}), r"its observations at \('a',\) are a Text"),
        (spaces.Box(-1, 1, (5000,)), "have 5000 numbers, but the policy supports 1 to 4096"),
        (spaces.Box(-np.inf, np.inf, (8, 8, 3)), "look like an image, of shape 8×8×3, but no bounds; wrap it"),
        (
            spaces.Box(0, 255, (2000, 2000, 3), np.uint8),
            "images of 2000 × 2000 pixels; wrap it in",
        ),
        (spaces.Discrete(10**6), "name 1000000 values, but the policy supports 100000"),
        (spaces.MultiDiscrete([2] * 300), "have 300 components, but the policy supports 1 to 256"),
        (spaces.Dict({}), "its observations are empty"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, spaces.Space) else None,
)
def test_what_has_no_graph_is_refused_with_what_to_do(space, sentence):
    with pytest.raises(V3Error, match=sentence) as refused:
        state_graph(space)
    assert "\n" not in str(refused.value)


def test_a_huge_grid_is_refused():
    with pytest.raises(V3Error, match="25 × 25 cells; the policy supports at most 256"):
        state_graph(spaces.Box(0, 255, (25, 25, 3), np.uint8), CATEGORIES)
