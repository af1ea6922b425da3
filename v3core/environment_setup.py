"""The exact environment: a Gymnasium id, its arguments, and the wrappers around it."""

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator

from v3core.errors import V3Error
from v3core.messages import _

VIEW = 2
"""Newest version of what the policy sees and obeys of an environment: `EnvironmentSetup.view`."""
MAX_ARGUMENTS = 32
MAX_WRAPPERS = 16
MAX_TEXT = 2000
"""Characters of all arguments, or of one wrapper, as text."""
_SHOWN = 60
"""Maximum length of the arguments shown after an environment's id in lists."""
TASK_ID = "task_id"
"""Argument of several environments at once: whether an observation says which of them it is of."""
MAX_TASKS = 16
"""Most environments that a run trains on at once: each copy of them is held in memory."""
_AND = "+"
"""Between the environments that a run trains on at once: no Gymnasium id contains it."""
_RESERVED = ("id", "disable_env_checker")
"""Arguments of `gymnasium.make` that are not the environment's."""
NETHACK_WRAPPERS = "v3core.environments.nethack"
"""The module of V3 Lab's own wrappers of NetHack."""
_OURS = ("gymnasium.wrappers", "minigrid.wrappers", NETHACK_WRAPPERS)
"""Modules of wrappers that V3 Lab depends on: naming them runs no code that is not part of it already."""

_NAME = re.compile(r"[A-Za-z_]\w*")
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_WRAPPER = re.compile(
    r"(?:(?P<module>[A-Za-z_][\w.]*):)?(?P<name>[A-Za-z_]\w*)\s*(?:\((?P<arguments>.*)\))?", re.DOTALL
)
_OF_SEVERAL = re.compile(r"(?P<id>[^\s()]+)\s*(?:\((?P<args>.*)\))?", re.DOTALL)
_WORDS = {"true": True, "false": False, "null": None, "~": None}

EnvArg = bool | int | float | str | list[Any] | None
"""A value that YAML, JSON and a command line can carry: a scalar, or a list of them."""


class _Scalars(yaml.SafeLoader):
    """Reads what is quoted or in brackets; scalars inside are those of YAML 1.2 (`no` is a word, `1:30` a text)."""


_Scalars.yaml_implicit_resolvers = {}


def _construct(_loader: Any, node: Any) -> EnvArg:
    return str(node.value) if node.style else _scalar(node.value)


_Scalars.add_constructor("tag:yaml.org,2002:str", _construct)


def parse_value(text: str) -> EnvArg:
    """The value that a text spells: a number, true, false, null, a list in brackets, or the text itself."""
    text = text.strip()
    if not text.startswith(("[", '"', "'")):
        return _scalar(text)
    try:
        value: EnvArg = yaml.load(text, Loader=_Scalars)
    except yaml.YAMLError:
        raise V3Error(
            "'{text}' cannot be parsed; close its quotation marks and brackets.", text=text[:_SHOWN]
        ) from None
    return value


def _scalar(text: str) -> EnvArg:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def format_value(value: EnvArg) -> str:
    """The text that `parse_value` reads as this value."""
    if isinstance(value, str):
        plain = value == value.strip() and not re.search(r"[,\n\"'\[\](){}\\]", value) and _scalar(value) == value
        return value if plain and value else json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def parse_args(texts: Iterable[str]) -> dict[str, EnvArg]:
    """Arguments from texts such as `size=8`; a V3Error names the one that is invalid or not allowed."""
    args: dict[str, EnvArg] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            raise V3Error(
                "'{text}' is not an argument of an environment; write NAME=VALUE, such as size=8.", text=text[:_SHOWN]
            )
        if name.strip() in args:
            raise V3Error("The environment's argument '{strip}' is given twice; remove one.", strip=name.strip())
        args[name.strip()] = parse_value(value)
    return _checked_args(args, V3Error)


def split(text: str) -> list[str]:
    """The parts of a text between commas or line breaks that stand outside of quotation marks and brackets."""
    return [part.strip() for part in _split(text) if part.strip()]


def _split(text: str, at: str = ",\n") -> Iterator[str]:
    part, depth, quote, escaped = "", 0, "", False
    for letter in text:
        if escaped:
            escaped = False
        elif quote:
            escaped = letter == "\\" and quote == '"'
            quote = "" if letter == quote else quote
        elif letter in "\"'" and (not part or part[-1] in "=[(, "):
            quote = letter
        elif letter in "[](){}":
            depth += 1 if letter in "[({" else -1
        elif letter in at and depth <= 0:
            yield part
            part = ""
            continue
        part += letter
    yield part


def is_several(env_id: str) -> bool:
    """Whether a text names several environments at once, as in `A + B(size=8) + C`."""
    return _AND in env_id


def canonical(env_id: str) -> str:
    """An environment's id as it is kept: of several the same text however they are spaced."""
    return " + ".join(map(_named, _of_several(env_id))) if is_several(env_id) else env_id


def joined(envs: Iterable[str]) -> str:
    """The text that names all of these environments at once; V3Error if they are fewer than two."""
    names = [env.strip() for env in envs]
    if len(names) < 2 and not any(map(is_several, names)):
        given = _("only {names}", names=names[0]) if names else _("none")
        raise V3Error("envs names {given}; give at least two environments there, or one as env.", given=given)
    return canonical(" + ".join(names))


_Named = tuple[str, dict[str, "EnvArg"]]


def _named(one: _Named) -> str:
    env_id, args = one
    return f"{env_id}({format_args(args)})" if args else env_id


def _of_several(text: str) -> list[_Named]:
    """Ids and own arguments of several environments.

    Raises:
        V3Error: if one is missing or twice, if they are too many, or an argument is not one.
    """
    parts = [part.strip() for part in _split(text, _AND)]
    if not all(parts):
        raise V3Error(
            "'{text}' has a {and_} without an environment beside it; write an id on both sides, as in Acrobot-v1 + "
            "CartPole-v1.",
            text=text[:_SHOWN],
            and_=_AND,
        )
    if len(parts) > MAX_TASKS:
        raise V3Error(
            "{parts} environments are too many for one run; name at most {max_tasks}.",
            parts=len(parts),
            max_tasks=MAX_TASKS,
        )
    found: list[_Named] = []
    for part in parts:
        match = _OF_SEVERAL.fullmatch(part)
        if match is None:
            raise V3Error(
                "'{part}' is not an environment id; write it as in MiniGrid-Empty-5x5-v0(size=8).", part=part[:_SHOWN]
            )
        one = (match["id"], parse_args(split(match["args"] or "")))
        if one in found:
            raise V3Error(
                "Environment {named} is named twice; name it once, or give one other arguments.", named=_named(one)
            )
        found.append(one)
    return found


def format_args(args: Mapping[str, EnvArg]) -> str:
    """As in `size=8, map_name=8x8`; `parse_args(split(…))` is the inverse."""
    return ", ".join(f"{name}={format_value(value)}" for name, value in args.items())


@dataclass(frozen=True)
class Wrapper:
    """A wrapper by name, with its arguments after the environment."""

    module: str
    """The one it is in; `gymnasium.wrappers` unless named."""
    name: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def imports(self) -> bool:
        """Whether naming it imports code that is no part of V3 Lab."""
        return self.module not in _OURS


def parse_wrapper(text: str) -> Wrapper:
    """A wrapper from text such as `FrameStackObservation(stack_size=4)` or `my_envs:Scaled`; V3Error if it is none."""
    found = _WRAPPER.fullmatch(text.strip()) if len(text) <= MAX_TEXT else None
    if found is None:
        raise V3Error(
            "'{text}' is not a wrapper; write its name, such as FlattenObservation, "
            "TimeLimit(max_episode_steps=200) or module:Class.",
            text=text[:_SHOWN],
        )
    arguments, keywords = _call_arguments(text, found["arguments"] or "")
    return Wrapper(found["module"] or _OURS[0], found["name"], arguments, keywords)


def _call_arguments(text: str, inside: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        call = ast.parse(f"_({inside}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        keywords = {keyword.arg: _literal(keyword.value) for keyword in call.keywords}
        if None in keywords:
            raise ValueError
        return tuple(map(_literal, call.args)), {str(name): value for name, value in keywords.items()}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise V3Error(
            "The arguments of wrapper '{text}' cannot be parsed; write them as in ResizeObservation(shape=(84, "
            "84)), with quotation marks around words.",
            text=text[:_SHOWN],
        ) from None


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    return ast.literal_eval(node)


def _checked_args(value: Any, error: type[Exception] = ValueError) -> dict[str, EnvArg]:
    """Validated arguments."""
    if not isinstance(value, Mapping):
        raise error(
            _(
                "The environment's arguments are not a mapping; write them as in env_args: {example}.",
                example="{size: 8}",
            )
        )
    if len(value) > MAX_ARGUMENTS:
        raise error(
            _("The environment has {count} arguments; give at most {most}.", count=len(value), most=MAX_ARGUMENTS)
        )
    for name, given in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise error(
                _("{name!r} is not a valid name of an environment argument; use letters, digits and _.", name=name)
            )
        if name in _RESERVED:
            raise error(_("'{name}' is not allowed as an environment argument; remove it.", name=name))
        if not _is_plain(given):
            raise error(
                _(
                    "The environment's argument '{name}' must be a finite number, a string, true, false, null or a "
                    "list of them.",
                    name=name,
                )
            )
    if len(text := format_args(value)) > MAX_TEXT:
        raise error(
            _(
                "The environment's arguments have {count} characters; give at most {most}.",
                count=len(text),
                most=MAX_TEXT,
            )
        )
    return dict(value)


def _is_plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, list):
        return depth < 3 and all(_is_plain(entry, depth + 1) for entry in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | str) or (isinstance(value, int) and abs(value) < 2**63)


def _checked_wrappers(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(_("The wrappers are not a list of names; write them as in wrappers: [FlattenObservation]."))
    if len(value) > MAX_WRAPPERS:
        raise ValueError(
            _("There are {value} wrappers; give at most {max_wrappers}.", value=len(value), max_wrappers=MAX_WRAPPERS)
        )
    for entry in value:
        try:
            parse_wrapper(entry)
        except V3Error as problem:
            raise ValueError(problem.message) from None
    return tuple(entry.strip() for entry in value)


EnvArgs = Annotated[dict[str, EnvArg], BeforeValidator(_checked_args)]
"""Field of a model: an environment's arguments by name."""
Wrappers = Annotated[tuple[str, ...], BeforeValidator(_checked_wrappers)]
"""Field of a model: wrappers as `parse_wrapper` reads them, innermost first."""


@dataclass(frozen=True)
class EnvironmentSetup:
    """Everything that determines an environment."""

    env_id: str
    """Gymnasium id; `module:Env-v0` imports `module` first. Of several environments at once, a task each, their ids and
    own arguments, as in `A + B(size=8)`."""
    args: Mapping[str, EnvArg] = field(default_factory=dict)
    """Arguments in addition to the registered ones; of several environments those of all, and `task_id`."""
    wrappers: tuple[str, ...] = ()
    """Around it, innermost first."""
    view: int = VIEW
    """Version of what the policy sees and obeys of it. 1: of a MiniGrid the cells alone, and no action masks. 2: its
    direction and mission too, and action masks."""

    def __post_init__(self) -> None:
        _checked_args(self.args, V3Error)  # they may come from an untrusted checkpoint

    def __str__(self) -> str:
        """Its id, with its arguments if it has any, as in `MiniGrid-Empty-5x5-v0 (size=8)`."""
        text = format_args(self.args)
        shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
        return f"{self.env_id} ({shown})" if shown else self.env_id

    @property
    def distinct_name(self) -> str:
        """The same text; if it is shortened, with a short hash of the arguments, so that others have another one."""
        text, shown = format_args(self.args), str(self)
        if len(text) <= _SHOWN:
            return shown
        return f"{shown[:-1]} #{blake2b(text.encode(), digest_size=3).hexdigest()})"

    def in_phase(self, env_id: str | None, args: Mapping[str, EnvArg]) -> "EnvironmentSetup":
        """The environment of a phase, whose id is `env_id` unless that is None and for which phases set `args`.

        Arguments belong to an id: those of a run do not apply to another; wrappers do.
        """
        if env_id is None or env_id == self.env_id:
            return replace(self, args={**self.args, **args})
        return replace(self, env_id=env_id, args=dict(args))

    @property
    def tasks(self) -> tuple["EnvironmentSetup", ...]:
        """The environments that it is made of, if it is several at once; else none. V3Error if they are invalid."""
        if not is_several(self.env_id):
            return ()
        shared = {name: value for name, value in self.args.items() if name != TASK_ID}
        return tuple(replace(self, env_id=env_id, args={**shared, **args}) for env_id, args in _of_several(self.env_id))

    @property
    def task_names(self) -> tuple[str, ...]:
        """What each of several environments is called: its id with its own arguments. None of a single environment."""
        return tuple(map(_named, _of_several(self.env_id))) if is_several(self.env_id) else ()

    @property
    def identifies_tasks(self) -> bool:
        """Whether an observation of several environments says which of them it is of; V3Error if that is invalid."""
        given = self.args.get(TASK_ID, True)
        if not isinstance(given, bool):
            raise V3Error(
                "{task_id} is {format_value}; it must be true or false.",
                task_id=TASK_ID,
                format_value=format_value(given),
            )
        return is_several(self.env_id) and given

    @property
    def imports(self) -> tuple[str, ...]:
        """Its parts that import code: ids of the form `module:Env-v0`, wrappers of the form `module:Class`."""
        ids = [task.env_id for task in self.tasks] or [self.env_id]
        environment = tuple(dict.fromkeys(env_id for env_id in ids if ":" in env_id))
        return environment + tuple(text for text in self.wrappers if parse_wrapper(text).imports)


def setup_of(env: "EnvironmentSetup | str") -> EnvironmentSetup:
    """A setup; of an id alone, the environment as it was registered."""
    return env if isinstance(env, EnvironmentSetup) else EnvironmentSetup(env)
