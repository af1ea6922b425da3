"""Which actions an environment takes, and how the policy's numbers become them."""

import numpy as np
import pytest
from gymnasium import spaces

from v3core.environments.action_space import action_spec
from v3core.errors import V3Error


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3),
        spaces.Discrete(3, start=-1),
        spaces.MultiDiscrete([2, 3, 4]),
        spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 1], [5, 5]]),
        spaces.MultiBinary(4),
        spaces.MultiBinary((2, 3)),
        spaces.Box(-2, 2, (1,)),
        spaces.Box(-1, 1, (2, 2), np.float64),
        spaces.Box(-np.inf, np.inf, (3,)),
        spaces.Box(0, 1, ()),
    ],
    ids=str,
)
def test_every_action_is_one_of_the_space(space):
    spec = action_spec(space)
    random = np.random.default_rng(0)
    if spec.kind == "continuous":
        actions = random.normal(0, 5, (50, spec.components)).astype(np.float32)
    else:
        actions = random.integers(0, spec.sizes, (50, spec.components))
    taken = spec.to_environment(actions)
    scalar = space.shape == () and spec.kind == "continuous"
    assert all(space.contains(np.asarray(action) if scalar else action) for action in taken)
    if spec.kind != "continuous":
        start = int(np.ravel(getattr(space, "start", 0))[0])
        assert {int(np.ravel(action)[0]) for action in taken} == set(range(start, start + spec.sizes[0]))


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (spaces.Dict({"a": spaces.Discrete(2)}), "its actions are a Dict space; the policy acts in Discrete"),
        (spaces.Box(0, 9, (2,), np.int64), "its actions are whole numbers in a Box; the policy acts in"),
        (spaces.Discrete(5000), "its actions need 5000 outputs, but the policy supports 1 to 1024"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(space, sentence):
    with pytest.raises(V3Error, match=sentence):
        action_spec(space)
