"""A state in words and numbers that a person can read: its features by name, and the scenario it belongs to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.environments.tasks import TaskEnvironment
from v3core.environments.types import EnvironmentSpec, NodePart
from v3core.messages import _

MAX_FEATURES = 24
"""Features of a state that are listed; the others are left out."""
MAX_LETTERS = 60
"""Of the name of a scenario."""
MINIGRID_CELL = (_("object"), _("colour"), _("state"))
"""Channels of a grid whose values have names."""
SCENARIO = "scenario"
"""Key of the `info` that `reset` returns, by which an environment names the scenario of the episode."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "CartPole-": (_("Cart position"), _("Cart velocity"), _("Pole angle"), _("Pole angular velocity")),
    "Acrobot-": (
        *(_("Cosine of angle 1"), _("Sine of angle 1"), _("Cosine of angle 2"), _("Sine of angle 2")),
        *(_("Angular velocity 1"), _("Angular velocity 2")),
    ),
    "MountainCar": (_("Position"), _("Velocity")),
    "Pendulum-": (_("Cosine of the angle"), _("Sine of the angle"), _("Angular velocity")),
    "LunarLander": (
        *(
            _("Horizontal position"),
            _("Vertical position"),
            _("Horizontal velocity"),
            _("Vertical velocity"),
            _("Angle"),
        ),
        *(_("Angular velocity"), _("Left leg touches"), _("Right leg touches")),
    ),
}
"""What Gymnasium's documentation calls the numbers of its environments, by how their ids begin."""


def scenario_of(env: Any, info: Mapping[str, Any]) -> str:
    """The scenario of an episode that was just reset: `info["scenario"]`, or else the environment's mission.

    Of several environments at once it is the task.

    A text, a whole number or a bool counts; anything else is as if it were not there. Empty without a scenario.
    """
    named = env.task_name if isinstance(env, TaskEnvironment) else info.get(SCENARIO)
    if not isinstance(named, str | int | np.integer | np.bool_):
        named = getattr(env.unwrapped, "mission", "")
    text = " ".join(str(named).split()) if isinstance(named, str | int | np.integer | np.bool_) else ""
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"


def described_states(
    spec: EnvironmentSpec, observations: NDArray[Any]
) -> tuple[tuple[str, ...], tuple[tuple[float | str, ...], ...]]:
    """Names of the features of flat observations [n, size], and of each observation their values.

    Numbers and categories are listed as the environment gives them, of a MiniGrid what is in view. Images and texts
    are left out, and so is what is beyond `MAX_FEATURES`.
    """
    names: list[str] = []
    columns: list[Sequence[float | str]] = []
    for part in spec.graph.parts:
        if part.kind == "grid" and part.labels == MINIGRID_CELL:
            names.append(_("In view"))
            cells = observations[:, part.start : part.start + part.size].reshape(-1, *part.shape)
            columns.append([_objects(seen) for seen in cells])
        if part.kind not in {"features", "categories"}:
            continue
        for place, name in enumerate(feature_names(spec, part)[: max(0, MAX_FEATURES - len(names))]):
            values = observations[:, part.start + place].astype(np.float64)
            first = part.starts[place] if part.starts else 0
            names.append(name)
            if part.labels and part.kind == "categories":
                columns.append([part.labels[int(value)] for value in values])
            else:
                columns.append([float(f"{value + first:.5g}") for value in values])
    return tuple(names), tuple(zip(*columns, strict=True)) if columns else ()


def feature_names(spec: EnvironmentSpec, part: NodePart) -> list[str]:
    """A name for each number of a part."""
    if part.kind == "features" and part.labels:
        return [label.capitalize() for label in part.labels]
    known = next((names for start, names in _NAMES.items() if spec.env_id.startswith(start)), ())
    if not part.path and not spec.environment.wrappers and len(known) == part.size:
        return list(known)
    is_state = part.kind == "categories" and part.size == 1  # such as the square that an agent is on
    name = part.name.capitalize()
    if part.size == 1 and (part.path or is_state):
        return [name or (_("State") if is_state else _("Feature"))]
    numbers = range(1, part.size + 1)
    if not name:
        return [_("Feature {number:d}", number=number) for number in numbers]
    return [f"{name} {number}" for number in numbers]


def _objects(cells: NDArray[Any]) -> str:
    """What is in a grid of cells [columns, rows, 3] besides walls, floor and what is not seen, nearest first.

    In English, as it is recorded: `insight/seen_words.py` says it in another language.
    """
    from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT, STATE_TO_IDX

    nothing = {"unseen", "empty", "wall", "floor"}
    states = {number: name for name, number in STATE_TO_IDX.items()}
    columns, rows = cells.shape[:2]
    found: list[tuple[int, str]] = []
    seen = [(IDX_TO_OBJECT.get(int(cells[place][0]), "object"), place) for place in np.ndindex(columns, rows)]
    agent = next((place for name, place in seen if name == "agent"), None)  # only a view of the whole world has one
    for name, (column, row) in seen:
        if name in nothing or name == "agent":
            continue
        words = f"{IDX_TO_COLOR.get(int(cells[column, row, 1]), '')} {name}".strip()
        if name == "door":
            words = f"{states.get(int(cells[column, row, 2]), '')} {words}".strip()
        if agent is not None:
            distance = abs(column - agent[0]) + abs(row - agent[1])
            found.append((distance, f"{words} at column {column + 1}, row {row + 1}"))
            continue
        ahead, right = rows - 1 - row, column - columns // 2
        where = [f"{ahead} ahead"] if ahead else []
        where += [f"{abs(right)} {'right' if right > 0 else 'left'}"] if right else []
        found.append((ahead + abs(right), f"{words} {', '.join(where)}" if where else f"carries {words}"))
    return "; ".join(words for _distance, words in sorted(found, key=lambda one: one[0])) or "nothing"
