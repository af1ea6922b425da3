"""The nodes of a state graph as a person reads them: their names, their places in a picture, and what each observes.

In English, as it is recorded: `insight/seen_words.py` says it in another language.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.environments.graph_spec import image_cells
from v3core.environments.nethack.glyphs import class_name
from v3core.environments.nethack.surroundings import FAR, NEAR, cell_name, thing_words
from v3core.environments.state_words import MINIGRID_CELL, feature_names
from v3core.environments.types import EnvironmentSpec, NodePart
from v3core.messages import _
from v3core.phrases import counted

_AGENT = "agent"
_DIRECTIONS = ("right", "down", "left", "up")
"""Of a MiniGrid's agent, by number."""
_COLUMN_HEIGHT = 8
"""Nodes in a column beside a grid."""


@dataclass(frozen=True, eq=False)
class NodeWords:
    """What the nodes observe in T states."""

    numbers: NDArray[np.float32]
    """The number of each node, [T, nodes], as the environment gives it; NaN for a node that does not observe one."""
    said: NDArray[np.int32]
    """Place in `words` of what each node observes, [T, nodes]; −1 for a node that does not observe a thing."""
    words: tuple[str, ...]
    """Such as `locked red door`; what several nodes observe is in it once."""
    colours: tuple[str, ...]
    """Of each of `words`, as `#rrggbb`; empty without one."""


def node_names(spec: EnvironmentSpec) -> list[str]:
    """A name for each node, in the order of the nodes."""
    return [name for part in spec.graph.parts for name in _names_of(spec, part)]


def node_kinds(spec: EnvironmentSpec) -> list[str]:
    """The kind of each node: that of its part, or `group` for several numbers."""
    return ["group" if part.group > 1 else part.kind for part in spec.graph.parts for _ in range(part.nodes)]


def _names_of(spec: EnvironmentSpec, part: NodePart) -> list[str]:
    title = part.name.capitalize()
    if part.kind == "hub":
        return [_("{value} (hub)", value=title) if title else _("All (hub)")]
    if part.kind == "words":
        return [title or _("Text")]
    if part.labels == FAR:
        return [_("Thing {place}, by distance", place=place) for place in range(1, part.nodes + 1)]
    if part.labels == NEAR:
        return [cell_name(place) for place in range(part.nodes)]
    if part.kind in {"grid", "image"}:
        columns, rows = _extent(part)
        before = f"{title}, " if title and title != "Image" else ""
        names = [
            [_("column {column}, row {row}", column=column, row=row) for row in range(1, rows + 1)]
            for column in range(1, columns + 1)
        ]
        flat = [name for one in names for name in one] if part.kind == "grid" else [
            names[column][row] for row in range(rows) for column in range(columns)
        ]  # fmt: skip
        return [f"{before}{name}" if before else name.capitalize() for name in flat]
    if part.kind == "features" and part.nodes == 1 and part.group > 1 and title:
        return [title]
    names_of_features = feature_names(spec, part)
    if part.group == 1:
        return names_of_features
    groups = [names_of_features[first : first + part.group] for first in range(0, part.size, part.group)]
    return [
        one[0] if len(one) == 1 else _("{one} to {value}", one=one[0], value=one[-1].rsplit(" ", 1)[-1])
        for one in groups
    ]


def _extent(part: NodePart) -> tuple[int, int]:
    """Columns and rows of a grid or of the cells of an image."""
    if part.kind == "grid":
        return part.shape[0], part.shape[1]
    rows, columns = image_cells(part.shape[0], part.shape[1])
    return columns, rows


def node_places(spec: EnvironmentSpec) -> NDArray[np.float32]:
    """Where nodes are in a picture, x to the right and y upwards, [nodes, 2].

    Cells are where they are in their grid or image, several of these side by side, and all other nodes to their right.
    Without cells the nodes are on a circle, clockwise from the top.
    """
    parts = spec.graph.parts
    if not any(part.kind in {"grid", "image"} for part in parts):
        angles = 2 * np.pi * np.arange(spec.graph.nodes) / spec.graph.nodes
        return np.stack((np.sin(angles), np.cos(angles)), 1).astype(np.float32)
    places: list[NDArray[Any]] = [np.empty((part.nodes, 2)) for part in parts]
    left = 0.0
    height = max(_extent(part)[1] for part in parts if part.kind in {"grid", "image"})
    for part, found in zip(parts, places, strict=True):
        if part.kind in {"grid", "image"}:
            columns, rows = _extent(part)
            first, second = np.divmod(np.arange(part.nodes), rows if part.kind == "grid" else columns)
            column, row = (first, second) if part.kind == "grid" else (second, first)
            found[:] = np.stack((left + column, -row), 1)
            left += columns + 1
    others = [(found, place) for part, found in zip(parts, places, strict=True) if part.kind not in {"grid", "image"}
              for place in range(part.nodes)]  # fmt: skip
    per_column = max(_COLUMN_HEIGHT, height)
    lines = min(len(others), per_column)
    for number, (found, place) in enumerate(others):
        across, down = divmod(number, per_column)
        found[place] = (left + 0.5 + 1.5 * across, -(down + 0.5) * height / lines + 0.5)
    return np.concatenate(places).astype(np.float32)


def node_words(spec: EnvironmentSpec, observations: NDArray[Any]) -> NodeWords:
    """What the nodes observe in flat observations [T, size]. Of images, and of several numbers in a node, nothing."""
    count, nodes = len(observations), spec.graph.nodes
    numbers = np.full((count, nodes), np.nan, dtype=np.float32)
    said = np.full((count, nodes), -1, dtype=np.int32)
    words: dict[str, int] = {}
    colours: list[str] = []
    first = 0
    for part in spec.graph.parts:
        columns = slice(first, first + part.nodes)
        entries = observations[:, part.start : part.start + part.size]
        if part.kind == "categories" or (part.kind == "features" and part.group == 1):
            numbers[:, columns] = entries
            if part.starts:
                numbers[:, columns] += np.array(part.starts)
        if part.kind in {"grid", "words"} or _has_named_values(part) or _is_direction(spec, part):
            of_node = entries.reshape(count * part.nodes, -1)
            kinds, inverse = np.unique(of_node, axis=0, return_inverse=True)
            places = []
            for kind in kinds:
                text, colour = _thing(part, kind)
                if text not in words:
                    words[text] = len(words)
                    colours.append(colour)
                places.append(words[text])
            said[:, columns] = np.array(places, dtype=np.int32)[inverse.reshape(count, part.nodes)] if count else -1
        if part.labels == MINIGRID_CELL:
            _put_agent(part, said[:, columns], words, colours)
        first += part.nodes
    return NodeWords(numbers, said, tuple(words), tuple(colours))


def _put_agent(part: NodePart, said: NDArray[np.int32], words: dict[str, int], colours: list[str]) -> None:
    """In the view of a MiniGrid's agent, which has no agent in it, its own cell has what it carries: say so.

    The agent is in the middle of the last row.
    """
    if any(word.startswith(_AGENT) for word in words):
        return
    columns, rows = _extent(part)
    own = said[:, columns // 2 * rows + rows - 1]
    known = list(words)
    for place in np.unique(own):
        thing = "nothing" if known[place] in {"empty", "unseen"} else known[place]
        text = f"{_AGENT}, carries {thing}"
        words[text] = len(words)
        colours.append(colours[place])
        own[own == place] = words[text]


def _has_named_values(part: NodePart) -> bool:
    return part.kind == "categories" and bool(part.labels)


def _is_direction(spec: EnvironmentSpec, part: NodePart) -> bool:
    """Whether it is where a MiniGrid's agent looks."""
    of_minigrid = any(other.labels == MINIGRID_CELL for other in spec.graph.parts)
    return of_minigrid and part.path == ("direction",) and part.categories == (len(_DIRECTIONS),)


def _thing(part: NodePart, values: NDArray[Any]) -> tuple[str, str]:
    """What a node observes in words, and its colour."""
    if _has_named_values(part):
        return part.labels[int(values[0])], ""
    if part.kind == "categories":
        return f"facing {_DIRECTIONS[int(values[0])]}", ""
    return _cell(part, values) if part.kind == "grid" else (_text(part, values), "")


def _text(part: NodePart, counts: NDArray[Any]) -> str:
    """The words of a text in the order of the vocabulary: their order in the text is not observed."""
    if not part.labels:
        return counted(int(counts.sum()), "word") if counts.any() else _("no words")
    known = [
        f"{word} ×{times}" if times > 1 else word
        for word, times in zip(part.labels, counts.tolist(), strict=False)
        if times
    ]
    other = int(counts[len(part.labels) :].sum())
    return ", ".join(known + [_("{other} that are not in the vocabulary", other=other)] * bool(other)) or _("no words")


def _cell(part: NodePart, values: NDArray[Any]) -> tuple[str, str]:
    """A cell of a grid in words, and its colour."""
    if part.labels == NEAR:
        return class_name(int(values[0])), ""
    if part.labels == FAR:
        return thing_words(*map(int, values)), ""
    if part.labels == MINIGRID_CELL:
        from minigrid.core.constants import COLORS, IDX_TO_COLOR, IDX_TO_OBJECT, STATE_TO_IDX

        name = IDX_TO_OBJECT.get(int(values[0]), "object")
        if name in {"unseen", "empty", "wall", "floor"}:
            return name, ""
        colour = IDX_TO_COLOR.get(int(values[1]), "")
        if name == "agent":
            return f"{_AGENT}, facing {_DIRECTIONS[int(values[2]) % 4]}", ""
        states = {number: state for state, number in STATE_TO_IDX.items()}
        before = f"{states.get(int(values[2]), '')} " if name == "door" else ""
        shade = "#{:02x}{:02x}{:02x}".format(*(int(one) for one in COLORS[colour])) if colour in COLORS else ""
        return f"{before}{colour} {name}".strip(), shade
    labels = part.labels or tuple(_("channel {number}", number=place) for place in range(1, len(values) + 1))
    return ", ".join(f"{label} {int(value)}" for label, value in zip(labels, values, strict=True)), ""
