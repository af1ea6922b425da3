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
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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
from v3core.curriculum import Length, PhaseStart, Progress, next_phase_due, parse, setup_at
from v3core.curriculum.fit import scaled_to
from v3core.curriculum.presets import load_preset
from v3core.environment_setup import EnvironmentSetup
from v3core.environments.make import import_minigrid
from v3core.metrics import EpisodeRecord
from v3core.overrides import set_values
from v3core.training.trainer import train

RECALL = "Recall-v0"
MEMORY = "MiniGrid-Memory"
WINDOW = 500
"""Episodes at the end of a task whose success is printed."""
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


class Ended(NamedTuple):
    """An episode that ended."""

    task: str
    success: float  # 1 for a reward above 0, or 0
    sign: float | None  # what `Signs` says, where it does
    step: int  # of the training


def tenths(values: Iterable[tuple[int, float]], steps: int) -> list[float | None]:
    """Means of values by the tenth of the steps that theirs is in; None without values."""
    parts: list[list[float]] = [[] for _ in range(10)]
    for step, value in values:
        parts[min(9, 10 * (step - 1) // steps)].append(value)
    return [round(statistics.fmean(part), 3) if part else None for part in parts]


def by_task(ended: Iterable[Ended]) -> list[dict[str, Any]]:
    """Of each task: when its first episode ended, how many did, and the success of the last `WINDOW`."""
    tasks: dict[str, list[Ended]] = {}
    for one in ended:
        tasks.setdefault(one.task, []).append(one)
    return [
        {
            "task": task,
            "from_step": own[0].step,
            "episodes": len(own),
            "success": round(statistics.fmean(one.success for one in own[-WINDOW:]), 3),
        }
        for task, own in tasks.items()
    ]


class _Hooks(Returns):
    def __init__(self, folder: Path, ended: list[Ended]) -> None:
        super().__init__(folder)
        self._ended = ended

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        super().record(episodes, step)
        for episode in episodes:
            sign = json.loads(episode.facts)["sign"] if episode.facts else None
            self._ended.append(Ended(episode.phase, float(episode.return_ > 0), sign, episode.step))


class _Callback(BaseCallback):
    """Takes down the episodes of the phase that began last; its trigger ends the training, after any step."""

    def __init__(self, ended: list[Ended], config: RunConfig, starts: tuple[PhaseStart, ...]) -> None:
        super().__init__()
        self._ended, self._config, self._starts = ended, config, starts
        self._phase = config.curriculum.phases[len(starts) - 1]

    def _on_step(self) -> bool:
        before = len(self._ended)
        for info in self.locals["infos"]:
            if "episode" in info:
                success = float(info["episode"]["r"] > 0)
                self._ended.append(Ended(self._phase.name, success, info.get("sign"), self.num_timesteps))
        return len(self._ended) == before or not self._over()

    def _over(self) -> bool:
        until = self._phase.until
        if until is None or not until.is_trigger:
            return False
        progress = Progress(len(self._ended), self._config.episodes, self.num_timesteps, self._starts)
        recent = [one.success for one in self._ended[-until.window :]]
        return next_phase_due(self._config.curriculum, progress, successes=recent)


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


def ours(config: RunConfig, ended: list[Ended]) -> None:
    """Train it."""
    with tempfile.TemporaryDirectory() as folder:
        train(config, curriculum=config.curriculum, hooks=_Hooks(Path(folder), ended))


def peer(config: RunConfig, ended: list[Ended], units: int = LSTM_UNITS) -> None:
    """Train RecurrentPPO with the settings of a run of ours, on the environments of its phases."""
    import_minigrid()
    steps = config.steps or 0
    starts: tuple[PhaseStart, ...] = ()
    model: RecurrentPPO | None = None
    for phase in range(len(config.curriculum.phases)):
        envs = _environments(setup_at(config.environment, config.curriculum, phase), config)
        if model is None:
            model = _recurrent_ppo(envs, config, units)
        else:
            model.set_env(envs, force_reset=True)
        starts += (PhaseStart(len(ended), model.num_timesteps),)
        callback = _Callback(ended, config, starts)
        # A rollout that a callback ends is not learned from, and its steps count.
        model.learn(steps - model.num_timesteps, callback=callback, reset_num_timesteps=False)
        if model.num_timesteps >= steps:
            return


def _environments(setup: EnvironmentSetup, config: RunConfig) -> VecEnv:
    env = setup.env_id

    def wrapped(world: gymnasium.Env) -> gymnasium.Env:
        world = Signs(world) if env.startswith(MEMORY) else world
        return Cells(world) if env.startswith("MiniGrid") else world

    count, arguments = config.ppo.environments, dict(setup.args)
    return make_vec_env(env, count, seed=config.seed, wrapper_class=wrapped, env_kwargs=arguments)


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


CONTENDERS: dict[str, tuple[Callable[[RunConfig, list[Ended]], None], str]] = {
    "memory": (ours, "gru"),
    "no memory": (ours, "none"),
    "RecurrentPPO": (peer, "none"),
}


def trained(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One training of a contender: success by tenths, seconds, those of processor time, and steps per such second."""
    contender, memory = CONTENDERS[name]
    if contender is peer:
        contender = partial(peer, units=arguments.lstm)
    settings = [*arguments.settings, f"policy.memory={memory}"]
    config = configured(arguments.env, arguments.steps, seed, settings, arguments.curriculum, arguments.tasks)
    steps = config.steps or arguments.steps
    ended, began, began_at = list[Ended](), time.process_time(), time.monotonic()
    contender(config, ended)
    seconds = time.process_time() - began
    signs = [(one.step, one.sign) for one in ended if one.sign is not None]
    return {
        "contender": name,
        "env": arguments.env,
        "seed": seed,
        "steps": steps,
        "settings": arguments.settings,
        "success": by_task(ended) if arguments.tasks else tenths(((one.step, one.success) for one in ended), steps),
        **({"sign_seen": tenths(signs, steps)} if signs else {}),
        "seconds": round(time.monotonic() - began_at, 1),
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
