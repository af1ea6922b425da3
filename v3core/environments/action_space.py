"""The actions of an environment, and the masks of those that are currently allowed."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from v3core.environments.types import ActionSpec
from v3core.errors import V3Error
from v3core.messages import _

MAX_OUTPUTS = 1024
"""Most numbers that an expert puts out."""


def action_spec(space: spaces.Space[object]) -> ActionSpec:
    """How the policy draws the actions of a space; a V3Error says what to do if it cannot."""
    match space:
        case spaces.Discrete():
            spec = ActionSpec("discrete", int(space.n), 1, (int(space.n),), (int(space.start),))
        case spaces.MultiDiscrete():
            sizes, starts = tuple(np.ravel(space.nvec).tolist()), tuple(np.ravel(space.start).tolist())
            shape, dtype = space.nvec.shape, str(space.dtype)
            spec = ActionSpec("multi_discrete", sum(sizes), len(sizes), sizes, starts, shape, dtype=dtype)
        case spaces.MultiBinary():
            count = int(np.prod(space.shape))
            spec = ActionSpec("multi_binary", count, count, (2,) * count, shape=space.shape, dtype=str(space.dtype))
        case spaces.Box() if np.issubdtype(space.dtype, np.floating):
            count = int(np.prod(space.shape))
            low, high = tuple(np.ravel(space.low).tolist()), tuple(np.ravel(space.high).tolist())
            shape, dtype = space.shape, str(space.dtype)
            spec = ActionSpec("continuous", count, count, shape=shape, low=low, high=high, dtype=dtype)
        case _:
            other = _("a {space} space", space=type(space).__name__)
            kind = _("whole numbers in a Box") if isinstance(space, spaces.Box) else other
            raise V3Error(
                "its actions are {kind}; the policy acts in Discrete, MultiDiscrete, MultiBinary and float Box "
                "spaces: use a wrapper that translates them.",
                kind=kind,
            )
    if not 1 <= spec.outputs <= MAX_OUTPUTS:
        raise V3Error(
            "its actions need {outputs} outputs, but the policy supports 1 to {max_outputs}.",
            outputs=spec.outputs,
            max_outputs=MAX_OUTPUTS,
        )
    return spec


IN_INFO = "action_mask"
"""Key of `info` with the mask for the next action."""


def mask_method(env: gymnasium.Env[Any, Any]) -> Callable[[], Any] | None:
    """The method `action_masks` of an environment or its outermost wrapper that has one; it returns the next mask."""
    try:
        method = env.get_wrapper_attr("action_masks")
    except AttributeError:
        return None
    return method if callable(method) else None


def mask_writer(actions: ActionSpec) -> Callable[[Any, NDArray[np.bool_]], None]:
    """What checks a mask and writes it into a row [mask size].

    The writer raises ValueError, naming the problem, if the mask is not one flag for each value of every component,
    or leaves a component without any value.
    """
    expected = (actions.mask_size,)
    firsts = np.cumsum((0, *actions.sizes[:-1]))

    def write(mask: Any, row: NDArray[np.bool_]) -> None:
        try:
            values = np.asarray(mask)
        except ValueError:  # nested sequences of different lengths
            raise ValueError(_("the action mask is not an array of shape {expected}", expected=expected)) from None
        if values.shape != expected:
            raise ValueError(
                _("the action mask has shape {shape}, not {expected}", shape=values.shape, expected=expected)
            )
        if values.dtype.kind not in "biu":
            raise ValueError(_("the action mask is of type {dtype}, not of bool", dtype=values.dtype))
        if values.dtype.kind != "b" and ((values != 0) & (values != 1)).any():
            raise ValueError(_("the action mask contains numbers other than 0 and 1"))
        row[:] = values
        if len(firsts) == 1:
            if not row.any():
                raise ValueError(_("the action mask forbids every action"))
        elif not (allowed := np.logical_or.reduceat(row, firsts)).all():
            raise ValueError(
                _("the action mask forbids every value of component {value}", value=int(allowed.argmin()) + 1)
            )

    return write
