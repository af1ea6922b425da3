"""The settings of a recipe and a curriculum that can be changed on Launch and with `--set PATH=VALUE`, declared once.

`ppo.epochs=4` changes the recipe, `phases.transition.load_balance=0.001` the curriculum, and
`episode_facts.score=game.score` what is recorded of episodes' ends.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from v3core.config import BaseConfig, EvaluationConfig, Override, PolicyConfig, PPOConfig, Recipe, Scalar
from v3core.curriculum import KNOBS, Curriculum, check_fits, renamed
from v3core.curriculum.knobs import Range
from v3core.curriculum.table import SETTINGS as PHASE_SETTINGS
from v3core.curriculum.table import parse_setting
from v3core.curriculum.typed import format_number
from v3core.errors import V3Error, explain, explained, suggestion
from v3core.messages import _
from v3core.phrases import listed, one_of

SECTIONS: dict[str, type[BaseModel]] = {
    "base": BaseConfig,
    "ppo": PPOConfig,
    "policy": PolicyConfig,
    "evaluation": EvaluationConfig,
}
_TITLES = {
    "ppo.gamma": _("Discount γ"),
    "ppo.gae_lambda": _("GAE λ"),
    "ppo.clip": _("Clip range"),
    "ppo.max_grad_norm": _("Max gradient norm"),
    "ppo.balance_on": _("Balance losses read"),
    "evaluation.every": _("Evaluate every"),
    "evaluation.knockout": _("Episodes without each expert"),
    "evaluation.sampled": _("Sample actions"),
    **{f"base.{name}": KNOBS[name].title for name in BaseConfig.model_fields},
}
_KINDS = {"integer": int, "number": float, "boolean": bool, "string": str}
FACTS = "episode_facts."
_LONGEST_NUMBER = 12
"""Digits of a whole number; a longer one is a typo."""


@dataclass(frozen=True)
class Setting:
    """One setting of a recipe."""

    path: str
    """As in `ppo.epochs`."""
    title: str
    """Shown on pages."""
    meaning: str
    """One sentence or two."""
    kind: type[int] | type[float] | type[bool] | type[str]
    allowed: Range
    """The allowed numbers."""
    choices: tuple[str, ...] = ()
    """The allowed values of a setting that is not a number."""
    optional: bool = False
    """Whether it can be left empty."""

    @property
    def section(self) -> str:
        """As in `ppo`."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """As in `epochs`."""
        return self.path.partition(".")[2]

    @property
    def _words(self) -> str:
        if self.choices:
            return _("choose {choices}", choices=one_of(self.choices))
        words = self.allowed.words
        if self.kind is int and self.optional:
            return _("give a whole number {words}, or nothing", words=words)
        if self.kind is int:
            return _("give a whole number {words}", words=words)
        if self.optional:
            return _("give a number {words}, or nothing", words=words)
        return _("give a number {words}", words=words)

    def parse(self, text: str) -> Scalar:
        """The value of a typed text; a V3Error says what is allowed."""
        typed = text.strip()
        value = self._read(typed)
        if value is None and not (self.optional and not typed):
            shown = f"'{typed[:40]}{'…' * (len(typed) > 40)}'" if typed else _("empty")
            raise V3Error(
                "{title} ({path}) is {shown}; {words}.",
                title=self.title,
                path=self.path,
                shown=shown,
                words=self._words,
            )
        return value

    def _read(self, text: str) -> Scalar:
        """The value, or None if there is none or it is not allowed."""
        if self.choices:
            chosen = text if text in self.choices else None
            return chosen if self.kind is not bool or chosen is None else chosen == "yes"
        try:
            number = int(text) if self.kind is int and len(text) <= _LONGEST_NUMBER else float(text)
        except ValueError:
            return None
        if not math.isfinite(number) or not self.allowed.holds(number):
            return None
        return number if self.kind is float or isinstance(number, int) else None

    def show(self, value: Scalar) -> str:
        """The value as `parse` reads it."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return format_number(value) if isinstance(value, float) else str(value)

    def of(self, recipe: Recipe) -> Scalar:
        """Its value in a recipe."""
        value: Scalar = getattr(getattr(recipe, self.section), self.name)
        return value


def _declare(path: str, schema: dict[str, Any]) -> Setting:
    """The setting of a field, from its JSON schema."""
    value = schema.get("anyOf", [schema])[0]  # the second is null
    is_yes_or_no = value["type"] == "boolean"
    return Setting(
        path=path,
        title=_TITLES.get(path) or _(path.partition(".")[2].replace("_", " ").capitalize()),
        meaning=_(" ".join(schema.get("description", "").split())),
        kind=_KINDS[value["type"]],
        allowed=Range(
            low=value.get("minimum", value.get("exclusiveMinimum", -math.inf)),
            high=value.get("maximum", value.get("exclusiveMaximum", math.inf)),
            low_open="exclusiveMinimum" in value,
            high_open="exclusiveMaximum" in value,
        ),
        choices=("yes", "no") if is_yes_or_no else tuple(value.get("enum", ())),
        optional="anyOf" in schema,
    )


SETTINGS: dict[str, Setting] = {
    f"{section}.{name}": _declare(f"{section}.{name}", schema)
    for section, model in SECTIONS.items()
    for name, schema in model.model_json_schema()["properties"].items()
}
"""All settings of a recipe that can be changed, by path."""


def overridden(recipe: Recipe, values: Mapping[str, Scalar]) -> Recipe:
    """The recipe, which may have overrides already, with changed values by path; those not its own become overrides.

    V3Error if values do not go together, such as a width and heads that do not divide it.
    """
    own = {path: change.recipe for path, change in recipe.overrides.items()}
    overrides = dict(recipe.overrides)
    changes: dict[str, dict[str, Scalar]] = {}
    for path, value in values.items():
        setting = SETTINGS[path]
        before = own.get(path, setting.of(recipe))
        overrides.pop(path, None)
        if value != before:
            overrides[path] = Override(value=value, recipe=before)
        changes.setdefault(setting.section, {})[setting.name] = value
    with explained(_("The recipe")):
        sections = {
            name: SECTIONS[name].model_validate({**dict(getattr(recipe, name)), **changed})
            for name, changed in changes.items()
        }
    return recipe.model_copy(update={**sections, "overrides": overrides})


def set_values(
    recipe: Recipe,
    curricula: Sequence[Curriculum],
    episodes: int,
    assignments: Sequence[str],
    *,
    steps: int | None = None,
) -> tuple[Recipe, list[Curriculum]]:
    """Apply `--set PATH=VALUE` options to a recipe and to each curriculum.

    Args:
        recipe: the settings to change.
        curricula: whose phases may be changed; each must have the named phases.
        episodes: length of the run.
        assignments: such as `ppo.epochs=4`, `phases.warmup.lr=×0.5` and `episode_facts.score=game.score`; the last one
            for a path wins.
        steps: length of the run in environment steps, if it has such a budget.

    Raises:
        V3Error: one sentence: an unknown path with the nearest known ones, or a value with what is allowed.
    """
    values: dict[str, Scalar] = {}
    facts: dict[str, str] = {}
    changed = list(curricula)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path = path.strip()
        if not equals or not path:
            raise V3Error(
                "'{assignment}' is not a setting; write PATH=VALUE, as in ppo.epochs=4.", assignment=assignment
            )
        if path.startswith("phases.") and path.count(".") > 1:
            changed = [_with_phase_setting(curriculum, path, text, episodes, steps) for curriculum in changed]
        elif path in SETTINGS:
            values[path] = SETTINGS[path].parse(text)
        elif path.startswith(FACTS):
            facts[path.removeprefix(FACTS)] = text
        else:
            raise V3Error("There is no setting '{path}'. {nearest}", path=path, nearest=_nearest(path, curricula))
    if facts:
        with explained(_("The recipe")):
            recipe = Recipe.model_validate({**dict(recipe), "episode_facts": recipe.episode_facts | facts})
    return overridden(recipe, values), changed


def paths_of(curricula: Sequence[Curriculum]) -> list[str]:
    """The paths of all settings, of the recipe and of the phases of these curricula."""
    phases = dict.fromkeys(phase.name for curriculum in curricula for phase in curriculum.phases)
    return [*SETTINGS, *(f"phases.{phase}.{key}" for phase in phases for key in PHASE_SETTINGS)]


def _nearest(path: str, curricula: Sequence[Curriculum]) -> str:
    known = paths_of(curricula)
    name = path.rpartition(".")[2]
    same_name = difflib.get_close_matches(path, [one for one in known if one.rpartition(".")[2] == name], cutoff=0)
    if same_name:
        return _("Did you mean {same_name}?", same_name=one_of(same_name))
    return suggestion(path, known) or _("Examples: ppo.epochs, policy.experts, base.lr, phases.warmup.lr.")


def _with_phase_setting(curriculum: Curriculum, path: str, text: str, episodes: int, steps: int | None) -> Curriculum:
    """The curriculum with one setting of one phase changed; `path` is `phases.NAME.KEY`."""
    name, _dot, key = path.removeprefix("phases.").rpartition(".")
    phases = {phase.name: phase for phase in curriculum.phases}
    if name not in phases:
        hint = suggestion(name, phases) or _("Its phases are {phases}.", phases=listed(list(phases)))
        raise V3Error(
            "Curriculum '{name}' has no phase '{name2}' (in {path}). {hint}",
            name=curriculum.name,
            name2=name,
            path=path,
            hint=hint,
        )
    if key not in PHASE_SETTINGS:
        hint = suggestion(key, PHASE_SETTINGS) or _(
            "A phase has {phase_settings}.", phase_settings=listed(list(PHASE_SETTINGS))
        )
        raise V3Error("A phase has no setting '{key}' (in {path}). {hint}", key=key, path=path, hint=hint)
    try:
        phases[name] = type(phases[name]).model_validate({**dict(phases[name]), key: parse_setting(key, text)})
        content = {**dict(curriculum), "phases": tuple(phases.values())}
        if content["phases"] == curriculum.phases:
            return curriculum
        edited = renamed(Curriculum.model_validate(content))
        check_fits(edited, episodes, steps)
    except ValidationError as error:
        raise V3Error(explain(error, _("Curriculum '{name}'", name=curriculum.name))) from None
    except V3Error as error:
        raise V3Error("{path}: {error}", path=path, error=error.message) from None
    return edited
