"""Observations of any space as rows of one flat array."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from v3core.environments import state_graph
from v3core.environments.encode import encoder

LEAVES = st.sampled_from(
    [
        spaces.Box(-np.inf, np.inf, (3,), np.float32),
        spaces.Box(-5, 5, (2, 2), np.float64),
        spaces.Box(0, 9, (4,), np.int64),
        spaces.Box(-1, 1, ()),
        spaces.Discrete(5, start=-2),
        spaces.MultiDiscrete([3, 7], start=[1, 10]),
        spaces.MultiBinary((2, 3)),
        spaces.Box(0, 255, (9, 9), np.uint8),
        spaces.Box(0, 255, (3, 8, 8), np.uint8),
    ]
)
SPACES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("zyxabc"), inner, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    ),
    max_leaves=4,
)


def leaf(space, observation, path):
    """The leaf space and value at a path, by Gymnasium's own nesting."""
    for key in path:
        space, observation = space[key], observation[key]
    return space, observation


@settings(max_examples=60, deadline=None)
@given(SPACES, st.integers(0, 999))
def test_every_leaf_is_found_where_the_graph_says(space, seed):
    space.seed(seed)
    observation = space.sample()
    graph = state_graph(space)
    row = np.full(graph.size, 77, dtype=graph.dtype)
    encoder(graph)(observation, row)
    parts = [part for part in graph.parts if part.size]
    assert [part.start for part in parts] == np.cumsum([0, *(part.size for part in parts[:-1])]).tolist()
    for part in parts:
        own, value = leaf(space, observation, part.path)
        expected = np.asarray(value)
        if isinstance(own, spaces.Discrete | spaces.MultiDiscrete):
            expected = expected - own.start
            assert (expected >= 0).all()
        if part.channels_first:
            expected = np.moveaxis(expected, 0, -1)
        np.testing.assert_array_equal(row[part.start : part.start + part.size], expected.ravel().astype(graph.dtype))


@pytest.mark.parametrize(
    ("space", "observation", "sentence"),
    [
        (spaces.Box(-1, 1, (3,)), np.zeros(4), r"has shape \(4,\), not \(3,\)"),
        (spaces.Box(-1, 1, (2, 3)), np.zeros((3, 2)), r"has shape \(3, 2\), not \(2, 3\)"),
        (spaces.Box(-1, 1, (3,)), None, r"has shape \(\), not \(3,\)"),
        (spaces.Box(-1, 1, (3,)), np.array(["a", "b", "c"]), "is of type <U1"),
        (spaces.Box(0, 255, (9, 9), np.uint8), np.zeros((9, 9)), "is of type float64"),
        (spaces.Box(0, 255, (9, 9), np.uint8), np.full((9, 9), 256), "contains a number that is not a byte"),
        (spaces.Discrete(500), np.nan, "is of type float64"),
        (spaces.Discrete(500), 3.7, "is of type float64"),
        (spaces.MultiDiscrete([3, 3]), np.array([0, -1]), "contains a category outside its space"),
        (spaces.Discrete(3), 3, "contains a category outside its space"),
        (spaces.Discrete(3, start=1), 0, "contains a category outside its space"),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"b": 1}, "has no 'a'"),
        (spaces.Dict({"a": spaces.Box(-1, 1, (2,))}), {"a": np.zeros(3)}, "at 'a' has shape"),
        (spaces.Tuple([spaces.Discrete(2)] * 2), (1,), "has no '1'"),
    ],
    ids=str,
)
def test_what_is_not_of_the_space_is_reported(space, observation, sentence):
    graph = state_graph(space)
    with pytest.raises(ValueError, match=sentence):
        encoder(graph)(observation, np.zeros(graph.size, dtype=graph.dtype))
