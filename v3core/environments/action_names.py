"""Names of actions, where an environment's documentation gives them."""

from collections.abc import Mapping

from v3core.environment_setup import EnvironmentSetup
from v3core.environments.nethack.ids import package_of
from v3core.insight.actions import ActionFacts, exact

MAX_WORDS = 12
"""Components of an action that are listed."""
_COMPASS = ("North", "East", "South", "West", "North-east", "South-east", "South-west", "North-west")
_FAR = tuple(f"Far {name.lower()}" for name in _COMPASS)
_DISCRETE: Mapping[str, tuple[str, ...]] = {
    "CartPole-": ("Push left", "Push right"),
    "Acrobot-": ("Torque −1", "No torque", "Torque +1"),
    "MountainCar-": ("Push left", "Do nothing", "Push right"),
    "LunarLander-": ("Do nothing", "Left engine", "Main engine", "Right engine"),
    "CarRacing-": ("Do nothing", "Steer right", "Steer left", "Gas", "Brake"),
    "FrozenLake": ("Left", "Down", "Right", "Up"),
    "CliffWalking-": ("Up", "Right", "Down", "Left"),
    "Taxi-": ("South", "North", "East", "West", "Pick up", "Drop off"),
    "Blackjack-": ("Stick", "Hit"),
    "MiniGrid-": ("Turn left", "Turn right", "Forward", "Pick up", "Drop", "Toggle", "Done"),
    "BabyAI-": ("Turn left", "Turn right", "Forward", "Pick up", "Drop", "Toggle", "Done"),
    "NetHack": ("More", *_COMPASS, *_FAR, "Up", "Down", "Wait", "Kick", "Eat", "Search"),
    "MiniHack-Corridor-": (*_COMPASS, "Open", "Kick", "Search"),
    "MiniHack-KeyRoom-": (*_COMPASS, "Pick up", "Apply"),
    "MiniHack-": _COMPASS,
}
_CONTINUOUS: Mapping[str, tuple[str, ...]] = {
    "Pendulum-": ("Torque",),
    "MountainCarContinuous-": ("Force",),
    "LunarLander": ("Main engine", "Side engines"),
    "CarRacing-": ("Steering", "Gas", "Brake"),
    "BipedalWalker": ("Hip 1", "Knee 1", "Hip 2", "Knee 2"),
}
"""By how ids begin."""


def action_names(environment: EnvironmentSetup, facts: ActionFacts, *, outputs: int) -> list[str]:
    """A name for each of the `outputs`: values of every component side by side, switches, or numbers.

    The number that the environment gives it where there is no name, and where a wrapper may have changed the actions.
    """
    known: tuple[str, ...] = ()
    chosen = environment.args.get("actions")
    if package_of(environment.env_id) is not None and isinstance(chosen, list) and not environment.wrappers:
        known = tuple(str(name).replace("_", " ").capitalize() for name in chosen)
    elif facts.kind in {"discrete", "continuous"} and not environment.wrappers:
        table = _CONTINUOUS if facts.is_continuous else _DISCRETE
        known = next((names for start, names in table.items() if environment.env_id.startswith(start)), ())
    if facts.is_continuous:
        return list(known) if len(known) == outputs else [f"Number {place}" for place in range(1, outputs + 1)]
    if facts.kind == "multi_binary":
        return [f"Switch {place}" for place in range(1, len(facts.sizes) + 1)]
    starts = facts.starts or (0,) * len(facts.sizes)
    if len(facts.sizes) == 1:
        return list(known) if len(known) == outputs else [str(starts[0] + value) for value in range(outputs)]
    return [
        f"{place}: {start + value}"
        for place, (size, start) in enumerate(zip(facts.sizes, starts, strict=True), 1)
        for value in range(size)
    ]


def chosen_words(names: list[str], facts: ActionFacts, action: list[float]) -> str:
    """An action [components] as recorded, in words; of many components the first ones."""
    if facts.is_continuous:
        words = [f"{name} {exact(value)}" for name, value in zip(names, action, strict=True)]
    elif facts.kind == "multi_binary":
        words = [f"{name} {'on' if value else 'off'}" for name, value in zip(names, action, strict=True)]
    else:
        firsts = [sum(facts.sizes[:place]) for place in range(len(facts.sizes))]
        words = [names[first + int(value)] for first, value in zip(firsts, action, strict=True)]
    left = len(words) - MAX_WORDS
    return ", ".join(words[:MAX_WORDS]) + (f" and {left} more" if left > 0 else "")
