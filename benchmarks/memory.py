"""Training with memory and without, beside sb3-contrib's RecurrentPPO: what is learned, and steps per second.

`--env ID --steps N --seeds 1,2,3` trains the contenders on an environment, one after the other, and prints for each the
success by tenths of its steps; `Recall-v0` is an environment of this file. `--speed` takes short trainings by turns.

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

from v3core.config import RunConfig, build_run_config, recipe_for
from v3core.curriculum import Length, parse
from v3core.curriculum.fit import scaled_to
from v3core.curriculum.presets import load_preset
from v3core.environments.make import import_minigrid
from v3core.metrics import EpisodeRecord
from v3core.overrides import set_values
from v3core.training.trainer import train

RECALL = "Recall-v0"
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


class Tenths:
    """Successes of episodes, an episode with a reward above 0, by tenths of the steps."""

    def __init__(self, steps: int) -> None:
        self._steps, self._parts = steps, [[] for _ in range(10)]

    def add(self, return_: float, step: int) -> None:
        """An episode that ended at a step of the training."""
        self._parts[min(9, 10 * (step - 1) // self._steps)].append(float(return_ > 0))

    def means(self) -> list[float | None]:
        """Of each tenth; None without episodes."""
        return [round(statistics.fmean(part), 3) if part else None for part in self._parts]


class _Hooks(Returns):
    def __init__(self, folder: Path, tenths: Tenths) -> None:
        super().__init__(folder)
        self._tenths = tenths

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        super().record(episodes, step)
        for episode in episodes:
            self._tenths.add(episode.return_, episode.step)


class _Callback(BaseCallback):
    def __init__(self, tenths: Tenths) -> None:
        super().__init__()
        self._tenths = tenths

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._tenths.add(info["episode"]["r"], self.num_timesteps)
        return True


def configured(env: str, steps: int, seed: int, settings: Sequence[str], curriculum: str) -> RunConfig:
    """Of a run of ours."""
    phases = scaled_to(load_preset(curriculum), Length.of(None, steps)) if curriculum else parse(CONSTANT)
    recipe, curricula = set_values(
        recipe_for(env), [phases], 10_000_000, ["evaluation.episodes=0", *settings], steps=steps
    )
    return build_run_config(name="memory", env=env, seed=seed, steps=steps, curriculum=curricula[0], recipe=recipe)


def ours(config: RunConfig, tenths: Tenths) -> None:
    """Train it."""
    with tempfile.TemporaryDirectory() as folder:
        train(config, curriculum=config.curriculum, hooks=_Hooks(Path(folder), tenths))


def peer(config: RunConfig, tenths: Tenths, units: int = LSTM_UNITS) -> None:
    """Train RecurrentPPO with the settings of a run of ours."""
    import_minigrid()
    ppo, grid = config.ppo, config.env.startswith("MiniGrid")
    envs = make_vec_env(config.env, ppo.environments, seed=config.seed, wrapper_class=Cells if grid else None)
    model = RecurrentPPO(
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
    model.learn(config.steps, callback=_Callback(tenths))


CONTENDERS: dict[str, tuple[Callable[[RunConfig, Tenths], None], str]] = {
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
    config = configured(arguments.env, arguments.steps, seed, settings, arguments.curriculum)
    steps = config.steps or arguments.steps
    tenths, began = Tenths(steps), time.process_time()
    contender(config, tenths)
    seconds = time.process_time() - began
    return {
        "contender": name,
        "env": arguments.env,
        "seed": seed,
        "steps": steps,
        "settings": arguments.settings,
        "success": tenths.means(),
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
