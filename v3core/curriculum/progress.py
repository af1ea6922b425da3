"""The progress of a run, and when its phase ends. Pure functions."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from v3core.curriculum.length import Length
from v3core.curriculum.model import Curriculum, Phase


@dataclass(frozen=True)
class PhaseStart:
    """The actual start of a phase, in complete episodes and environment steps of the run."""

    episode: int
    step: int


@dataclass(frozen=True)
class Progress:
    """The progress of a run. Together with the curriculum and the base values it determines the settings."""

    episode: int
    """Complete episodes: 0 before the first ends."""
    episodes: int
    """Length of the run."""
    step: int = 0
    """Environment steps, all environments together."""
    starts: tuple[PhaseStart, ...] = ()
    """Where the phases begun so far really began, the first at (0, 0); the last of them is in force. Empty: as planned,
    derived from the ends that the curriculum plans in episodes."""
    steps: int | None = None
    """Length of the run in environment steps, where it has such a budget; it is complete at whichever comes first."""

    @property
    def length(self) -> Length:
        """Of the run, in both units."""
        return Length(self.episodes, self.steps)

    @property
    def is_complete(self) -> bool:
        """Whether the run has its length."""
        return self.length.is_reached(self.episode, self.step)

    def next_phase(self) -> "Progress":
        """The same progress with the next phase started."""
        return replace(self, starts=(*self.starts, PhaseStart(self.episode, self.step)))


BEGIN = (PhaseStart(0, 0),)
"""The starts of a run that begins."""


def latest_end(phase: Phase, start: PhaseStart) -> int | None:
    """The latest end, in completed episodes, of a phase that started at `start`; None if unknown."""
    if phase.until is None:
        return None
    if phase.until.episode is not None:
        return max(phase.until.episode, start.episode)
    return None if phase.until.max_episodes is None else start.episode + phase.until.max_episodes


def planned_starts(curriculum: Curriculum, starts: Sequence[PhaseStart] = ()) -> tuple[PhaseStart, ...]:
    """`starts`, or that of the first phase, and those of the phases after as far as they are planned in episodes.

    A trigger is taken to end its phase at its `max_episodes`. The unknown steps of planned starts are 0.
    """
    known = list(starts or BEGIN)
    while len(known) < len(curriculum.phases):
        end = latest_end(curriculum.phases[len(known) - 1], known[-1])
        if end is None:
            break
        known.append(PhaseStart(end, 0))
    return tuple(known)


def starts_of(curriculum: Curriculum, progress: Progress) -> tuple[PhaseStart, ...]:
    """The starts of the phases begun at `progress`: the realised ones, or the planned ones that lie behind it."""
    if progress.starts:
        return progress.starts
    planned = planned_starts(curriculum)
    return planned[: max(1, bisect_right([start.episode for start in planned], progress.episode))]


def in_force(curriculum: Curriculum, progress: Progress) -> tuple[Phase, PhaseStart]:
    """The phase in force at `progress`, and where it began."""
    starts = starts_of(curriculum, progress)
    return curriculum.phases[min(len(starts), len(curriculum.phases)) - 1], starts[-1]


def next_phase_due(
    curriculum: Curriculum,
    progress: Progress,
    *,
    returns: Sequence[float] = (),
    lengths: Sequence[float] = (),
    successes: Sequence[float | None] = (),
    facts: Sequence[Mapping[str, float | str]] = (),
) -> bool:
    """Whether the current phase is over: its episode or step is reached, or its trigger fires.

    Args:
        curriculum: the revision in force.
        progress: with its realised `starts`.
        returns: of the newest complete episodes, oldest first; with fewer than the trigger's window it does not fire.
        lengths: the same of episode lengths.
        successes: the same of successes, 0 or 1; None where the environment does not say.
        facts: the same of facts by name; a trigger on one does not fire unless each of its window is a number.
    """
    phase, start = in_force(curriculum, progress)
    until = phase.until
    if until is None:
        return False
    if until.episode is not None:
        return progress.episode >= until.episode
    if until.step is not None:
        return progress.step >= until.step
    complete = progress.episode - start.episode
    if until.max_episodes is not None and complete >= until.max_episodes:
        return True
    values: Sequence[float | str | None]
    if until.fact is not None:
        values = [known.get(until.fact) for known in facts[-until.window :]]
    else:
        values = {"return": returns, "length": lengths, "success": successes}[until.metric or "return"][-until.window :]
    if complete < max(until.window, until.min_episodes) or len(values) < until.window:
        return False
    known = [float(value) for value in values if value is not None and not isinstance(value, str)]
    return len(known) == until.window and until.holds(sum(known) / until.window)


def episodes_left(curriculum: Curriculum, progress: Progress) -> int:
    """Episodes that may complete before the phase in force, or the run, must end; a trigger may end it sooner."""
    end = latest_end(*in_force(curriculum, progress))
    return max(0, min(progress.episodes if end is None else end, progress.episodes) - progress.episode)


def steps_left(curriculum: Curriculum, progress: Progress) -> int | None:
    """Environment steps before the phase in force, or the run, must end; None where steps do not decide."""
    until = in_force(curriculum, progress)[0].until
    ends = [end for end in (progress.steps, until.step if until is not None else None) if end is not None]
    return max(0, min(ends) - progress.step) if ends else None


def longest_window(curriculum: Curriculum) -> int:
    """How many of the newest episodes `next_phase_due` may look at; 0 without triggers."""
    return max((phase.until.window for phase in curriculum.phases if phase.until and phase.until.is_trigger), default=0)
