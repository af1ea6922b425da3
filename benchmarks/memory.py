"""Training with memory and without, beside sb3-contrib's RecurrentPPO: what is learned, and steps per second.

`--env ID --steps N --seeds 1,2,3` trains the contenders on an environment, one after the other, and prints for each the
success by tenths of its steps; `Recall-v0` is an environment of this file. `--tasks PRESET` trains them on the tasks of
a preset, one after the other, each until its trigger holds, and prints where each began, and the success of its last
episodes; of MiniGrid's Memory also the share of episodes in which the sign was in view. `--speed` takes short trainings
by turns.

Ours is the environment's recipe with constant settings and softmax routing, or under `--curriculum`. The peer has the
same settings of PPO, its own `MlpLstmPolicy` with LSTMs of `--lstm` units, and sees what ours sees, MiniGrid's cells
one-hot.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from backends import Returns  # which puts the project on the path
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from v3core.config import RunConfig, build_run_config, recipe_for
from v3core.curriculum import Length, Phase, parse
from v3core.curriculum.fit import scaled_to
from v3core.curriculum.presets import load_preset
from v3core.environment_setup import EnvironmentSetup
from v3core.environments.make import import_minigrid
from v3core.metrics import EpisodeRecord
from v3core.overrides import set_values
from v3core.training.trainer import train

RECALL = "Recall-v0"
MEMORY = "MiniGrid-Memory"
LSTM_UNITS = 256
"""sb3-contrib's own."""
CONSTANT = "{name: constant, phases: [{name: only}]}"


class Recall(gymnasium.Env[np.ndarray, int]):
    """Shows one of `signs` once, then nothing; reward 1 for the action that repeats it `delay` steps later."""

    def __init__(self, signs: int = 4, delay: int = 10) -> None:
        self.observation_space = spaces.Box(0, 1, (signs + 1,), np.float32)
        self.action_space = spaces.Discrete(signs)
        self._signs, self._delay = signs, delay

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:  # noqa: ARG002
        super().reset(seed=seed)
        self._steps, self._sign = 0, int(self.np_random.integers(self._signs))
        observation = np.zeros(self._signs + 1, np.float32)
        observation[self._sign] = 1
        return observation, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        observation = np.zeros(self._signs + 1, np.float32)
        observation[-1] = self._steps == self._delay  # asks
        over = self._steps > self._delay
        return observation, float(over and action == self._sign), over, False, {}


class Cells(gymnasium.ObservationWrapper):
    """MiniGrid's cells and direction as ours sees them, one-hot and flat."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.observation_space = spaces.Box(0, 1, (7 * 7 * 20 + 4,), np.float32)

    def observation(self, observation: dict[str, Any]) -> np.ndarray:
        image = observation["image"]
        parts = [np.eye(size, dtype=np.float32)[image[..., place]] for place, size in enumerate((11, 6, 3))]
        cells = np.concatenate(parts, -1).ravel()
        return np.concatenate((cells, np.eye(4, dtype=np.float32)[observation["direction"]]))


class Signs(gymnasium.Wrapper):
    """Says in `info` whether the sign of MiniGrid's Memory has been in view in this episode, as `sign`: 0 or 1."""

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**options)
        self._seen = self._sees()
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._seen = self._seen or self._sees()
        return observation, reward, terminated, truncated, {**info, "sign": float(self._seen)}

    def _sees(self) -> bool:
        world: Any = self.unwrapped
        return bool(world.agent_sees(1, world.height // 2 - 1))


class Tenths:
    """Successes of episodes, an episode with a reward above 0, by tenths of the steps."""

    def __init__(self, steps: int) -> None:
        self._steps, self._parts = steps, [[] for _ in range(10)]

    def add(self, success: float, step: int) -> None:
        """An episode that ended at a step of the training; 1 or 0."""
        self._parts[min(9, 10 * (step - 1) // self._steps)].append(success)

    def means(self) -> list[float | None]:
        """Of each tenth; None without episodes."""
        return [round(statistics.fmean(part), 3) if part else None for part in self._parts]


class Tasks:
    """Successes of episodes by task: where each began, how many episodes it took, success of the last `WINDOW`."""

    WINDOW = 500

    def __init__(self) -> None:
        self._parts: dict[str, list[float]] = {}
        self._begins: dict[str, int] = {}

    def add(self, task: str, success: float, step: int) -> None:
        """An episode that ended at a step of the training; 1 or 0."""
        self._begins.setdefault(task, step)
        self._parts.setdefault(task, []).append(success)

    def means(self) -> list[dict[str, Any]]:
        """One entry for each task that began."""
        return [
            {
                "task": task,
                "from_step": self._begins[task],
                "episodes": len(part),
                "success": round(statistics.fmean(part[-self.WINDOW :]), 3),
            }
            for task, part in self._parts.items()
        ]


@dataclass
class Found:
    """What is taken down of a training's episodes."""

    success: Tenths | Tasks
    seen: Tenths | None = None
    """Where `Signs` says it."""

    def add(self, task: str, return_: float, sign: float | None, step: int) -> None:
        """An episode that ended at a step of the training; a reward above 0 is a success."""
        success = float(return_ > 0)
        if isinstance(self.success, Tasks):
            self.success.add(task, success, step)
        else:
            self.success.add(success, step)
        if self.seen is not None and sign is not None:
            self.seen.add(sign, step)


class _Hooks(Returns):
    def __init__(self, folder: Path, found: Found) -> None:
        super().__init__(folder)
        self._found = found

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        super().record(episodes, step)
        for episode in episodes:
            sign = json.loads(episode.facts)["sign"] if episode.facts else None
            self._found.add(episode.phase, episode.return_, sign, episode.step)


class _Callback(BaseCallback):
    """Takes down the episodes of a task, whose trigger ends the training."""

    def __init__(self, found: Found, phase: Phase) -> None:
        super().__init__()
        self._found, self._phase = found, phase
        self._successes: list[float] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                return_ = info["episode"]["r"]
                self._successes.append(float(return_ > 0))
                self._found.add(self._phase.name, return_, info.get("sign"), self.num_timesteps)
        return not self.over

    @property
    def over(self) -> bool:
        """Whether the phase has ended: as `Progress` decides it of a metric, but after each step."""
        until, count = self._phase.until, len(self._successes)
        if until is None or until.at_least is None:
            return False
        if until.max_episodes is not None and count >= until.max_episodes:
            return True
        recent = self._successes[-until.window :]
        return count >= max(until.window, until.min_episodes) and statistics.fmean(recent) >= until.at_least


def configured(
    env: str, steps: int, seed: int, settings: Sequence[str], curriculum: str = "", tasks: str = ""
) -> RunConfig:
    """Of a run of ours."""
    phases = parse(CONSTANT)
    if curriculum:
        phases = scaled_to(load_preset(curriculum), Length.of(None, steps))
    elif tasks:
        phases = load_preset(tasks)
    recipe, curricula = set_values(
        recipe_for(env), [phases], 10_000_000, ["evaluation.episodes=0", *settings], steps=steps
    )
    setup: EnvironmentSetup | str = env
    if env.startswith(MEMORY):
        setup = EnvironmentSetup(env, wrappers=("memory:Signs",))
        recipe = recipe.model_copy(update={"episode_facts": {"sign": "sign"}})
    return build_run_config(name="memory", env=setup, seed=seed, steps=steps, curriculum=curricula[0], recipe=recipe)


def ours(config: RunConfig, found: Found) -> None:
    """Train it."""
    with tempfile.TemporaryDirectory() as folder:
        train(config, curriculum=config.curriculum, hooks=_Hooks(Path(folder), found))


def peer(config: RunConfig, found: Found, units: int = LSTM_UNITS) -> None:
    """Train RecurrentPPO with the settings of a run of ours, on the environments of its phases."""
    import_minigrid()
    steps = config.steps or 0
    model: RecurrentPPO | None = None
    for phase in config.curriculum.phases:
        envs = _environments(phase.env or config.env, dict(phase.env_args or {}), config)
        if model is None:
            model = _recurrent_ppo(envs, config, units)
        else:
            model.set_env(envs, force_reset=True)
        callback = _Callback(found, phase)
        # A rollout that a callback ends is not learned from, and its steps count.
        model.learn(steps - model.num_timesteps, callback=callback, reset_num_timesteps=False)
        if model.num_timesteps >= steps:
            return


def _environments(env: str, arguments: dict[str, Any], config: RunConfig) -> VecEnv:
    def wrapped(world: gymnasium.Env) -> gymnasium.Env:
        world = Signs(world) if env.startswith(MEMORY) else world
        return Cells(world) if env.startswith("MiniGrid") else world

    return make_vec_env(env, config.ppo.environments, seed=config.seed, wrapper_class=wrapped, env_kwargs=arguments)


def _recurrent_ppo(envs: VecEnv, config: RunConfig, units: int) -> RecurrentPPO:
    ppo = config.ppo
    return RecurrentPPO(
        "MlpLstmPolicy",
        envs,
        n_steps=ppo.rollout_steps,
        batch_size=ppo.minibatch,
        n_epochs=ppo.epochs,
        gamma=ppo.gamma,
        gae_lambda=ppo.gae_lambda,
        clip_range=ppo.clip,
        ent_coef=config.base.entropy,
        learning_rate=config.base.lr,
        seed=config.seed,
        device="cpu",
        policy_kwargs={"lstm_hidden_size": units},
    )


CONTENDERS: dict[str, tuple[Callable[[RunConfig, Found], None], str]] = {
    "memory": (ours, "gru"),
    "no memory": (ours, "none"),
    "RecurrentPPO": (peer, "none"),
}


def trained(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One training of a contender: success by tenths, seconds of processor time, steps per such second."""
    contender, memory = CONTENDERS[name]
    if contender is peer:
        contender = partial(peer, units=arguments.lstm)
    settings = [*arguments.settings, f"policy.memory={memory}"]
    env = arguments.env
    config = configured(env, arguments.steps, seed, settings, arguments.curriculum, arguments.tasks)
    steps = config.steps or arguments.steps
    found = Found(Tasks() if arguments.tasks else Tenths(steps), Tenths(steps) if env.startswith(MEMORY) else None)
    began = time.process_time()
    contender(config, found)
    seconds = time.process_time() - began
    return {
        "contender": name,
        "env": env,
        "seed": seed,
        "steps": steps,
        "settings": arguments.settings,
        "success": found.success.means(),
        **({"sign_seen": found.seen.means()} if found.seen else {}),
        "processor_seconds": round(seconds, 1),
        "steps_per_second": round(steps / seconds),
    }


def main() -> None:
    """Run it as a program; a line of JSON for each training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default=RECALL)
    parser.add_argument("--delay", type=int, default=10, help="steps between the sign and its question, of Recall-v0")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--curriculum", default="", help="a preset, scaled to the steps")
    parser.add_argument("--tasks", default="", metavar="PRESET", help="train on its tasks, one after the other")
    parser.add_argument("--lstm", type=int, default=LSTM_UNITS, metavar="N", help="units of RecurrentPPO's LSTMs")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="PATH=VALUE")
    parser.add_argument(
        "--speed", type=int, metavar="TURNS", help="short trainings by turns, and ratios of their rates"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    gymnasium.register(RECALL, entry_point=Recall, kwargs={"delay": arguments.delay})
    names = arguments.contenders.split(",")
    if arguments.speed:
        rates: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(arguments.speed):
            for name in names:
                found = trained(name, turn, arguments)
                rates[name].append(found["steps_per_second"])
        for name in names:
            ratio = statistics.median(a / b for a, b in zip(rates[names[0]], rates[name], strict=True))
            of = {"env": arguments.env, "contender": name, "steps_per_second": statistics.median(rates[name])}
            print(json.dumps({**of, f"{names[0]} takes": f"{1 / ratio:.2f} of its time"}), flush=True)
        return
    for seed in map(int, arguments.seeds.split(",")):
        for name in names:
            print(json.dumps(trained(name, seed, arguments)), flush=True)


if __name__ == "__main__":
    main()
