"""A study: arms that are compared, and hypotheses that are fixed before the runs. A YAML file in data/experiments/."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from v3core.claims.study_outcomes import OUTCOMES
from v3core.config import MAX_NAME, PPOConfig, Recipe, RunConfig, Scalar, chosen_environment, recipe_for
from v3core.curriculum import Curriculum, load_curriculum
from v3core.errors import V3Error, explained, suggestion
from v3core.jobs.grid import Candidate, Grid, configs_of
from v3core.messages import _
from v3core.paths import data_dir, shipped
from v3core.phrases import listed
from v3core.places import place_here

FOLDER = ("data", "experiments")
MAX_ARMS = 64
Fixed = Mapping[str, Any]
"""An expectation as it was noted with the first results."""
LATE = _("Added or changed when results were known.")
_KEY_BYTES = 8


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(_Part):
    """Runs that differ in their seed only."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    curriculum: str | dict[str, Any]
    """A preset by name, or a curriculum as its file has it."""
    settings: tuple[str, ...] = ()
    """As `PATH=VALUE`, after those of the study."""


class _Expectation(_Part):
    claim: str
    """That it tests, by its key in data/claims.yaml."""
    outcome: str
    counts: bool = True
    """Whether the claim's verdict counts it; one that asks something beside the claim is shown only."""
    note: str = ""
    """What it is for, in a sentence."""
    changed: str = ""
    """What was changed in it after the first runs, and why, in a sentence."""

    @property
    def beside(self) -> tuple[str, ...]:
        """What stands beside it: its note, and what was changed."""
        return tuple(text for text in (self.note, self.changed) if text)

    @property
    def fixed(self) -> Fixed:
        """All that must not be changed once results are known; not what only says more about it."""
        return self.model_dump(mode="json", exclude={"note", "changed", "best"})

    def is_as(self, fixed: Fixed) -> bool:
        """Whether it is what was fixed, in all that was noted of it: a later version may have more fields."""
        return all(self.fixed.get(name, value) == value for name, value in fixed.items())

    def marked(self, fixed: Sequence[Fixed]) -> Self:
        """Itself, or if it is none of these and does not say what was changed, with the words that it was."""
        is_late = not self.changed and not any(map(self.is_as, fixed))
        return self.model_copy(update={"changed": LATE}) if is_late else self


class Hypothesis(_Expectation):
    """What one of two arms is expected to have more or less of."""

    arm: str
    than: str
    """The arm that it is compared with."""
    expected: Literal["higher", "lower"]
    matters: Annotated[float, Field(gt=0)]
    """The smallest difference that would matter, in the unit of the outcome."""
    best: float | None = None
    """The best value that the outcome can have here; by default the outcome's, or the study's best return."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Both of them."""
        return self.arm, self.than

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What of a run it is about."""
        return (self.outcome,)


class Relation(_Expectation):
    """How one outcome of a run is expected to go with another, within arms."""

    foretold_by: str
    """The other outcome."""
    arms: Annotated[tuple[str, ...], Field(min_length=1)]
    """Whose runs count; what differs between them does not."""
    expected: Literal["higher", "lower"]
    """What the outcome is in runs of an arm where the other one is higher."""
    matters: Annotated[float, Field(gt=0, lt=1)]
    """The smallest correlation that would matter."""

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What of a run it is about."""
        return self.outcome, self.foretold_by


class Study(_Part):
    """An experiment as it was fixed before its runs."""

    name: str
    """The file's name without its ending."""
    question: str
    environment: str
    steps: Annotated[int, Field(ge=1)]
    """Environment steps of every run."""
    seeds: Annotated[int, Field(ge=1, le=100)]
    """Of every arm: 1, 2, 3 …"""
    best_return: float | None = None
    """The highest return of an episode there is, where the environment has one."""
    settings: tuple[str, ...] = ()
    """Of all arms, as `PATH=VALUE`."""
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, max_length=MAX_ARMS)]
    hypotheses: tuple[Hypothesis, ...] = ()
    relations: tuple[Relation, ...] = ()
    remarks: tuple[str, ...] = ()
    """What to know of its results, each a sentence or two; written when they were known."""
    curricula: dict[str, Any] = {}
    """Parts that arms share by YAML's anchors; nothing reads it."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [arm.name for arm in self.arms]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(_("there are two arms '{twice}'; give each a name of its own.", twice=twice))
        for hypothesis in self.expectations:
            arms, outcomes = hypothesis.arms, hypothesis.outcomes
            if unknown := next((arm for arm in arms if arm not in names), None):
                raise ValueError(
                    _(
                        "a hypothesis names arm '{unknown}'. {value}",
                        unknown=unknown,
                        value=suggestion(unknown, names) or _("There is none."),
                    )
                )
            if repeated := next((one for part in (arms, outcomes) for one in part if part.count(one) > 1), None):
                raise ValueError(
                    _("a hypothesis names '{repeated}' twice; compare it with another one.", repeated=repeated)
                )
            if unknown := next((outcome for outcome in outcomes if outcome not in OUTCOMES), None):
                near = suggestion(unknown, OUTCOMES) or _("The outcomes are {names}.", names=listed(list(OUTCOMES)))
                raise ValueError(_("there is no outcome '{unknown}'. {near}", unknown=unknown, near=near))
        return self

    @property
    def expectations(self) -> tuple[Hypothesis | Relation, ...]:
        """All that was expected before the runs: differences first, then relations."""
        return (*self.hypotheses, *self.relations)

    @property
    def experiment(self) -> str:
        """The name of the experiment that its runs form."""
        return f"study {self.name}"

    def marked(self, fixed: Sequence[Fixed] | None) -> Self:
        """The study, in which each expectation that is not among these, and does not say what was changed, says so.

        Args:
            fixed: what was expected when its first results were written; None if nobody knows.
        """
        if fixed is None:
            return self

        return self.model_copy(
            update={
                "hypotheses": tuple(one.marked(fixed) for one in self.hypotheses),
                "relations": tuple(one.marked(fixed) for one in self.relations),
            }
        )

    def missing(self, fixed: Sequence[Fixed]) -> list[Fixed]:
        """What was fixed and is expected no more, or otherwise."""
        return [one for one in fixed if not any(expected.is_as(one) for expected in self.expectations)]

    def claims(self) -> list[str]:
        """The claims that it tests, each once."""
        return list(dict.fromkeys(hypothesis.claim for hypothesis in self.expectations))


@dataclass(frozen=True)
class StudyRun:
    """One run of a study."""

    arm: str
    seed: int
    config: RunConfig

    @property
    def key(self) -> str:
        """Changes with anything that decides the run."""
        return key_of(self.config, self.seed)


ADDED_SINCE: dict[str, dict[str, Scalar]] = {
    "policy": {"memory": "none", "memory_width": None},
    "ppo": {"sequence_steps": PPOConfig().sequence_steps},
}
"""Settings that did not exist when studies were run first, by section, each at the value that changes nothing."""


def key_of(config: RunConfig, seed: int) -> str:
    """Of a run with this configuration, whatever its seed is, and another seed."""
    content = config.model_dump(mode="json", by_alias=True, exclude={"name", "seed", "backend"})
    del content["curriculum"]["name"]  # that of the arm, where the study's file has the curriculum
    if not content["episode_facts"]:
        del content["episode_facts"]  # likewise: nothing is recorded, as before there was any
    for section, added in ADDED_SINCE.items():
        for setting, value in added.items():
            if content[section][setting] == value:
                del content[section][setting]
    return f"{blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=_KEY_BYTES).hexdigest()}.{seed}"


def runs_of(study: Study, seeds: Sequence[int] | None = None) -> list[StudyRun]:
    """All runs of a study, the first seed of all arms first.

    Boundaries of curricula follow the length, so that phases take the same part of the steps in each arm; but for those
    that a trigger sets, and the most episodes that it waits, which stay as they are.

    Raises:
        V3Error: for an arm whose curriculum or settings are not valid, or those of another arm.
    """
    chosen = list(range(1, study.seeds + 1)) if seeds is None else list(seeds)
    recipe = recipe_for(study.environment)
    of_arms = [_configs(study, arm, chosen, recipe) for arm in study.arms]
    known: dict[str, str] = {}
    for arm, configs in zip(study.arms, of_arms, strict=True):
        other = known.setdefault(key_of(configs[0], 0), arm.name)
        if other != arm.name:
            raise V3Error(
                "Study {name}: arms '{other}' and '{name2}' have the same settings; remove one.",
                name=study.name,
                other=other,
                name2=arm.name,
            )
    return [
        StudyRun(arm.name, seed, configs[place])
        for place, seed in enumerate(chosen)
        for arm, configs in zip(study.arms, of_arms, strict=True)
    ]


def keys_of(study: Study) -> dict[str, str]:
    """The keys of all runs of a study, each with its arm, in a tenth of the time of `runs_of`; V3Error as of that."""
    return {key_of(run.config, seed): run.arm for run in runs_of(study, [1]) for seed in range(1, study.seeds + 1)}


def _configs(study: Study, arm: Arm, seeds: Sequence[int], recipe: Recipe) -> list[RunConfig]:
    assignments = [*study.settings, *arm.settings]
    if wrong := next((text for text in assignments if "=" not in text), None):
        raise V3Error(
            "Study {name}: '{wrong}' is not a setting; write PATH=VALUE, as in policy.experts=16.",
            name=study.name,
            wrong=wrong,
        )
    chosen = {path.strip(): (value.strip(),) for path, _, value in (text.partition("=") for text in assignments)}
    setup = chosen_environment(study.environment, recipe)
    grid = Grid(
        [Candidate(_curriculum(study, arm))],
        [setup],
        seeds,
        list(chosen.items()),
        name=arm.name[: MAX_NAME // 2],
        recipes={setup.env_id: recipe},
        steps=study.steps,
        scale=True,
    )
    return configs_of(grid)


def _curriculum(study: Study, arm: Arm) -> Curriculum:
    if isinstance(arm.curriculum, str):
        return load_curriculum(arm.curriculum)[0]
    with explained(_("Study {study}, the curriculum of arm '{arm}'", study=study.name, arm=arm.name)):
        return Curriculum.model_validate({"name": arm.name, **arm.curriculum})


def study_files() -> dict[str, Path]:
    """Name to file of all studies: those that come with V3 Lab, and those in the data folder."""
    own = sorted(file for file in place_here().files(data_dir() / FOLDER[-1]) if file.suffix == ".yaml")
    return {file.stem: file for file in [*sorted(shipped(*FOLDER).glob("*.yaml")), *own]}


def load_study(name: str) -> Study:
    """The study of that name.

    Raises:
        V3Error: with near names if there is none, or with what is wrong with its file.
    """
    files = study_files()
    if name not in files:
        near = suggestion(name, files) or _("The studies are {names}.", names=listed(list(files)))
        raise V3Error("There is no study '{name}'. {near}", name=name, near=near)
    file = place_here().bring(files[name])
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise V3Error(
            "Study file {file} cannot be read: {split}.", file=file, split=" ".join(str(error).split())
        ) from None
    if not isinstance(content, dict):
        raise V3Error(
            "Study file {file} must be a mapping with 'question', 'environment', 'steps' and 'arms'.", file=file
        )
    with explained(_("Study file {file}", file=file)):
        return Study.model_validate({"name": name, **content})
