"""Starting runs from checkpoints of others, and saving what a run trained under."""

import click

from v3core.cli.common import commands, one_run, run_argument, set_option
from v3core.curriculum import fits, load_curriculum
from v3core.errors import V3Error
from v3core.jobs import forks
from v3core.jobs.grid import fitted
from v3core.jobs.what_happened import save_curriculum
from v3core.messages import _
from v3core.output import echo, fail
from v3core.store.database import Database
from v3core.store.runs import get_run

_SHOWN = 10
"""Episodes that differ."""


@commands.command()
@run_argument
@click.option("--episode", type=int, metavar="N", help="Checkpoint to begin with; default: the newest.")
@click.option(
    "--curriculum",
    metavar="FILE_OR_PRESET",
    help="Curriculum from there on; default: the parent's. What was trained before stays as it was.",
)
@click.option(
    "--seed", type=int, metavar="S", help="New random numbers from there on; default: the parent's numbers continue."
)
@click.option("--episodes", type=int, metavar="N", help="Length with the parent's episodes; default: the parent's.")
@click.option("--steps", type=int, metavar="N", help="The same of a run whose length is in environment steps.")
@click.option("--name", metavar="NAME", help="Name shown in lists; default: made from the parent's and the changes.")
@click.option(
    "--here", is_flag=True, help="Use the import folders and variables of this shell instead of the parent's."
)
@click.option(
    "--check",
    is_flag=True,
    help="Start nothing: train the first rollout of an unchanged fork here and compare it with what the run recorded.",
)
@set_option
def fork(
    check: bool,
    run_id: str,
    episode: int | None,
    curriculum: str | None,
    seed: int | None,
    episodes: int | None,
    steps: int | None,
    name: str | None,
    here: bool,
    assignments: tuple[str, ...],
) -> int:
    """Start a run in the background from a checkpoint of another, with something changed; prints its id.

    It continues with the checkpoint's weights, optimiser, normaliser, environments and random numbers. With --seed the
    random numbers are new, and the environments begin new episodes.
    """
    if check and (curriculum is not None or seed is not None or {episodes, steps} != {None} or name or assignments):
        raise V3Error("--check is about a fork without a change; give it --episode only.")
    with one_run(run_id) as (database, run):
        if check:
            return _check_fork(database, run, episode)
        chosen = None
        if curriculum is not None:
            length = forks.Change(episodes=episodes, steps=steps).length_of(get_run(database, run).config)
            loaded, is_preset = load_curriculum(curriculum)
            chosen, notice = fitted(loaded, length, is_preset and not fits(loaded, length.episodes, length.steps))
            if notice:
                echo(notice, err=True)
        echo(
            forks.fork(
                database,
                run,
                episode=episode,
                curriculum=chosen,
                seed=seed,
                assignments=assignments,
                episodes=episodes,
                steps=steps,
                name=name,
                from_here=True,
                here=here,
                actor="command line",
            )
        )
    return 0


def _check_fork(database: Database, run_id: str, episode: int | None) -> int:
    from v3core.jobs.fork_check import check_fork

    found = check_fork(database, run_id, episode)
    what = _(
        "Episodes {first} to {last}, the first rollout of a fork at episode {value}",
        first=found.first,
        last=found.last,
        value=found.first - 1,
    )
    if not found.differing:
        echo(_("{what}, equal the run's own to the bit: {numbers} numbers of each.", what=what, numbers=found.numbers))
        return 0
    for sentence in found.differing[:_SHOWN]:
        echo(sentence)
    return fail(_("{what}, differ from the run's own; docs/exactness.md says what can cause it.", what=what), 1)


@commands.command("save-curriculum")
@run_argument
@click.argument("name", metavar="NAME")
def save_what_happened(run_id: str, name: str) -> None:
    """Save what a run really trained under, live edits included, as the preset NAME; prints its file.

    Phases that ended by a trigger or by steps end at the episode at which they did.
    """
    with one_run(run_id) as (database, run):
        echo(str(save_curriculum(database, run, name)))
