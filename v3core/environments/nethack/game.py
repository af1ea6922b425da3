"""A game of NetHack that is seeded, whose end is told from a time limit, and that says how it ended."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from v3core.environments.nethack.surroundings import KEYS
from v3core.environments.nethack.terminal import picture_of_terminal

FACTS = "nethack"
"""Key of `info` at the end of an episode: score, deepest level, turns and the cause of death."""
DRAWN = ("tty_chars", "tty_colors", "tty_cursor")
_ALWAYS = {"glyphs", "blstats", "message", "program_state", "internal"}
"""What `nle` needs itself."""
_SCORE, _DEPTH, _TURNS = 9, 12, 20
_ABORTED, _SUCCESS = -1, 2
_KILLED = "death="
_SEEDS = 2**31
_MOST_LOOKS = 50
"""At what is beside the player, within one step."""


class Game(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Around one of `nle` or `minihack`, which ignore `reset(seed=…)` and call a time limit an end of the game."""

    def __init__(self, env: gymnasium.Env[Any, Any], *, drawn: bool, max_steps: int | None) -> None:
        super().__init__(env)
        world: Any = env.unwrapped
        self._world = world
        if max_steps is not None:
            world._max_episode_steps = max_steps
        if hasattr(world, "minigrid_env"):
            world.minigrid_env = _SeededByMethod(world.minigrid_env)
        self._drawn = drawn
        self._levels = getattr(world, "_level_seeds", None)
        if self._levels is not None:
            world._level_seeds = None  # it would choose by a generator that nobody seeds
        self._is_task = hasattr(world.StepStatus, "TASK_SUCCESSFUL")
        self._last = np.zeros(3, dtype=np.int64)
        self._deepest = 0
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
        _only_used(world, drawn=drawn)
        self._looks = 0
        if hasattr(world, "key_in_inventory"):
            self._bound_looks(world.get_object_direction)

    @property
    def render_mode(self) -> str | None:  # type: ignore[override]  # of a wrapper it is one
        """`rgb_array`, if it can be drawn."""
        return "rgb_array" if self._drawn else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a game, decided by the environment's generator, which `seed` seeds."""
        world = self._world
        if seed is not None:
            world._np_random, world._np_random_seed = seeding.np_random(seed)
        core, shown = world.np_random.integers(_SEEDS, size=2).tolist()
        if self._levels:
            core = shown = int(self._levels[core % len(self._levels)])
        with suppress(RuntimeError):  # NetHackChallenge refuses: the check before a run says that it does not repeat
            world.seed(core, shown, reseed=False)
        observation, info = self.env.reset(options=options)
        self._last = self._status()
        self._deepest = int(self._last[1])
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One action. At the end `info` has the facts and, of a task, whether it succeeded."""
        self._looks = 0
        observation, reward, over, cut, info = self.env.step(action)
        if not over and not cut:
            status = self._status()
            if status[2]:  # 0 in between games
                self._last = status
                self._deepest = max(self._deepest, int(status[1]))
            return observation, reward, False, False, info
        end = int(info["end_status"])
        if self._is_task:
            info["is_success"] = end == _SUCCESS
        info[FACTS] = {
            "score": int(self._last[0]),
            "depth": self._deepest,
            "turns": int(self._last[2]),
            "death": _cause(self._world, end),
        }
        is_end = bool(over) and end != _ABORTED
        return observation, reward, is_end, not is_end, info

    def _bound_looks(self, look: Callable[..., Any]) -> None:
        """MiniHack's step with a key tries a door until it is open, forever if it does not open: let it give up."""

        def bounded(*given: Any, **named: Any) -> Any:
            self._looks += 1
            return look(*given, **named) if self._looks <= _MOST_LOOKS else None

        self._world.get_object_direction = bounded

    def render(self) -> NDArray[np.uint8]:
        """The terminal as a picture [height, width, 3]."""
        seen: Mapping[str, Any] = self._world.nethack._obs_buffers
        return picture_of_terminal(*(seen[key] for key in DRAWN))

    def _status(self) -> NDArray[np.int64]:
        """Score, depth and turns, which are all 0 once a game has ended."""
        found: NDArray[np.int64] = self._world.last_observation[self._world._blstats_index][[_SCORE, _DEPTH, _TURNS]]
        return found


class _SeededByMethod(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The MiniGrid whose rooms a MiniHack copies, with the method `seed` that it calls and Gymnasium no longer has."""

    _seed: int | None = None

    def seed(self, core: int | None) -> None:
        """Decide the next rooms."""
        self._seed = core

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Make the rooms."""
        seed, self._seed = self._seed if seed is None else seed, None
        return super().reset(seed=seed, options=options)


def _cause(world: Any, end: int) -> str:
    """Why a game ended, in NetHack's own words, such as `killed by a newt`."""
    if end in (_ABORTED, _SUCCESS):
        return "time limit" if end == _ABORTED else "task done"
    try:
        with (Path(world.nethack._vardir) / "xlogfile").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 1000))
            line = file.read().decode("latin-1").strip().rpartition("\n")[2]
    except OSError:
        return "unknown"
    return next((part.removeprefix(_KILLED) for part in line.split("\t") if part.startswith(_KILLED)), "unknown")


def _only_used(world: Any, *, drawn: bool) -> None:
    """Have the library of a MiniHack, which asks it for everything, write only what is used. Before its first reset."""
    kind = type(world)
    if not kind.__module__.startswith("minihack.") or _reads_more(world):
        return
    game = world.nethack
    used = {*_ALWAYS, *KEYS, *(DRAWN if drawn else ()), *getattr(world, "_minihack_obs_keys", ())}
    game._pynethack.set_buffers(**{key: buffer for key, buffer in game._obs_buffers.items() if key in used})
    nothing = np.zeros(0)
    game._obs = tuple(game._obs_buffers[key] if key in used else nothing for key in world._observation_keys)


def _reads_more(world: Any) -> bool:
    """Whether a task looks at more than it observes, such as the descriptions of what is beside the player."""
    from minihack import MiniHack

    own_step = type(world).step is not MiniHack.step
    crops = any(key not in KEYS for key in world._minihack_obs_keys)
    return own_step or crops or world.reward_manager is not None or bool(world.use_wiki)
