"""Whole training of ours, timed: what the benchmarks of the trainer and of devices share."""

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.config import BaseConfig, EvaluationConfig, PolicyConfig, PPOConfig, RunConfig
from v3core.curriculum import load_preset, scaled
from v3core.environment_setup import VIEW
from v3core.native.library import VARIABLE
from v3core.training.hooks import Orders
from v3core.training.trainer import Trainer, train

Times = NDArray[np.float64]
"""Of two clocks: wall time and processor time."""

PPO_CONFIG = PPOConfig(environments=8, rollout_steps=128, minibatch=256, epochs=10)
POLICY = PolicyConfig(width=32, heads=4, layers=2, experts=4)
LR = 2.5e-4
ROLLOUTS = 2
"""Timed rollouts and updates of a turn, after one that is not."""


def now() -> Times:
    """Wall time and processor time, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


class _Hooks:
    """Stops training after the timed rollouts; keeps nothing."""

    def __init__(self) -> None:
        self.ends: list[tuple[Times, int]] = []

    def orders(self) -> Orders:
        return Orders(stop=len(self.ends) > ROLLOUTS)

    def urgent(self) -> Orders:
        return Orders()

    def record(self, _: Any, step: int) -> None:
        self.ends.append((now(), step))

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def config_of(env_id: str, seed: int, **changes: Any) -> RunConfig:
    """A run of an environment, with other fields than usual."""
    usual: dict[str, Any] = {"ppo": PPO_CONFIG, "policy": POLICY, "device": "cpu"}
    return RunConfig(
        name="benchmark",
        env=env_id,
        seed=seed,
        episodes=1_000_000,
        curriculum=scaled(load_preset("v3"), 1_000_000),
        base=BaseConfig(lr=LR, entropy=0.01),
        evaluation=EvaluationConfig(episodes=0),
        view=VIEW,
        **usual | changes,
    )


def ours(config: RunConfig, *, native: bool) -> Times:
    """Steps per second of our trainer."""
    os.environ[VARIABLE] = "1" if native else "0"
    Trainer.save = lambda *_, **__: None  # type: ignore[method-assign]  # no disk on either side
    hooks = _Hooks()
    train(config, curriculum=config.curriculum, hooks=hooks)
    (first, before), (last, after) = hooks.ends[0], hooks.ends[-1]
    return (after - before) / (last - first)
