"""The arguments of a NetHack or MiniHack that can be given: of the right type, and none that writes or reads files."""

from collections.abc import Mapping
from typing import Any

from v3core.environment_setup import EnvArg, format_value
from v3core.errors import V3Error, suggestion
from v3core.messages import Message, _
from v3core.phrases import listed, one_of

REFUSED = {
    "savedir": _("it writes files; remove it"),
    "save_ttyrec_every": _("it writes files; remove it"),
    "des_file": _(
        "it reads a file, or compiles a level; register that level as an environment in a module of your own"
    ),
    "env_name": _("it names another environment, whose module it imports; remove it"),
    "reward_manager": _("it takes an object of Python; register an environment with it in a module of your own"),
    "use_wiki": _("it needs files of a wiki, which MiniHack does not let one name; remove it"),
}
"""What the visitor of a page must not have a server do, or cannot be written as text."""

_SWITCHES = (
    *("wizard", "allow_all_yn_questions", "allow_all_modes", "spawn_monsters", "fix_moon_phase"),
    *("autopickup", "pet", "include_see_actions", "include_alignment_blstats"),
)
_NUMBERS = ("penalty_step", "penalty_time", "reward_win", "reward_lose", "reward_shaping_coefficient")
_CHOICES = {
    "penalty_mode": ("constant", "exp", "square", "linear", "always"),
    "render_mode": ("ansi", "full"),
    "level_set": ("unfiltered", "medium", "hard"),
    "level_mode": ("train", "valid", "test"),
}
"""The last two are names of folders of Boxoban's levels."""
_BROKEN = ("program_state", "internal", "misc", "screen_descriptions_crop")
"""Observations of which MiniHack has a space, and which it does not return, or in another shape."""
_TOO_LARGE = "pixel"
"""The whole map drawn, an image of MiniHack's that no state graph takes; its `pixel_crop` is small enough."""
_MOST_SEED = 2**31 - 1

_ROLES = {
    "archeologist": "hum dwa gno, law neu, mal fem",
    "barbarian": "hum orc, neu cha, mal fem",
    "caveman": "hum dwa gno, law neu, mal fem",
    "healer": "hum gno, neu, mal fem",
    "knight": "hum, law, mal fem",
    "monk": "hum, law neu cha, mal fem",
    "priest": "hum elf, law neu cha, mal fem",
    "ranger": "hum elf gno orc, neu cha, mal fem",
    "rogue": "hum orc, cha, mal fem",
    "samurai": "hum, law, mal fem",
    "tourist": "hum, neu, mal fem",
    "valkyrie": "hum dwa, law neu, fem",
    "wizard": "hum elf gno orc, neu cha, mal fem",
}
"""Races, alignments and genders that each role can have: NetHack 3.6, role.c."""
_ALIGNMENT_OF = {"elf": "cha", "dwa": "law", "gno": "neu", "orc": "cha"}
"""Of the races that have but one; humans have that of their role."""
_PART_NAMES = (_("race"), _("alignment"), _("gender"))


def check_arguments(args: Mapping[str, EnvArg], package: str) -> None:
    """Raise a V3Error, one sentence, for an argument of an environment of `nle` or `minihack` that cannot be given.

    `actions` and `max_episode_steps` are not looked at.
    """
    for name, value in args.items():
        if name in REFUSED:
            raise V3Error("its argument '{name}' is not allowed, because {reason}.", name=name, reason=REFUSED[name])
        if wrong := _wrong(name, value, package):
            raise V3Error(
                "its argument '{name}' is {value}; {wrong}.", name=name, value=format_value(value), wrong=wrong
            )
    if "character" in args:
        _check_character(args["character"])
    if "observation_keys" in args:
        _check_keys(args["observation_keys"], package)
    if "options" in args and args["options"] is not None:
        _check_options(args["options"])


def _wrong(name: str, value: EnvArg, package: str) -> Message | None:
    """What a value must be, if it is not that."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _SWITCHES and not isinstance(value, bool):
        return _("it must be true or false")
    if name in _NUMBERS and not number:
        return _("it must be a number")
    if name in _CHOICES and value not in _CHOICES[name]:
        return _("it must be {choices}", choices=one_of(_CHOICES[name]))
    if name in ("obs_crop_h", "obs_crop_w") and not (_is_whole(value, 1, 99) and value % 2 == 1):  # type: ignore[operator]
        return _("it must be an odd whole number from 1 to 99")
    if name == "obs_crop_pad" and not _is_whole(value, 0, 10000):
        return _("it must be a whole number of at least 0")
    if name == "seeds" and package == "minihack" and value is not None:
        right = isinstance(value, list) and value and all(_is_whole(seed, 0, _MOST_SEED) for seed in value)
        return None if right else _("it must be a list of whole numbers from 0 to 2147483647, such as [1,2,3]")
    return None


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _names(argument: str, value: EnvArg, example: str) -> list[str]:
    """A list of names; V3Error if it is none, or empty."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise V3Error(
            "{argument} is not a list of names; write it as in {example}.", argument=argument, example=example
        )
    if not value:
        raise V3Error(
            "{argument} is an empty list; name at least one, as in {example}.", argument=argument, example=example
        )
    return value


def _check_keys(value: EnvArg, package: str) -> None:
    names = _names("observation_keys", value, "observation_keys=[glyphs,blstats]")
    known = _keys_of(package)
    for name in names:
        if package == "minihack" and name in _BROKEN:
            raise V3Error("MiniHack does not return its observation '{name}' as it says; leave it out.", name=name)
        if package == "minihack" and name == _TOO_LARGE:
            raise V3Error(
                "MiniHack's observation '{name}' is a larger image than the policy supports; name pixel_crop, or leave "
                "it out.",
                name=name,
            )
        if name not in known:
            hint = suggestion(name, known) or _("It has {known}.", known=listed(list(known)))
            raise V3Error("NetHack has no observation '{name}'. {hint}", name=name, hint=hint)


def _keys_of(package: str) -> list[str]:
    from nle.env.base import NLE_SPACE_ITEMS

    known = [name for name, _space in NLE_SPACE_ITEMS]
    if package == "minihack":
        from minihack.base import MINIHACK_SPACE_FUNCS

        known = [name for name in (*known, *MINIHACK_SPACE_FUNCS) if name not in _BROKEN]
    return known


def _check_options(value: EnvArg) -> None:
    """Options of NetHack, which reads the first as the name of a file if it begins with one of three letters."""
    names = _names("options", value, "options=[color,showexp]")
    if ",".join(names).lstrip().startswith(("@", "/", "\\")):
        raise V3Error("options begins with the name of a file, {name}; name options alone.", name=names[0])


def actions_of(names: EnvArg) -> list[Any]:
    """NetHack's actions for a list of their names; V3Error names one that there is not."""
    from nle import nethack

    groups = (nethack.Command, nethack.MiscAction, nethack.MiscDirection, nethack.CompassDirection)
    known = {name_of(action): action for group in (*groups, nethack.CompassDirectionLonger) for action in group}
    given = _names("actions", names, "actions=[N,E,S,W,SEARCH]")
    for name in given:
        if name.upper() not in known:
            hint = suggestion(name.upper(), known) or _("It has {known}.", known=listed(list(known)))
            raise V3Error("NetHack has no action '{name}'. {hint}", name=name, hint=hint)
    if len(set(map(str.upper, given))) < len(given):
        raise V3Error("actions names an action twice; name each once.")
    return [known[name.upper()] for name in given]


def name_of(action: Any) -> str:
    """Of one of NetHack's actions, as the argument `actions` has it; two of its lists have the same names."""
    far = "FAR_" if type(action).__name__ == "CompassDirectionLonger" else ""
    return f"{far}{action.name}"


def _check_character(value: EnvArg) -> None:
    """A role with its parts, as `mon-hum-neu-mal`; `@` for a random one.

    NetHack takes anything, and plays a random one instead of what it does not know.
    """
    if value == "@":
        return
    parts = value.lower().split("-") if isinstance(value, str) else []
    role = next((role for role in _ROLES if parts and parts[0] == role[:3]), None)
    if role is None or len(parts) != 1 + len(_PART_NAMES):
        raise V3Error(
            "character is {value}; write a role, its race, alignment and gender, such as mon-hum-neu-mal, or @ for a "
            "random one.",
            value=format_value(value),
        )
    allowed = [part.split() for part in _ROLES[role].split(", ")]
    if parts[1] in allowed[0] and parts[1] in _ALIGNMENT_OF:
        allowed[1] = [_ALIGNMENT_OF[parts[1]]]
    for what, part, known in zip(_PART_NAMES, parts[1:], allowed, strict=True):
        if part not in known:
            raise V3Error(
                "character is {value}, but the {what} of such a {role} is {known}; NetHack would play another one.",
                value=format_value(value),
                what=what,
                role=role,
                known=one_of(known),
            )
