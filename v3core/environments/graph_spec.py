"""The state graph of an observation space: which nodes there are and which of them see each other."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from v3core.errors import V3Error

MAX_FEATURES = 64
"""Longest vector observation: every feature is a node of a complete graph, so the cost grows with its square."""

MAX_CELLS = 256
"""Largest symbolic grid, in cells."""


@dataclass(frozen=True)
class StateGraphSpec:
    """The graph that every observation of one space becomes. Depends on the space alone."""

    kind: Literal["vector", "grid"]
    """`vector`: a node per feature, complete graph. `grid`: a node per cell, joined to its 8 neighbours."""
    nodes: int
    """How many nodes, N."""
    shape: tuple[int, ...]
    """Shape of one observation: (features,), or (columns, rows, channels)."""
    feature_names: tuple[str, ...]
    """vector: a name per node. grid: a name per channel of a cell."""
    neighbours: NDArray[np.bool_] = field(compare=False, repr=False)
    """Adjacency [N, N], self-loops included: node i attends to node j where [i, j] is true."""
    categories: tuple[int, ...] = ()
    """grid: how many values each channel can have. Channels are categories, not intensities."""


def state_graph(space: spaces.Space[object], categories: dict[str, int] | None = None) -> StateGraphSpec:
    """The state graph of an observation space.

    Args:
        space: a one-dimensional Box of floats, or a symbolic grid: Box of shape (columns, rows, channels).
        categories: for a symbolic grid, each channel's name and how many values it can have.

    Raises:
        V3Error: if the policy cannot take such observations; says what to do.
    """
    if categories is not None:
        return _grid(space, categories)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        raise V3Error(
            f"its observations are a {type(space).__name__} of several parts; "
            "wrap it in gymnasium.wrappers.FlattenObservation and register that."
        )
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        raise V3Error(
            f"its observations are {type(space).__name__}, names rather than quantities; "
            "wrap it so that it observes a float32 vector with a 1 at the right place, and register that."
        )
    if not isinstance(space, spaces.Box):
        raise V3Error(f"its observations are a {type(space).__name__}; choose one that observes a vector of floats.")
    if len(space.shape) != 1:
        size = "×".join(map(str, space.shape)) or "a single number"
        if space.dtype == np.uint8:
            raise V3Error(f"its observations are images ({size}); choose one that observes a vector of features.")
        raise V3Error(
            f"its observations have shape {size}, not one dimension; "
            "wrap it in gymnasium.wrappers.FlattenObservation and register that."
        )
    if not np.issubdtype(space.dtype, np.floating):
        raise V3Error(
            f"its observations are {space.dtype} values whose meaning is unknown; "
            "wrap it so that it observes float32 features and register that."
        )
    features = space.shape[0]
    if not 1 <= features <= MAX_FEATURES:
        raise V3Error(f"it observes {features} features; the policy takes 1 to {MAX_FEATURES}.")
    return StateGraphSpec(
        kind="vector",
        nodes=features,
        shape=space.shape,
        feature_names=tuple(f"feature {number}" for number in range(1, features + 1)),
        neighbours=np.ones((features, features), dtype=np.bool_),
    )


def _grid(space: spaces.Space[object], categories: dict[str, int]) -> StateGraphSpec:
    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.shape[2] != len(categories):
        raise V3Error(f"its grid has shape {space.shape}, not columns × rows × {len(categories)} channels.")
    columns, rows, _ = space.shape
    if columns * rows > MAX_CELLS:
        raise V3Error(f"its grid has {columns} × {rows} cells; the policy takes at most {MAX_CELLS}.")
    # Cell (column, row) is node column · rows + row, the order in which the array lies in memory.
    column, row = np.divmod(np.arange(columns * rows), rows)
    near = (np.abs(column[:, None] - column) <= 1) & (np.abs(row[:, None] - row) <= 1)
    return StateGraphSpec(
        kind="grid",
        nodes=columns * rows,
        shape=space.shape,
        feature_names=tuple(categories),
        neighbours=near,
        categories=tuple(categories.values()),
    )
