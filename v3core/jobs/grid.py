"""The grid of an experiment: curricula × environments × seeds × settings, and the runs that it stands for."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from math import prod
from typing import Any

from v3core.config import Recipe, RunConfig, recipe_for
from v3core.curriculum import Curriculum, Length, check_fits, fits, load_curriculum, scaled_to, setups_of
from v3core.curriculum.typed import format_end
from v3core.environment_setup import EnvironmentSetup, split
from v3core.errors import V3Error
from v3core.jobs.sweep import MAX_NAMED, expand
from v3core.messages import _
from v3core.overrides import SETTINGS, set_values
from v3core.phrases import listed

MANY_RUNS = 100
"""A grid of more runs is started only after its cost was confirmed."""
MAX_RUNS = 10_000


@dataclass(frozen=True)
class Candidate:
    """A curriculum of a grid."""

    curriculum: Curriculum
    may_scale: bool = False
    """Whether its boundaries are scaled to the length of a run in which they do not fit."""


@dataclass(frozen=True)
class Grid:
    """What the runs of an experiment have of each: every combination is a run."""

    curricula: Sequence[Candidate]
    environments: Sequence[EnvironmentSetup]
    seeds: Sequence[int]
    settings: Sequence[tuple[str, Sequence[str]]] = ()
    """Paths of settings with their values as typed, in the order in which they are set; see `read_settings`."""
    episodes: int | None = None
    """The length of every run; None for that of each environment's recipe, unless `steps` are given."""
    name: str = ""
    """What the names of the runs begin with; empty for their curriculum."""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """By environment id, instead of the one that belongs to it."""
    steps: int | None = None
    """The length of every run in environment steps; with `episodes`, whichever is reached first."""
    scale: bool | None = None
    """Whether boundaries of curricula follow the length; None: where they do not fit, as each candidate allows."""

    @property
    def swept(self) -> list[tuple[str, Sequence[str]]]:
        """The settings of which there are several values."""
        return [(path, values) for path, values in self.settings if len(values) > 1]

    @property
    def count(self) -> int:
        """The number of its runs."""
        return prod(map(len, (self.curricula, self.environments, self.seeds, *(values for _, values in self.settings))))

    def recipe_of(self, setup: EnvironmentSetup) -> Recipe:
        """The recipe of an environment, before settings are changed."""
        return self.recipes.get(setup.env_id) or recipe_for(setup.env_id)

    def length_in(self, setup: EnvironmentSetup) -> Length:
        """The length of each run in an environment; V3Error if it is out of bounds."""
        of_recipe = self.recipe_of(setup).episodes if self.steps is None else None
        return Length.of(of_recipe if self.episodes is None else self.episodes, self.steps)

    def to_dict(self) -> dict[str, Any]:
        """The grid as it was asked for, for the record: names and texts, for JSON."""
        return {
            "curricula": [candidate.curriculum.name for candidate in self.curricula],
            "environments": [str(setup) for setup in self.environments],
            "seeds": list(self.seeds),
            "settings": {path: list(values) for path, values in self.settings},
            "episodes": self.episodes,
            "runs": self.count,
        } | ({} if self.steps is None else {"steps": self.steps})


def fitted(curriculum: Curriculum, length: Length, scale: bool) -> tuple[Curriculum, str]:
    """The curriculum for a run of this length, and a sentence if its phases end elsewhere, or may not all begin.

    V3Error if it cannot fit.
    """
    if not scale:
        check_fits(curriculum, length.episodes, length.steps)
        return curriculum, _may_end_before(curriculum, length)
    moved = scaled_to(curriculum, length)
    if [phase.until for phase in moved.phases] == [phase.until for phase in curriculum.phases]:
        return moved, ""
    ends = listed([format_end(phase.until) for phase in moved.phases if phase.until is not None])
    return moved, _("Boundaries of {name} scaled to {length}: {ends}.", name=curriculum.name, length=length, ends=ends)


def _may_end_before(curriculum: Curriculum, length: Length) -> str:
    """That phases which end at episodes may not all begin before a budget of steps is used; empty without one."""
    if length.steps is None or not curriculum.boundaries:
        return ""
    ends = listed(curriculum.boundaries)
    return _(
        "Phases of {name} end at episodes {ends}; a run whose {steps:,} steps are used before that ends in an "
        "earlier phase. With --scale they end at the same parts of the steps.",
        name=curriculum.name,
        ends=ends,
        steps=length.steps,
    )


def read_settings(
    assignments: Sequence[str], recipe: Recipe, curricula: Sequence[Curriculum], length: Length | int
) -> list[tuple[str, tuple[str, ...]]]:
    """The values of settings that are typed as `PATH=VALUE` or `PATH=A,B,C`, each once; the last for a path wins.

    A text that is valid as one value is one, also with commas in it. A value with commas among several stands in
    parentheses, as in `phases.first.env_args=(size=5, agent_view_size=3),(size=6)`.

    Raises:
        V3Error: one sentence about a path that does not exist, with near ones, or about a value.
    """
    length = Length(length) if isinstance(length, int) else length
    check = partial(set_values, recipe, curricula, length.episodes, steps=length.steps)
    given: dict[str, tuple[str, ...]] = {}
    for assignment in assignments:
        path, _, text = assignment.partition("=")
        path = path.strip()
        given.pop(path, None)
        before = [f"{known}={values[0]}" for known, values in given.items()]
        try:
            check([*before, assignment])
            values = [text.strip()]
        except V3Error:
            values = [_bare(value) for value in split(text)]
            if len(values) < 2:
                raise
            for value in values:
                check([*before, f"{path}={value}"])
        given[path] = tuple(dict.fromkeys(values))
    return list(given.items())


def _bare(text: str) -> str:
    return text[1:-1].strip() if text.startswith("(") and text.endswith(")") else text


@dataclass(frozen=True)
class Cell:
    """The runs of a grid that differ in curriculum and seed only."""

    setup: EnvironmentSetup
    recipe: Recipe
    curricula: list[Curriculum]
    length: Length
    title: str = ""
    """The swept settings, as in `load_balance 0.01`; empty if none is."""


def cells_of(grid: Grid) -> Iterator[Cell]:
    """The cells of a grid, those of an environment one after the other; V3Error for the first that cannot be."""
    paths = [path for path, _ in grid.settings]
    swept = {path for path, _ in grid.swept}
    for setup in grid.environments:
        curricula, _ = fitted_to(grid, setup)
        recipe, length = grid.recipe_of(setup), grid.length_in(setup)
        for combination in product(*(values for _, values in grid.settings)):
            chosen = list(zip(paths, combination, strict=True))
            assignments = [f"{path}={value}" for path, value in chosen]
            changed = set_values(recipe, curricula, length.episodes, assignments, steps=length.steps)
            title = ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in chosen if path in swept)
            yield Cell(setup, *changed, length, title)


def fitted_to(grid: Grid, setup: EnvironmentSetup) -> tuple[list[Curriculum], list[str]]:
    """The curricula of a grid for the runs in an environment, and a sentence for each whose boundaries were moved."""
    length, curricula, notices = grid.length_in(setup), [], []
    for candidate in grid.curricula:
        scale = grid.scale
        if scale is None:
            scale = candidate.may_scale and not fits(candidate.curriculum, length.episodes, length.steps)
        curriculum, notice = fitted(candidate.curriculum, length, scale)
        curricula.append(curriculum)
        notices += [notice] if notice else []
    return curricula, notices


def notices_of(grid: Grid) -> list[str]:
    """A sentence for each curriculum whose boundaries are moved, once for each length."""
    return list(dict.fromkeys(notice for setup in grid.environments for notice in fitted_to(grid, setup)[1]))


def different_environments(cells: Iterable[Cell]) -> list[tuple[EnvironmentSetup, list[Curriculum]]]:
    """The environments of a grid with curricula of which each takes others through its phases: all that is to check."""
    found: dict[str, tuple[EnvironmentSetup, dict[str, Curriculum]]] = {}
    for cell in cells:
        _, curricula = found.setdefault(repr(cell.setup), (cell.setup, {}))
        for curriculum in cell.curricula:
            curricula.setdefault(repr(setups_of(cell.setup, curriculum)), curriculum)
    return [(setup, list(curricula.values())) for setup, curricula in found.values()]


def configs_of(grid: Grid, cells: Sequence[Cell] | None = None) -> list[RunConfig]:
    """The runs of a grid, the first seed of all cells first, so that what is compared trains side by side.

    `cells` are those of the grid, where they are known already.

    Raises:
        V3Error: for a grid of more than `MAX_RUNS` runs, and for the first run that cannot be.
    """
    check_size(grid)
    blocks = [
        expand(
            cell.curricula,
            grid.seeds,
            name=grid.name,
            env=cell.setup,
            recipe=cell.recipe,
            **vars(cell.length),
            title=cell.title,
        )
        for cell in (cells_of(grid) if cells is None else cells)
    ]
    _check_distinct(grid, blocks)
    each = len(grid.curricula)
    return [
        config
        for place in range(0, each * len(grid.seeds), each)
        for block in blocks
        for config in block[place : place + each]
    ]


def grid_of(
    setups: Sequence[EnvironmentSetup],
    curricula: Sequence[str],
    seeds: Sequence[int],
    episodes: int | None = None,
    assignments: Sequence[str] = (),
    *,
    steps: int | None = None,
    scale: bool | None = None,
) -> Grid:
    """The grid of curricula by the names of presets or YAML files, and of settings as typed; see `read_settings`."""
    candidates = [Candidate(*load_curriculum(name.strip())) for name in curricula]
    grid = Grid(candidates, setups, seeds, episodes=episodes, steps=steps, scale=scale)
    check_size(grid)
    first = next(cells_of(grid))
    settings = read_settings(assignments, first.recipe, first.curricula, first.length)
    grid = replace(grid, settings=settings)
    check_size(grid)
    return grid


def check_size(grid: Grid) -> None:
    """Raise V3Error for a grid without runs, or with more than one can look at."""
    if not grid.count:
        raise V3Error("The grid has no runs; choose at least one curriculum, environment and seed.")
    if grid.count > MAX_RUNS:
        raise V3Error(
            "The grid has {count:,} runs; at most {max_runs:,} can be started as one experiment.",
            count=grid.count,
            max_runs=MAX_RUNS,
        )


def _check_distinct(grid: Grid, blocks: Sequence[Sequence[RunConfig]]) -> None:
    """Refuse to train the same run twice, as with `ppo.gamma=0.9,0.90`."""
    seen = set()
    for block in blocks:
        for config in block[: len(grid.curricula)]:
            content = json.dumps(config.model_dump(mode="json", by_alias=True, exclude={"name"}), sort_keys=True)
            if content in seen:
                raise V3Error(
                    "The grid has run '{name}' twice with the same settings; give each curriculum, environment and "
                    "value once.",
                    name=config.name,
                )
            seen.add(content)


def title_of(grid: Grid) -> str:
    """What a grid without a name compares, environments and settings: `CartPole-v1 · load_balance 0.1, 0.2`."""
    setups = [str(setup) for setup in grid.environments]
    parts = [", ".join(setups) if len(setups) <= MAX_NAMED else _("{setups} environments", setups=len(setups))]
    for path, values in grid.swept:
        shown = ", ".join(values) if len(values) <= MAX_NAMED else _("{values} values", values=len(values))
        parts.append(f"{path.rpartition('.')[2]} {shown}")
    return " · ".join(parts)


def settings_of(recipe: Recipe) -> list[str]:
    """The changed settings of a recipe as `PATH=VALUE`, to change them in other recipes too."""
    return [f"{path}={SETTINGS[path].show(change.value)}" for path, change in recipe.overrides.items()]
