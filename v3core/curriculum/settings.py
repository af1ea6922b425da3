"""`settings_at`: the settings a curriculum asks for at a point of a run. Pure functions."""

from bisect import bisect_right
from dataclasses import dataclass

from v3core.curriculum.model import KNOBS, Curriculum, Phase, Ramp, Routing, Times, Value, shape_fraction


@dataclass(frozen=True)
class BaseValues:
    """What a run uses where no phase says otherwise, and what `{times: …}` multiplies. From the recipe."""

    lr: float
    temperature: float = 1.0
    load_balance: float = 0.01
    entropy: float = 0.0
    routing: Routing = "softmax"


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    episode: int
    """Complete episodes: 0 before the first ends."""
    episodes: int
    """Length of the run."""


@dataclass(frozen=True)
class Settings:
    """What one rollout and its update are run with."""

    phase: int
    """Index of the phase, from 0."""
    phase_name: str
    routing: Routing
    temperature: float
    lr: float
    load_balance: float
    entropy: float


def phase_at(curriculum: Curriculum, episode: int) -> int:
    """Index of the phase in force once `episode` episodes are complete."""
    return bisect_right(curriculum.boundaries, episode)


def phase_spans(curriculum: Curriculum, episodes: int) -> list[tuple[str, int, int]]:
    """`(name, first, end)` of each phase that a run of `episodes` reaches, in completed episodes: [first, end)."""
    starts = (0, *curriculum.boundaries)
    ends = (*curriculum.boundaries, episodes)
    return [
        (phase.name, start, min(end, episodes))
        for phase, start, end in zip(curriculum.phases, starts, ends, strict=True)
        if start < episodes
    ]


def settings_at(curriculum: Curriculum, progress: Progress, base: BaseValues) -> Settings:
    """The settings in force at `progress`.

    A ramp has its first value when its phase begins and reaches its last value when the phase ends, so a following
    phase that inherits goes on without a jump. The last phase ends with the run.
    """
    index = phase_at(curriculum, progress.episode)
    start = (0, *curriculum.boundaries)[index]
    end = (*curriculum.boundaries, progress.episodes)[index]
    fraction = min(1.0, (progress.episode - start) / (end - start)) if end > start else 1.0
    reached = curriculum.phases[: index + 1]
    routing = next((phase.routing for phase in reversed(reached) if phase.routing is not None), base.routing)
    numbers = {knob: _value_of(reached, knob, getattr(base, knob), fraction) for knob in KNOBS}
    return Settings(phase=index, phase_name=curriculum.phases[index].name, routing=routing, **numbers)


def _value_of(reached: tuple[Phase, ...], knob: str, base: float, fraction: float) -> float:
    """The knob's value from the newest phase that sets it; a ramp of an earlier phase has reached its end."""
    for age, phase in enumerate(reversed(reached)):
        value: Value | None = getattr(phase, knob)
        if value is not None:
            return _resolve(value, base, fraction if age == 0 else 1.0)
    return base


def _resolve(value: Value, base: float, fraction: float) -> float:
    if isinstance(value, Ramp):
        start, end = _level(value.start, base), _level(value.to, base)
        return shape_fraction(value.shape, start, end, fraction)
    return _level(value, base)


def _level(level: float | Times, base: float) -> float:
    return level.times * base if isinstance(level, Times) else float(level)
