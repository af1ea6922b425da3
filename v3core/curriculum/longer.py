"""How a curriculum changes when its run is extended. Pure functions."""

from v3core.curriculum.knobs import KNOBS
from v3core.curriculum.model import Curriculum, Over, Phase, Ramp
from v3core.curriculum.progress import Progress, starts_of


def lengthened(curriculum: Curriculum, progress: Progress) -> Curriculum:
    """The curriculum with which an extended run continues: no value jumps, and no boundary moves.

    A ramp up to the end of the run that has started keeps its slope: it reaches its value where the run would
    have ended, and holds it. A future ramp lasts until the new end, as in a run of that length from the start.

    Args:
        curriculum: the revision in force.
        progress: with the length that the run had so far.
    """
    starts = starts_of(curriculum, progress)
    phases = list(curriculum.phases)
    for index, (phase, start) in enumerate(zip(curriculum.phases, starts, strict=False)):
        phases[index] = _timed(phase, progress.episodes - start.episode)
    return curriculum if phases == list(curriculum.phases) else curriculum.model_copy(update={"phases": tuple(phases)})


def _timed(phase: Phase, episodes: int) -> Phase:
    """The phase with its ramps up to the end of the run written as ramps over this many episodes."""
    until = phase.until
    if until is not None and (not until.is_trigger or until.max_episodes is not None):
        return phase  # its own end decides
    over = Over(episodes=max(1, episodes))
    ramps = {knob: getattr(phase, knob) for knob in KNOBS}
    changes = {
        knob: ramp.model_copy(update={"over": over})
        for knob, ramp in ramps.items()
        if isinstance(ramp, Ramp) and ramp.over is None
    }
    return phase.model_copy(update=changes) if changes else phase
