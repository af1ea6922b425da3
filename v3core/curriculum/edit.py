"""Changing a curriculum while its run trains: its boundaries, all of its future, or its length."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from v3core.curriculum.fit import check_fits, check_router_learns
from v3core.curriculum.knobs import KNOBS, SETTINGS
from v3core.curriculum.model import MAX_NAME, Curriculum, Over, Phase, ramps_of
from v3core.curriculum.progress import PhaseStart, Progress, in_force, latest_end, starts_of
from v3core.curriculum.settings import environment_at
from v3core.curriculum.typed import format_end, format_value
from v3core.curriculum.until import Until
from v3core.environment_setup import EnvArg, EnvironmentSetup
from v3core.errors import V3Error, explained
from v3core.messages import _
from v3core.phrases import listed, strung, within

_EDITED = " (edited)"
_IS_EDITED = re.compile(r" \(edited(?: (\d{1,6}))?\)$")


def with_boundaries(curriculum: Curriculum, boundaries: list[int]) -> Curriculum:
    """The same curriculum with the phases that end at an episode ending at `boundaries`, in completed episodes.

    Raises:
        V3Error: if their number or order is wrong.
    """
    if len(boundaries) != len(curriculum.boundaries):
        raise V3Error(
            "'{name}' has {boundaries} boundaries, not {boundaries2}.",
            name=curriculum.name,
            boundaries=len(curriculum.boundaries),
            boundaries2=len(boundaries),
        )
    ends = iter(boundaries)
    with explained(_("Curriculum '{name}'", name=curriculum.name)):
        phases = [
            phase.model_copy(update={"until": Until(episode=next(ends))})
            if phase.until is not None and phase.until.episode is not None
            else phase
            for phase in curriculum.phases
        ]
        return Curriculum.model_validate({**dict(curriculum), "phases": tuple(phases)})


def renamed(curriculum: Curriculum) -> Curriculum:
    """A curriculum with user changes, under a name that says so and without the description that no longer applies."""
    name = curriculum.name
    if unedited(name) == name:
        name = f"{name[: MAX_NAME - len(_EDITED)]}{_EDITED}"
    return curriculum.model_copy(update={"name": name, "description": ""})


def renamed_apart(curriculum: Curriculum, origin: Curriculum) -> Curriculum:
    """The same under another name than its origin has: `v3 (edited)` becomes `v3 (edited 2)`."""
    made = renamed(curriculum)
    if made.name != origin.name:
        return made
    number = _IS_EDITED.search(made.name)
    end = f"{_EDITED[:-1]} {int((number and number[1]) or 1) + 1})"
    return made.model_copy(update={"name": f"{unedited(made.name)[: MAX_NAME - len(end)]}{end}"})


def unedited(name: str) -> str:
    """The name of the curriculum that user changes were made to."""
    return _IS_EDITED.sub("", name)


def check_edit(old: Curriculum, new: Curriculum, progress: Progress) -> None:
    """Refuse an edit that would rewrite what was already trained, at `progress` with its realised starts.

    Phases that are over must not change; the current phase must keep its environment and end later than now; the
    network must not change.

    Raises:
        V3Error: naming the first thing that reaches into the past or past the end.
    """
    check_fits(new, progress.episodes, progress.steps)
    check_router_learns(new, before=old)
    if old.policy != new.policy:
        raise V3Error("The network of a run cannot change while it trains; leave 'policy' as it is.")
    progress = _with_overdue_phases_ended(old, progress)
    current = len(progress.starts) - 1
    for number in range(current):
        was, asked = old.phases[number], new.phases[number] if number < len(new.phases) else None
        if was != asked:
            raise V3Error(
                "Phase {value} '{name}' ended at episode {episode} and the run is at {episode2}; only future phases "
                "can be changed.",
                value=number + 1,
                name=was.name,
                episode=progress.starts[number + 1].episode,
                episode2=progress.episode,
            )
    if current >= len(new.phases):
        raise V3Error(
            "The run is in phase {value} '{name}', which is missing from the new curriculum.",
            value=current + 1,
            name=old.phases[current].name,
        )
    if (here := environment_at(old, current)) != (there := environment_at(new, current)):
        raise V3Error(
            "Phase {value} '{name}' trains on {named} now, not on {named2}; only a later phase can change its "
            "environment.",
            value=current + 1,
            name=old.phases[current].name,
            named=_named(*here),
            named2=_named(*there),
        )
    for number, phase in enumerate(new.phases[current:], start=current):
        if number > current and number < len(old.phases) and phase.until == old.phases[number].until:
            continue  # over as soon as it begins, perhaps, but not by this edit
        _check_end_lies_ahead(number, phase, progress, in_force=number == current)


def _with_overdue_phases_ended(curriculum: Curriculum, progress: Progress) -> Progress:
    """`progress` with realised starts, in which a phase whose episode or step is reached is over.

    The trainer begins the next phase only between two updates, and reports it only then.
    """
    progress = replace(progress, starts=starts_of(curriculum, progress))
    while len(progress.starts) < len(curriculum.phases):
        phase, start = in_force(curriculum, progress)
        assert phase.until is not None  # only the last phase has none
        end = latest_end(phase, start)
        by_step = phase.until.step is not None and progress.step >= phase.until.step
        if not by_step and (end is None or end > progress.episode):
            break
        progress = progress.next_phase()
    return progress


def _check_end_lies_ahead(number: int, phase: Phase, progress: Progress, *, in_force: bool) -> None:
    if phase.until is None:
        return
    who = {"number": number + 1, "name": phase.name}
    for unit, end, now in (
        (_("episode {number:d}"), phase.until.episode, progress.episode),
        (_("step {number:d}"), phase.until.step, progress.step),
    ):
        if end is not None and end <= now:
            raise V3Error(
                "Phase {number:d} '{name}' would end at {end}, but the run is already at {now}; choose {value} or "
                "later.",
                **who,
                end=unit.filled(number=end),
                now=now,
                value=now + 1,
            )
    complete = progress.episode - progress.starts[-1].episode
    if in_force and phase.until.max_episodes is not None and phase.until.max_episodes <= complete:
        raise V3Error(
            "Phase {number:d} '{name}' would end after {max_episodes} episodes, but already has {complete} episodes; "
            "choose {value} or more.",
            **who,
            max_episodes=phase.until.max_episodes,
            complete=complete,
            value=complete + 1,
        )


def _named(env: str | None, args: Mapping[str, EnvArg]) -> str:
    return str(EnvironmentSetup(env or _("the environment of the run"), args))


def changes(old: Curriculum, new: Curriculum) -> list[str]:
    """What an edit changes, one text per setting of a phase, as in `sharp: load balance 0.01 to 0.02`.

    Phases are compared by their place; for one that only one of them has, its name is said.
    """
    found: list[str] = []
    for was, asked in zip_longest(old.phases, new.phases):
        if was is None or asked is None:
            found.append(_("{name}: new", name=asked.name) if was is None else _("{name}: removed", name=was.name))
            continue
        if was.name != asked.name:
            found.append(_("{name}: renamed to {new}", name=was.name, new=asked.name))
        for name in ("until", *SETTINGS):
            before, after = getattr(was, name), getattr(asked, name)
            if before != after:
                title = _("end") if name == "until" else within(_(SETTINGS[name].title))
                found.append(
                    _(
                        "{name}: {title} {before} to {after}",
                        name=asked.name,
                        title=title,
                        before=_text(name, before),
                        after=_text(name, after),
                    )
                )
    return found


def summary(old: Curriculum, new: Curriculum) -> str:
    """What an edit changes in a few words: `Boundaries 150, 400`, or `sharp: load balance 0 to 0.02, and 3 more`.

    Empty if nothing changes.
    """
    found = changes(old, new)
    ends = zip(old.planned_ends, new.planned_ends, strict=False)
    if found and len(found) == sum(was != asked and None not in (was, asked) for was, asked in ends):
        return _("Boundaries {ends}", ends=listed([f"{end:,}" for end in new.boundaries]))
    if len(found) > 2:
        return _("{changes}, and {more} more", changes=strung(_("; "), found[:2]), more=len(found) - 2)
    return strung(_("; "), found)


def _text(name: str, value: Any) -> str:
    if value is None:
        return _("unset")
    if name == "until":
        return format_end(value)
    return format_value(value) if name in KNOBS else str(value)


def lengthened(curriculum: Curriculum, progress: Progress) -> Curriculum:
    """The curriculum with which an extended run continues: no value jumps, and no boundary moves.

    A ramp up to the end of the run that has started keeps its slope: it reaches its value where the run would
    have ended, and holds it. A future ramp lasts until the new end, as in a run of that length from the start.
    `progress` has the length that the run had so far.
    """
    starts = starts_of(curriculum, progress)
    phases = list(curriculum.phases)
    for index, (phase, start) in enumerate(zip(curriculum.phases, starts, strict=False)):
        phases[index] = _timed(phase, rest_of_run(progress, start))
    return curriculum if phases == list(curriculum.phases) else curriculum.model_copy(update={"phases": tuple(phases)})


def is_lengthened(before: Curriculum, after: Curriculum) -> bool:
    """Whether the second is the first as `lengthened` writes it, and nothing else is changed."""
    if before == after or len(before.phases) != len(after.phases):
        return False
    phases = [
        phase.model_copy(
            update={
                knob: ramp.model_copy(update={"over": None})
                for knob, ramp in ramps_of(phase).items()
                if knob in (ramps := ramps_of(was)) and ramps[knob].over is None
            }
        )
        for was, phase in zip(before.phases, after.phases, strict=True)
    ]
    return after.model_copy(update={"phases": tuple(phases)}) == before


def rest_of_run(progress: Progress, start: PhaseStart) -> Over:
    """The rest of the run from `start`, in the unit in which more of it has passed: ramps follow that one."""
    episodes, steps = progress.episodes - start.episode, (progress.steps or 0) - start.step
    passed, taken = progress.episode - start.episode, progress.step - start.step
    if progress.steps is not None and (steps <= 0 or taken * episodes >= passed * steps):
        return Over(steps=max(1, steps))
    return Over(episodes=max(1, episodes))


def _timed(phase: Phase, over: Over) -> Phase:
    """The phase with its ramps up to the end of the run written as ramps over that."""
    if phase.until is not None:
        return phase  # its own end decides: without one that is known, a ramp says how long it is
    ramps = {knob: ramp for knob, ramp in ramps_of(phase).items() if ramp.over is None}
    return phase.model_copy(update={knob: ramp.model_copy(update={"over": over}) for knob, ramp in ramps.items()})
