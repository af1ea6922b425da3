"""Action distributions without torch are those that act."""

import numpy as np
import pytest
import torch

from v3core.environments import ActionSpec
from v3core.insight.actions import ActionFacts, in_units, mean_distance, most_probable, normal_distances, probabilities
from v3core.policy.distributions import action_distribution

SPECS = {
    "discrete": ActionSpec("discrete", 3, 1, (3,), (5,)),
    "multi_discrete": ActionSpec("multi_discrete", 5, 2, (2, 3), (0, 1)),
    "multi_binary": ActionSpec("multi_binary", 2, 2, (2, 2)),
    "continuous": ActionSpec("continuous", 2, 2, low=(-1.0, -np.inf), high=(3.0, np.inf)),
}


@pytest.mark.parametrize("name", ["", "a b", "<b>", "x" * 41, 7, None])
def test_a_file_whose_actions_have_other_than_names_is_refused(name):
    facts = {"kind": "discrete", "sizes": [2], "starts": [0]}
    assert ActionFacts.from_plain({**facts, "names": ["N", "FAR_N"]}).names == ("N", "FAR_N")
    with pytest.raises(TypeError):
        ActionFacts.from_plain({**facts, "names": ["N", name]})


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("masked", [False, True])
def test_probabilities_modes_and_units_are_those_of_the_policy(kind, masked):
    spec = SPECS[kind]
    distribution = action_distribution(spec)
    facts = distribution.facts()
    assert ActionFacts.from_plain(vars(facts)) == facts
    random = np.random.default_rng(0)
    outputs = random.normal(size=(20, spec.outputs)).astype(np.float32)
    if kind == "continuous":
        distribution.log_std.data += torch.tensor([0.3, -0.2])
        facts = distribution.facts()
        modes = distribution.to_environment(distribution.mode(torch.from_numpy(outputs)))
        np.testing.assert_allclose(in_units(facts, outputs), modes.numpy(), rtol=1e-6)
        np.testing.assert_allclose(most_probable(facts, outputs), modes.numpy(), rtol=1e-6)
        at, root = normal_distances()
        distance = mean_distance(facts, outputs[:10], outputs[10:])
        divergence = distribution.jensen_shannon(torch.from_numpy(outputs[:10]), torch.from_numpy(outputs[10:]))
        np.testing.assert_allclose(np.interp(distance, at, root) ** 2, divergence.detach(), atol=1e-4)
        return
    masks = None
    if masked:
        masks = random.random((20, spec.mask_size)) < 0.4
        firsts = np.cumsum((0, *spec.sizes[:-1]))
        masks[:, firsts + random.integers(spec.sizes)] = True
    free = distribution.masked(torch.from_numpy(outputs), None if masks is None else torch.from_numpy(masks))
    np.testing.assert_array_equal(most_probable(facts, outputs, masks), distribution.mode(free).numpy())
    found = probabilities(facts, outputs, masks)
    for component, part in enumerate(found):
        np.testing.assert_allclose(part.sum(-1), 1)
        for value in range(part.shape[-1]):
            # Of a component alone: the others are marginalised by summing over all their values.
            grid = np.stack(np.meshgrid(*map(np.arange, spec.sizes), indexing="ij"), -1).reshape(-1, len(spec.sizes))
            of_value = torch.from_numpy(grid[grid[:, component] == value])
            chances = [distribution.log_prob_and_entropy(free, one.expand(20, -1))[0].exp() for one in of_value]
            np.testing.assert_allclose(part[:, value], torch.stack(chances).sum(0), atol=1e-5)
