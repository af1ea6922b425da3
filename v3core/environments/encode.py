"""Observations of any space as rows of one flat array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.environments.types import NodePart, StateGraphSpec


def encode(graph: StateGraphSpec, observation: Any, row: NDArray[Any]) -> None:
    """Write an observation into `row` [size], each part where the graph says.

    Raises:
        ValueError: saying what is wrong, if the observation is not of the space that the graph was made for.
    """
    for part in graph.parts:
        if part.size:
            _encode_part(part, _at(observation, part), row[part.start : part.start + part.size])


def _at(observation: Any, part: NodePart) -> Any:
    for key in part.path:
        try:
            observation = observation[key]
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"the observation has no '{part.name}'") from None
    return observation


def _encode_part(part: NodePart, observation: Any, row: NDArray[Any]) -> None:
    values = np.asarray(observation)
    expected = part.shape if part.observed is None else part.observed
    if values.shape != expected and not (values.ndim == 0 and part.size == 1):
        raise ValueError(f"the observation{_named(part)} has shape {values.shape}, not {expected}")
    if values.dtype.kind not in ("biu" if row.dtype == np.uint8 else "biuf"):
        raise ValueError(f"the observation{_named(part)} is of type {values.dtype}")
    if part.kind in {"categories", "grid"}:
        values = values.reshape(-1, len(part.categories))
        if part.starts:
            values = values - part.starts
        if (values >= part.categories).any() or (values.dtype.kind != "u" and (values < 0).any()):
            raise ValueError(f"the observation{_named(part)} holds a category that its space does not have")
    elif row.dtype == np.uint8 and values.dtype.kind == "i" and ((values < 0).any() or (values > 255).any()):
        raise ValueError(f"the observation{_named(part)} holds a number that is no byte")
    if part.channels_first:
        values = values.transpose(1, 2, 0)
    row[:] = values.reshape(-1)


def _named(part: NodePart) -> str:
    return f" at '{part.name}'" if part.path else ""
