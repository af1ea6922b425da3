"""What a MiniGrid agent sees, byte for byte as MiniGrid itself computes it, in about a tenth of the time.

MiniGrid's own `gen_obs` copies and rotates the cells of the view up to four times, which is nine tenths of a step.
Here each cell is looked up once, by its offset from the agent, and a row's visibility is one look-up in a cache.
"""

from functools import lru_cache, partial
from typing import Any

import numpy as np
from gymnasium import Env
from minigrid.core.constants import DIR_TO_VEC
from minigrid.core.grid import Grid
from minigrid.core.world_object import Wall
from minigrid.minigrid_env import MiniGridEnv

_EMPTY = bytes((1, 0, 0))
_UNSEEN = bytes(3)


def speed_up(env: Env[Any, Any]) -> None:
    """Use the faster view for a MiniGrid, unless its class overrides the view."""
    world: Any = env.unwrapped
    own = type(world)
    if all(getattr(own, name) is getattr(MiniGridEnv, name) for name in ("gen_obs", "gen_obs_grid", "get_view_exts")):
        world.gen_obs = partial(_observation, world)


def _observation(world: Any) -> dict[str, Any]:
    """What `MiniGridEnv.gen_obs` returns."""
    if type(world.grid) is not Grid:
        usual: dict[str, Any] = MiniGridEnv.gen_obs(world)  # type: ignore[no-untyped-call]
        return usual
    size = world.agent_view_size
    cells, width, height = world.grid.grid, world.grid.width, world.grid.height
    x, y = int(world.agent_pos[0]), int(world.agent_pos[1])
    outside = Wall()
    codes = [_UNSEEN] * (size * size)
    everything = (1 << size) - 1
    visible = everything if world.see_through_walls else 1 << (size // 2)
    for row, offsets in _offsets(size, int(world.agent_dir)):
        seen = []
        clear = 0
        for column, (dx, dy) in enumerate(offsets):
            at_x, at_y = x + dx, y + dy
            cell = cells[at_y * width + at_x] if 0 <= at_x < width and 0 <= at_y < height else outside
            seen.append(cell)
            if cell is None or cell.see_behind():
                clear |= 1 << column
        if world.see_through_walls:
            above = everything
        else:
            visible, above = _spread(visible, clear, size)
        if row == size - 1:
            seen[size // 2] = world.carrying
        for column, cell in enumerate(seen):
            if visible >> column & 1:
                codes[column * size + row] = _EMPTY if cell is None else bytes(cell.encode())
        if not above:
            break  # no row further away is lit
        visible = above
    image = np.frombuffer(bytearray(b"".join(codes)), dtype=np.uint8).reshape(size, size, 3)
    return {"image": image, "direction": world.agent_dir, "mission": world.mission}


@lru_cache(maxsize=64)
def _offsets(size: int, direction: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Rows of the view from the agent's own outwards: the row's number, and each cell's offset from the agent."""
    forward_x, forward_y = (int(step) for step in DIR_TO_VEC[direction])
    right_x, right_y = -forward_y, forward_x
    rows = []
    for row in reversed(range(size)):
        ahead = size - 1 - row
        sides = range(-(size // 2), size - size // 2)
        rows.append((row, [(forward_x * ahead + right_x * side, forward_y * ahead + right_y * side) for side in sides]))
    return rows


@lru_cache(maxsize=65_536)
def _spread(visible: int, clear: int, size: int) -> tuple[int, int]:
    """Which cells of a row are seen, and which of the row behind it: one row of `Grid.process_vis`, as bits."""
    above = 0
    for column in range(size - 1):
        if (visible & clear) >> column & 1:
            visible |= 1 << (column + 1)
            above |= 3 << column
    for column in range(size - 1, 0, -1):
        if (visible & clear) >> column & 1:
            visible |= 1 << (column - 1)
            above |= 3 << (column - 1)
    return visible, above
