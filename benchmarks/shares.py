"""Where the processor time of training CartPole-v1 goes: a whole recorded run of its recipe under curriculum v3.

Each part without the parts that it calls, on the training thread. What other threads take, nearly all of it the
recorder's writer, stands last. The clocks themselves take some per cent, shared by all parts.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _bench  # noqa: F401  it puts the project on the path
import _records
from gymnasium.wrappers import TimeLimit

from v3core.config import build_run_config, recipe_for
from v3core.curriculum.fit import scaled
from v3core.curriculum.presets import load_preset
from v3core.environments import EnvironmentBatch
from v3core.jobs.recorder import Recorder
from v3core.jobs.worker import train_here
from v3core.policy.distributions import Categorical
from v3core.training.native_backend import NativeBackend
from v3core.training.rollout import Collector
from v3core.training.statistics import EpisodeStatistics
from v3core.training.trainer import Trainer

ENV = "CartPole-v1"
REST = "everything else"
PARTS: dict[str, list[tuple[Any, str]]] = {
    "gradient steps": [(NativeBackend, "gradient_step")],
    "acting": [(NativeBackend, "act"), (Categorical, "sample")],
    "Gymnasium's environments": [(TimeLimit, "step"), (TimeLimit, "reset")],
    "around environments": [(EnvironmentBatch, "step")],
    "rollout bookkeeping": [(Collector, "collect")],
    "update bookkeeping": [(Trainer, "learn")],
    "statistics": [(Trainer, "record"), (EpisodeStatistics, "finished"), (NativeBackend, "dormant_share")],
    "recording": [(Recorder, name) for name in ("record", "orders", "urgent", "phase_changed", "evaluated")],
    "checkpoints": [(Trainer, "save")],
}


class Clock:
    """Processor time of this thread by parts; a part that calls another waits meanwhile."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._part, self._since = REST, time.thread_time()

    def enter(self, part: str) -> str:
        """From now on it is the turn of `part`; returns whose turn it was."""
        now = time.thread_time()
        self.seconds[self._part] += now - self._since
        before, self._part, self._since = self._part, part, now
        return before

    def counts(self, owner: Any, name: str, part: str) -> None:
        """Let calls of that method count as `part`."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            before = self.enter(part)
            try:
                return method(*arguments, **named)
            finally:
                self.enter(before)

        setattr(owner, name, timed)


def main() -> None:
    """One run, and the share of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="seconds of each part, as JSON in place of a table")
    options = parser.parse_args()
    recipe = recipe_for(ENV)
    curriculum = scaled(load_preset("v3"), recipe.episodes)
    config = build_run_config(
        name="shares", env=ENV, seed=options.seed, episodes=recipe.episodes, curriculum=curriculum, recipe=recipe
    )
    clock = Clock()
    for part, methods in PARTS.items():
        for owner, name in methods:
            clock.counts(owner, name, part)
    with tempfile.TemporaryDirectory() as folder:
        database = _records.open_sqlite(Path(folder))
        whole = time.process_time()
        clock.enter(REST)
        clock.seconds.clear()
        train_here(database, config, lambda _: None)
        clock.enter(REST)
        whole = time.process_time() - whole
        database.close()
    assert clock.seconds["gradient steps"], "the library cannot be used; see doctor"
    seconds = {part: clock.seconds[part] for part in (*PARTS, REST)}
    seconds["other threads"] = whole - sum(seconds.values())
    if options.json:
        print(json.dumps({part: round(spent, 4) for part, spent in seconds.items()}, indent=2))
        return
    print(f"{ENV}, {recipe.episodes} episodes, seed {options.seed}: {whole:.2f} s of processor time")
    for part, spent in seconds.items():
        print(f"  {part:<26} {spent:6.2f} s  {100 * spent / whole:5.1f} %")


if __name__ == "__main__":
    main()
