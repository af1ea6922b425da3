"""Inspecting: the list of runs, one run, its log, its policy and its environment."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import click

from v3core.cli.common import commands, environment_options, json_option, one_run, opened, reconciled, run_argument
from v3core.cli.printed_rows import echo_rows
from v3core.config import MAX_SEED
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import check_environment
from v3core.errors import V3Error
from v3core.insight.duration import time_left
from v3core.jobs import housekeeping
from v3core.jobs.checkpoints import newest_present
from v3core.jobs.files import log_file
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.lifecycle import status_word
from v3core.jobs.logs import read_log_tail
from v3core.jobs.played_episodes import imports_of_run, intact_checkpoint
from v3core.messages import _, translated
from v3core.output import echo, echo_json, padded, width
from v3core.paths import COMMAND
from v3core.phrases import listed, stored, strung
from v3core.places import local_file
from v3core.recall import recalled
from v3core.store.alarms import ACTIVE, CLEARED, MUTED
from v3core.store.commands import read_commands
from v3core.store.database import Database
from v3core.store.history import read_events
from v3core.store.run_filter import matches, parse_filter
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, list_runs, resolve
from v3core.store.situation_records import has_situations
from v3core.store.watching import BEHIND, COMPUTED, alarms_of

if TYPE_CHECKING:
    from v3core.comparison.run_newest import RunNewest


@commands.command()
@json_option
@click.option(
    "--sizes", is_flag=True, help="Also show the disk usage of each run: in the database (estimated) and in files."
)
@click.option(
    "--filter",
    "wanted",
    default="",
    metavar="TERMS",
    help="As on Runs: `status:failed env:CartPole tag:x -seed:1 word`.",
)
def runs(as_json: bool, sizes: bool, wanted: str) -> None:
    """List runs, newest first.

    The mean return is over the newest episodes of the phase that a run is in: a tenth of the run's episodes, planned
    or expected from its steps so far, at least 10 and at most 100, or all of the phase while there are fewer.
    """
    terms = parse_filter(wanted)
    with reconciled() as database:
        rows = [row for row in list_runs(database) if matches(terms, row)]
        takes = housekeeping.run_sizes(database, [row.id for row in rows]) if sizes else {}
        if as_json:
            with database.read() as tx:
                newest = {row.id: newest_present(database, row.id, tx) for row in rows}
            files = {
                run: database.place.name_of(database.data_dir / row.path) if row else None
                for run, row in newest.items()
            }
            described = [row.to_dict() | {"checkpoint": files[row.id], "waits_for": _waits_for(row)} for row in rows]
            for row, entry in zip(rows, described, strict=True):
                if sizes:
                    entry |= {"database_bytes": takes[row.id].database, "file_bytes": takes[row.id].files}
            echo_json(described)
            return
    if not rows and terms:
        echo(_("No runs match."), err=True)
        return
    if not rows:
        echo(_("No runs yet in {describe}.", describe=database.describe()))
        echo(_("Start one: {command}", command=f"{COMMAND} train --env CartPole-v1 --episodes 600"))
        return
    widest = max(width(row.name) for row in rows)
    of_phase = str(translated(_("mean return in phase")))
    for row in rows:
        mean = "" if row.mean_return is None else f"{row.mean_return:>10.2f} {of_phase}"
        room = ""
        if size := takes.get(row.id):
            takes_of = {"rows": size.database, "files": size.files}
            said = {name: padded(housekeeping.in_words(one), 8, right=True) for name, one in takes_of.items()}
            room = translated(_("  {rows} of rows, {files} of files", **said))
        done = f"{row.episode:>7}/{row.episodes:<7}"
        if row.length.is_by_steps:
            done = translated(_("{done} steps", done=f"{row.step:>7}/{row.steps}"))
        status, name, phase = (
            padded(text, columns)
            for text, columns in ((status_word(row.status), 9), (row.name, widest), (row.phase or "", 12))
        )
        # Its end is empty where nothing follows.
        mean = padded(mean, 11 + width(of_phase)) if room else mean
        echo(f"{row.id[:8]}  {status}  {name}  {done} {phase} {mean}{room}".rstrip())
        if problem := _waits_for(row):
            echo(f"          {recalled(problem)}")


def _waits_for(run: RunRow) -> str | None:
    """Why this machine does not start a queued run."""
    return chosen().waits_for(run) if run.status == "queued" else None


@commands.command()
@run_argument
@json_option
def show(run_id: str, as_json: bool) -> None:
    """Show a run: its state, its commands with their outcomes, and its history.

    Of an environment with facts of episodes and situations, such as NetHack, it shows those of the newest episodes.
    """
    with one_run(run_id) as (database, found):
        run = get_run(database, found)
        asked, history = read_commands(database, run.id), read_events(database, run.id)
        newest = _newest(database, run)
    if as_json:
        records = {"commands": [row.to_dict() for row in asked], "events": list(map(vars, history))}
        of_newest = newest.to_dict() if newest else {}
        echo_json(run.to_dict() | {"waits_for": _waits_for(run)} | records | of_newest)
        return
    echo(f"{run.id}  {run.name}")
    why = _waits_for(run) or run.reason
    state = [status_word(run.status), run.progress_words]
    state += [time_left(run.seconds_left)] if run.seconds_left else []
    echo(_("{state}: {why}", state=listed(state), why=stored(why)) if why else listed(state))
    for event in history:
        actor = padded(recalled(event.actor), 12)
        echo(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}  {actor}  {recalled(event.message)}")
    if asked:
        echo(_("Commands:"))
    for row in asked:
        echo(f"{row.requested_at.astimezone():%Y-%m-%d %H:%M:%S}  {row.kind:<16}  {translated(row.describe())}")
    if newest:
        _print_newest(newest)


def _newest(database: Database, run: RunRow) -> "RunNewest | None":
    """What its environment says of its newest episodes, if it does."""
    try:
        records_facts = bool(run.config.episode_facts)
    except V3Error:
        return None
    if not (records_facts or has_situations(database, run.id, last=run.episode)):
        return None
    from v3core.comparison.run_newest import read_run_newest  # statistics, which few commands need

    return read_run_newest(database, run)


def _print_newest(newest: "RunNewest") -> None:
    from v3core.comparison.fact_rows import fact_rows  # as above
    from v3core.comparison.newest import window_words
    from v3core.comparison.situation_rows import situation_rows

    of = window_words(newest.window)
    if newest.facts:
        echo_rows(_("Facts of episodes, of {window}:", window=of), fact_rows(newest.facts))
    if newest.situations:
        echo_rows(_("Routing by situation, of {window}:", window=of), situation_rows(newest.situations))


ALARM_STATES = {ACTIVE: _("active"), CLEARED: _("cleared"), MUTED: _("muted")}


@commands.command()
@run_argument
@json_option
def alarms(run_id: str, as_json: bool) -> None:
    """List the alarms of a run, oldest first; docs/alarms.md explains the rules."""
    with one_run(run_id) as (database, found):
        run = get_run(database, found)
        rows, computed = alarms_of(database, run.id)
    if as_json:
        echo_json([row.to_dict() | {"computed": computed} for row in rows])
        return
    if computed:
        echo(COMPUTED)
    elif run.alarms_follow:
        echo(BEHIND)
    if not rows:
        echo(_("No alarms in {episode} episodes.", episode=run.episode))
    for row in sorted(rows, key=lambda row: row.state != ACTIVE):
        span = _("{first_episode} to {last_episode}", first_episode=row.first_episode, last_episode=row.last_episode)
        number = f"{row.number:>3}  " if row.number else ""
        state, phase = padded(ALARM_STATES[row.state], 8), padded(row.phase, 20)
        said = _("episodes {span}: {sentence}.", span=span, sentence=stored(row.sentence))
        muted = _(" (muted: {reason})", reason=row.reason) if row.reason else ""
        echo(strung("", [f"{number}{state} {row.rule:<20} {phase} ", said, muted]))


@commands.command()
@run_argument
@click.option("--lines", type=click.IntRange(1), default=200, show_default=True, metavar="N", help="Number of lines.")
@click.option("--traceback", is_flag=True, help="Print the traceback of a failure instead.")
def log(run_id: str, lines: int, traceback: bool) -> None:
    """Print the end of a run's log."""
    with one_run(run_id) as (database, found):
        run = get_run(database, found)
        text = run.traceback if traceback else read_log_tail(run.id, lines, database.place)
    if traceback and not text:
        raise V3Error(
            "Run {id} '{name}' is {status} and has no traceback; omit --traceback.",
            id=run.id[:8],
            name=run.name,
            status=status_word(run.status),
        )
    if not text and run.started_at is not None:
        file = log_file(run.id)
        raise V3Error(
            "Run {id} '{name}' has no log here; its worker wrote to {file} on {host}.",
            id=run.id[:8],
            name=run.name,
            file=file,
            host=run.host,
        )
    echo(text or _("The log is still empty."), err=not text)


@commands.command()
@click.argument("checkpoint", metavar="CHECKPOINT_OR_ID")
@click.option(
    "--episodes",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    metavar="K",
    help="Number of episodes, of each environment if the run trains on several at once.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    metavar="S",
    help="First seed; default: that of all evaluations.",
)
@click.option(
    "--sampled/--likeliest", default=None, help="How actions are chosen; default: as in the run's evaluations."
)
@click.option("--checkpoint", "at", type=click.IntRange(0), metavar="N", help="Use the run's checkpoint at episode N.")
@json_option
def evaluate(
    checkpoint: str, episodes: int, seed: int | None, sampled: bool | None, at: int | None, as_json: bool
) -> None:
    """Evaluate a checkpoint, or the newest one of a run: no routing noise, no learning."""
    from v3core.environments.evaluation_seeds import EVALUATION_SEED
    from v3core.training import inference  # torch: seconds to import

    file, imports = checkpoint_file(checkpoint, at)
    policy = inference.load_policy(file, imports=imports)
    played = policy.evaluate(episodes, EVALUATION_SEED if seed is None else seed, sampled=sampled)
    returns = [episode.return_ for episode in played]
    successes = [episode.success for episode in played if episode.success is not None]
    mean, deviation = statistics.fmean(returns), statistics.stdev(returns) if len(returns) > 1 else None
    if as_json:
        result = {
            "checkpoint": str(file),
            "env": policy.spec.env_id,
            "env_args": dict(policy.spec.environment.args),
            "wrappers": list(policy.spec.environment.wrappers),
            "trained_episodes": policy.episode,
            "returns": returns,
            "lengths": [episode.length for episode in played],
            "successes": [episode.success for episode in played],
            "mean_return": mean,
        }
        if policy.tasks:
            result |= {"tasks": [episode.task for episode in played]}
        echo_json(result)
        return
    spread = "" if deviation is None else _(", deviation {deviation:.2f}", deviation=deviation)
    solved = _(", {sum:g} of {successes} successes", sum=sum(successes), successes=len(successes)) if successes else ""
    echo(
        _(
            "{played} episodes of {environment} after {episode} of training: mean return {mean:.2f}{spread}{solved}.",
            played=len(played),
            environment=policy.spec.environment,
            episode=policy.episode,
            mean=mean,
            spread=spread,
            solved=solved,
        )
    )
    for task in policy.tasks:
        mine = [episode for episode in played if episode.task == task]
        said = [episode.success for episode in mine if episode.success is not None]
        solved = _(", {sum:g} of {said} successes", sum=sum(said), said=len(said)) if said else ""
        echo(
            _(
                "  {task}: mean return {fmean:.2f}{solved}",
                task=task,
                fmean=statistics.fmean(episode.return_ for episode in mine),
                solved=solved,
            )
        )


def checkpoint_file(path_or_id: str, episode: int | None) -> tuple[Path, set[str] | None]:
    """A checkpoint file, and the environments that it may import: any for a file, those of the run for a run."""
    path = local_file(path_or_id)
    if path.is_file():
        if episode is not None:
            raise V3Error("--checkpoint is only valid with the id of a run, not with a checkpoint file.")
        return path, None
    if path.suffix or len(path.parts) > 1:
        raise V3Error("There is no checkpoint file {path}; `runs --json` lists the newest of each run.", path=path)
    with opened() as database:
        run_id = resolve(database, path_or_id)
        return intact_checkpoint(database, run_id, episode), imports_of_run(database, run_id)


@commands.command()
@click.argument("env", metavar="ENV")
@environment_options
@json_option
def graph(setup: EnvironmentSetup, as_json: bool) -> None:
    """Show the state graph and the actions of an environment."""
    from v3core.environments.describe import as_dict, as_text
    from v3core.environments.examine import look

    spec = check_environment(setup, allow_import=True)
    sees = look(spec.environment, allow_import=True)
    if as_json:
        echo_json({**as_dict(spec), "sees": sees})
    else:
        echo(strung("\n  ", [as_text(spec), sees]))
