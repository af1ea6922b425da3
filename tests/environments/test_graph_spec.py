"""The state graph of an observation space."""

import numpy as np
import pytest
from gymnasium import spaces

from v3core.environments import state_graph
from v3core.errors import V3Error

CATEGORIES = {"object": 11, "colour": 6, "state": 4}


def test_a_vector_is_a_complete_graph_with_a_node_per_feature():
    spec = state_graph(spaces.Box(-1, 1, (5,), np.float64))
    assert (spec.kind, spec.nodes, spec.shape) == ("vector", 5, (5,))
    assert spec.neighbours.shape == (5, 5)
    assert spec.neighbours.all()
    assert len(spec.feature_names) == 5


def test_a_grid_joins_each_cell_to_itself_and_its_eight_neighbours():
    spec = state_graph(spaces.Box(0, 255, (7, 7, 3), np.uint8), CATEGORIES)
    assert (spec.kind, spec.nodes, spec.categories) == ("grid", 49, (11, 6, 4))
    degrees = spec.neighbours.sum(1).reshape(7, 7)
    assert degrees[0, 0] == 4
    assert degrees[0, 3] == 6
    assert (degrees[1:-1, 1:-1] == 9).all()
    assert (spec.neighbours == spec.neighbours.T).all()
    assert spec.neighbours.diagonal().all()


def test_cells_are_numbered_as_the_array_lies_in_memory():
    spec = state_graph(spaces.Box(0, 255, (3, 5, 3), np.uint8), CATEGORIES)
    cells = np.arange(15).reshape(3, 5)
    assert set(np.flatnonzero(spec.neighbours[cells[1, 4]])) == {
        cells[c, r] for c, r in [(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4)]
    }


def test_the_graph_depends_on_the_space_alone():
    first, second = (state_graph(spaces.Box(-1, 1, (5,), np.float32)) for _ in range(2))
    assert first == second
    assert (first.neighbours == second.neighbours).all()


def test_a_huge_grid_is_refused():
    with pytest.raises(V3Error, match="25 × 25 cells; the policy takes at most 256"):
        state_graph(spaces.Box(0, 255, (25, 25, 3), np.uint8), CATEGORIES)
