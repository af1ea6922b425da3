"""Experiments: a grid of runs is started as one, looked at, and commanded as one."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from v3core.cli.ask import ACTOR
from v3core.cli.common import (
    commands,
    environment_options,
    json_option,
    length_options,
    needs_options,
    opened,
    reconciled,
    scale_option,
    set_option,
)
from v3core.cli.start import print_notices, warn
from v3core.config import check_name
from v3core.environment_setup import EnvironmentSetup
from v3core.environments.apart import check_launch
from v3core.errors import V3Error
from v3core.jobs import experiments
from v3core.jobs.costs import cost_of
from v3core.jobs.experiments import Progress
from v3core.jobs.grid import (
    MANY_RUNS,
    cells_of,
    configs_of,
    different_environments,
    grid_of,
    notices_of,
)
from v3core.jobs.launcher import MAX_PRIORITY
from v3core.jobs.lifecycle import status_word
from v3core.jobs.needs import Needs
from v3core.jobs.several import Outcome
from v3core.jobs.sweep import MAX_SEEDS, parse_seeds
from v3core.messages import Message, _, translated
from v3core.output import echo, echo_json, padded
from v3core.paths import COMMAND
from v3core.phrases import counted, sentences, stored
from v3core.store.database import Database

if TYPE_CHECKING:
    from v3core.comparison.standings import Standings
    from v3core.insight.estimates import Estimate


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
@length_options
@click.option("--experiment", metavar="NAME", help="Name of the group; default: made from the other options.")
@click.option("--priority", type=click.IntRange(-MAX_PRIORITY, MAX_PRIORITY), default=0, show_default=True)
@needs_options
@scale_option
@set_option
@click.option("--dry-run", is_flag=True, help="Only print what it would cost.")
@click.option("--yes", is_flag=True, help=f"Start a grid of more than {MANY_RUNS} runs.")
def sweep(
    setups: list[EnvironmentSetup],
    curricula: str,
    seeds: str,
    episodes: int | None,
    steps: int | None,
    experiment: str | None,
    priority: int,
    needs: Needs,
    scale: bool | None,
    assignments: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Queue a grid of runs as one experiment, in the background; prints the run ids.

    A run for each combination of curriculum, environment, seed and value of a setting that has several, as in
    --set phases.transition.load_balance=0.001,0.01,0.1. What it costs is printed first.
    """
    if experiment is not None:
        check_name(_("experiment"), experiment)
    names, numbers = curricula.split(","), parse_seeds(seeds)
    grid = grid_of(setups, names, numbers, episodes, assignments, steps=steps, scale=scale)
    cells = list(cells_of(grid))
    configs = configs_of(grid, cells)
    for setup, chosen in different_environments(cells):
        warn(check_launch(setup, chosen, allow_import=True).warnings)
    print_notices(notices_of(grid), configs)
    with opened() as database:
        cost = cost_of(database, configs)
        echo(sentences(_("{amount}.", amount=cost.amount()), cost.time()), err=True)
        if dry_run:
            return
        _confirmed(len(configs), yes)
        _name, run_ids = experiments.start(database, grid, experiment, priority=priority, configs=configs, needs=needs)
    for run_id in run_ids:
        echo(run_id)


@commands.command("experiments")
@json_option
def list_all(as_json: bool) -> None:
    """List experiments, newest first."""
    with reconciled() as database:
        found = experiments.list_experiments(database)
    if as_json:
        echo_json([progress.to_dict() for progress in found])
        return
    if not found:
        echo(_("No experiments yet; start one with: {command} sweep.", command=COMMAND), err=True)
    for progress in found:
        echo(
            f"{progress.created_at.astimezone():%Y-%m-%d %H:%M}  {progress.share:>4.0%}  {progress.name}  "
            f"({translated(progress.describe())})"
        )


@commands.command()
@click.argument("name", metavar="NAME")
@click.option("--add-seeds", type=click.IntRange(1, MAX_SEEDS), metavar="N", help="Start N more seeds of everything.")
@click.option("--stop", "action", flag_value="stop", help="Stop all of its runs, each with a checkpoint.")
@click.option("--resume-failed", "action", flag_value="resume-failed", help="Resume those that failed or were lost.")
@click.option("--resume-stopped", "action", flag_value="resume-stopped", help="Resume those that were stopped.")
@click.option(
    "--archive",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write an archive of each run into a new folder.",
)
@click.option("--yes", is_flag=True, help=f"Start more than {MANY_RUNS} runs.")
@json_option
def experiment(
    name: str, add_seeds: int | None, action: str | None, folder: Path | None, yes: bool, as_json: bool
) -> None:
    """Show an experiment: its progress, its failures and its statistics so far; or command all of its runs."""
    if sum(one is not None for one in (add_seeds, action, folder)) > 1:
        raise V3Error("Give one of --add-seeds, --stop, --resume-failed, --resume-stopped and --archive at a time.")
    with reconciled() as database:
        progress = experiments.progress_of(database, name)
        if add_seeds is not None:
            _add_seeds(database, progress, add_seeds, yes)
        elif folder is not None:
            from v3core.archive import archive_all  # only here: a worker's start is waited for

            _report(
                archive_all(database, progress.runs, progress.to_dict(), folder),
                lambda runs: _("{runs} written to {folder}.", runs=runs, folder=folder),
            )
        elif action == "stop":
            asked = experiments.stop(database, name, ACTOR)
            echo(_("Stopping {runs}.", runs=counted(asked, "run")))
        elif action is not None:
            resume = {"resume-failed": experiments.resume_failed, "resume-stopped": experiments.resume_stopped}[action]
            _report(resume(database, name, ACTOR), lambda runs: _("Resuming {runs}.", runs=runs))
        elif as_json:
            failed = [run.to_dict() for run in progress.failed]
            echo_json(progress.to_dict() | {"failed": failed, "statistics": _standings(database, progress).to_dict()})
        else:
            _show(database, progress)


def _add_seeds(database: Database, progress: Progress, number: int, yes: bool) -> None:
    added = experiments.more_seeds(progress.runs, number)
    cost = cost_of(database, [one.to_train for one in added])
    echo(sentences(_("{amount}.", amount=cost.amount()), cost.time()), err=True)
    _confirmed(len(added), yes, _("The added seeds need {runs:,} runs. Nothing is started; add --yes to start them."))
    for run_id in experiments.add_seeds(database, progress.name, number):
        echo(run_id)


_TOO_MANY = _("The grid has {runs:,} runs. Nothing is started; add --yes to start them.")


def _confirmed(runs: int, yes: bool, refusal: Message = _TOO_MANY) -> None:
    if runs > MANY_RUNS and not yes:
        raise V3Error(refusal, runs=runs)


def _report(outcome: Outcome, doing: Callable[[Message], Message]) -> None:
    """Say what came of it; a V3Error if nothing was done."""
    text = outcome.describe(doing)
    if not outcome.done:
        raise V3Error(text)
    echo(text)


def _show(database: Database, progress: Progress) -> None:
    echo(
        _(
            "{name}: {progress}, {reached}.",
            name=progress.name,
            progress=progress.describe(),
            reached=progress.reached(),
        )
    )
    if progress.deleted:
        echo(_("{deleted:,} of the runs that were asked for are deleted.", deleted=progress.deleted))
    for run in progress.failed:
        why = _("{run}: {reason}", run=run.name, reason=stored(run.reason or ""))
        echo(f"{run.id[:8]}  {padded(status_word(run.status), 9)}  {translated(why)}")
    standings = _standings(database, progress)
    label = standings.comparison.label
    for standing in standings.groups:
        result, so_far = standing.result, standing.so_far
        where = _(" in {env}", env=result.env) if len({group.env for group in standings.comparison.groups}) > 1 else ""
        echo(
            _(
                "{name}{where}: {label} {estimate} of {n}; mean return so far, each in its phase, {estimate2} of {n2}.",
                name=result.name,
                where=where,
                label=label,
                estimate=_estimate(result.final),
                n=counted(result.final.n, "completed run"),
                estimate2=_estimate(so_far),
                n2=counted(so_far.n, "run"),
            )
        )
    echo(standings.comparison.verdict[0])


def _standings(database: Database, progress: Progress) -> "Standings":
    from v3core.comparison import standings_of  # only here: a worker's start is waited for

    return standings_of(database, progress.runs)


def _estimate(estimate: "Estimate") -> str:
    from v3core.comparison.tables import number_words  # as above
    from v3core.insight.estimates import with_interval

    return with_interval(estimate, number_words) if estimate.n else _("unknown")
