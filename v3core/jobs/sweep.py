"""Many runs that are started together: their seeds as typed, and a name for the group."""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import count

from v3core.config import MAX_NAME, MAX_SEED, Recipe, RunConfig, build_run_config, run_name
from v3core.curriculum import Curriculum
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.messages import _
from v3core.store.run_row import RunRow

MAX_SEEDS = 100

MAX_NAMED = 3
"""Curricula that the made name of an experiment lists."""
_ROOM_FOR_A_NUMBER = 8
_ROOM_FOR_THE_REST = 45
"""Characters of a run's name that are left for its environment and seed."""


def parse_seeds(text: str) -> list[int]:
    """The seeds that `text` names, in its order, each once; a V3Error says what is wrong with it."""
    seeds: dict[int, None] = {}
    ranges_closed_up = re.sub(r"(?<=\d)\s*[-–]\s*(?=\d)", "-", text)
    for part in re.findall(r"[^,;\s]+", ranges_closed_up):
        span = re.fullmatch(r"(\d{1,20})-(\d{1,20})", part)
        if span:
            first, last = int(span[1]), int(span[2])
            if last < first or last - first >= MAX_SEEDS:
                raise V3Error(
                    "'{part}' is not a range of at most {max_seeds} seeds; write it as 1-5.",
                    part=part,
                    max_seeds=MAX_SEEDS,
                )
            seeds.update(dict.fromkeys(range(first, last + 1)))
        elif re.fullmatch(r"\d{1,20}", part):
            seeds[int(part)] = None
        else:
            raise V3Error("'{part}' is not a seed; write whole numbers, as in 1, 2, 3 or 1-5.", part=part)
    if not seeds:
        raise V3Error("No seed given; write at least one whole number, such as 1.")
    if max(seeds) > MAX_SEED:
        raise V3Error(
            "Seed {max} is out of range; choose whole numbers from 0 to {max_seed}.", max=max(seeds), max_seed=MAX_SEED
        )
    if len(seeds) > MAX_SEEDS:
        raise V3Error(
            "{seeds} seeds are too many; one launch can have up to {max_seeds}.", seeds=len(seeds), max_seeds=MAX_SEEDS
        )
    return list(seeds)


def expand(
    curricula: Sequence[Curriculum],
    seeds: Sequence[int],
    *,
    name: str = "",
    env: EnvironmentSetup,
    episodes: int | None = None,
    recipe: Recipe,
    title: str = "",
    steps: int | None = None,
) -> list[RunConfig]:
    """One run per seed and curriculum; the curricula of one seed follow each other, so that they train side by side.

    Each is as long as `episodes`, or as `steps` of the environments, or as whichever of both is reached first. Their
    names begin with `name`, or if that is empty, with their curriculum; `title` says what else they have.
    """
    return [
        build_run_config(
            name=run_name(_titles(name.strip(), curriculum, len(curricula), title), env, seed),
            env=env,
            seed=seed,
            episodes=episodes,
            steps=steps,
            curriculum=curriculum,
            recipe=recipe,
        )
        for seed in seeds
        for curriculum in curricula
    ]


def _titles(name: str, curriculum: Curriculum, curricula: int, more: str) -> list[str]:
    titles = [name, curriculum.name] if name and curricula > 1 else [name or curriculum.name]
    if more:
        room = MAX_NAME - _ROOM_FOR_THE_REST - len(" · ".join(titles))
        titles.append(more if len(more) <= room else f"{more[: max(0, room - 1)]}…")
    return titles


def experiment_name(env: str, curricula: Sequence[str], seeds: Sequence[int], taken: Collection[str]) -> str:
    """A name for a group of runs that was given none: what is compared, as in `v3 or switch · CartPole-v1 · seeds 1–5`.

    A number makes it another name than those of the experiments that are `taken`.
    """
    compared = (
        " or ".join(curricula) if len(curricula) <= MAX_NAMED else _("{curricula} curricula", curricula=len(curricula))
    )
    name = f"{compared} · {env} · {_describe_seeds(seeds)}"
    if len(name) > MAX_NAME - _ROOM_FOR_A_NUMBER:
        name = name[: MAX_NAME - _ROOM_FOR_A_NUMBER - 1].rstrip() + "…"
    return free_name(name, taken)


def experiments_of(runs: Iterable[RunRow]) -> set[str]:
    """The names of the experiments that runs belong to."""
    return {run.experiment for run in runs if run.experiment}


def free_name(name: str, taken: Collection[str]) -> str:
    """The name itself, or with the first number from 2 that makes it one that is not taken, as in `Demo (2)`."""
    return next(made for number in count(1) if (made := name if number == 1 else f"{name} ({number})") not in taken)


def _describe_seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return _("seed {seed}", seed=seeds[0])
    is_range = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return (
        _("seeds {first}–{last}", first=seeds[0], last=seeds[-1]) if is_range else _("{seeds} seeds", seeds=len(seeds))
    )
