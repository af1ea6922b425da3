"""Which actions an environment takes."""

import numpy as np
from gymnasium import spaces

from v3core.environments.types import ActionSpec
from v3core.errors import V3Error

MAX_OUTPUTS = 1024
"""Most numbers that an expert puts out."""


def action_spec(space: spaces.Space[object]) -> ActionSpec:
    """How the policy draws the actions of a space.

    Raises:
        V3Error: if it cannot; says what to do.
    """
    match space:
        case spaces.Discrete():
            spec = ActionSpec("discrete", int(space.n), 1, (int(space.n),), (int(space.start),))
        case spaces.MultiDiscrete():
            sizes = tuple(int(size) for size in np.ravel(space.nvec))
            starts = tuple(int(first) for first in np.ravel(space.start))
            shape, dtype = space.nvec.shape, str(space.dtype)
            spec = ActionSpec("multi_discrete", sum(sizes), len(sizes), sizes, starts, shape, dtype=dtype)
        case spaces.MultiBinary():
            count = int(np.prod(space.shape))
            spec = ActionSpec("multi_binary", count, count, (2,) * count, shape=space.shape, dtype=str(space.dtype))
        case spaces.Box() if np.issubdtype(space.dtype, np.floating):
            count = int(np.prod(space.shape))
            low = tuple(float(bound) for bound in np.ravel(space.low))
            high = tuple(float(bound) for bound in np.ravel(space.high))
            shape, dtype = space.shape, str(space.dtype)
            spec = ActionSpec("continuous", count, count, shape=shape, low=low, high=high, dtype=dtype)
        case _:
            kind = "whole numbers in a Box" if isinstance(space, spaces.Box) else f"a {type(space).__name__} space"
            raise V3Error(
                f"its actions are {kind}; the policy acts in Discrete, MultiDiscrete, MultiBinary and float Box "
                "spaces: wrap it in one that translates."
            )
    if not 1 <= spec.outputs <= MAX_OUTPUTS:
        raise V3Error(f"its actions need {spec.outputs} outputs, and the policy has 1 to {MAX_OUTPUTS}.")
    return spec
