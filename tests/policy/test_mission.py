"""A MiniGrid's direction and mission reach what the policy does, and learn."""

import numpy as np
import pytest
import torch

from v3core.environments import check_environment, make_environment
from v3core.environments.encode import encoder

ENV = "BabyAI-GoToObj-v0"


@pytest.fixture
def rows():
    """Flat observations of one view, with other directions and missions."""
    graph = check_environment(ENV, allow_import=False).graph
    seen, _ = make_environment(ENV).reset(seed=1)

    def make(*changes):
        flat = np.zeros((len(changes), graph.size), np.uint8)
        for row, change in zip(flat, changes, strict=True):
            encoder(graph)(seen | change, row)
        return torch.from_numpy(flat)

    return make


@pytest.mark.parametrize("graph", ["gatv1", "gatv2", "mlp"])
def test_actions_values_and_routing_change_with_them(build_policy, rows, graph):
    policy = build_policy(ENV, graph=graph)
    observations = rows(
        {"mission": "go to the red ball", "direction": 0},
        {"mission": "go to the blue ball", "direction": 0},
        {"mission": "go to the wyvern", "direction": 0},
        {"mission": "go to the dragon", "direction": 0},
        {"mission": "go to the red ball", "direction": 2},
        {"mission": "go to the red ball", "direction": 0},
    )
    output = policy(observations)
    for what in (output.outputs, output.values.unsqueeze(1), output.router_logits):
        differences = (what[0] - what).abs().amax(1)
        assert (differences[1:5] > 1e-5).all()
        assert differences[5] < 1e-6


def test_words_and_directions_that_were_seen_get_a_gradient_and_others_none(build_policy, rows):
    policy = build_policy(ENV)
    output = policy(rows({"mission": "go to the red ball", "direction": 2}))
    (output.outputs.sum() + output.values.sum()).backward()
    _, direction, mission = policy.tokens.parts
    assert direction.table.grad.abs().sum(1).gt(0).tolist() == [False, False, True, False]
    seen = torch.from_numpy(rows({"mission": "go to the red ball"})[0, 148:].numpy() > 0)
    assert mission.table.grad.abs().sum(1).gt(0).tolist() == seen.tolist()
    assert mission.identity.grad.abs().sum() > 0


def test_cells_hear_of_them_through_the_graph(build_policy, rows):
    """Not only the readout: after the first layer the agent's cell holds other features under another mission."""
    policy = build_policy(ENV)
    nodes = policy.gat[0](
        policy.tokens(rows({"mission": "go to the red ball"}, {"mission": "pick up the red ball"}, {"direction": 0}))
    )
    agent = nodes[:, 3 * 7 + 6]
    assert (agent[:, 0] - agent[:, 1]).abs().max() > 1e-3
    deep = policy.gat[1](nodes)[:, 3 * 7 + 5]  # before it
    assert (deep[:, 0] - deep[:, 1]).abs().max() > 1e-4
