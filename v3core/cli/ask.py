"""What is asked of a run: to stop, to pause, to continue, to change."""

from collections.abc import Callable

import click

from v3core.cli.common import commands, one_run, parse_episodes, reconciled, run_argument
from v3core.curriculum import with_boundaries
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.longer import extend as extend_run
from v3core.output import echo
from v3core.store.database import Database
from v3core.store.runs import get_run

STOP_PATIENCE_SECONDS = 60.0


@commands.command()
@click.argument("run_id", metavar="ID", required=False)
@click.option("--experiment", metavar="NAME", help="Stop all runs of this experiment.")
def stop(run_id: str | None, experiment: str | None) -> None:
    """Stop a run, or an experiment, after the present rollout, with a checkpoint."""
    if (run_id is None) == (experiment is None):
        raise V3Error("Name either a run or --experiment to stop.")
    if experiment is not None:
        with reconciled() as database:
            count = control.stop_experiment(database, experiment, "command line")
        echo(f"{count} runs of {experiment} are asked to stop.")
        return
    with one_run(run_id or "") as (database, run):
        control.stop(database, run, "command line")
        status = control.wait_stopped(database, run, STOP_PATIENCE_SECONDS)
        reason = get_run(database, run).reason
    echo(f"{run} is {status}.{f' {reason}' if reason else ''}")


@commands.command()
@run_argument
def pause(run_id: str) -> None:
    """Hold a run after its present rollout; it keeps its process and its slot."""
    _ask(run_id, control.pause, "Requested; the run holds after its present rollout.")


@commands.command("continue")
@run_argument
def unpause(run_id: str) -> None:
    """Let a paused run go on."""
    _ask(run_id, control.unpause, "Requested; the run goes on.")


@commands.command()
@run_argument
def checkpoint(run_id: str) -> None:
    """Have a run write a checkpoint after its present rollout."""
    _ask(run_id, control.checkpoint, "Requested; the run writes it after its present rollout.")


@commands.command()
@run_argument
@click.argument("number", metavar="N", type=int)
def priority(run_id: str, number: int) -> None:
    """Set the priority of a run; of those that wait the highest starts first. A negative N comes after `--`."""
    _ask(run_id, lambda database, run, actor: control.set_priority(database, run, number, actor), f"Priority {number}.")


@commands.command()
@run_argument
@click.option("--tags", metavar="WORDS", help="Replaces the tags; separated by blanks or commas.")
@click.option("--notes", metavar="TEXT", help="Replaces the notes.")
def note(run_id: str, tags: str | None, notes: str | None) -> None:
    """Set the tags or the notes of a run, ended or not."""
    if tags is None and notes is None:
        raise V3Error("Nothing to note: give --tags or --notes.")
    _ask(
        run_id,
        lambda database, run, actor: control.annotate(database, run, tags=tags, notes=notes, actor=actor),
        "Noted.",
    )


def _ask(prefix: str, ask: Callable[[Database, str, str], object], done: str) -> None:
    """Do something to the run whose id begins so."""
    with one_run(prefix) as (database, run):
        ask(database, run, "command line")
    echo(done)


@commands.command()
@run_argument
@click.option("--boundaries", metavar="EPISODES", help="Go on with these boundaries, e.g. 150,400.")
@click.option("--take-over", is_flag=True, help="Go on here with a run that was trained on another host.")
@click.option("--here", is_flag=True, help="With this shell's import folders and variables, not those of its launch.")
@click.option("--episodes", type=int, metavar="N", help="Train it longer, up to N episodes, also a completed run.")
def resume(run_id: str, boundaries: str | None, take_over: bool, here: bool, episodes: int | None) -> None:
    """Go on with a run from its newest whole checkpoint, in the background."""
    with one_run(run_id) as (database, run):
        curriculum = None
        if boundaries is not None:
            curriculum = with_boundaries(control.current_curriculum(database, run), parse_episodes(boundaries))
        control.resume(
            database, run, "command line", curriculum=curriculum, take_over=take_over, here=here, episodes=episodes
        )
        status = get_run(database, run).status
    echo(f"{run} is {status}.")


@commands.command()
@run_argument
@click.argument("boundaries", metavar="EPISODES")
def move(run_id: str, boundaries: str) -> None:
    """Move the boundaries of a run that lie ahead, e.g. `move 3f2a 150,400`."""
    wanted = parse_episodes(boundaries)
    with one_run(run_id) as (database, run):
        current = control.current_curriculum(database, run)
        control.request_edit(database, run, with_boundaries(current, wanted), actor="command line")
    echo("Requested; the run applies it between two updates.")


@commands.command()
@run_argument
@click.option("--episodes", type=int, required=True, metavar="N", help="The new length.")
def extend(run_id: str, episodes: int) -> None:
    """Train a run that trains or waits longer, up to N episodes; `resume --episodes` is for one that has ended."""
    _ask(
        run_id,
        lambda database, run, actor: extend_run(database, run, episodes, actor),
        "Requested; the run applies it between two updates.",
    )


@commands.command()
@run_argument
def delete(run_id: str) -> None:
    """Delete an ended run with its episodes, log and checkpoints."""
    with one_run(run_id) as (database, run):
        control.delete(database, run)
    echo(f"{run} is deleted.")
