"""Action distributions against torch.distributions."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions

from v3core.environments.action_space import action_spec
from v3core.policy.distributions import action_distribution

SIZES = [2, 3, 4]


def oracle(space, outputs, log_std):
    """The same distribution by torch: log-probability of actions, and entropy."""
    match space:
        case spaces.Discrete() | spaces.MultiDiscrete():
            sizes = [int(space.n)] if isinstance(space, spaces.Discrete) else SIZES
            parts = [distributions.Categorical(logits=part) for part in outputs.split(sizes, -1)]
            return (
                lambda actions: sum(part.log_prob(actions[..., i]) for i, part in enumerate(parts)),
                sum(part.entropy() for part in parts),
            )
        case spaces.MultiBinary():
            bernoulli = distributions.Independent(distributions.Bernoulli(logits=outputs), 1)
            return lambda actions: bernoulli.log_prob(actions.float()), bernoulli.entropy()
        case _:
            normal = distributions.Independent(distributions.Normal(outputs, log_std.exp().expand_as(outputs)), 1)
            return normal.log_prob, normal.entropy()


SPACES = [
    spaces.Discrete(4),
    spaces.MultiDiscrete(SIZES),
    spaces.MultiBinary(5),
    spaces.Box(np.array([-2, 0, -np.inf], np.float32), np.array([2, 10, np.inf], np.float32)),
]


@pytest.fixture(params=SPACES, ids=lambda space: type(space).__name__)
def space(request):
    return request.param


def test_log_probability_and_entropy(space):
    torch.manual_seed(0)
    actions = action_distribution(action_spec(space))
    log_std = getattr(actions, "log_std", None)
    if log_std is not None:
        with torch.no_grad():
            log_std += torch.randn(3) * 0.5
    outputs = torch.randn(7, 5, actions.spec.outputs)
    drawn = actions.sample(outputs, actions.noise((7, 5), torch.Generator().manual_seed(1)))
    assert drawn.shape == (7, 5, actions.spec.components)
    found, entropy = actions.log_prob_and_entropy(outputs, drawn)
    log_prob, expected_entropy = oracle(space, outputs, log_std)
    torch.testing.assert_close(found, log_prob(drawn))
    torch.testing.assert_close(entropy, expected_entropy)


def test_samples_are_as_frequent_as_their_probability(space):
    torch.manual_seed(0)
    actions = action_distribution(action_spec(space))
    outputs = torch.randn(actions.spec.outputs)
    drawn = actions.sample(outputs.expand(40_000, -1), actions.noise((40_000,), torch.Generator().manual_seed(2)))
    if actions.spec.kind == "continuous":
        torch.testing.assert_close(drawn.mean(0), outputs, atol=0.03, rtol=0)
        torch.testing.assert_close(drawn.std(0), torch.ones(3), atol=0.03, rtol=0)
    elif actions.spec.kind == "multi_binary":
        torch.testing.assert_close(drawn.float().mean(0), outputs.sigmoid(), atol=0.02, rtol=0)
    else:
        sizes = list(actions.spec.sizes)
        for component, logits in enumerate(outputs.split(sizes)):
            shares = torch.bincount(drawn[:, component], minlength=len(logits)) / len(drawn)
            torch.testing.assert_close(shares, logits.softmax(0), atol=0.02, rtol=0)


def test_the_mode_is_the_likeliest(space):
    torch.manual_seed(0)
    actions = action_distribution(action_spec(space))
    outputs = torch.randn(1, actions.spec.outputs).expand(500, -1)
    drawn = actions.sample(outputs, actions.noise((500,), torch.Generator().manual_seed(3)))
    best, _ = actions.log_prob_and_entropy(outputs, actions.mode(outputs))
    assert (actions.log_prob_and_entropy(outputs, drawn)[0] <= best + 1e-6).all()


def test_numbers_are_in_units_of_the_bounds_and_clipped_to_them():
    space = SPACES[3]
    actions = action_distribution(action_spec(space))
    given = actions.to_environment(torch.tensor([[0.0, 0.0, 5.0], [1.0, -1.0, 0.0], [9.0, -9.0, -99.0]]))
    assert given.tolist() == [[0, 5, 5], [2, 0, 0], [18, -40, -99]]
    taken = actions.spec.to_environment(given.numpy())
    assert [list(action) for action in taken] == [[0, 5, 5], [2, 0, 0], [2, 0, -99]]
    assert all(space.contains(action) for action in taken)


def test_one_bound_or_one_that_no_one_means():
    huge = float(np.finfo(np.float32).max)
    low, high = np.array([5, -np.inf, -huge], np.float32), np.array([np.inf, -5, huge], np.float32)
    actions = action_distribution(action_spec(spaces.Box(low, high)))
    drawn = actions.sample(torch.zeros(1000, 3), actions.noise((1000,), torch.Generator().manual_seed(0)))
    taken = np.stack(actions.spec.to_environment(actions.to_environment(drawn).detach().numpy()))
    assert np.isfinite(taken).all()
    assert (np.abs(taken - [6, -6, 0]).mean(0) < 1).all()
    assert (np.ptp(taken, axis=0) > 2).all()


def test_an_action_that_is_not_a_number_becomes_the_middle():
    actions = action_distribution(action_spec(spaces.Box(-2, 4, (1,))))
    assert actions.to_environment(torch.tensor([[float("nan")]])).tolist() == [[1.0]]
