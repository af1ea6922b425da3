"""Names of actions, where an environment's documentation gives them."""

from collections.abc import Iterable, Mapping

from v3core.environment_setup import EnvironmentSetup
from v3core.insight.actions import ActionFacts, exact
from v3core.insight.seen_words import in_words
from v3core.messages import Message, _
from v3core.phrases import listed, strung

MAX_WORDS = 12
"""Components of an action that are listed."""
_DISCRETE: Mapping[str, tuple[str, ...]] = {
    "CartPole-": (_("Push left"), _("Push right")),
    "Acrobot-": (_("Torque −1"), _("No torque"), _("Torque +1")),
    "MountainCar-": (_("Push left"), _("Do nothing"), _("Push right")),
    "LunarLander-": (_("Do nothing"), _("Left engine"), _("Main engine"), _("Right engine")),
    "CarRacing-": (_("Do nothing"), _("Steer right"), _("Steer left"), _("Gas"), _("Brake")),
    "FrozenLake": (_("Left"), _("Down"), _("Right"), _("Up")),
    "CliffWalking-": (_("Up"), _("Right"), _("Down"), _("Left")),
    "Taxi-": (_("South"), _("North"), _("East"), _("West"), _("Pick up"), _("Drop off")),
    "Blackjack-": (_("Stick"), _("Hit")),
    "MiniGrid-": (_("Turn left"), _("Turn right"), _("Forward"), _("Pick up"), _("Drop"), _("Toggle"), _("Done")),
    "BabyAI-": (_("Turn left"), _("Turn right"), _("Forward"), _("Pick up"), _("Drop"), _("Toggle"), _("Done")),
}
_CONTINUOUS: Mapping[str, tuple[str, ...]] = {
    "Pendulum-": (_("Torque"),),
    "MountainCarContinuous-": (_("Force"),),
    "LunarLander": (_("Main engine"), _("Side engines")),
    "CarRacing-": (_("Steering"), _("Gas"), _("Brake")),
    "BipedalWalker": (_("Hip 1"), _("Knee 1"), _("Hip 2"), _("Knee 2")),
}
"""By how ids begin."""
_NETHACK: Mapping[str, str] = {
    **{"N": _("North"), "E": _("East"), "S": _("South"), "W": _("West")},
    **{"NE": _("North-east"), "SE": _("South-east"), "SW": _("South-west"), "NW": _("North-west")},
    **{"FAR_N": _("Far north"), "FAR_E": _("Far east"), "FAR_S": _("Far south"), "FAR_W": _("Far west")},
    **{"FAR_NE": _("Far north-east"), "FAR_SE": _("Far south-east")},
    **{"FAR_SW": _("Far south-west"), "FAR_NW": _("Far north-west")},
    **{"UP": _("Up"), "DOWN": _("Down"), "WAIT": _("Wait"), "MORE": _("More"), "KICK": _("Kick"), "EAT": _("Eat")},
    **{"SEARCH": _("Search"), "OPEN": _("Open"), "PICKUP": _("Pick up"), "APPLY": _("Apply")},
    **{"ADJUST": _("Adjust a letter"), "ATTRIBUTES": _("Show attributes"), "CALL": _("Name a thing")},
    **{"CAST": _("Cast a spell"), "CHAT": _("Chat"), "CLOSE": _("Close a door"), "DIP": _("Dip")},
    **{"DROP": _("Drop"), "DROPTYPE": _("Drop several"), "ENGRAVE": _("Engrave"), "ENHANCE": _("Enhance a skill")},
    **{"ESC": _("Escape"), "FIGHT": _("Fight"), "FIRE": _("Fire"), "FORCE": _("Force a lock")},
    **{"INVENTORY": _("Show inventory"), "INVENTTYPE": _("Show inventory by kind"), "INVOKE": _("Invoke")},
    **{"JUMP": _("Jump"), "LOOK": _("Look here"), "LOOT": _("Loot"), "MONSTER": _("Use a monster's power")},
    **{"MOVE": _("Move only"), "MOVEFAR": _("Move far only"), "OFFER": _("Offer a sacrifice"), "PAY": _("Pay")},
    **{"PRAY": _("Pray"), "PUTON": _("Put on"), "QUAFF": _("Quaff"), "QUIVER": _("Fill the quiver")},
    **{"READ": _("Read a scroll"), "REMOVE": _("Take off a ring"), "RIDE": _("Ride"), "RUB": _("Rub")},
    **{"RUSH": _("Rush"), "RUSH2": _("Rush farther"), "SEEARMOR": _("Show armour"), "SEERINGS": _("Show rings")},
    **{"SEETOOLS": _("Show tools"), "SEETRAP": _("Show a trap"), "SEEWEAPON": _("Show the weapon")},
    **{"SHELL": _("Shell"), "SIT": _("Sit"), "SWAP": _("Swap weapons"), "TAKEOFF": _("Take off armour")},
    **{"TAKEOFFALL": _("Take off several"), "THROW": _("Throw"), "TIP": _("Tip over"), "TURN": _("Turn undead")},
    **{"TWOWEAPON": _("Two weapons"), "UNTRAP": _("Untrap"), "VERSIONSHORT": _("Show the version")},
    **{"WEAR": _("Wear armour"), "WIELD": _("Wield"), "WIPE": _("Wipe the face"), "ZAP": _("Zap a wand")},
    **{"PLUS": _("Plus"), "QUOTE": _("Quotation mark"), "DOLLAR": _("Dollar sign"), "SPACE": _("Space")},
}
"""Of the names of NetHack's actions that its environments have; of others the name itself is shown."""


def words_of(names: Iterable[str]) -> list[str]:
    """What actions are called, by their names in the environment."""
    return [_NETHACK.get(name, name.replace("_", " ").capitalize()) for name in names]


def known_names(environment: EnvironmentSetup, kind: str, outputs: int) -> tuple[str, ...]:
    """Names of the `outputs` of an environment that gives none itself, from its documentation; else empty."""
    if kind not in {"discrete", "continuous"} or environment.wrappers:
        return ()
    table = _CONTINUOUS if kind == "continuous" else _DISCRETE
    names = next((names for start, names in table.items() if environment.env_id.startswith(start)), ())
    return names if len(names) == outputs else ()


def action_names(environment: EnvironmentSetup, facts: ActionFacts, *, outputs: int) -> list[str]:
    """A name for each of the `outputs`: values of every component side by side, switches, or numbers.

    The number that the environment gives it where there is no name, and where a wrapper may have changed the actions.
    """
    known = tuple(words_of(facts.names)) or known_names(environment, facts.kind, outputs)
    if facts.is_continuous:
        if len(known) == outputs:
            return list(known)
        return [_("Number {place:d}", place=place) for place in range(1, outputs + 1)]
    if facts.kind == "multi_binary":
        return [_("Switch {place:d}", place=place) for place in range(1, len(facts.sizes) + 1)]
    starts = facts.starts or (0,) * len(facts.sizes)
    if len(facts.sizes) == 1:
        return list(known) if len(known) == outputs else [str(starts[0] + value) for value in range(outputs)]
    return [
        f"{place}: {start + value}"
        for place, (size, start) in enumerate(zip(facts.sizes, starts, strict=True), 1)
        for value in range(size)
    ]


def chosen_words(names: list[str], facts: ActionFacts, action: list[float]) -> Message:
    """An action [components] as recorded, in the reader's words; of many components the first ones."""
    words: list[str]
    if facts.is_continuous:
        words = [strung(" ", [in_words(name), exact(value)]) for name, value in zip(names, action, strict=True)]
    elif facts.kind == "multi_binary":
        words = [
            _("{switch} on", switch=in_words(name)) if value else _("{switch} off", switch=in_words(name))
            for name, value in zip(names, action, strict=True)
        ]
    else:
        firsts = [sum(facts.sizes[:place]) for place in range(len(facts.sizes))]
        words = [in_words(names[first + int(value)]) for first, value in zip(firsts, action, strict=True)]
    left = len(words) - MAX_WORDS
    first = listed(words[:MAX_WORDS])
    return _("{actions} and {count} more", actions=first, count=left) if left > 0 else first
