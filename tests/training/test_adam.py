"""Our Adam is torch's fused one, to the bit, in both directions of a checkpoint."""

import io

import pytest
import torch

from v3core.training.optimizer import EPSILON, Adam

RATES = [1e-3, 1e-3, 5e-4, 5e-4, 1e-4]


def both(seed=0, size=257):
    """The same start for ours and torch's."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(size, generator=generator)
    pair = [torch.nn.Parameter(values.clone()) for _ in range(2)]
    ours = Adam(pair[0], RATES[0])
    theirs = torch.optim.Adam([pair[1]], lr=RATES[0], eps=EPSILON, fused=True)
    return pair, ours, theirs, generator


def go_on(pair, ours, theirs, generator):
    """Some steps of each on the same gradients, while the rate falls."""
    for lr in RATES:
        gradient = torch.randn(len(pair[0]), generator=generator) * 10 ** torch.randn((), generator=generator)
        for values in pair:
            values.grad = gradient.clone()
        ours.lr = theirs.param_groups[0]["lr"] = lr
        ours.step()
        theirs.step()
        assert torch.equal(*pair)


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_steps_are_those_of_torchs_fused_adam():
    pair, ours, theirs, generator = both()
    go_on(pair, ours, theirs, generator)
    for name, moment in theirs.state[pair[1]].items():
        assert torch.equal(ours.moments[name], moment), name


@pytest.mark.parametrize("trained_before", [False, True])
def test_a_checkpoint_goes_over_to_torchs_and_back(trained_before):
    """Before its first step torch keeps no moments."""
    pair, ours, theirs, generator = both()
    if trained_before:
        go_on(pair, ours, theirs, generator)
    written = [through_a_file(optimiser.state_dict()) for optimiser in (ours, theirs)]
    assert written[0]["param_groups"][0].keys() == written[1]["param_groups"][0].keys()
    others, other_ours, other_theirs, _ = both(seed=1)
    go_on(others, other_ours, other_theirs, generator)  # what is loaded replaces this
    with torch.no_grad():
        for values, other in zip(pair, others, strict=True):
            other.copy_(values)
    other_ours.load_state_dict(written[1])
    other_theirs.load_state_dict(written[0])
    assert other_ours.lr == ours.lr
    go_on(others, other_ours, other_theirs, torch.Generator().manual_seed(7))
    go_on(pair, ours, theirs, torch.Generator().manual_seed(7))
    assert torch.equal(pair[0], others[0])


def test_a_checkpoint_of_another_network_is_refused():
    _, ours, _, _ = both()
    _, other, _, _ = both(size=100)
    with pytest.raises(RuntimeError):
        ours.load_state_dict(other.state_dict())
