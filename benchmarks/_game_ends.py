"""A wrapper that keeps what games of NetHack say at their end: evaluations record no facts."""

from typing import Any, ClassVar

import gymnasium

from v3core.environments.nethack.game import FACTS


class Ends(gymnasium.Wrapper):  # type: ignore[type-arg]
    """Facts of the games that have ended, of all environments together."""

    facts: ClassVar[list[dict[str, Any]]] = []

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As of the game."""
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated or truncated:
            self.facts.append(info[FACTS])
        return observation, reward, terminated, truncated, info
