"""Several environments as one: every episode is a task, drawn when it begins.

All chance of an episode follows from the generator of this environment: it draws the task, and the seed that the task
is reset with. So an episode in progress is brought back as that of any environment is (docs/decisions/0042).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding

from v3core.environments.action_space import mask_method
from v3core.environments.types import OBSERVATION, NodePart, StateGraphSpec
from v3core.errors import V3Error

TASK = "task"
"""Key of an observation that names the task."""


class TaskEnvironment(gymnasium.Env[Any, Any]):
    """Environments with the same actions, of which each reset draws one, all with the same probability.

    With the task's identity, an observation is a Dict with the number of the task at `TASK`; else it is the task's own.
    """

    def __init__(
        self, environments: Sequence[gymnasium.Env[Any, Any]], names: Sequence[str], *, identified: bool
    ) -> None:
        self.environments = tuple(environments)
        self.names = tuple(names)
        self.identified = identified
        self.task = 0
        """Place of the task of the episode in progress."""
        self._current = self.environments[0]
        self._is_dict = isinstance(self._current.observation_space, spaces.Dict)
        self.action_space = self._current.action_space
        self.observation_space = self._observed()
        modes = [set(env.metadata.get("render_modes") or ()) for env in self.environments]
        self.metadata = {**self._current.metadata, "render_modes": sorted(set.intersection(*modes))}
        self.render_mode = self._current.render_mode
        methods = [mask_method(env) for env in self.environments]
        if all(method is not None for method in methods):
            self.action_masks = lambda: methods[self.task]()  # type: ignore[misc]

    def _observed(self) -> spaces.Space[Any]:
        inside = self._current.observation_space
        if not self.identified:
            return inside
        if isinstance(inside, spaces.Dict):
            if TASK in inside.spaces:
                raise V3Error(
                    "Environment {names} observes a '{task}' already; set the argument task_id=false, so that no "
                    "other is added.",
                    names=self.names[0],
                    task=TASK,
                )
            return spaces.Dict({**inside.spaces, TASK: spaces.Discrete(len(self.names))})
        return spaces.Dict({OBSERVATION: inside, TASK: spaces.Discrete(len(self.names))})

    @property
    def task_name(self) -> str:
        """The task of the episode in progress."""
        return self.names[self.task]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a task and begin an episode of it."""
        super().reset(seed=seed)
        self.task = _drawn(self.np_random, len(self.environments))
        self._current = self.environments[self.task]
        observation, info = self._current.reset(seed=int(self.np_random.integers(2**31)), options=options)
        return self._with_task(observation), info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """A step of the task."""
        observation, reward, terminated, truncated, info = self._current.step(action)
        return self._with_task(observation), reward, terminated, truncated, info

    def render(self) -> Any:
        """A frame of the task."""
        return self._current.render()

    def close(self) -> None:
        """Close all of them."""
        for env in self.environments:
            env.close()

    def _with_task(self, observation: Any) -> Any:
        if not self.identified:
            return observation
        if self._is_dict:
            return {**observation, TASK: self.task}
        return {OBSERVATION: observation, TASK: self.task}


def _drawn(random: np.random.Generator, count: int) -> int:
    return int(random.integers(count))


def seeds_of_tasks(seeds: Sequence[int], tasks: int, first: int = 0) -> list[int]:
    """Seeds like these with which episode i, from `first` on, begins task i modulo `tasks`.

    Of each seed the first of seed, seed + 1, … (modulo 2³²) that draws the task.
    """
    found = []
    for place, seed in enumerate(seeds, first):
        while _drawn(seeding.np_random(seed)[0], tasks) != place % tasks:
            seed = (seed + 1) % 2**32
        found.append(seed)
    return found


def with_task(graph: StateGraphSpec, names: Sequence[str], *, is_dict: bool) -> StateGraphSpec:
    """A graph with one more node, which says which of the tasks it is.

    Every node costs what the one with the most neighbours costs: the task is seen by the nodes that have fewer, by all
    if all have as many, and sees the nodes of which there is one, such as a mission.
    """
    parts = [part if is_dict else _inside(part) for part in graph.parts]
    count = len(names)
    labels = tuple(names)
    task = NodePart("categories", 1, graph.size, 1, (1,), (TASK,), (), categories=(count,), labels=labels)
    near = np.zeros((graph.nodes + 1, graph.nodes + 1), dtype=np.bool_)
    near[:-1, :-1] = graph.neighbours
    near[-1, -1] = True
    degrees = graph.neighbours.sum(1)
    has_room = degrees < degrees.max()
    near[:-1, -1] = has_room if has_room.any() else True
    single = np.repeat([part.nodes == 1 for part in parts], [part.nodes for part in parts])
    near[-1, :-1] = single if has_room.any() else True
    return StateGraphSpec((*parts, task), near, graph.dtype, graph.situations)


def _inside(part: NodePart) -> NodePart:
    return replace(part, path=(OBSERVATION, *part.path))
