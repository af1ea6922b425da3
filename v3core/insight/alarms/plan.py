"""What a run was planned to use, to compare with what its episodes say that it used."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from v3core.config import RunConfig
from v3core.curriculum import Curriculum, PhaseStart, Progress, settings_at
from v3core.curriculum.knobs import KNOBS
from v3core.curriculum.progress import BEGIN

OPTIONAL = ("alpha", "top_k")
"""Settings that have no effective value where the routing does not use them."""
COMPARED = (*KNOBS, "top_k")
"""The settings that are compared."""
OF_SEVERAL = ("load_balance", "expert_balance", "diversity", "consistency", "gate_entropy")
"""Coefficients of losses that are constant with a single expert."""
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Plan:
    """The curriculum in force, and where its phases really began."""

    config: RunConfig
    curriculum: Curriculum
    since: int = 0
    """Complete episodes when the curriculum came into force."""
    starts: tuple[PhaseStart, ...] = BEGIN

    def revised(self, curriculum: Curriculum, episode: int) -> "Plan":
        """With another curriculum from `episode` complete episodes on."""
        return replace(self, curriculum=curriculum, since=episode)

    def begun(self, phase: int, start: PhaseStart) -> "Plan":
        """With the actual start of a phase."""
        return replace(self, starts=(*self.starts[:phase], start))

    def is_last(self, phase: str) -> bool:
        """Whether a phase is the last of several."""
        return len(self.curriculum.phases) > 1 and self.curriculum.phases[-1].name == phase

    @property
    def has_one_phase(self) -> bool:
        """Whether routing never changes as planned."""
        return len(self.curriculum.phases) == 1

    @property
    def _is_alone(self) -> bool:
        """Whether there is one expert though the curriculum is for several: it may want a single one as a control."""
        policy = self.curriculum.policy
        return self.config.policy.experts == 1 and not (policy is not None and policy.single_expert)

    def differing(
        self, phase: str, episode: int, step: int, earlier: Sequence[int], effective: Mapping[str, float]
    ) -> dict[str, tuple[float, float]]:
        """The settings of an episode that are not as planned: name to the planned and the effective value.

        Settings are read once per rollout, whose beginning no episode has: a value is as planned if a rollout that
        ended with the episode could have read it.

        Args:
            phase: of the episode.
            episode: its number.
            step: environment steps at its end.
            earlier: those at the ends of the episodes just before it, ascending.
            effective: recorded values; NaN if the setting was not used.
        """
        places = [index for index, entry in enumerate(self.curriculum.phases) if entry.name == phase]
        if not places or places[0] >= len(self.starts):
            return {}
        index = places[0]
        start = self.starts[index]
        ppo = self.config.ppo
        complete = episode - 1 - len(earlier) + bisect_right(earlier, step - ppo.environments * ppo.rollout_steps)
        first = max(complete, start.episode, self.since)
        base, chosen = self.config.base.values(), self.curriculum.phases[index]
        at_step = [max(start.step, step - ppo.environments * ppo.rollout_steps), step]
        ends = [
            settings_at(
                self.curriculum,
                Progress(complete, self.config.episodes, at, self.starts[: index + 1], self.config.steps),
                base,
            )
            for complete, at in zip((first, max(first, episode - 1)), at_step, strict=True)
        ]
        found: dict[str, tuple[float, float]] = {}
        for name in COMPARED:
            used, planned = effective[name], [float(getattr(settings, name)) for settings in ends]
            if self._is_alone and name in OF_SEVERAL and getattr(chosen, name) is not None and planned[-1]:
                found[name] = planned[-1], math.nan
                continue
            if math.isnan(used):
                if name in OPTIONAL and getattr(chosen, name) is not None:
                    found[name] = planned[-1], used
                continue
            if name in OPTIONAL and name not in chosen.model_fields_set and name == "top_k":
                continue
            slack = _TOLERANCE * max(map(abs, planned))
            if not min(planned) - slack <= used <= max(planned) + slack:
                found[name] = planned[-1], used
        return found
