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


def divergence_by_sums(p, q):
    """Jensen-Shannon divergence in bits of two lists of probabilities, term by term."""
    return sum(0.5 * x * np.log2(2 * x / (a + b)) for a, b in zip(p, q, strict=True) for x in (a, b) if x > 0)


def test_the_jensen_shannon_divergence_is_the_one_of_the_textbook(space):
    """Of categories and switches by the sum over their values, of numbers by an integral over a plane."""
    torch.manual_seed(0)
    actions = action_distribution(action_spec(space))
    one, other = torch.randn(2, 6, actions.spec.outputs, dtype=torch.float64) * 2
    found = actions.jensen_shannon(one, other)
    assert found.shape == (6,)
    if isinstance(space, spaces.Box):
        with torch.no_grad():
            actions.log_std += torch.tensor([0.3, -0.4, 0.0])
        one[:, 2] = other[:, 2]  # the integral is over the other two
        found, deviation = actions.jensen_shannon(one, other), actions.log_std.exp().detach().numpy()
        grid = np.stack(np.meshgrid(*[np.linspace(-14, 14, 700)] * 2), -1)
        for row, (a, b) in enumerate(zip(one.numpy(), other.numpy(), strict=True)):
            p, q = (np.exp(-0.5 * (((grid - mean[:2]) / deviation[:2]) ** 2).sum(-1)) for mean in (a, b))
            assert float(found[row]) == pytest.approx(
                divergence_by_sums(*(d.ravel() / d.sum() for d in (p, q))), abs=3e-4
            )
        return
    for row in range(6):
        if isinstance(space, spaces.MultiBinary):
            pairs = [[(x, 1 - x) for x in outputs[row].sigmoid().tolist()] for outputs in (one, other)]
        else:
            sizes = SIZES if len(actions.spec.sizes) > 1 else [4]
            pairs = [[part.softmax(-1).tolist() for part in outputs[row].split(sizes)] for outputs in (one, other)]
        parts = [divergence_by_sums(p, q) for p, q in zip(*pairs, strict=True)]
        assert float(found[row]) == pytest.approx(np.mean(parts), abs=1e-9)


def test_the_divergence_is_0_of_the_same_and_1_of_what_shares_no_action(space):
    actions = action_distribution(action_spec(space))
    same = torch.randn(3, actions.spec.outputs)
    assert actions.jensen_shannon(same, same).abs().max() < 1e-6
    one, other = torch.full((2, actions.spec.outputs), -1e8)
    first = 0
    for size in actions.spec.sizes if isinstance(space, spaces.MultiDiscrete | spaces.Discrete) else ():
        one[first], other[first + 1] = 0, 0
        first += size
    if not first:
        other = -one
    assert float(actions.jensen_shannon(one, other)) == pytest.approx(1)


def test_a_distribution_is_described_as_its_samples_are(space):
    """Averaged over states with weights, in the environment's units."""
    torch.manual_seed(1)
    actions = action_distribution(action_spec(space))
    outputs, weights = torch.randn(3, actions.spec.outputs), torch.tensor([0.5, 0.3, 0.2])
    described = actions.described(outputs, weights)
    states = torch.multinomial(weights, 200_000, replacement=True)
    noise = actions.noise((len(states),), torch.Generator().manual_seed(2))
    drawn = actions.to_environment(actions.sample(outputs[states], noise)).double().detach().numpy()
    if isinstance(space, spaces.Box):
        assert described["mean"] == pytest.approx(drawn.mean(0), abs=0.05)
        assert described["deviation"] == pytest.approx(drawn.std(0), rel=0.01)
    elif isinstance(space, spaces.MultiBinary):
        assert described["on"] == pytest.approx(drawn.mean(0), abs=0.01)
    else:
        assert described["first"] == [0] * len(actions.spec.sizes)
        for place, shares in enumerate(described["probabilities"]):
            assert shares == pytest.approx(np.bincount(drawn[:, place].astype(int)) / len(drawn), abs=0.01)
            assert sum(shares) == pytest.approx(1, abs=1e-3)
