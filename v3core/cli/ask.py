"""Commands to a run: stop, pause, continue, change."""

import click

from v3core.cli.common import commands, one_run, parse_episodes, reconciled, run_argument
from v3core.curriculum import with_boundaries
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.kinds import COMMANDS, Command
from v3core.jobs.lifecycle import status_word
from v3core.messages import _
from v3core.output import echo
from v3core.phrases import sentences, stored
from v3core.store.runs import get_run

ACTOR = "command line"
STOP_PATIENCE_SECONDS = 60.0
_REQUESTED = _("Requested; `show ID` shows the outcome.")


@commands.command()
@click.argument("run_id", metavar="ID", required=False)
@click.option("--experiment", metavar="NAME", help="Stop all runs of this experiment.")
def stop(run_id: str | None, experiment: str | None) -> None:
    """Stop a run, or all runs of an experiment, after the current rollout, with a checkpoint."""
    if (run_id is None) == (experiment is None):
        raise V3Error("Give either a run or --experiment.")
    if experiment is not None:
        with reconciled() as database:
            count = control.stop_experiment(database, experiment, ACTOR)
        echo(_("{count} runs of {experiment} are stopping.", count=count, experiment=experiment))
        return
    with one_run(run_id or "") as (database, run):
        control.stop(database, run, ACTOR)
        status = control.wait_stopped(database, run, STOP_PATIENCE_SECONDS)
        reason = get_run(database, run).reason
    echo(sentences(_("{run} is {status}.", run=run, status=status_word(status)), stored(reason or "")))


def _simple(command: Command) -> click.Command:
    """A command without arguments."""

    @run_argument
    def ask(run_id: str) -> None:
        with one_run(run_id) as (database, run):
            control.ask(database, run, ACTOR, kind=command.kind)
        echo(_REQUESTED)

    return commands.command(command.kind, help=command.meaning)(ask)


for _command in COMMANDS.values():
    if _command.is_simple:
        _simple(_command)


@commands.command()
@run_argument
@click.argument("number", metavar="N", type=int)
def priority(run_id: str, number: int) -> None:
    """Set the priority of a run; the waiting run with the highest starts first. Write a negative N after `--`."""
    with one_run(run_id) as (database, run):
        control.set_priority(database, run, number, ACTOR)
    echo(_("Priority {number}.", number=number))


@commands.command()
@run_argument
@click.option("--tags", metavar="WORDS", help="Replace the tags; separated by spaces or commas.")
@click.option("--add-tags", default="", metavar="WORDS", help="Add to the tags.")
@click.option("--remove-tags", default="", metavar="WORDS", help="Remove from the tags.")
@click.option("--notes", metavar="TEXT", help="Replace the notes.")
def note(run_id: str, tags: str | None, add_tags: str, remove_tags: str, notes: str | None) -> None:
    """Set the tags or the notes of a run in any status."""
    changes_tags = bool(add_tags or remove_tags)
    if tags is None and notes is None and not changes_tags:
        raise V3Error("Nothing to change: give --tags, --add-tags, --remove-tags or --notes.")
    if tags is not None and changes_tags:
        raise V3Error("Give either --tags, which replaces all tags, or --add-tags and --remove-tags.")
    with one_run(run_id) as (database, run):
        if changes_tags:
            control.retag(database, run, add=add_tags, remove=remove_tags, actor=ACTOR)
        control.annotate(database, run, tags=tags, notes=notes, actor=ACTOR)
    echo(_("Noted."))


@commands.command()
@run_argument
@click.argument("number", metavar="N", type=int)
@click.option("--reason", metavar="TEXT", help="Why; shown with the alarm.")
@click.option("--undo", is_flag=True, help="Undo it instead.")
def mute(run_id: str, number: int, reason: str | None, undo: bool) -> None:
    """Mute alarm N of a run, and later ones of its rule; `alarms ID` lists them."""
    if undo == (reason is not None):
        raise V3Error("Give either --reason or --undo.")
    with one_run(run_id) as (database, run):
        if reason is None:
            control.unmute_alarm(database, run, number, ACTOR)
        else:
            control.mute_alarm(database, run, number, reason, ACTOR)
    echo(_("No longer muted.") if undo else _("Muted."))


@commands.command()
@run_argument
@click.option("--boundaries", metavar="EPISODES", help="Resume with these phase boundaries, e.g. 150,400.")
@click.option("--take-over", is_flag=True, help="Resume a run on this host that was trained on another one.")
@click.option(
    "--here", is_flag=True, help="Use the import folders and variables of this shell instead of the saved ones."
)
@click.option("--episodes", type=int, metavar="N", help="Train up to episode N; also for a completed run.")
@click.option("--steps", type=int, metavar="N", help="The same for a run whose length is given in environment steps.")
def resume(
    run_id: str, boundaries: str | None, take_over: bool, here: bool, episodes: int | None, steps: int | None
) -> None:
    """Resume a run from its newest intact checkpoint, in the background."""
    with one_run(run_id) as (database, run):
        curriculum = None
        if boundaries is not None:
            curriculum = with_boundaries(control.current_curriculum(database, run), parse_episodes(boundaries))
        control.resume(
            database,
            run,
            ACTOR,
            curriculum=curriculum,
            take_over=take_over,
            here=here,
            episodes=episodes,
            steps=steps,
        )
        status = get_run(database, run).status
    echo(_("{run} is {status}.", run=run, status=status_word(status)))


@commands.command()
@run_argument
@click.argument("boundaries", metavar="EPISODES")
def move(run_id: str, boundaries: str) -> None:
    """Move the future phase boundaries of a run, e.g. `move 3f2a 150,400`."""
    wanted = parse_episodes(boundaries)
    with one_run(run_id) as (database, run):
        current = control.current_curriculum(database, run)
        control.request_edit(database, run, with_boundaries(current, wanted), actor=ACTOR)
    echo(_REQUESTED)


@commands.command()
@run_argument
@click.option("--episodes", type=int, metavar="N", help="The new length.")
@click.option("--steps", type=int, metavar="N", help="The new length of a run whose length is in environment steps.")
def extend(run_id: str, episodes: int | None, steps: int | None) -> None:
    """Extend a training or waiting run to N episodes or steps; use `resume` with them for a run that has ended."""
    with one_run(run_id) as (database, run):
        control.extend(database, run, episodes, ACTOR, steps=steps)
    echo(_REQUESTED)


@commands.command()
@run_argument
def delete(run_id: str) -> None:
    """Delete an ended run with its episodes, log and checkpoints."""
    with one_run(run_id) as (database, run):
        control.delete(database, run)
    echo(_("{run} is deleted.", run=run))
