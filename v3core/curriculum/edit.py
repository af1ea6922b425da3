"""Changing a curriculum: to another run length, or while its run trains. Only the future can be edited."""

from pydantic import ValidationError

from v3core.curriculum.model import Curriculum, Until
from v3core.curriculum.settings import phase_at
from v3core.errors import V3Error, explain


def check_fits(curriculum: Curriculum, episodes: int) -> None:
    """Refuse boundaries that a run of `episodes` never reaches.

    Raises:
        V3Error: naming the phase and what to do.
    """
    for number, phase in enumerate(curriculum.phases, start=1):
        if phase.until is not None and phase.until.episode >= episodes:
            raise V3Error(
                f"Phase {number} '{phase.name}' ends at episode {phase.until.episode}, "
                f"but the run has only {episodes} episodes; end it earlier, train longer, or scale the curriculum."
            )


def scaled(curriculum: Curriculum, episodes: int) -> Curriculum:
    """The same curriculum with its boundaries in proportion to a run of `episodes`.

    Raises:
        V3Error: if the run is too short for every phase to get an episode of its own, or the curriculum does not
            say what length it was written for.
    """
    if episodes < len(curriculum.phases):
        raise V3Error(
            f"A run of {episodes} episodes is too short for the {len(curriculum.phases)} phases of "
            f"'{curriculum.name}'; train at least {len(curriculum.phases)} episodes."
        )
    if not curriculum.boundaries:
        return curriculum.model_copy(update={"episodes": episodes})
    if curriculum.episodes is None:
        raise V3Error(
            f"Curriculum '{curriculum.name}' does not say how many episodes it is for, so it cannot be scaled; "
            "add 'episodes: N' to it."
        )
    scaled_ends: list[int] = []
    for number, boundary in enumerate(curriculum.boundaries):
        earliest = scaled_ends[-1] + 1 if scaled_ends else 1
        latest = episodes - (len(curriculum.boundaries) - number)
        scaled_ends.append(min(max(round(boundary * episodes / curriculum.episodes), earliest), latest))
    return with_boundaries(curriculum, scaled_ends).model_copy(update={"episodes": episodes})


def with_boundaries(curriculum: Curriculum, boundaries: list[int]) -> Curriculum:
    """The same curriculum with its phases ending at `boundaries`, in completed episodes.

    Raises:
        V3Error: if their number or order is wrong.
    """
    if len(boundaries) != len(curriculum.boundaries):
        raise V3Error(f"'{curriculum.name}' has {len(curriculum.boundaries)} boundaries, not {len(boundaries)}.")
    try:
        phases = [
            phase.model_copy(update={"until": Until(episode=boundary)})
            for phase, boundary in zip(curriculum.phases[:-1], boundaries, strict=True)
        ]
        return Curriculum.model_validate({**dict(curriculum), "phases": (*phases, curriculum.phases[-1])})
    except ValidationError as error:
        raise V3Error(explain(error, f"Curriculum '{curriculum.name}'")) from None


def check_edit(old: Curriculum, new: Curriculum, episode: int, episodes: int) -> None:
    """Refuse an edit that would rewrite what was already trained.

    Args:
        old: the curriculum in force.
        new: the one asked for.
        episode: complete episodes so far.
        episodes: length of the run.

    Raises:
        V3Error: naming the first thing that reaches into the past or past the end.
    """
    check_fits(new, episodes)
    current = phase_at(old, episode)
    for number in range(current):
        was, asked = old.phases[number], new.phases[number] if number < len(new.phases) else None
        if was != asked:
            raise V3Error(
                f"Phase {number + 1} '{was.name}' ended at episode {old.boundaries[number]} and the run is at "
                f"{episode}; only what lies ahead can be changed."
            )
    if current >= len(new.phases):
        raise V3Error(
            f"The run is in phase {current + 1} '{old.phases[current].name}', which the new curriculum lacks."
        )
    for number, boundary in enumerate(new.boundaries[current:], start=current):
        if boundary <= episode:
            raise V3Error(
                f"Phase {number + 1} '{new.phases[number].name}' would end at episode {boundary}, but the run is "
                f"already at {episode}; choose {episode + 1} or later."
            )
