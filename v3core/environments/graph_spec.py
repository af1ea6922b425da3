"""The state graph of an observation space, or a registered one: its nodes, and which see each other."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from v3core.environments.types import NodePart, StateGraphSpec
from v3core.errors import V3Error
from v3core.messages import _

MAX_NODES = 64
"""Most nodes of a complete graph, whose cost grows with their square; more features share nodes."""
MAX_FEATURES = 4096
"""Longest vector."""
MAX_CELLS = 256
"""Largest symbolic grid, in cells."""
MAX_PIXELS = 512 * 512
"""Largest image."""
MAX_CATEGORIES = 100_000
"""Most values that one component may name; each has an embedding."""

MISSION_WORDS = (
    "a", "after", "and", "at", "avoid", "ball", "behind", "blue", "box", "door", "end", "fetch", "find", "from",
    "front", "get", "go", "goal", "green", "grey", "hallway", "in", "key", "lava", "left", "matching", "maze", "must",
    "near", "next", "object", "of", "on", "open", "opening", "pick", "purple", "put", "reach", "red", "right", "room",
    "rooms", "square", "the", "then", "to", "traverse", "unlock", "up", "use", "yellow", "you", "your",
)  # fmt: skip
"""All words of the missions of MiniGrid and BabyAI. Listed here and not asked of the package: what a policy reads must
not change with its version."""

SHARED = 10
"""Places that all other words share, each at the one that its checksum says."""

_ADVICE = _("wrap it so that it observes a vector of numbers, or register your own graph (docs/environments.md)")


def state_graph(space: spaces.Space[object], categories: dict[str, int] | None = None) -> StateGraphSpec:
    """The state graph of any Gymnasium space whose observations have a fixed size; else a V3Error says what to do.

    With `categories` the space is a symbolic grid, a Box of shape (columns, rows, channels): each channel's name and
    how many values it can have.
    """
    parts = list(_parts(space, (), 0)) if categories is None else [_grid(space, categories)]
    if not parts:
        raise V3Error("its observations are empty; {advice}.", advice=_ADVICE)
    nodes = sum(part.nodes for part in parts)
    if nodes > 2 * MAX_CELLS:
        raise V3Error(
            "its state graph has {nodes} nodes, but the policy supports at most {value}; {advice}.",
            nodes=nodes,
            value=2 * MAX_CELLS,
            advice=_ADVICE,
        )
    small = all(part.kind == "hub" or _fits_a_byte(part, space) for part in parts)
    return StateGraphSpec(tuple(parts), _neighbours(parts), "uint8" if small else "float32")


def minigrid_graph(space: spaces.Dict, categories: dict[str, int] | None) -> StateGraphSpec:
    """The state graph of a MiniGrid's whole observation: its cells, and a node each for direction and mission.

    Both are seen by the cells at the border, among them the agent's own, and see one another. Every node costs what the
    one with the most neighbours costs: those cells have room for two more, and all else goes through them, and through
    the readout, which reads every node. `categories` are those of `state_graph`, None for an image of pixels.
    """
    image = _leaf(space["image"], ("image",), 0) if categories is None else _grid(space["image"], categories)
    image = replace(image, path=("image",))
    direction = _leaf(space["direction"], ("direction",), image.size)
    size = len(MISSION_WORDS) + SHARED
    start = direction.start + direction.size
    mission = NodePart("words", 1, start, size, (size,), ("mission",), labels=MISSION_WORDS)
    parts = [image, direction, mission]
    near = np.eye(image.nodes + 2, dtype=np.bool_)
    near[: image.nodes, : image.nodes] = _within(image)
    near[image.nodes :, image.nodes :] = True
    degrees = near.sum(1)
    near[degrees <= degrees.max() - 2, image.nodes :] = True
    small = all(_fits_a_byte(part, space) for part in parts)
    return StateGraphSpec(tuple(parts), near, "uint8" if small else "float32")


def image_cells(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the feature map of an image: halved, rounding up, until it has at most 64 cells."""
    while height * width > MAX_NODES:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    return height, width


Path = tuple[str | int, ...]


def _parts(space: spaces.Space[object], path: Path, start: int) -> Iterator[NodePart]:
    """The parts of a space, its entries from `start` on."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        keyed = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, inner in keyed:
            # The hub comes before the nodes it joins: `_neighbours` relies on it.
            yield NodePart("hub", nodes=1, start=start, size=0, path=(*path, key))
            for part in _parts(inner, (*path, key), start):
                yield part
                start = part.start + part.size
    else:
        yield _leaf(space, path, start)


def _leaf(space: spaces.Space[object], path: Path, start: int) -> NodePart:
    of = _("its observations at {path}", path=path) if path else _("its observations")
    match space:
        case spaces.Discrete():
            part = NodePart("categories", 1, start, 1, (1,), path, (), (int(space.start),), categories=(int(space.n),))
            return _checked(part, of)
        case spaces.MultiDiscrete():
            sizes, starts = tuple(np.ravel(space.nvec).tolist()), tuple(np.ravel(space.start).tolist())
            shape, count = space.nvec.shape, len(sizes)
            part = NodePart("categories", count, start, count, (count,), path, shape, starts, categories=sizes)
            return _checked(part, of)
        case spaces.MultiBinary():
            count = int(np.prod(space.shape))
            if count > MAX_NODES:
                return _features(space.shape, path, start, of)
            part = NodePart("categories", count, start, count, (count,), path, space.shape, categories=(2,) * count)
            return _checked(part, of)
        case spaces.Box():
            if _looks_like_image(space):
                return _image(space, path, start, of)
            return _features(space.shape, path, start, of)
    raise V3Error(
        "{of} are a {name}, which has no fixed size or is not numeric; {advice}.",
        of=of,
        name=type(space).__name__,
        advice=_ADVICE,
    )


def _checked(part: NodePart, of: str) -> NodePart:
    if not 1 <= part.nodes <= MAX_CELLS:
        raise V3Error(
            "{of} have {nodes} components, but the policy supports 1 to {max_cells}; {advice}.",
            of=of,
            nodes=part.nodes,
            max_cells=MAX_CELLS,
            advice=_ADVICE,
        )
    if sum(part.categories) > MAX_CATEGORIES:
        raise V3Error(
            "{of} name {sum} values, but the policy supports {max_categories}; {advice}.",
            of=of,
            sum=sum(part.categories),
            max_categories=MAX_CATEGORIES,
            advice=_ADVICE,
        )
    return part


def _features(shape: tuple[int, ...], path: Path, start: int, of: str) -> NodePart:
    count = int(np.prod(shape))
    if not 1 <= count <= MAX_FEATURES:
        raise V3Error(
            "{of} have {count} numbers, but the policy supports 1 to {max_features}; {advice}.",
            of=of,
            count=count,
            max_features=MAX_FEATURES,
            advice=_ADVICE,
        )
    group = math.ceil(count / MAX_NODES)
    nodes = math.ceil(count / group)
    return NodePart("features", nodes, start, count, (count,), path, shape, group=group)


def _looks_like_image(space: spaces.Box) -> bool:
    if len(space.shape) == 2:
        # Few numbers may be anything, such as a table of sensors; too many for a vector can only be a picture.
        of_bytes = space.dtype == np.uint8 and min(space.shape) > 8
        return bool(of_bytes or (np.prod(space.shape) > MAX_FEATURES and min(space.shape) > 8))
    return len(space.shape) == 3


def channels_first(shape: tuple[int, ...]) -> bool:
    """Whether an image of three dimensions has its channels first: the first is short and the others are long.

    Up to 4 before a last one of more, unless the first two are alike, as on a board of 4 × 4 with 16 planes; up to 16,
    such as a stack of pictures, before two long ones.
    """
    if len(shape) != 3:
        return False
    first, second, last = shape
    return (first <= 4 < last and first != second) or (first <= 16 < min(second, last))


def _image(space: spaces.Box, path: Path, start: int, of: str) -> NodePart:
    shape = tuple(int(length) for length in space.shape)
    height, width, channels = (
        (*shape, 1) if len(shape) == 2 else (shape[1], shape[2], shape[0]) if channels_first(shape) else shape
    )
    if height * width > MAX_PIXELS and path:
        raise V3Error(
            "{of} are images of {height} × {width} pixels; keep only the other keys by gymnasium.wrappers."
            "FilterObservation(filter_keys=[…]), or make the image smaller in a wrapper of your own.",
            of=of,
            height=height,
            width=width,
        )
    if height * width > MAX_PIXELS:
        raise V3Error(
            "{of} are images of {height} × {width} pixels; wrap it in gymnasium.wrappers.ResizeObservation.",
            of=of,
            height=height,
            width=width,
        )
    low, high = float(np.min(space.low)), float(np.max(space.high))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise V3Error(
            "{of} look like an image, of shape {shape}, but no bounds; wrap it in "
            "gymnasium.wrappers.FlattenObservation, or give its space finite bounds.",
            of=of,
            shape="×".join(map(str, shape)),
        )
    rows, columns = image_cells(height, width)
    size, layout, first = height * width * channels, (height, width, channels), channels_first(shape)
    return NodePart("image", rows * columns, start, size, layout, path, shape, channels_first=first, low=low, high=high)


def _grid(space: spaces.Space[object], categories: dict[str, int]) -> NodePart:
    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.shape[2] != len(categories):
        raise V3Error(
            "its grid has shape {shape}, not columns × rows × {categories} channels.",
            shape=space.shape,
            categories=len(categories),
        )
    columns, rows, _ = space.shape
    if columns * rows > MAX_CELLS:
        raise V3Error(
            "its grid has {columns} × {rows} cells; the policy supports at most {max_cells}.",
            columns=columns,
            rows=rows,
            max_cells=MAX_CELLS,
        )
    size, values, labels = int(np.prod(space.shape)), tuple(categories.values()), tuple(categories)
    return NodePart("grid", columns * rows, 0, size, space.shape, categories=values, labels=labels)


def _fits_a_byte(part: NodePart, space: Any) -> bool:
    """Whether the entries of a part of `space`, the whole observation's, are whole numbers from 0 to 255."""
    for key in part.path:
        space = space[key]
    if part.kind == "words":
        return True
    if part.kind in {"grid", "categories"}:
        return max(part.categories) <= 256
    if part.kind == "image":
        return isinstance(space, spaces.Box) and space.dtype in (np.uint8, np.bool_)
    return isinstance(space, spaces.MultiBinary)


def _neighbours(parts: list[NodePart]) -> NDArray[np.bool_]:
    """The union of the parts' graphs. A hub is joined to the nodes of its key both ways, hubs to one another."""
    count = sum(part.nodes for part in parts)
    near = np.eye(count, dtype=np.bool_)
    hubs: list[tuple[Path, int]] = []
    first = 0
    for part in parts:
        end = first + part.nodes
        if part.kind == "hub":
            hubs.append((part.path, first))
        else:
            near[first:end, first:end] = _within(part)
            for path, hub in hubs:
                if part.path[: len(path)] == path:
                    near[hub, first:end] = near[first:end, hub] = True
        first = end
    for _path, hub in hubs:
        near[hub, [other for _path, other in hubs]] = True
    return near


def _within(part: NodePart) -> NDArray[np.bool_]:
    """Edges among the nodes of one part: 8 neighbours on a grid or image, else all of them."""
    if part.kind not in {"grid", "image"}:
        return np.ones((part.nodes, part.nodes), dtype=np.bool_)
    # Cell (i, j) is node i · columns + j, the memory order of the array.
    columns = part.shape[1] if part.kind == "grid" else image_cells(part.shape[0], part.shape[1])[1]
    row, column = np.divmod(np.arange(part.nodes), columns)
    near: NDArray[np.bool_] = (np.abs(row[:, None] - row) <= 1) & (np.abs(column[:, None] - column) <= 1)
    return near


Builder = Callable[[gymnasium.Env[Any, Any]], StateGraphSpec | dict[str, int]]
"""From an environment to its state graph, or to the channels of its symbolic grid and how many values each has."""

_builders: dict[str, Builder] = {}


def register_graph(pattern: str, builder: Builder) -> None:
    """Use the graph that `builder` makes for environments whose id matches `pattern` (`*` matches anything).

    Call it in the module that registers the environment, and name that on the command line: `module:Env-v0`. The
    longest pattern that matches wins.
    """
    _builders[pattern] = builder


def builder_for(env: gymnasium.Env[Any, Any]) -> str | None:
    """The pattern of the builder that is registered for an environment; None if there is none."""
    env_id = env.spec.id if env.spec is not None else ""
    return max((pattern for pattern in _builders if fnmatchcase(env_id, pattern)), key=len, default=None)


def built_graph(env: gymnasium.Env[Any, Any]) -> StateGraphSpec | None:
    """The graph that a registered builder makes of an environment, or None; V3Error if the builder fails."""
    pattern = builder_for(env)
    if pattern is None:
        return None
    try:
        built: object = _builders[pattern](env)
    except V3Error:  # by `state_graph`: it says what the observations lack
        raise
    except Exception as problem:  # a user's own code may raise anything
        raise V3Error(
            "its graph builder '{pattern}' raised {name}: {problem}.",
            pattern=pattern,
            name=type(problem).__name__,
            problem=str(problem).rstrip("."),
        ) from problem
    if isinstance(built, StateGraphSpec):
        return built
    if isinstance(built, dict):
        return state_graph(env.observation_space, built)
    raise V3Error(
        "its graph builder '{pattern}' returned a {name}, not a StateGraphSpec or a dict.",
        pattern=pattern,
        name=type(built).__name__,
    )
