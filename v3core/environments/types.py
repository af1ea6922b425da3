"""What the policy needs to know of an environment: the state graph of its observations, and its actions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from v3core.environment_setup import EnvironmentSetup
from v3core.environments.situations import Situation

NodeKind = Literal["features", "grid", "image", "categories", "words", "hub"]
ActionKind = Literal["discrete", "multi_discrete", "multi_binary", "continuous"]

OBSERVATION = "observation"
"""Key of all but the task in an observation that is no Dict, of one of several environments."""


@dataclass(frozen=True)
class NodePart:
    """Nodes of one kind, made from one slice of the flat observation."""

    kind: NodeKind
    """`features`: a node per number, or per group of them. `grid`: a node per cell, whose channels are categories.
    `image`: a node per cell of a convolutional feature map. `categories`: a node per component that names one of
    several values. `words`: one node for a text, made from how often each word is in it. `hub`: one node that observes
    nothing and joins the nodes of a key."""
    nodes: int
    """How many nodes it gives."""
    start: int
    """First entry of the flat observation."""
    size: int
    """Entries; 0 for a hub."""
    shape: tuple[int, ...] = ()
    """Layout of the entries: (features,), (columns, rows, channels), (height, width, channels) or (components,)."""
    path: tuple[str | int, ...] = ()
    """Its path in a Dict or Tuple, such as ("camera",) or (0, "speed"); empty for a whole observation."""
    observed: tuple[int, ...] | None = None
    """Shape in which the environment gives it; None if it is `shape`."""
    starts: tuple[int, ...] = ()
    """categories: the environment's number for the first value of each component; empty if all are 0."""
    channels_first: bool = False
    """image: the environment gives (channels, height, width)."""
    categories: tuple[int, ...] = ()
    """grid: values per channel. categories: values per component."""
    group: int = 1
    """features: how many share a node."""
    low: float = 0.0
    """image: darkest value."""
    high: float = 255.0
    """image: brightest value."""
    labels: tuple[str, ...] = ()
    """features: a name per number, or none. grid: a name per channel. words: those with their own entry, the first;
    others share the rest. categories: a name per value, of a single component; empty if they have none."""

    @property
    def name(self) -> str:
        """Its path as text; empty for a whole observation."""
        return ".".join(map(str, self.path))


@dataclass(frozen=True)
class StateGraphSpec:
    """The graph that every observation of one space becomes. Depends on the space alone."""

    parts: tuple[NodePart, ...]
    """In the order of their nodes."""
    neighbours: NDArray[np.bool_] = field(compare=False, repr=False)
    """Adjacency [N, N], self-loops included: node i attends to node j where [i, j] is true."""
    dtype: Literal["uint8", "float32"] = "float32"
    """Of a flat observation; bytes where all its entries fit into one."""
    situations: Mapping[str, Situation] = field(default_factory=dict, compare=False, repr=False)
    """Name of a situation to the function that says where it holds: the experts' loads in it are recorded."""

    def __post_init__(self) -> None:
        assert self.neighbours.shape == (self.nodes, self.nodes)

    @property
    def nodes(self) -> int:
        """How many nodes, N."""
        return sum(part.nodes for part in self.parts)

    @property
    def size(self) -> int:
        """Entries of a flat observation."""
        return sum(part.size for part in self.parts)

    @property
    def edges(self) -> int:
        """Directed edges, without self-loops."""
        return int(self.neighbours.sum()) - self.nodes

    def seen(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Flat observations [M, size] by the keys of the environment, [M, *shape of the part]; views."""
        found: dict[str, NDArray[Any]] = {}
        for part in self.parts:
            if part.size:
                values = flat[:, part.start : part.start + part.size].reshape(len(flat), *part.shape)
                found[part.name] = values
                if part.path[:1] == (OBSERVATION,):  # of one of several environments
                    found.setdefault(".".join(map(str, part.path[1:])), values)
        return found


@dataclass(frozen=True)
class ActionSpec:
    """The actions of an environment, as the policy draws them: `components` numbers each."""

    kind: ActionKind
    outputs: int
    """Numbers that an expert puts out: a logit per category, log-odds per switch, or a mean per number."""
    components: int
    """Numbers in one action."""
    sizes: tuple[int, ...] = ()
    """(multi_)discrete: categories per component. multi_binary: 2 for each."""
    starts: tuple[int, ...] = ()
    """(multi_)discrete: the environment's name for the first category of each component."""
    shape: tuple[int, ...] = ()
    """Of an action that the environment takes."""
    low: tuple[float, ...] = ()
    """continuous: lower bounds; −∞ if there is none."""
    high: tuple[float, ...] = ()
    """continuous: upper bounds; ∞ if there is none."""
    dtype: str = "int64"
    """Of an action that the environment takes."""
    names: tuple[str, ...] = ()
    """discrete: what each action is called where the environment says so, as NetHack's do; else empty."""

    def other_name(self, names: Sequence[str]) -> tuple[int, str, str] | None:
        """The first action, from 1, that is called otherwise there, what it is called here, and there."""
        pairs = enumerate(zip(self.names, names, strict=False), 1)
        return next(((place, own, name) for place, (own, name) in pairs if own != name), None)

    def is_like(self, other: "ActionSpec") -> bool:
        """Whether they are the same; names count where both have them, for a wrapper of one's own gives none."""
        named = bool(self.names and other.names)
        return replace(self, names=self.names if named else other.names) == other

    @property
    def mask_size(self) -> int:
        """Flags of an action mask, one for each value of every component side by side; 0 if actions are numbers."""
        return sum(self.sizes)

    def to_environment(self, actions: NDArray[Any]) -> list[Any]:
        """What `env.step` takes, for actions [n, components]; numbers beyond the bounds are clipped to them."""
        if self.kind == "discrete":
            start = self.starts[0]
            return [int(action) + start for action in actions[:, 0]]
        if self.kind == "continuous":
            low, high = self._bounds
            clipped = np.minimum(np.maximum(actions.astype(low.dtype, copy=False), low), high)
            return list(clipped.reshape(len(actions), *self.shape))
        if self.kind == "multi_discrete":
            actions = actions + np.array(self.starts)
        return list(actions.astype(self.dtype).reshape(len(actions), *self.shape))

    @cached_property
    def _bounds(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.array(self.low, dtype=self.dtype), np.array(self.high, dtype=self.dtype)


@dataclass(frozen=True)
class EnvironmentSpec:
    """An environment as the policy sees it."""

    environment: EnvironmentSetup
    """Which it is."""
    graph: StateGraphSpec
    actions: ActionSpec

    @property
    def env_id(self) -> str:
        """Its Gymnasium id."""
        return self.environment.env_id

    @property
    def obeys_masks(self) -> bool:
        """Whether action masks of the environment are obeyed."""
        return self.environment.view >= 2 and self.actions.mask_size > 0

    def of(self, environment: EnvironmentSetup) -> "EnvironmentSpec":
        """Another environment with the same observations and actions."""
        return replace(self, environment=environment)
