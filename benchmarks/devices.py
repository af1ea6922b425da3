"""Training on CUDA against the processor: the native library and torch on one core each, all three by turns.

Whole training with the usual network, on images too; a gradient step and acting for networks up to the largest that
somebody would train here. It needs CUDA.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from _bench import Result, main
from _training import POLICY, PPO_CONFIG, config_of, ours
from gymnasium import spaces

from v3core.curriculum import PhaseStart, Progress, settings_at
from v3core.environments import EnvironmentBatch, check_environment
from v3core.native.library import VARIABLE
from v3core.training.ppo import samples_of
from v3core.training.rollout import Collector
from v3core.training.state import TrainingState

ENVIRONMENTS = ("CartPole-v1", "MiniGrid-DoorKey-5x5-v0")
IMAGES = "V3Images-v0"
CONTENDERS = {"native": ("cpu", True), "torch": ("cpu", False), "CUDA": ("cuda", False)}
"""Name to the device, and whether the native library computes."""
SIZES = ((32, 4, 256), (64, 4, 256), (128, 8, 256), (128, 8, 1024), (256, 16, 1024))
"""Width, experts and minibatch."""
TURNS = 3
SECONDS = 0.25
"""Of a contender's turn; one call at least."""


class Images(gymnasium.Env[Any, Any]):
    """Pictures of 64 × 64 points that cost next to nothing, and episodes of 100 steps."""

    observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._pictures = self.np_random.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
        self._steps = 0
        return self._pictures[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        return self._pictures[self._steps % 8], float(action == self._steps % 4), self._steps == 100, False, {}


class Learning:
    """A training state of one contender with the samples of its first rollout."""

    def __init__(self, env_id: str, contender: str, width: int, experts: int, minibatch: int) -> None:
        device, native = CONTENDERS[contender]
        os.environ[VARIABLE] = str(int(native))
        policy = POLICY.model_copy(update={"width": width, "experts": experts})
        self.ppo = PPO_CONFIG.model_copy(update={"minibatch": minibatch})
        config = config_of(env_id, 1, policy=policy, ppo=self.ppo, device=device)
        spec = check_environment(config.environment, allow_import=False)
        self.state = state = TrainingState(config, spec)
        assert state.backend.name == ("native" if native else "eager")
        state.starts = (PhaseStart(0, 0),)
        progress = Progress(episode=0, episodes=config.episodes, step=0, starts=state.starts)
        self.settings = settings_at(config.curriculum, progress, config.base.values())
        state.apply(self.settings)
        envs = EnvironmentBatch(spec, self.ppo.environments, 1)
        rollout = Collector(envs, self.ppo.rollout_steps, state.backend, state.generator).collect(10**9)
        advantages = np.random.default_rng(1).normal(size=rollout.values.shape)
        self.samples = samples_of(rollout, advantages, rollout.values + advantages, state.device)
        self.chosen = torch.randperm(len(self.samples.actions))[:minibatch].to(state.device)
        self.observations = self.samples.observations[: self.ppo.environments].cpu()

    def step(self) -> None:
        """One gradient step on a minibatch."""
        self.state.backend.gradient_step(self.samples, self.chosen, self.settings.coefficients, self.ppo)

    def act(self) -> None:
        """Actions of all environments at once, from their observations."""
        with torch.inference_mode():
            self.state.backend.decide(self.observations.to(self.state.device)).cpu()


def _finish() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _milliseconds(call: Callable[[], object]) -> float:
    """Of a call, over about `SECONDS` of them."""
    call()
    _finish()
    calls, start = 0, time.perf_counter()
    while not calls or time.perf_counter() - start < SECONDS:
        call()
        calls += 1
        if calls % 8 == 0:
            _finish()  # nothing else keeps the queue of a GPU short
    _finish()
    return (time.perf_counter() - start) / calls * 1e3


def _against_cuda(what: str, found: dict[str, float], unit: str, *, higher: bool) -> list[Result]:
    """A comparison of each other contender with CUDA."""
    cuda = found["CUDA"]
    return [
        Result(f"{what}, {name} / CUDA", round(value, 3), round(cuda, 3), round(_ratio(value, cuda, higher), 3), unit)
        for name, value in found.items()
        if name != "CUDA"
    ]


def _ratio(value: float, cuda: float, higher: bool) -> float:
    return value / cuda if higher else cuda / value


def parts(env_id: str, contenders: list[str], width: int, experts: int, minibatch: int) -> list[Result]:
    """A gradient step, and acting for all environments."""
    learning = {name: Learning(env_id, name, width, experts, minibatch) for name in contenders}
    steps: dict[str, list[float]] = {name: [] for name in contenders}
    acts: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(TURNS):
        for name, each in learning.items():
            each.state.backend.prepare()
            acts[name].append(_milliseconds(each.act))
            steps[name].append(_milliseconds(each.step))
    label = f"{env_id}, width {width}, {experts} experts, minibatch {minibatch}"
    return [
        result
        for what, times in (("gradient step", steps), ("acting for 8", acts))
        for result in _against_cuda(
            f"{label}: {what}", {name: float(np.median(found)) for name, found in times.items()}, "ms", higher=False
        )
    ]


def training(env_id: str, contenders: list[str]) -> list[Result]:
    """Environment steps per second of whole training with the usual network."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(TURNS):
        for name in contenders:
            device, native = CONTENDERS[name]
            rates[name].append(float(ours(config_of(env_id, turn, device=device), native=native)[0]))
    found = {name: float(np.median(each)) for name, each in rates.items()}
    return _against_cuda(f"{env_id}: whole training", found, "steps/s", higher=True)


def benchmark() -> list[Result]:
    """Whole training, then its parts by the size of the network."""
    gymnasium.register(IMAGES, entry_point=Images)
    results: list[Result] = []
    for env_id in (*ENVIRONMENTS, IMAGES):
        contenders = [name for name in CONTENDERS if name != "native" or env_id != IMAGES]
        results += training(env_id, contenders)
        for sizes in SIZES if env_id != IMAGES else SIZES[:1]:
            # Torch on one core takes seconds for a step of the largest networks.
            small = [name for name in contenders if name != "torch" or sizes[0] <= POLICY.width * 2]
            results += parts(env_id, small, *sizes)
    return results


if __name__ == "__main__":
    if not torch.cuda.is_available():  # no failure, so that `make bench` continues
        print("Nothing to compare: CUDA is not available here.")
        raise SystemExit
    main(benchmark, "Training on CUDA against the processor, one core.")
