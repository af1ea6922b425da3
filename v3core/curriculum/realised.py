"""What a run really trained under, live edits included, as one curriculum that can be run again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from v3core.curriculum.edit import rest_of_run
from v3core.curriculum.knobs import KNOBS
from v3core.curriculum.model import Curriculum, Level, Over, Phase, Ramp, Times, Value, ramps_of
from v3core.curriculum.progress import PhaseStart, Progress, starts_of
from v3core.curriculum.settings import BaseValues, settings_at
from v3core.curriculum.until import Until
from v3core.errors import V3Error, explained
from v3core.messages import _

_CHOICES = ("routing", "top_k", "top_k_weights")
_MAX_PHASE_NAME = 40
_AFTER_A_RAMP = object()
"""Instead of the level that a knob has: it follows from how far a ramp came."""


@dataclass(frozen=True)
class Edition:
    """A curriculum and where it came into force: with its complete episodes and environment steps then."""

    curriculum: Curriculum
    episode: int = 0
    step: int = 0


@dataclass(frozen=True)
class _Stretch:
    """A part of training within one phase, under one curriculum."""

    curriculum: Curriculum
    phase: int
    at: PhaseStart
    begun: tuple[PhaseStart, ...]
    """Where the phases up to this one began."""


def realised(editions: Sequence[Edition], progress: Progress, base: BaseValues) -> Curriculum:
    """The curriculum of what happened: each phase as long as it was, parted where an edit changed it while in force.

    Phases that ended by steps or by a trigger end at the episode at which they did. Phases ahead of an unfinished run
    stay as planned; those that a complete run never reached are left out. A cosine ramp that an edit parted is the
    only thing that is not the same to the digit: both parts are cosines.

    Args:
        editions: the curricula that were in force, ascending; the first from episode 0.
        progress: of the run, with its realised starts.
        base: the recipe's values.

    Raises:
        V3Error: if the run is complete without an episode, because its steps were used before.
    """
    newest = editions[-1].curriculum
    starts = starts_of(newest, progress)
    if progress.is_complete:
        if not progress.episode:
            raise V3Error("No episode is complete yet; there is nothing to save.")
        starts = tuple(start for start in starts if start.episode < progress.episode)
        editions = [edition for edition in editions if edition.episode < progress.episode]
    stretches = list(_stretches(editions, starts))
    is_complete = progress.is_complete
    phases: list[Phase] = []
    emitted: dict[str, Any] = {}
    before = -1
    for place, stretch in enumerate(stretches):
        own = stretch.curriculum.phases[stretch.phase]
        end = _end(stretches, place, own, is_complete=is_complete)
        values = _values(stretch, progress, base, emitted, until_the_end=end is None)
        values |= _environment(stretch, before)
        before = stretch.phase
        phases.append(Phase.model_validate({"name": _name(phases, own.name), "until": end, **values}))
    if not is_complete:
        for phase in newest.phases[len(starts) :]:
            phases.append(phase.model_copy(update={"name": _name(phases, phase.name)}))
    length = progress.episode if is_complete else None if progress.length.is_by_steps else progress.episodes
    with explained(_("What the run trained under")):
        return Curriculum(name=newest.name, episodes=length, policy=newest.policy, phases=tuple(phases))


def _stretches(editions: Sequence[Edition], starts: Sequence[PhaseStart]) -> Iterator[_Stretch]:
    for phase, start in enumerate(starts):
        end = starts[phase + 1] if phase + 1 < len(starts) else None
        if end is not None and end.episode == start.episode:
            continue  # it was over before an episode was complete
        here = [edition for edition in editions if edition.episode <= start.episode][-1]
        begun = tuple(starts[: phase + 1])
        yield _Stretch(here.curriculum, phase, start, begun)
        for later in editions:
            if later.episode <= start.episode or (end is not None and later.episode >= end.episode):
                continue
            was, now = here.curriculum.phases[phase], later.curriculum.phases[phase]
            here = later
            if _acts_alike(was, now):
                continue
            yield _Stretch(later.curriculum, phase, PhaseStart(later.episode, later.step), begun)


def _acts_alike(one: Phase, other: Phase) -> bool:
    """Whether two editions of a phase have the same settings at each point of it."""
    if any(ramp.over is None for ramp in ramps_of(other).values()) and one.until != other.until:
        return False  # its ramps last as long as it was planned
    return one.model_copy(update={"until": None, "name": ""}) == other.model_copy(update={"until": None, "name": ""})


def _end(stretches: Sequence[_Stretch], place: int, own: Phase, *, is_complete: bool) -> Until | None:
    if place + 1 < len(stretches):
        return Until(episode=stretches[place + 1].at.episode)
    if is_complete or own.until is None:
        return None
    stretch = stretches[place]
    until = own.until
    if until.max_episodes is not None and (gone := stretch.at.episode - stretch.begun[-1].episode):
        until = until.model_copy(update={"max_episodes": max(1, until.max_episodes - gone)})
    return until


def _values(
    stretch: _Stretch, progress: Progress, base: BaseValues, emitted: dict[str, Any], *, until_the_end: bool
) -> dict[str, Any]:
    """The settings of a stretch that differ from those that it would inherit."""
    reached = stretch.curriculum.phases[: stretch.phase + 1]
    at = replace(progress, episode=stretch.at.episode, step=stretch.at.step, starts=stretch.begun)
    now = settings_at(stretch.curriculum, at, base)
    values: dict[str, Any] = {}
    for name in _CHOICES:
        chosen = next((own for phase in reversed(reached) if (own := getattr(phase, name)) is not None), None)
        if chosen is None and emitted.get(name) is not None:
            chosen = getattr(base, name)
        if chosen != emitted.get(name):
            values[name] = emitted[name] = chosen
    for knob in KNOBS:
        source = next(
            (place for place in reversed(range(len(reached))) if getattr(reached[place], knob) is not None), None
        )
        value: Value | None = None if source is None else getattr(reached[source], knob)
        if isinstance(value, Ramp):
            if source == stretch.phase:
                ramp = _rest(value, stretch, progress, getattr(now, knob), getattr(base, knob), keep=until_the_end)
                values[knob], emitted[knob] = ramp, _AFTER_A_RAMP
                continue
            value = _level_like(value.to, getattr(now, knob), getattr(base, knob))
        if value is None and emitted.get(knob) is not None:
            value = Times(times=1.0) if KNOBS[knob].from_recipe else float(getattr(base, knob))
        if value != emitted.get(knob):
            values[knob] = emitted[knob] = value
    return values


def _rest(ramp: Ramp, stretch: _Stretch, progress: Progress, now: float, base: float, *, keep: bool) -> Ramp | Level:
    """What is left of a ramp of the phase when the stretch begins; with the length that it was planned with."""
    start, own = stretch.begun[-1], stretch.curriculum.phases[stretch.phase]
    over, until = ramp.over, own.until
    if over is None and until is not None and until.step is not None:
        if until.step <= start.step:
            return ramp.to  # the phase lasted one rollout, with the values of its end
        over = Over(steps=until.step - start.step)
    elif over is None and until is not None and until.episode is not None:
        over = Over(episodes=max(1, until.episode - start.episode))
    elif over is None and until is not None and until.max_episodes is not None:
        over = Over(episodes=until.max_episodes)
    elif over is None and not keep:
        over = rest_of_run(progress, start)
    gone = (stretch.at.episode - start.episode, stretch.at.step - start.step)
    if gone[0] == 0:
        return ramp.model_copy(update={"over": over})
    if over is None:  # up to the end of the run, from here as from its beginning
        return ramp.model_copy(update={"start": _level_like(ramp.start, now, base)})
    left = over.steps - gone[1] if over.steps is not None else (over.episodes or 0) - gone[0]
    if left <= 0:
        return ramp.to
    rest = Over(steps=left) if over.steps is not None else Over(episodes=left)
    return ramp.model_copy(update={"start": _level_like(ramp.start, now, base), "over": rest})


def _level_like(level: Level, value: float, base: float) -> Level:
    """A number as a factor of the base value if another level is one, so that it suits other recipes too."""
    return Times(times=value / base) if isinstance(level, Times) and base else value


def _environment(stretch: _Stretch, before: int) -> Mapping[str, Any]:
    """What the phases from behind the one before say of the environment."""
    env: str | None = None
    args: dict[str, Any] = {}
    for phase in stretch.curriculum.phases[before + 1 : stretch.phase + 1]:
        if phase.env is not None:
            env, args = phase.env, {}
        args = {**args, **(phase.env_args or {})}
    return {"env": env, "env_args": args or None}


def _name(phases: Sequence[Phase], name: str) -> str:
    """The name, or with the first number from 2 with which no earlier phase has it."""
    taken, made, number = {phase.name for phase in phases}, name, 1
    while made in taken:
        number += 1
        made = f"{name[: _MAX_PHASE_NAME - 6]} ({number})"
    return made


def continued(trained: Curriculum, wanted: Curriculum, progress: Progress, base: BaseValues) -> Curriculum:
    """What was trained so far, and from here on what another curriculum says of a run that is as far.

    The phase in force ends now; if it has only just begun, its place is taken. Ramps of the other that are in progress
    are where they would be. A phase whose name is taken gets a number.

    Args:
        trained: the curriculum in force.
        wanted: the one to continue with; of the same network.
        progress: with its realised starts and the length of the run.
        base: the recipe's values.

    Raises:
        V3Error: if it needs another network.
    """
    if wanted.policy is not None and wanted.policy != trained.policy:
        raise V3Error(
            "Curriculum '{name}' needs another network than the checkpoint has; choose one without 'policy'.",
            name=wanted.name,
        )
    starts = starts_of(trained, progress)
    here = len(starts) - 1
    phases = list(trained.phases[:here])
    if starts[here].episode < progress.episode:
        phases.append(trained.phases[here].model_copy(update={"until": Until(episode=progress.episode)}))
    begun = starts_of(wanted, replace(progress, starts=()))
    stretch = _Stretch(wanted, len(begun) - 1, PhaseStart(progress.episode, progress.step), begun)
    own = wanted.phases[stretch.phase]
    everything = dict.fromkeys((*_CHOICES, *KNOBS), _AFTER_A_RAMP)  # nothing is inherited from what was trained
    values = _values(stretch, progress, base, everything, until_the_end=own.until is None)
    values |= _environment(stretch, -1)
    name = _name(phases, own.name)
    phases.append(Phase.model_validate({"name": name, "until": _end([stretch], 0, own, is_complete=False), **values}))
    for phase in wanted.phases[stretch.phase + 1 :]:
        phases.append(phase.model_copy(update={"name": _name(phases, phase.name)}))
    with explained(_("Curriculum '{name}' from episode {episode} on", name=wanted.name, episode=progress.episode)):
        return Curriculum.model_validate({**dict(wanted), "policy": trained.policy, "phases": tuple(phases)})
