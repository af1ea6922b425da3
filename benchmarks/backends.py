"""Whole runs by the native library and by torch: the same curve within noise. Mean return by tenths of the run.

`--env`, `--episodes`, `--seeds` choose the runs. For each tenth: means and standard deviations over the seeds, and
Welch's t of their difference. The two round differently, so single runs part after some updates.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from v3core.config import build_run_config, recipe_for
from v3core.curriculum.fit import scaled
from v3core.curriculum.presets import load_preset
from v3core.metrics import EpisodeRecord
from v3core.training.hooks import Orders
from v3core.training.trainer import train

PARTS = 10


class Returns:
    """Hooks that keep the returns, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.returns: list[float] = []
        self.steps, self.backend, self._folder = 0, "", folder

    def trains_on(self, _: str, backend: str) -> None:
        """Which backend really trains."""
        self.backend = backend

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        """Keep them."""
        self.returns += [episode.return_ for episode in episodes]
        self.steps = step

    def orders(self) -> Orders:
        """None."""
        return Orders()

    urgent = orders

    def checkpoint_path(self, _: int) -> Path:
        """One file, again and again."""
        return self._folder / "newest.pt"

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def run(env: str, episodes: int, seed: int, native: bool) -> tuple[list[float], int, float]:
    """Mean return of each tenth, steps of the run, and processor time in seconds."""
    os.environ["V3_NATIVE"] = str(int(native))
    curriculum = scaled(load_preset("v3"), episodes)
    recipe = recipe_for(env)
    config = build_run_config(name="curve", env=env, seed=seed, episodes=episodes, curriculum=curriculum, recipe=recipe)
    with tempfile.TemporaryDirectory() as folder:
        hooks = Returns(Path(folder))
        began = time.process_time()
        train(config, curriculum=config.curriculum, hooks=hooks)
        took = time.process_time() - began
    assert hooks.backend == ("native" if native else "eager"), "the library cannot be used; see doctor"
    part = episodes // PARTS
    return [statistics.mean(hooks.returns[at : at + part]) for at in range(0, part * PARTS, part)], hooks.steps, took


def welch(one: list[float], other: list[float]) -> float:
    """Difference of two means over its standard error."""
    error = (statistics.variance(one) / len(one) + statistics.variance(other) / len(other)) ** 0.5
    return (statistics.mean(one) - statistics.mean(other)) / error if error else 0.0


def main() -> None:
    """Train both, seed after seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--episodes", type=int, default=260)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    found = {
        native: [run(chosen.env, chosen.episodes, seed, native) for seed in range(1, chosen.seeds + 1)]
        for native in (True, False)
    }
    names = {True: "native", False: "torch"}
    print(f"{chosen.env}, {chosen.episodes} episodes, seeds 1 to {chosen.seeds}; mean return of each tenth, Welch's t")
    for part in range(PARTS):
        means = {native: [curve[part] for curve, _, _ in runs] for native, runs in found.items()}
        said = [f"{names[n]} {statistics.mean(m):8.3f} ± {statistics.stdev(m):7.3f}" for n, m in means.items()]
        print(f"  {part + 1:2}  {'   '.join(said)}   t {welch(means[True], means[False]):5.2f}")
    whole = {native: [statistics.mean(curve) for curve, _, _ in runs] for native, runs in found.items()}
    print(f"  whole run: t {welch(whole[True], whole[False]):.2f}")
    for native, runs in found.items():
        steps, seconds = sum(run[1] for run in runs), sum(run[2] for run in runs)
        print(f"  {names[native]}: {steps:,} steps, {seconds:.0f} s of processor time")


if __name__ == "__main__":
    main()
