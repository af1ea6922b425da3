"""The settings and the environment of a curriculum at a point of a run. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from v3core.curriculum.knobs import COEFFICIENTS, KNOBS, KnobValues, Routing, TopKWeights
from v3core.curriculum.length import Length
from v3core.curriculum.model import Curriculum, Phase, Ramp, Times, Value, levels_of, shape_fraction
from v3core.curriculum.progress import PhaseStart, Progress, starts_of
from v3core.environment_setup import EnvArg, EnvironmentSetup


@dataclass(frozen=True, kw_only=True)
class BaseValues(KnobValues):
    """The recipe's values, used where no phase sets one, and multiplied by `{times: …}`."""

    routing: Routing = "softmax"
    top_k: int = 2
    top_k_weights: TopKWeights = "renormalised"


@dataclass(frozen=True, kw_only=True)
class Settings(BaseValues):
    """What one rollout and its update are run with."""

    phase: int
    phase_name: str
    env: str | None
    """Environment id of the phase; None: the run's."""
    env_args: Mapping[str, EnvArg]
    """Arguments of the environment that phases set."""

    @property
    def coefficients(self) -> dict[str, float]:
        """Knob to coefficient of the loss with its name; 0 if it is not used."""
        return {name: getattr(self, name) for name in COEFFICIENTS}


def settings_at(curriculum: Curriculum, progress: Progress, base: BaseValues) -> Settings:
    """The settings in force at `progress`.

    A ramp has its first value when its phase begins and lasts for its span: its `over`, or else the phase up to its
    planned end, or a trigger's `max_episodes`, or the end of the run, in episodes or in steps. An inheriting phase
    keeps the value that was really reached, also where the phase before it ended early.
    """
    starts = starts_of(curriculum, progress)
    reached = curriculum.phases[: len(starts)]
    index = len(reached) - 1
    env, env_args = environment_at(curriculum, index)
    values: dict[str, Any] = {knob: _value_of(knob, reached, starts, progress, getattr(base, knob)) for knob in KNOBS}
    for name in ("routing", "top_k", "top_k_weights"):
        set_by_phases = [value for phase in reached if (value := getattr(phase, name)) is not None]
        values[name] = set_by_phases[-1] if set_by_phases else getattr(base, name)
    return Settings(phase=index, phase_name=reached[index].name, env=env, env_args=env_args, **values)


def _value_of(
    knob: str, reached: tuple[Phase, ...], starts: tuple[PhaseStart, ...], progress: Progress, base: float
) -> float:
    """The knob's value from the latest phase that sets it, at its current point or at its end."""
    for index in reversed(range(len(reached))):
        value: Value | None = getattr(reached[index], knob)
        if isinstance(value, Ramp):
            in_force = index == len(reached) - 1
            now = PhaseStart(progress.episode, progress.step) if in_force else starts[index + 1]
            fraction = _fraction(value, reached[index], starts[index], now, progress.length)
            return shape_fraction(value.shape, _level(value.start, base), _level(value.to, base), fraction)
        if value is not None:
            return _level(value, base)
    return base


def _fraction(ramp: Ramp, phase: Phase, start: PhaseStart, now: PhaseStart, length: Length) -> float:
    """The fraction of a ramp that has passed at `now`, at most 1. A ramp shorter than one episode is at its end."""
    until = phase.until
    passed, span = now.episode - start.episode, length.episodes - start.episode
    if ramp.over is not None and ramp.over.steps is not None:
        passed, span = now.step - start.step, ramp.over.steps
    elif ramp.over is not None and ramp.over.episodes is not None:
        span = ramp.over.episodes
    elif until is not None and until.step is not None:
        passed, span = now.step - start.step, until.step - start.step
    elif until is not None and until.episode is not None:
        span = until.episode - start.episode
    elif until is not None and until.max_episodes is not None:
        span = until.max_episodes
    elif length.steps is not None:
        # Up to the end of the run: its ramps end with it, whether its episodes or its steps are reached first.
        return max(_part(passed, span), _part(now.step - start.step, length.steps - start.step))
    return _part(passed, span)


def _part(passed: int, span: int) -> float:
    return min(1.0, passed / span) if span > 0 else 1.0


def _level(level: float | Times, base: float) -> float:
    return level.times * base if isinstance(level, Times) else float(level)


def ignoring_base(curriculum: Curriculum, knob: str) -> list[str]:
    """Names of the phases in which a knob does not depend on the recipe's base value: its value there is absolute."""
    names, ignores = [], False
    for phase in curriculum.phases:
        if (value := getattr(phase, knob)) is not None:
            ignores = not any(isinstance(level, Times) for level in levels_of(value))
        if ignores:
            names.append(phase.name)
    return names


def environment_at(curriculum: Curriculum, index: int) -> tuple[str | None, dict[str, EnvArg]]:
    """Id of the environment that phase `index` trains on, None for the run's, and the arguments that phases set.

    A phase that names an environment begins with no arguments but its own and, where it is the run's, those of the
    run; one that names none changes the arguments it gives.
    """
    env: str | None = None
    args: dict[str, EnvArg] = {}
    for phase in curriculum.phases[: index + 1]:
        if phase.env is not None:
            env, args = phase.env, {}
        args = {**args, **(phase.env_args or {})}
    return env, args


def setup_at(run: EnvironmentSetup, curriculum: Curriculum, index: int) -> EnvironmentSetup:
    """The environment that phase `index` of a run trains on."""
    return run.in_phase(*environment_at(curriculum, index))


def setups_of(run: EnvironmentSetup, curriculum: Curriculum) -> list[EnvironmentSetup]:
    """The environments that a run trains on, in the order of its phases, each once."""
    setups: list[EnvironmentSetup] = []
    for index in range(len(curriculum.phases)):
        setup = setup_at(run, curriculum, index)
        if setup not in setups:
            setups.append(setup)
    return setups
