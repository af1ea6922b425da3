"""Action masks: which actions an environment allows in the state that it is in."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from v3core.environments.types import ActionSpec

IN_INFO = "action_mask"
"""Key of `info` that holds the mask for the next action."""
METHOD = "action_masks"
"""Method of an environment, or of a wrapper around it, that returns the mask for the next action."""


def mask_method(env: gymnasium.Env[Any, Any]) -> Callable[[], Any] | None:
    """The environment's own `action_masks`, outermost wrapper first; None if it has none."""
    try:
        method = env.get_wrapper_attr(METHOD)
    except AttributeError:
        return None
    return method if callable(method) else None


def mask_writer(actions: ActionSpec) -> Callable[[Any, NDArray[np.bool_]], None]:
    """What checks a mask and writes it into a row [mask size].

    The writer raises ValueError, saying what is wrong, if the mask is not one flag for each value of every component,
    or leaves a component without any value.
    """
    expected = (actions.mask_size,)
    firsts = np.cumsum((0, *actions.sizes[:-1]))

    def write(mask: Any, row: NDArray[np.bool_]) -> None:
        try:
            values = np.asarray(mask)
        except ValueError:  # nested sequences of different lengths
            raise ValueError(f"the action mask is no array of shape {expected}") from None
        if values.shape != expected:
            raise ValueError(f"the action mask has shape {values.shape}, not {expected}")
        if values.dtype.kind not in "biu":
            raise ValueError(f"the action mask is of type {values.dtype}, not of bool")
        if values.dtype.kind != "b" and ((values != 0) & (values != 1)).any():
            raise ValueError("the action mask holds numbers that are neither 0 nor 1")
        row[:] = values
        if len(firsts) == 1:
            if not row.any():
                raise ValueError("the action mask forbids every action")
        elif not (allowed := np.logical_or.reduceat(row, firsts)).all():
            raise ValueError(f"the action mask forbids every value of component {int(allowed.argmin()) + 1}")

    return write
