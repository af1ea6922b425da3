"""Masked action distributions against those of sb3-contrib's MaskablePPO."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.distributions import make_masked_proba_distribution

from v3core.environments.action_space import action_spec
from v3core.policy.distributions import action_distribution

SIZES = [2, 3, 4]
SPACES = [spaces.Discrete(5, start=2), spaces.MultiDiscrete(SIZES), spaces.MultiBinary(4)]


@pytest.fixture(params=SPACES, ids=lambda space: type(space).__name__)
def space(request):
    return request.param


def sizes_of(space):
    match space:
        case spaces.Discrete():
            return [int(space.n)]
        case spaces.MultiDiscrete():
            return SIZES
    return [2] * space.n


def masks_for(space, count, seed=0):
    """Masks that leave every component between one value and all of them."""
    random = np.random.default_rng(seed)
    parts = []
    for size in sizes_of(space):
        part = random.random((count, size)) < 0.5
        part[np.arange(count), random.integers(0, size, count)] = True
        parts.append(part)
    return torch.from_numpy(np.concatenate(parts, 1))


def theirs(space, outputs, masks):
    """The same distribution by sb3-contrib. It takes two logits for a switch where ours has its log-odds alone."""
    distribution = make_masked_proba_distribution(space)
    if isinstance(space, spaces.MultiBinary):
        outputs = torch.stack((torch.zeros_like(outputs), outputs), -1).flatten(-2)
    distribution.proba_distribution(outputs)
    distribution.apply_masking(masks)
    return distribution


def test_log_probability_entropy_and_gradient(space):
    torch.manual_seed(0)
    actions = action_distribution(action_spec(space))
    masks = masks_for(space, 400)
    outputs = torch.randn(400, actions.spec.outputs) * 3
    noise = actions.noise((400,), torch.Generator().manual_seed(1))
    drawn = actions.sample(actions.masked(outputs, masks), noise)
    gradients = []
    found = []
    for ours in (True, False):
        of = outputs.clone().requires_grad_()
        if ours:
            log_prob, entropy = actions.log_prob_and_entropy(actions.masked(of, masks), drawn)
        else:
            distribution = theirs(space, of, masks)
            log_prob, entropy = distribution.log_prob(drawn.squeeze(-1)), distribution.entropy()
        found.append((log_prob, entropy))
        (log_prob * torch.linspace(-1, 1, 400) + 0.3 * entropy).sum().backward()
        gradients.append(of.grad)
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other)
    torch.testing.assert_close(*gradients)
    assert gradients[0].isfinite().all()
    if not isinstance(space, spaces.MultiBinary):  # whose one output stands for two values
        assert not gradients[0][~masks].any()


def test_what_is_forbidden_is_never_done(space):
    """Neither drawn nor likeliest, however much the policy is for it; what is allowed, as often as it should."""
    torch.manual_seed(0)
    actions = action_distribution(action_spec(space))
    masks = masks_for(space, 1).expand(20_000, -1)
    outputs = torch.randn(1, actions.spec.outputs).expand(20_000, -1) + torch.where(
        actions.masked(torch.zeros(1, actions.spec.outputs), masks[:1]) < 0, 50.0, 0.0
    )
    masked = actions.masked(outputs, masks)
    drawn = actions.sample(masked, actions.noise((20_000,), torch.Generator().manual_seed(2)))
    first = 0
    for component, size in enumerate(sizes_of(space)):
        allowed = masks[0, first : first + size]
        shares = torch.bincount(drawn[:, component], minlength=size) / 20_000
        assert not shares[~allowed].any()
        assert allowed[actions.mode(masked)[0, component]]
        if not isinstance(space, spaces.MultiBinary):
            expected = outputs[0, first : first + size].masked_fill(~allowed, -torch.inf).softmax(0)
            assert (shares - expected).abs().max() < 0.02
        first += size


def test_a_mask_that_allows_everything_changes_no_bit(space):
    actions = action_distribution(action_spec(space))
    outputs = torch.randn(7, 5, actions.spec.outputs)
    everything = torch.ones(7, 5, actions.spec.mask_size, dtype=torch.bool)
    assert torch.equal(actions.masked(outputs, everything), outputs)
    assert actions.masked(outputs, None) is outputs


def test_one_allowed_action_leaves_no_entropy(space):
    actions = action_distribution(action_spec(space))
    only = torch.zeros(1, actions.spec.mask_size, dtype=torch.bool)
    only[0, np.cumsum([0, *sizes_of(space)[:-1]])] = True
    masked = actions.masked(torch.randn(1, actions.spec.outputs), only)
    log_prob, entropy = actions.log_prob_and_entropy(masked, actions.mode(masked))
    assert log_prob.item() == entropy.item() == 0
    assert actions.mode(masked).tolist() == [[0] * actions.spec.components]
