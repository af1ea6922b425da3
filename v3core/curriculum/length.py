"""How long a run trains: a number of episodes, a budget of environment steps, or both. Pure functions."""

from dataclasses import dataclass

from v3core.errors import V3Error
from v3core.messages import Message, _, several
from v3core.phrases import counted, listed
from v3core.rollup import mean_window

MAX_EPISODES = 100_000_000
MAX_STEPS = 10_000_000_000
_STEADY_DIGITS = 2
"""Digits of a projected number of episodes: an axis that ends there must not move with every rollout."""


@dataclass(frozen=True)
class Length:
    """The length of a run, which is complete as soon as its episodes or its steps are reached."""

    episodes: int
    steps: int | None = None
    """Environment steps, all environments together; None: episodes alone decide."""

    @classmethod
    def of(cls, episodes: int | None, steps: int | None) -> "Length":
        """What a user asked for; with steps alone, `episodes` is a bound that cannot be reached before them.

        Raises:
            V3Error: if neither is given, or one is out of bounds.
        """
        if episodes is None and steps is None:
            raise V3Error("The run has no length; give a number of episodes or of environment steps.")
        for count, most, what in ((episodes, MAX_EPISODES, _("episodes")), (steps, MAX_STEPS, _("environment steps"))):
            if count is not None and count < 1:
                raise V3Error("A run cannot have {count} {what}; choose 1 or more.", count=count, what=what)
            if count is not None and count > most:
                raise V3Error(
                    "{count:,} {what} are too many; choose at most {most:,}.", count=count, what=what, most=most
                )
        return cls(_bound(steps) if episodes is None else episodes, steps)

    @property
    def is_by_steps(self) -> bool:
        """Whether steps alone decide: `episodes` is a bound that nothing shows, because it is never reached before."""
        return self.steps is not None and self.episodes >= _bound(self.steps)

    def is_reached(self, episode: int, step: int) -> bool:
        """Whether a run with this many complete episodes and environment steps is complete."""
        return episode >= self.episodes or (self.steps is not None and step >= self.steps)

    def part(self, episode: int, step: int) -> float:
        """The part of the run that is trained, from 0 to 1: that of its episodes or of its steps, whichever is more."""
        by_steps = 0.0 if self.steps is None else step / self.steps
        return min(1.0, max(by_steps, episode / self.episodes))

    def projected_episodes(self, episode: int, step: int) -> int | None:
        """Episodes of the whole run if the rest are as long as those so far; None before there is one.

        Exact where episodes decide or the run is complete; otherwise rounded up to two digits.
        """
        if self.steps is None:
            return self.episodes
        if self.is_reached(episode, step):
            return max(1, episode)
        if not episode or not step:
            return None if self.is_by_steps else self.episodes
        expected = -(-episode * self.steps // step)
        unit = int(10 ** max(0, len(str(expected)) - _STEADY_DIGITS))
        return min(self.episodes, -(-expected // unit) * unit)

    def mean_window(self, episode: int, step: int) -> int:
        """Episodes that means of the run are over at this place: a tenth of `projected_episodes`, from 10 to 100.

        A function of what is recorded alone, so that a resumed run has the window of one that never stopped.
        """
        return mean_window(self.projected_episodes(episode, step) or episode)

    def extended(
        self,
        episodes: int | None,
        steps: int | None,
        *,
        at: tuple[int, int],
        environments: int,
        who: str = _("The run"),
    ) -> "Length":
        """The length that a run of this one is asked to have; what is None stays as it is.

        Args:
            episodes: the new number.
            steps: the new number, which is rounded up to what the environments can take together from here.
            at: complete episodes and environment steps of the run so far.
            environments: stepped together.
            who: the run, in errors.

        Raises:
            V3Error: if that is not longer, or in a unit that the run is not planned in.
        """
        if episodes is None and steps is None:
            raise V3Error(
                "The new length is missing; give {value}.", value=_("steps") if self.is_by_steps else _("episodes")
            )
        if steps is not None and self.steps is None:
            raise V3Error(
                "{who} is planned for {self}, not by environment steps; give its new length in episodes.",
                who=who,
                self=self.words,
            )
        if episodes is not None and self.is_by_steps:
            raise V3Error(
                "{who} is planned for {self}, not by episodes; give its new length in environment steps.",
                who=who,
                self=self.words,
            )
        for asked, planned, trained, what in (
            (episodes, self.episodes, at[0], "episode"),
            (steps, self.steps or 0, at[1], "step"),
        ):
            if asked is not None and asked <= trained:
                raise V3Error(
                    "{who} has already trained {trained}; choose more than that.",
                    who=who,
                    trained=counted(trained, what),
                )
            if asked is not None and asked <= planned:
                raise V3Error(
                    "{who} is planned for {planned}; choose more: a run can be extended, not shortened.",
                    who=who,
                    planned=counted(planned, what),
                )
        wanted = None if steps is None else at[1] - (at[1] - steps) // environments * environments
        if self.is_by_steps:
            return Length.of(None, wanted)
        longer = Length.of(self.episodes if episodes is None else episodes, self.steps if steps is None else wanted)
        if longer.is_reached(*at):
            if steps is None:
                raise V3Error("{who} has also trained all of its environment steps; choose more of both.", who=who)
            raise V3Error("{who} has also trained all of its episodes; choose more of both.", who=who)
        return longer

    def reached(self, episode: int, step: int) -> str:
        """As in `130 of 800 episodes`, `12,000 of 20,000 steps`, or with a comma between both."""
        of_episodes = _("{episode:,} of {episodes:,} episodes", episode=episode, episodes=self.episodes)
        if self.steps is None:
            return of_episodes
        of_steps = _("{step:,} of {steps:,} steps", step=step, steps=self.steps)
        return of_steps if self.is_by_steps else listed([of_episodes, of_steps])

    def changed_to(self, other: "Length") -> str:
        """As in `from 60 to 110 episodes`."""
        if self.steps is None:
            return _("from {episodes:,} to {other}", episodes=self.episodes, other=other.words)
        if self.is_by_steps:
            return _("from {steps:,} to {other}", steps=self.steps, other=other.words)
        return _("from {length} to {other}", length=self.words, other=other.words)

    def __str__(self) -> str:
        """As in `800 episodes`, `20,000 steps` or `800 episodes or 20,000 steps`."""
        return str(self.words)

    @property
    def words(self) -> Message:
        """As a message."""
        of_episodes = several("{count:,} episode", "{count:,} episodes", count=self.episodes)
        if self.steps is None:
            return of_episodes
        of_steps = _("{steps:,} steps", steps=self.steps)
        return of_steps if self.is_by_steps else _("{episodes} or {steps}", episodes=of_episodes, steps=of_steps)


def _bound(steps: int | None) -> int:
    """Episodes that a run of this many steps cannot exceed, because each takes at least one."""
    return MAX_EPISODES if steps is None else min(steps, MAX_EPISODES)
