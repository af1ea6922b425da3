"""Observations as node features."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from v3core.policy.tokens import GridTokens, VectorTokens


def test_a_vector_feature_is_its_identity_plus_its_normalised_value_times_its_direction():
    tokens = VectorTokens(2, 3)
    tokens.update_normalisation(torch.tensor([[0.0, 10.0], [4.0, 30.0]]))  # means 2, 20; deviations 2, 10
    nodes = tokens(torch.tensor([[4.0, 10.0]]))
    expected = tokens.identity + tokens.direction * torch.tensor([[1.0], [-1.0]])
    torch.testing.assert_close(nodes, expected)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_running_statistics_equal_those_of_all_observations_at_once(sizes, seed):
    random = np.random.default_rng(seed)
    batches = [random.normal(3, 2, (size, 2)) for size in sizes]
    tokens = VectorTokens(2, 4)
    for batch in batches:
        tokens.update_normalisation(torch.from_numpy(batch))
    everything = np.concatenate(batches)
    assert tokens.mean.numpy() == pytest.approx(everything.mean(0))
    assert tokens.variance.numpy() == pytest.approx(everything.var(0), abs=1e-9)


def test_acting_and_learning_leave_the_statistics_alone():
    tokens = VectorTokens(2, 4)
    before = {name: value.clone() for name, value in tokens.named_buffers()}
    tokens(torch.randn(8, 2)).sum().backward()
    assert all(torch.equal(before[name], value) for name, value in tokens.named_buffers())


def test_one_wild_observation_is_clipped():
    tokens = VectorTokens(1, 2)
    assert torch.equal(tokens(torch.tensor([[1e9]])), tokens(torch.tensor([[10.0]])))


def test_a_cell_is_the_sum_of_its_categories_and_its_place():
    tokens = GridTokens(4, (11, 6, 4), 5)
    observation = torch.tensor([[[[8, 5, 1], [0, 0, 0]], [[2, 1, 3], [10, 5, 2]]]], dtype=torch.uint8)
    nodes = tokens(observation)
    assert nodes.shape == (5, 4, 1)
    for cell, (kind, colour, state) in enumerate(observation.flatten(1, 2)[0].tolist()):
        expected = tokens.channels[0][kind] + tokens.channels[1][colour] + tokens.channels[2][state]
        torch.testing.assert_close(nodes[:, cell, 0], expected + tokens.position[cell])
