"""Observations as node features."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from v3core.environments import state_graph
from v3core.policy.tokens import Tokens


def tokens_for(space, width, categories=None):
    """Tokens of a space, and the module of its only part."""
    tokens = Tokens(state_graph(space, categories), width)
    return tokens, tokens.parts[-1]


def numbers(count, width):
    return tokens_for(spaces.Box(-1, 1, (count,)), width)


def test_a_feature_is_its_identity_plus_its_normalised_value_times_its_direction():
    tokens, part = numbers(2, 3)
    tokens.update_normalisation(torch.tensor([[0.0, 10.0], [4.0, 30.0]]))  # means 2, 20; deviations 2, 10
    nodes = tokens(torch.tensor([[4.0, 10.0]]))
    torch.testing.assert_close(nodes, part.identity + part.direction * torch.tensor([[1.0], [-1.0]]))


def test_a_group_of_features_is_its_identity_plus_each_value_times_its_direction():
    tokens, part = numbers(130, 5)  # three to a node, the last node has one
    observations = torch.randn(4, 130)
    nodes = tokens(observations)
    assert nodes.shape == (5, 44, 4)
    values = observations.clamp(-10, 10)
    for node, features in ((0, [0, 1, 2]), (20, [60, 61, 62]), (43, [129])):
        for sample in range(4):
            expected = part.identity[:, node, 0].clone()
            for place, feature in enumerate(features):
                expected += part.direction[node, :, place] * values[sample, feature]
            torch.testing.assert_close(nodes[:, node, sample], expected)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_running_statistics_equal_those_of_all_observations_at_once(sizes, seed):
    random = np.random.default_rng(seed)
    batches = [random.normal(3, 2, (size, 2)) for size in sizes]
    tokens, part = numbers(2, 4)
    for batch in batches:
        tokens.update_normalisation(torch.from_numpy(batch))
    everything = np.concatenate(batches)
    assert part.mean.numpy() == pytest.approx(everything.mean(0))
    assert part.variance.numpy() == pytest.approx(everything.var(0), abs=1e-9)


def test_acting_and_learning_leave_the_statistics_alone():
    tokens, _ = numbers(2, 4)
    before = {name: value.clone() for name, value in tokens.named_buffers()}
    tokens(torch.randn(8, 2)).sum().backward()
    assert all(torch.equal(before[name], value) for name, value in tokens.named_buffers())


def test_one_wild_observation_is_clipped():
    tokens, _ = numbers(1, 2)
    assert torch.equal(tokens(torch.tensor([[1e9]])), tokens(torch.tensor([[10.0]])))


def test_a_cell_is_the_sum_of_its_categories_and_its_place():
    grid = spaces.Box(0, 255, (2, 2, 3), np.uint8)
    tokens, part = tokens_for(grid, 5, {"object": 11, "colour": 6, "state": 4})
    observation = torch.tensor([[[[8, 5, 1], [0, 0, 0]], [[2, 1, 3], [10, 5, 2]]]], dtype=torch.uint8)
    nodes = tokens(observation.flatten(1))
    assert nodes.shape == (5, 4, 1)
    for cell, (kind, colour, state) in enumerate(observation.flatten(1, 2)[0].tolist()):
        expected = part.channels[0][kind] + part.channels[1][colour] + part.channels[2][state]
        torch.testing.assert_close(nodes[:, cell, 0], expected + part.position[cell])


@pytest.mark.parametrize("shape", [(96, 96, 3), (84, 80, 4), (10, 10, 6), (5, 7, 1), (200, 30, 3)])
def test_an_image_has_as_many_cells_as_its_graph(shape):
    space = spaces.Box(0, 255, shape, np.uint8)
    tokens, _ = tokens_for(space, 6)
    observations = torch.from_numpy(np.stack([space.sample() for _ in range(2)])).flatten(1)
    assert tokens(observations).shape == (6, state_graph(space).nodes, 2)


def test_an_image_is_scaled_to_its_bounds_and_seen_where_it_is():
    space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    tokens, part = tokens_for(space, 6)
    dark, bright = torch.zeros(1, 256, dtype=torch.uint8), torch.full((1, 256), 255, dtype=torch.uint8)
    features = part.stem(torch.ones(1, 1, 16, 16))[0].flatten(1)
    torch.testing.assert_close(tokens(bright)[:, :, 0], features + part.position[..., 0])
    corner = dark.clone()
    corner[0, 0] = 255
    changed = (tokens(corner) - tokens(dark)).abs().sum((0, 2)) > 0
    assert changed[0]
    assert not changed[-1]


def test_each_component_has_an_embedding_of_each_value():
    tokens, part = tokens_for(spaces.MultiDiscrete([2, 3]), 4)
    nodes = tokens(torch.tensor([[1, 2], [0, 0]], dtype=torch.uint8))
    torch.testing.assert_close(nodes[:, 0].t(), part.table[[1, 0]])
    torch.testing.assert_close(nodes[:, 1].t(), part.table[[2 + 2, 2 + 0]])


def test_parts_lie_side_by_side_in_the_order_of_the_graph():
    space = spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (2,))})
    tokens, _ = tokens_for(space, 4)
    observations = torch.tensor([[2.0, 0.5, -0.5]])
    nodes = tokens(observations)
    hub_a, of_a, hub_b, of_b = tokens.parts
    torch.testing.assert_close(
        nodes[..., 0],
        torch.cat(
            [
                hub_a.identity[..., 0],
                of_a.table[2].unsqueeze(1),
                hub_b.identity[..., 0],
                of_b(observations[:, 1:])[..., 0],
            ],
            1,
        ),
    )
