"""Which settings differ between runs, and the runs in groups by them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from v3core.config import RunConfig, Scalar, name_apart_from_seed
from v3core.curriculum import KNOBS, setup_at, unedited
from v3core.curriculum.knobs import SETTINGS as PHASE_TITLES
from v3core.curriculum.table import to_rows
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error, suggestion
from v3core.messages import _
from v3core.overrides import SECTIONS, SETTINGS
from v3core.phrases import sentences
from v3core.store.run_row import RunRow, parse_config

CURRICULUM, ENVIRONMENT, NAME = "curriculum", "env", "name"
NOT_VARIED = {ENVIRONMENT, "episodes", "steps", "recipe", "device", "backend", "view"}
"""What may differ between runs of an experiment without being one of its questions."""
UNSET = "unset"
"""The name of no value, in names of groups."""
OF_PHASES = "phases."
"""What paths of settings of phases begin with."""
_SAID = 2
"""Settings that may stand for the name of an edited curriculum."""
_KEPT = 8192
"""Configurations whose settings are kept: a page asks for those of each run a dozen times."""
_TITLES: dict[str, str] = {
    CURRICULUM: _("Curriculum"),
    ENVIRONMENT: _("Environment"),
    NAME: _("Name without seed"),
    "until": _("End"),
    "device": _("Device"),
    "view": _("View"),
}
_OF_NO_GROUP = {NAME, "seed", CURRICULUM, "env_args", "overrides", "backend", *SECTIONS}
"""Fields of a configuration that are no setting by themselves: `env` has the arguments with it; `backend` is recorded
when a run begins."""


@dataclass(frozen=True)
class Setting:
    """A setting that differs between runs."""

    path: str
    """As `--set` has it: `ppo.epochs`, `phases.transition.load_balance`; also `curriculum`, `env`, `episodes` …"""
    title: str
    """Shown on pages."""
    values: tuple[Scalar, ...]
    """Its different values, numbers first and ascending; None for runs that do not have it."""


@dataclass(frozen=True)
class Group:
    """Runs that are alike in the settings by which they are grouped, in one environment."""

    name: str
    """Its values, as in `v3 · load_balance=0.01`; the same in every environment."""
    runs: tuple[RunRow, ...]
    """By seed."""
    curriculum: str | None
    """Name of their curriculum if it is one."""
    env: str
    """Environment in which they end, with its arguments."""
    env_id: str
    """Its Gymnasium id."""
    values: tuple[Scalar, ...]
    """Of the settings by which the runs are grouped, in their order."""


def final_environment(run: RunRow) -> EnvironmentSetup:
    """The environment of a run's last phase, in which it is evaluated at the end.

    Raises:
        V3Error: if its configuration cannot be read.
    """
    return _final_environment(run.config)


def _final_environment(config: RunConfig) -> EnvironmentSetup:
    return setup_at(config.environment, config.curriculum, len(config.curriculum.phases) - 1)


def environment_of(run: RunRow) -> str:
    """The same as text, with its arguments; two different ones never have the same text."""
    return str(settings_of(run)[ENVIRONMENT])


def is_readable(run: RunRow) -> bool:
    """Whether its configuration can be read, without which nothing says what it trained with."""
    try:
        return bool(run.config)
    except V3Error:
        return False


def settings_of(run: RunRow) -> Mapping[str, Scalar]:
    """The settings with which a run was launched, by path; without its seed and its name.

    The same mapping for all runs with these settings, so that comparing many runs is comparing the few that differ.
    """
    try:
        return _without_seed(run.config_json)
    except V3Error:
        return {CURRICULUM: run.curriculum, ENVIRONMENT: run.env}


def settings_among(runs: Sequence[RunRow], by: Collection[str] | None = None) -> list[Mapping[str, Scalar]]:
    """The settings of each run, of which a curriculum and its edits are one if their settings say how they differ.

    A sweep of a phase's setting trains `v3` where a value is the preset's own, and `v3 (edited)` elsewhere: what
    differs is that setting, not the curriculum. So edits with the same phases are called by the shortest of their
    names, unless each name is one curriculum and more than `_SAID` settings would be needed to say which; of each
    environment by itself. Runs with the same settings share the mapping.

    Args:
        runs: all runs that are compared.
        by: if given, edits are called alike only where these settings hold them apart.
    """
    settings = [settings_of(run) for run in runs]
    families: dict[tuple[Any, ...], dict[int, Mapping[str, Scalar]]] = {}
    for own in {id(own): own for own in settings}.values():
        if phases := frozenset(path for path in own if path.startswith(OF_PHASES)):
            family = own[ENVIRONMENT], unedited(str(own[CURRICULUM])), phases
            families.setdefault(family, {})[id(own)] = own
    renamed: dict[int, Mapping[str, Scalar]] = {}
    for (*_family, paths), members in families.items():
        names = {str(own[CURRICULUM]) for own in members.values()}
        if len(names) > 1 and _are_said(list(members.values()), sorted(paths), names, by):
            name = min(names, key=lambda one: (len(one), one))
            renamed |= {key: MappingProxyType({**own, CURRICULUM: name}) for key, own in members.items()}
    return [renamed.get(id(own), own) for own in settings]


def _are_said(
    members: Sequence[Mapping[str, Scalar]], paths: Sequence[str], names: Collection[str], by: Collection[str] | None
) -> bool:
    """Whether settings of phases say how these differ, better than their names do."""
    contents = {tuple(_key(own[path]) for path in paths) for own in members}
    differing = [path for path in paths if len({_key(own[path]) for own in members}) > 1]
    if by is not None and not set(differing) <= set(by):
        return False
    return bool(differing) and (len(contents) > len(names) or len(differing) <= _SAID)


@lru_cache(maxsize=_KEPT)
def _without_seed(config_json: str) -> Mapping[str, Scalar]:
    config = parse_config(config_json)
    return _settings_of(config.model_copy(update={"name": "any", "seed": 0}).model_dump_json(by_alias=True))


@lru_cache(maxsize=_KEPT)
def _settings_of(config_json: str) -> Mapping[str, Scalar]:
    config = parse_config(config_json)
    found: dict[str, Scalar] = {
        CURRICULUM: config.curriculum.name,
        ENVIRONMENT: _final_environment(config).distinct_name,
    }
    for name in type(config).model_fields:
        if name not in _OF_NO_GROUP | {ENVIRONMENT}:
            found[name] = _scalar(getattr(config, name))
    if config.length.is_by_steps:
        del found["episodes"]  # a bound that follows from the steps
    for section in SECTIONS:
        for name, value in dict(getattr(config, section)).items():
            found[f"{section}.{name}"] = _scalar(value)
    return MappingProxyType(found | _of_phases(config))


def _of_phases(config: RunConfig) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for phase, row in zip(config.curriculum.phases, to_rows(config.curriculum), strict=True):
        for name, text in vars(row).items():
            if name == "name":
                continue
            value = getattr(phase, name) if name in KNOBS else None
            # A number stays one, so that a sweep is in order; a ramp or a factor is the text that people type.
            found[f"phases.{phase.name}.{name}"] = value if isinstance(value, int | float) else text or None
    return found


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return ", ".join(map(str, value)) or None


def settings_that_differ(runs: Sequence[RunRow]) -> list[Setting]:
    """The settings in which runs differ, the curriculum first; a seed or a name is none.

    Settings of phases count where they differ within one curriculum: two curricula differ by their name.
    """
    settings = list({id(own): own for own in settings_among(runs)}.values())
    paths = list(dict.fromkeys(path for one in settings for path in one))
    found = []
    for path in paths:
        values = {_key(one.get(path)): one.get(path) for one in settings}
        if len(values) > 1 and (not path.startswith(OF_PHASES) or _differs_within(settings, path)):
            found.append(Setting(path, title_of(path), _in_order(list(values.values()))))
    return found


def _differs_within(settings: Sequence[Mapping[str, Scalar]], path: str) -> bool:
    """Whether a setting differs between runs of one curriculum."""
    by_curriculum: dict[Scalar, set[Any]] = {}
    for one in settings:
        by_curriculum.setdefault(one[CURRICULUM], set()).add(_key(one.get(path)))
    return any(len(values) > 1 for values in by_curriculum.values())


def _key(value: Scalar) -> tuple[bool, Scalar]:
    return isinstance(value, bool), value  # to Python, True is 1


def _in_order(values: Sequence[Scalar]) -> tuple[Scalar, ...]:
    """Numbers ascending, then texts in alphabetical order, then no value."""

    def place(value: Scalar) -> tuple[int, float, str]:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return 0, value, ""
        return (2, 0.0, "") if value is None else (1, 0.0, str(value))

    return tuple(sorted(values, key=place))


def title_of(path: str) -> str:
    """The title of a setting by its path, as in `Load balance in transition`."""
    if path in _TITLES:
        return _TITLES[path]
    if path in SETTINGS:
        return SETTINGS[path].title
    if path.startswith(OF_PHASES):
        phase, _dot, name = path.removeprefix(OF_PHASES).rpartition(".")
        title = _TITLES.get(name) or (PHASE_TITLES[name].title if name in PHASE_TITLES else _worded(name))
        return _("{setting} in {phase}", setting=title, phase=phase)
    return _worded(path)


def _worded(name: str) -> str:
    return _(name.replace("_", " ").capitalize())


def grouped(runs: Sequence[RunRow], by: Sequence[str] = (CURRICULUM,)) -> list[Group]:
    """The runs in groups by the values of settings, and always apart by environment; in the order of the values.

    Raises:
        V3Error: for a path that no run has; it names close matches.
    """
    settings = settings_among(runs, by)
    if NAME in by:
        settings = [{**own, NAME: name_of(run)} for run, own in zip(runs, settings, strict=True)]
    known = {path for one in settings for path in one}
    for path in by:
        if runs and path not in known:
            raise V3Error(sentences(_("No run has a setting '{path}'.", path=path), suggestion(path, known)))
    found: dict[tuple[Any, ...], list[int]] = {}
    for place, one in enumerate(settings):
        found.setdefault((_key(one[ENVIRONMENT]), *(_key(one.get(path)) for path in by)), []).append(place)
    ranks = [_ranks([one.get(path) for one in settings]) for path in (ENVIRONMENT, *by)]
    keys = sorted(found, key=lambda key: tuple(rank[value] for rank, value in zip(ranks, key, strict=True)))
    groups = []
    for key in keys:
        members = sorted((runs[place] for place in found[key]), key=lambda run: (run.seed, run.created_at, run.id))
        values = tuple(value for _, value in key[1:])
        curricula = {settings[place][CURRICULUM] for place in found[key]}
        groups.append(
            Group(
                name=group_name(by, values),
                runs=tuple(members),
                curriculum=str(next(iter(curricula))) if len(curricula) == 1 else None,
                env=str(key[0][1]),
                env_id=_env_id(members[0]),
                values=values,
            )
        )
    return groups


def name_of(run: RunRow) -> str:
    """The name of a run without its environment and seed."""
    return name_apart_from_seed(run.name, run.config.environment) if is_readable(run) else run.name


def _ranks(values: Sequence[Scalar]) -> dict[tuple[bool, Scalar], int]:
    distinct = list({_key(value): value for value in values}.values())
    return {_key(value): rank for rank, value in enumerate(_in_order(distinct))}


def group_name(by: Sequence[str], values: Sequence[Scalar]) -> str:
    """As in `v3 · load_balance=0.01`; `all runs` if they are grouped by nothing but their environment.

    The phase or section of a setting is named where two have that setting: `warmup.load_balance=0`.
    """
    last = Counter(path.rpartition(".")[2] for path in by)

    def called(path: str) -> str:
        short = path.rpartition(".")[2]
        return short if last[short] == 1 else path.removeprefix(OF_PHASES)

    parts = [
        shown_value(value) if path in (CURRICULUM, ENVIRONMENT, NAME) else f"{called(path)}={shown_value(value)}"
        for path, value in zip(by, values, strict=True)
    ]
    return " · ".join(parts) or _("all runs")


def shown_value(value: Scalar) -> str:
    """A setting's value as text, as `--set` takes it."""
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _env_id(run: RunRow) -> str:
    try:
        return final_environment(run).env_id
    except V3Error:
        return run.env
