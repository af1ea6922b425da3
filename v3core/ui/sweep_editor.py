"""Several curricula and several seeds, started as one experiment."""

from collections.abc import Collection, Sequence

import streamlit as st

from v3core.config import Recipe, RunConfig, build_run_config
from v3core.curriculum import Curriculum, load_preset, scaled
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.jobs.sweep import expand, experiment_name
from v3core.ui.environment_choice import run_problem
from v3core.ui.preset_picker import presets_for
from v3core.ui.status import counted
from v3core.ui.text import plain


def compare_with(
    env: EnvironmentSetup, own: Curriculum | None, episodes: int, recipe: Recipe
) -> tuple[list[Curriculum], list[str]]:
    """More presets to train in addition to the curriculum above, scaled to the run's length.

    Args:
        env: the environment with its arguments and wrappers.
        own: the curriculum above, which is not offered again; None while it has a mistake.
        episodes: length of the runs.
        recipe: that trains them.

    Returns:
        The presets that fit, and for each other one the reason, which is also shown next to the field.
    """
    chosen = st.multiselect(
        "Compare with",
        [name for name in presets_for(env.env_id) if own is None or name != own.name],
        key=f"compare-with:{env.env_id}",
        placeholder="No other curriculum",
        help="Each is scaled to the length of the run and trained with the same seeds. All runs form one experiment.",
    )
    fitting: list[Curriculum] = []
    problems: list[str] = []
    for name in chosen:
        try:
            curriculum = scaled(load_preset(name), episodes)
            build_run_config(name=name, env=env, seed=0, episodes=episodes, curriculum=curriculum, recipe=recipe)
            problem = run_problem(env, curriculum)
        except V3Error as error:
            problem = str(error)
        if problem is None:
            fitting.append(curriculum)
        else:
            problems.append(problem)
            st.error(plain(problem))
    return fitting, problems


def checked_configs(
    curricula: Sequence[Curriculum],
    seeds: Sequence[int],
    *,
    name: str,
    env: EnvironmentSetup,
    episodes: int,
    recipe: Recipe,
) -> tuple[list[RunConfig], str, str]:
    """The result of `expand`, or nothing and an error: of the runs, or of their name."""
    try:
        expand(curricula, seeds[:1], name="", env=env, episodes=episodes, recipe=recipe)
    except V3Error as error:
        return [], str(error), ""
    try:
        return expand(curricula, seeds, name=name, env=env, episodes=episodes, recipe=recipe), "", ""
    except V3Error as error:
        return [], "", str(error)


def name_experiment(
    given: str, env: EnvironmentSetup, curricula: Sequence[Curriculum], seeds: Sequence[int], taken: Collection[str]
) -> str | None:
    """The name that was given; else none for a single run, and one that no experiment has for several."""
    if given.strip():
        return given.strip()
    if len(curricula) * len(seeds) == 1:
        return None
    return experiment_name(str(env), [curriculum.name for curriculum in curricula], seeds, taken)


def describe_sweep(curricula: int, seeds: int) -> str:
    """As in `2 curricula × 3 seeds`; empty for a single run."""
    if curricula * seeds == 1:
        return ""
    return f"{'1 curriculum' if curricula == 1 else f'{curricula} curricula'} × {counted(seeds, 'seed')}"
