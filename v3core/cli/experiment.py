"""Experiments: a grid of runs is started as one, looked at, and commanded as one."""

import click

from v3core.cli.common import commands, environment_options, length_option, opened, set_option
from v3core.cli.start import print_notices, warn
from v3core.curriculum import load_curriculum
from v3core.environment_setup import EnvironmentSetup
from v3core.environments.apart import check_launch
from v3core.errors import V3Error
from v3core.jobs import experiments
from v3core.jobs.costs import cost_of
from v3core.jobs.grid import (
    MANY_RUNS,
    Candidate,
    Grid,
    cells_of,
    check_size,
    configs_of,
    different_environments,
    notices_of,
    read_settings,
)
from v3core.jobs.launcher import MAX_PRIORITY
from v3core.jobs.sweep import parse_seeds
from v3core.output import echo


@commands.command()
@click.option(
    "--env",
    required=True,
    multiple=True,
    metavar="ID",
    help="Gymnasium environment id, e.g. CartPole-v1; may be repeated.",
)
@environment_options
@click.option("--curricula", default="v3", show_default=True, metavar="A,B", help="YAML files or presets.")
@click.option("--seeds", default="1", show_default=True, metavar="S", help="Seeds of each combination: 1-5.")
@length_option
@click.option("--experiment", metavar="NAME", help="Name of the group; default: made from the other options.")
@click.option("--priority", type=click.IntRange(-MAX_PRIORITY, MAX_PRIORITY), default=0, show_default=True)
@set_option
@click.option("--dry-run", is_flag=True, help="Only print what it would cost.")
@click.option("--yes", is_flag=True, help=f"Start a grid of more than {MANY_RUNS} runs.")
def sweep(
    setups: list[EnvironmentSetup],
    curricula: str,
    seeds: str,
    episodes: int | None,
    experiment: str | None,
    priority: int,
    assignments: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Queue a grid of runs as one experiment, in the background; prints the run ids.

    A run for each combination of curriculum, environment, seed and value of a setting that has several, as in
    --set phases.transition.load_balance=0.001,0.01,0.1. What it costs is printed first.
    """
    grid = _grid(setups, curricula, seeds, episodes, assignments)
    cells = list(cells_of(grid))
    configs = configs_of(grid, cells)
    for setup, chosen in different_environments(cells):
        warn(check_launch(setup, chosen, allow_import=True).warnings)
    print_notices(notices_of(grid), configs)
    with opened() as database:
        cost = cost_of(database, configs)
        echo(f"{cost.amount()}. {cost.time()}", err=True)
        if dry_run:
            return
        if len(configs) > MANY_RUNS and not yes:
            raise V3Error(f"The grid has {len(configs):,} runs. Nothing is started; add --yes to start them.")
        _, run_ids = experiments.start(database, grid, experiment, priority=priority, configs=configs)
    for run_id in run_ids:
        echo(run_id)


def _grid(
    setups: list[EnvironmentSetup], curricula: str, seeds: str, episodes: int | None, assignments: tuple[str, ...]
) -> Grid:
    candidates = [Candidate(*load_curriculum(name.strip())) for name in curricula.split(",")]
    grid = Grid(candidates, setups, parse_seeds(seeds), episodes=episodes)
    first = next(cells_of(grid))
    settings = read_settings(assignments, first.recipe, first.curricula, first.episodes)
    grid = Grid(candidates, setups, grid.seeds, settings, episodes)
    check_size(grid)
    return grid
