"""Runs as files: exports for other programs, archives for another V3 Lab."""

from pathlib import Path

import click

from v3core.cli.common import commands, opened, reconciled, run_argument
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.retention import thinned_notice
from v3core.messages import _
from v3core.output import echo
from v3core.store.database import Database
from v3core.store.runs import get_run, resolve


@commands.command()
@click.argument("run_ids", metavar="[ID]...", nargs=-1)
@click.option("--experiment", metavar="NAME", help="All runs of this experiment.")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE_OR_FOLDER")
@click.option("--what", metavar="TABLE", help="The table to export, or `all` into a folder; default: episodes.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "json", "tensorboard"]),
    help="Format of the files in a folder.",
)
def export(run_ids: tuple[str, ...], experiment: str | None, target: Path, what: str | None, form: str | None) -> None:
    """Export the records of runs to a .csv, .parquet or .json file; never sampled.

    A file holds one row per episode, or the table of --what: runs, episodes, expert_loads, evaluations,
    evaluation_experts, state_maps, knockouts, phase_changes, curriculum_revisions, commands, checkpoints, events,
    alarms, process_samples.
    JSON without --what holds the whole run. With --what all, --to names a new folder of one file per table, in the
    form of --format; with --format tensorboard a new folder of event files.
    """
    from v3core.store.export import export_folder, export_runs  # only here: a worker's start is waited for

    with opened() as database:
        chosen = _chosen_runs(database, run_ids, experiment)
        if form == "tensorboard":
            from v3core.store.tensorboard import export_tensorboard

            count = export_tensorboard(database, chosen, target)
        elif what == "all":
            count = export_folder(database, chosen, target, form or "csv")
        elif form is not None and target.suffix.lower() != f".{form}":
            raise V3Error("--format {form} goes with --what all, or with a file that ends in .{form}.", form=form)
        else:
            count = export_runs(database, chosen, target, what)
        thinned = thinned_notice([get_run(database, one) for one in chosen])
    if thinned and what in (None, "all", "episodes", "expert_loads"):
        echo(thinned, err=True)
    rows = _("episodes") if what in (None, "all", "episodes") else _("rows")
    echo(_("{count} {rows} written to {target}.", count=count, rows=rows, target=target))


def _chosen_runs(database: Database, prefixes: tuple[str, ...], experiment: str | None) -> list[str]:
    """Full ids of the given runs, or of those of an experiment; each once."""
    if bool(prefixes) == (experiment is not None):
        raise V3Error("Give either runs or --experiment.")
    if experiment is None:
        return list(dict.fromkeys(resolve(database, prefix) for prefix in prefixes))
    with database.read() as tx:
        return [run.id for run in control.need_experiment(tx, experiment)]


@commands.command()
@run_argument
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE.v3run")
def archive(run_id: str, target: Path) -> None:
    """Write a run with its records, checkpoints and log to one file, which can be imported into another V3 Lab."""
    from v3core.archive import write_archive  # only here: a worker's start is waited for

    with opened() as database:
        written = write_archive(database, resolve(database, run_id), target)
    missing = (
        _("; {missing} more were skipped because their files are missing", missing=written.missing)
        if written.missing
        else ""
    )
    echo(
        _(
            "{episodes} episodes and {checkpoints} checkpoints written to {target}, {bytes:,} bytes{missing}.",
            episodes=written.episodes,
            checkpoints=written.checkpoints,
            target=target,
            bytes=written.bytes,
            missing=missing,
        )
    )


@commands.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE.v3run")
@click.option("--as-new", is_flag=True, help="Import under a new id, keeping the original run.")
@click.option("--allow-import", is_flag=True, help="Allow environments of the form module:Env-v0, which import code.")
def import_(source: Path, as_new: bool, allow_import: bool) -> None:
    """Import a run from an archive, completely or not at all; prints its id."""
    from v3core.archive import import_archive

    with reconciled() as database:
        echo(import_archive(database, source, as_new=as_new, allow_import=allow_import))
