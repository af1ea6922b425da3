"""`python -m v3core …`: all that the browser can do, without a browser.

Exit code 0, or non-zero with one sentence on stderr.
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import click

from v3core import __version__
from v3core.config import MAX_SEED, Recipe, RunConfig, build_run_config, chosen_environment, recipe_for, run_name
from v3core.curriculum import Curriculum, check_fits, fits, load_curriculum, scaled, with_boundaries
from v3core.environment_options import environment_options
from v3core.environment_setup import EnvArg, EnvironmentSetup
from v3core.environments import check_environment
from v3core.environments.apart import check_launch
from v3core.environments.run_spec import imports_of
from v3core.errors import V3Error
from v3core.jobs import control, foreground, housekeeping, launcher, longer, supervisor
from v3core.jobs.checkpoints import newest_present, newest_whole, whole_checkpoints
from v3core.jobs.demo import METRIC as DEMO_METRIC
from v3core.jobs.demo import start_demo
from v3core.jobs.files import log_file
from v3core.jobs.launch import waits_for
from v3core.jobs.launcher import MOST_PRIORITY, enqueue, parse_slots, set_slots
from v3core.jobs.logs import read_log_tail
from v3core.jobs.monitor import run_monitored
from v3core.jobs.sweep import experiment_name, parse_seeds
from v3core.output import ReaderGoneError, echo, own_output, prepare
from v3core.overrides import overridden, set_values
from v3core.paths import SERVE
from v3core.serve import DEFAULT_PORT, Address, show_page
from v3core.store import runs as run_store
from v3core.store.commands import read_commands, read_revisions
from v3core.store.database import Database
from v3core.store.history import read_events
from v3core.store.opening import database_url, open_database
from v3core.store.pace import time_left
from v3core.store.run_row import RunRow
from v3core.store.sqlite_file import set_aside

COMMAND = "v3lab" if Path(sys.argv[0]).name == "v3lab" else "python -m v3core"
"""As it was given."""
STOP_PATIENCE_SECONDS = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; print one sentence on stderr if it cannot be done."""
    prepare()
    try:
        result = commands.main(arguments, prog_name=COMMAND, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ReaderGoneError:
        return 0
    except V3Error as error:
        return _fail(str(error), 1)
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message())
        return 0
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("Interrupted.", 130)


def _fail(sentence: str, code: int) -> int:
    echo(sentence, err=True)
    return code


@contextmanager
def _database() -> Iterator[Database]:
    database = open_database()
    try:
        yield database
    finally:
        database.close()


class _Command(click.Command):
    """A command whose standard output is its own."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; what environments and libraries print meanwhile goes to standard error."""
        with own_output():
            return super().invoke(ctx)


class _Commands(click.Group):
    command_class = _Command


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="v3lab", message="%(prog)s %(version)s")
def commands() -> None:
    """Train mixture-of-experts policies under a routing curriculum."""


@commands.command(cls=click.Command)  # the server has its own output
@click.option("--port", type=int, metavar="N", help=f"Port to listen on; {DEFAULT_PORT} if left out.")
def serve(port: int | None) -> None:
    """Serve the dashboard in the browser: on 127.0.0.1, unless STREAMLIT_SERVER_ADDRESS says otherwise."""
    from v3core.serve import serve as start

    if port == 0:
        raise V3Error("Port 0 does not exist; choose one from 1024 to 65535.")
    start(port or 0)


_set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a setting, any number of times: ppo.epochs=4, policy.experts=16, base.lr=1e-3, phases.warmup.lr=×0.5.",
)


@commands.command()
@click.option("--env", required=True, metavar="ID", help="Gymnasium environment id, e.g. CartPole-v1.")
@environment_options
@click.option("--curriculum", default="v3", show_default=True, metavar="FILE_OR_PRESET", help="What to train under.")
@click.option("--episodes", type=int, metavar="N", help="Length of the run; the recipe's if left out.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="S", help="Decides every random number.")
@click.option("--name", metavar="NAME", help="Shown in lists; made from the other options if left out.")
@click.option(
    "--scale/--no-scale",
    default=None,
    help="Move the boundaries in proportion to N. If left out, a preset is scaled when it does not fit.",
)
@click.option("--evaluate", type=click.IntRange(0, 10_000), metavar="K", help="Episodes of an evaluation; 0 for none.")
@click.option(
    "--evaluate-every", type=click.IntRange(1), metavar="N", help="Evaluate every N episodes, and at the end."
)
@_set_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def train(
    env: str,
    env_args: dict[str, EnvArg],
    wrappers: tuple[str, ...],
    curriculum: str,
    episodes: int | None,
    seed: int,
    name: str | None,
    scale: bool | None,
    evaluate: int | None,
    evaluate_every: int | None,
    assignments: tuple[str, ...],
    device: Literal["auto", "cpu", "cuda"],
) -> int:
    """Train in the foreground with a progress bar; prints the run id last."""
    recipe = _evaluated(recipe_for(env), evaluate, evaluate_every)
    setup = chosen_environment(env, recipe, env_args, wrappers)
    length = recipe.episodes if episodes is None else episodes
    fitted, notice = _fitted(curriculum, length, scale)
    recipe, (chosen,) = set_values(recipe, [fitted], length, assignments)
    _check_environments(setup, [chosen])
    config = build_run_config(
        name=name if name is not None else run_name([chosen.name], setup, seed),
        env=setup,
        seed=seed,
        episodes=length,
        curriculum=chosen,
        recipe=recipe,
        device=device,
    )
    with _database() as database:
        if notice:
            echo(notice, err=True)
        run_id, status = _train_with_progress_bar(database, config)
        run = run_store.get_run(database, run_id)
    echo(run_id)
    if status == "failed":
        return _fail(run.reason or "The run failed.", 1)
    return 0


def _check_environments(setup: EnvironmentSetup, curricula: Sequence[Curriculum]) -> None:
    """Refuse what cannot be trained on, and say what is odd."""
    for warning in check_launch(setup, curricula, allow_import=True).warnings:
        echo(f"Warning: {warning}", err=True)


def _evaluated(recipe: Recipe, episodes: int | None, every: int | None) -> Recipe:
    """The recipe with what was asked of its evaluations."""
    asked = {"evaluation.episodes": episodes, "evaluation.every": every}
    return overridden(recipe, {path: value for path, value in asked.items() if value is not None})


def _fitted(name_or_path: str, episodes: int, scale: bool | None) -> tuple[Curriculum, str]:
    """The curriculum for a run of `episodes`, and a sentence where its boundaries were moved."""
    curriculum, is_preset = load_curriculum(name_or_path)
    if episodes < 1:
        raise V3Error(f"A run cannot have {episodes} episodes; choose 1 or more.")
    if scale is None and is_preset:
        scale = not fits(curriculum, episodes)
    if scale:
        moved = scaled(curriculum, episodes)
        if moved.boundaries != curriculum.boundaries:
            ends = ", ".join(str(boundary) for boundary in moved.boundaries)
            return moved, f"Boundaries of {curriculum.name} scaled to {episodes} episodes: {ends}."
        return moved, ""
    check_fits(curriculum, episodes)
    return curriculum, ""


def _train_with_progress_bar(database: Database, config: RunConfig) -> tuple[str, str]:
    from tqdm import tqdm

    with tqdm(total=config.episodes, unit="ep", file=sys.stderr, dynamic_ncols=True, mininterval=0.2) as bar:

        def show(progress: foreground.ForegroundProgress) -> None:
            bar.set_description(progress.phase, refresh=False)
            bar.set_postfix({"return": f"{progress.mean_return:.1f}", "steps": f"{progress.step:,}"}, refresh=False)
            bar.total = progress.episodes
            bar.update(progress.episode - bar.n)

        return foreground.train_here(database, config, show)


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option("--sizes", is_flag=True, help="And how much room each takes: in the database, about, and in files.")
def runs(as_json: bool, sizes: bool) -> None:
    """List all runs, newest first."""
    with _database() as database:
        supervisor.reconcile(database)
        rows = run_store.list_runs(database)
        takes = housekeeping.run_sizes(database, [row.id for row in rows]) if sizes else {}
        if as_json:
            with database.read() as tx:
                newest = {row.id: newest_present(database, tx, row.id) for row in rows}
            files = {run: str(database.data_dir / row.path) if row else None for run, row in newest.items()}
            described = [row.to_dict() | {"checkpoint": files[row.id], "waits_for": _waits_for(row)} for row in rows]
            for row, entry in zip(rows, described, strict=True):
                if sizes:
                    entry |= {"database_bytes": takes[row.id].database, "file_bytes": takes[row.id].files}
            echo(json.dumps(described, indent=2))
            return
    if not rows:
        echo(f"No runs yet in {database.describe()}.")
        echo("Start one: python -m v3core train --env CartPole-v1 --episodes 600")
        return
    width = max(len(row.name) for row in rows)
    for row in rows:
        mean = "" if row.mean_return is None else f"{row.mean_return:10.2f}"
        room = f"  {_in_words(takes[row.id])}" if sizes else ""
        echo(
            f"{row.id[:8]}  {row.status:<9}  {row.name:<{width}}  {row.episode:>7}/{row.episodes:<7} "
            f"{row.phase or '':<12} {mean:>10}{room}"
        )
        if problem := _waits_for(row):
            echo(f"          {problem}")


def _waits_for(run: RunRow) -> str | None:
    """Why this machine does not start a queued run."""
    return waits_for(run) if run.status == "queued" else None


def _in_words(size: housekeeping.RunSize) -> str:
    return f"{housekeeping.in_words(size.database):>8} of rows, {housekeeping.in_words(size.files):>8} of files"


@commands.command()
@click.option("--env", required=True, metavar="ID", help="Gymnasium environment id, e.g. CartPole-v1.")
@environment_options
@click.option("--curricula", default="v3", show_default=True, metavar="A,B", help="Files or presets.")
@click.option("--seeds", default="1", show_default=True, metavar="S", help="One run per curriculum and seed: 1-5.")
@click.option("--episodes", type=int, metavar="N", help="Length of each run; the recipe's if left out.")
@click.option("--experiment", metavar="NAME", help="The group's name; made from the other options if left out.")
@click.option("--priority", type=click.IntRange(-MOST_PRIORITY, MOST_PRIORITY), default=0, show_default=True)
@_set_option
def sweep(
    env: str,
    env_args: dict[str, EnvArg],
    wrappers: tuple[str, ...],
    curricula: str,
    seeds: str,
    episodes: int | None,
    experiment: str | None,
    priority: int,
    assignments: tuple[str, ...],
) -> None:
    """Queue curricula × seeds as one experiment, in the background; prints the run ids."""
    recipe = recipe_for(env)
    setup = chosen_environment(env, recipe, env_args, wrappers)
    length = recipe.episodes if episodes is None else episodes
    numbers = parse_seeds(seeds)
    fitted = [_fitted(named.strip(), length, None) for named in curricula.split(",")]
    recipe, chosen = set_values(recipe, [curriculum for curriculum, _ in fitted], length, assignments)
    _check_environments(setup, chosen)
    # Seed by seed, so that the curricula can be compared while the rest still waits.
    configs = [
        build_run_config(
            name=run_name([curriculum.name], setup, seed),
            env=setup,
            seed=seed,
            episodes=length,
            curriculum=curriculum,
            recipe=recipe,
        )
        for seed in numbers
        for curriculum in chosen
    ]
    for _, notice in fitted:
        if notice:
            echo(notice, err=True)
    with _database() as database:
        taken = {run.experiment for run in run_store.list_runs(database) if run.experiment}
        name = experiment or experiment_name(str(setup), [curriculum.name for curriculum in chosen], numbers, taken)
        for run_id in enqueue(database, configs, name, priority=priority):
            echo(run_id)


@commands.command(cls=click.Command)  # it may become the server, which has its own output
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, and open nothing.")
def demo(as_json: bool) -> None:
    """Train the demo in the background, one policy with and without a curriculum, and open it in the browser.

    Prints the run ids. While the runs of an earlier call are unfinished it starts none. In a terminal it goes on as
    `serve` unless the dashboard is served already; elsewhere it only names the page.
    """
    with own_output():
        first = _start_demo(as_json)
    if sys.stdout.isatty() and not as_json:
        show_page(f"/live?run={first}")


def _start_demo(as_json: bool) -> str:
    """Say which runs the demo has; returns the id of the first."""
    with _database() as database:
        supervisor.reconcile(database)
        ids = start_demo(database)
        started = [run_store.get_run(database, run_id) for run_id in ids]
    experiment = started[0].experiment or ""
    address = f"/compare?{urlencode({'experiment': experiment, 'metric': DEMO_METRIC})}"
    if as_json:
        runs = [run.to_dict() for run in started]
        echo(json.dumps({"experiment": experiment, "runs": runs, "compare": address}, indent=2))
        return ids[0]
    for run_id in ids:
        echo(run_id)
    echo(
        f"The demo trains in the background, as experiment '{experiment}': watch it on the dashboard (`{SERVE}`; "
        f"{Address.of_settings().url}{address} compares its runs), or with `runs` and `show ID`.",
        err=True,
    )
    return ids[0]


@commands.command()
@click.argument("run_id", metavar="ID", required=False)
@click.option("--experiment", metavar="NAME", help="Stop all runs of this experiment.")
def stop(run_id: str | None, experiment: str | None) -> None:
    """Stop a run, or an experiment, after the present rollout, with a checkpoint."""
    if (run_id is None) == (experiment is None):
        raise V3Error("Name either a run or --experiment to stop.")
    with _database() as database:
        supervisor.reconcile(database)
        if experiment is not None:
            count = control.stop_experiment(database, experiment, "command line")
            echo(f"{count} runs of {experiment} are asked to stop.")
            return
        run = run_store.resolve(database, run_id or "")
        control.stop(database, run, "command line")
        status = control.wait_stopped(database, run, STOP_PATIENCE_SECONDS)
        reason = run_store.get_run(database, run).reason
    echo(f"{run} is {status}.{f' {reason}' if reason else ''}")


@commands.command()
@click.argument("run_id", metavar="ID")
def pause(run_id: str) -> None:
    """Hold a run after its present rollout; it keeps its process and its slot."""
    _ask(run_id, control.pause, "Requested; the run holds after its present rollout.")


@commands.command("continue")
@click.argument("run_id", metavar="ID")
def unpause(run_id: str) -> None:
    """Let a paused run go on."""
    _ask(run_id, control.unpause, "Requested; the run goes on.")


@commands.command()
@click.argument("run_id", metavar="ID")
def checkpoint(run_id: str) -> None:
    """Have a run write a checkpoint after its present rollout."""
    _ask(run_id, control.checkpoint, "Requested; the run writes it after its present rollout.")


@commands.command()
@click.argument("run_id", metavar="ID")
@click.argument("number", metavar="N", type=int)
def priority(run_id: str, number: int) -> None:
    """Set the priority of a run; of those that wait the highest starts first. A negative N comes after `--`."""
    _ask(run_id, lambda database, run, actor: control.set_priority(database, run, number, actor), f"Priority {number}.")


@commands.command()
@click.argument("run_id", metavar="ID")
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
    with _database() as database:
        supervisor.reconcile(database)
        ask(database, run_store.resolve(database, prefix), "command line")
    echo(done)


@commands.command()
@click.argument("run_id", metavar="ID")
@click.option("--boundaries", metavar="EPISODES", help="Go on with these boundaries, e.g. 150,400.")
@click.option("--take-over", is_flag=True, help="Go on here with a run that was trained on another host.")
@click.option("--here", is_flag=True, help="With this shell's import folders and variables, not those of its launch.")
@click.option("--episodes", type=int, metavar="N", help="Train it longer, up to N episodes, also a completed run.")
def resume(run_id: str, boundaries: str | None, take_over: bool, here: bool, episodes: int | None) -> None:
    """Go on with a run from its newest whole checkpoint, in the background."""
    with _database() as database:
        supervisor.reconcile(database)
        run = run_store.resolve(database, run_id)
        curriculum = None
        if boundaries is not None:
            curriculum = with_boundaries(control.current_curriculum(database, run), _episodes(boundaries))
        control.resume(
            database, run, "command line", curriculum=curriculum, take_over=take_over, here=here, episodes=episodes
        )
        status = run_store.get_run(database, run).status
    echo(f"{run} is {status}.")


def _episodes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise V3Error(f"'{text}' is not a list of episodes; write them as 150,400.") from None


@commands.command()
@click.argument("number", metavar="[N]", required=False)
def slots(number: str | None) -> None:
    """Show how many runs train at once on this machine, or set it: a number, or `auto` for one per core."""
    with _database() as database:
        if number is not None:
            set_slots(database, parse_slots(number))
        supervisor.reconcile(database)
        limit, active = launcher.slots(database), launcher.slots_in_use(database)
    echo(f"{limit} {'run' if limit == 1 else 'runs'} may train at once on this machine; {active} now.")


@commands.command()
@click.argument("run_id", metavar="ID")
@click.argument("boundaries", metavar="EPISODES")
def move(run_id: str, boundaries: str) -> None:
    """Move the boundaries of a run that lie ahead, e.g. `move 3f2a 150,400`."""
    wanted = _episodes(boundaries)
    with _database() as database:
        supervisor.reconcile(database)
        run = run_store.resolve(database, run_id)
        current = control.current_curriculum(database, run)
        control.request_edit(database, run, with_boundaries(current, wanted), actor="command line")
    echo("Requested; the run applies it between two updates.")


@commands.command()
@click.argument("run_id", metavar="ID")
@click.option("--episodes", type=int, required=True, metavar="N", help="The new length.")
def extend(run_id: str, episodes: int) -> None:
    """Train a run that trains or waits longer, up to N episodes; `resume --episodes` is for one that has ended."""
    _ask(
        run_id,
        lambda database, run, actor: longer.extend(database, run, episodes, actor),
        "Requested; the run applies it between two updates.",
    )


@commands.command()
@click.option("--delete", "remove", is_flag=True, help="Delete them; without it they are only listed.")
def tidy(remove: bool) -> int:
    """List what deleted runs and cut-off writes have left in the data folder, or delete it."""
    with _database() as database:
        supervisor.reconcile(database)
        found = housekeeping.leftovers(database)
        problems = housekeeping.remove_leftovers(found) if remove else []
    for leftover in found:
        echo(f"{housekeeping.in_words(leftover.bytes):>8}  {leftover.path}")
    room = housekeeping.in_words(sum(leftover.bytes for leftover in found))
    if not found:
        echo("Nothing is left over.")
    elif not remove:
        echo(f"{room} that belong to no run of {database.describe()}; delete them with --delete.")
    if problems:
        return _fail(f"{problems[0]}{f' And {len(problems) - 1} more.' if len(problems) > 1 else ''}", 1)
    return 0


@commands.command()
def compact() -> None:
    """Give the space of deleted runs in the database back to the disk; no run may train meanwhile."""
    with _database() as database:
        supervisor.reconcile(database)
        before, after = housekeeping.compact(database)
    echo(f"{before:,} bytes before, {after:,} bytes after.")


@commands.command()
@click.argument("run_id", metavar="ID")
def delete(run_id: str) -> None:
    """Delete an ended run with its episodes, log and checkpoints."""
    with _database() as database:
        supervisor.reconcile(database)
        run = run_store.resolve(database, run_id)
        control.delete(database, run)
    echo(f"{run} is deleted.")


@commands.command()
@click.argument("run_id", metavar="ID")
@click.option(
    "--lines", type=click.IntRange(1), default=200, show_default=True, metavar="N", help="The newest so many."
)
@click.option("--traceback", is_flag=True, help="Print where in the program a failure arose instead.")
def log(run_id: str, lines: int, traceback: bool) -> None:
    """Print the end of what a run's worker printed."""
    with _database() as database:
        supervisor.reconcile(database)
        run = run_store.get_run(database, run_store.resolve(database, run_id))
        text = run.traceback if traceback else read_log_tail(run.id, lines, database.data_dir)
    if traceback and not text:
        raise V3Error(f"Run {run.id[:8]} '{run.name}' is {run.status} and has no traceback; leave out --traceback.")
    if not text and run.started_at is not None:
        file = log_file(run.id)
        raise V3Error(f"Run {run.id[:8]} '{run.name}' has no log here; its worker wrote {file} on {run.host}.")
    echo(text or "The log is empty so far.", err=not text)


@commands.command()
@click.argument("run_ids", metavar="[ID]...", nargs=-1)
@click.option("--experiment", metavar="NAME", help="All runs of this experiment.")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE_OR_FOLDER")
@click.option("--what", metavar="TABLE", help="The table to export, or `all` into a folder; the episodes if left out.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet", "json", "tensorboard"]), help="Of a folder.")
def export(run_ids: tuple[str, ...], experiment: str | None, target: Path, what: str | None, form: str | None) -> None:
    """Write what is recorded of runs to a .csv, .parquet or .json file; never sampled.

    A file holds one row per episode, or the table of --what: runs, episodes, expert_loads, evaluations,
    phase_changes, curriculum_revisions, commands, checkpoints, events. JSON without --what holds the whole run.
    With --what all, --to names a new folder of one file per table, in the form of --format; with --format
    tensorboard a new folder of event files.
    """
    from v3core.store.export import export_folder, export_runs  # only here: a worker's start is waited for

    with _database() as database:
        chosen = _chosen_runs(database, run_ids, experiment)
        if form == "tensorboard":
            from v3core.store.tensorboard import export_tensorboard

            count = export_tensorboard(database, chosen, target)
        elif what == "all":
            count = export_folder(database, chosen, target, form or "csv")
        elif form is not None and target.suffix.lower() != f".{form}":
            raise V3Error(f"--format {form} goes with --what all, or with a file that ends in .{form}.")
        else:
            count = export_runs(database, chosen, target, what)
    rows = "episodes" if what in (None, "all", "episodes") else "rows"
    echo(f"{count} {rows} written to {target}.")


def _chosen_runs(database: Database, prefixes: tuple[str, ...], experiment: str | None) -> list[str]:
    """Full ids of the runs named, or of an experiment; each once."""
    if bool(prefixes) == (experiment is not None):
        raise V3Error("Name either runs or --experiment to export.")
    if experiment is None:
        return list(dict.fromkeys(run_store.resolve(database, prefix) for prefix in prefixes))
    with database.read() as tx:
        found = run_store.runs_of_experiment(tx, experiment)
    if not found:
        raise V3Error(f"There is no experiment '{experiment}'; `runs --json` names the experiment of each run.")
    return [run.id for run in found]


@commands.command()
@click.argument("run_id", metavar="ID")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE.v3run")
def archive(run_id: str, target: Path) -> None:
    """Write a run with its records, checkpoints and log to one file, which another V3 Lab imports."""
    from v3core.archive import write_archive  # only here: a worker's start is waited for

    with _database() as database:
        written = write_archive(database, run_store.resolve(database, run_id), target)
    missing = f"; {written.missing} more were left out, their files are gone" if written.missing else ""
    echo(
        f"{written.episodes} episodes and {written.checkpoints} checkpoints written to {target}, "
        f"{written.bytes:,} bytes{missing}."
    )


@commands.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE.v3run")
@click.option("--as-new", is_flag=True, help="Under a new id, beside the run that it was made from.")
@click.option("--allow-import", is_flag=True, help="Take environments of the form module:Env-v0, which import code.")
def import_(source: Path, as_new: bool, allow_import: bool) -> None:
    """Import a run from an archive, all of it or nothing; prints its id."""
    from v3core.archive import import_archive

    with _database() as database:
        supervisor.reconcile(database)
        echo(import_archive(database, source, as_new=as_new, allow_import=allow_import))


@commands.command()
@click.argument("checkpoint", metavar="CHECKPOINT_OR_ID")
@click.option(
    "--episodes", type=click.IntRange(1, 10_000), default=10, show_default=True, metavar="K", help="How many."
)
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    metavar="S",
    help="Start from; that of every run's evaluations if left out.",
)
@click.option("--sampled/--likeliest", default=None, help="How to act; as the run was evaluated if left out.")
@click.option("--checkpoint", "at", type=click.IntRange(0), metavar="N", help="Of a run: its checkpoint at episode N.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def evaluate(
    checkpoint: str, episodes: int, seed: int | None, sampled: bool | None, at: int | None, as_json: bool
) -> None:
    """Play episodes with a checkpoint, or the newest of a run: no routing noise, nothing learned."""
    from v3core.training import inference  # torch: seconds to import
    from v3core.training.evaluation import EVALUATION_SEED

    file, imports = _checkpoint(checkpoint, at)
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
        echo(json.dumps(result, indent=2))
        return
    spread = "" if deviation is None else f", deviation {deviation:.2f}"
    solved = f", {sum(successes):g} of {len(successes)} successes" if successes else ""
    echo(
        f"{episodes} episodes of {policy.spec.environment} after {policy.episode} of training: "
        f"mean return {mean:.2f}{spread}{solved}."
    )


def _checkpoint(path_or_id: str, episode: int | None) -> tuple[Path, set[str] | None]:
    """A checkpoint file, and the environments that it may import: of a named file any, of a run its own."""
    path = Path(path_or_id)
    if path.is_file():
        if episode is not None:
            raise V3Error("--checkpoint goes with the id of a run; a file is a checkpoint already.")
        return path, None
    if path.suffix or len(path.parts) > 1:
        raise V3Error(f"There is no checkpoint file {path}; `runs --json` names the newest of each run.")
    with _database() as database:
        run = run_store.resolve(database, path_or_id)
        chosen = _checkpoint_at(database, run, episode)
        environment = run_store.get_run(database, run).config.environment
        imports = imports_of(environment, [revision.curriculum for revision in read_revisions(database, run)])
    return chosen, imports


def _checkpoint_at(database: Database, run_id: str, episode: int | None) -> Path:
    """The run's checkpoint at that episode, or its newest whole one."""
    with database.read() as tx:
        whole = list(whole_checkpoints(database, tx, run_id)) if episode is not None else []
        row = newest_whole(database, tx, run_id) if episode is None else None
    found = next((candidate for candidate in whole if candidate.episode == episode), row)
    if found is not None:
        return database.data_dir / found.path
    if episode is None:
        raise V3Error(f"{run_id} has no checkpoint yet; wait until it has begun to train.")
    there = ", ".join(str(candidate.episode) for candidate in reversed(whole)) or "none"
    raise V3Error(f"{run_id} has no whole checkpoint at episode {episode}; it has them at: {there}.")


@commands.command()
@click.argument("env", metavar="ENV")
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def graph(env: str, env_args: dict[str, EnvArg], wrappers: tuple[str, ...], as_json: bool) -> None:
    """Show the state graph that an environment gets, and its actions."""
    from v3core.environments.describe import as_dict, as_text
    from v3core.environments.look import look

    spec = check_environment(chosen_environment(env, recipe_for(env), env_args, wrappers), allow_import=True)
    sees = look(spec.environment, allow_import=True)
    echo(json.dumps({**as_dict(spec), "sees": sees}, indent=2) if as_json else f"{as_text(spec)}\n  {sees}")


@commands.command()
@click.argument("run_id", metavar="ID")
def worker(run_id: str) -> int:
    """Train a queued run in a child of this process; the queue starts workers this way."""
    with _database() as database:
        run = run_store.resolve(database, run_id)
    return run_monitored(run)


@commands.command()
@click.argument("run_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def show(run_id: str, as_json: bool) -> None:
    """Show a run: how it stands, what was asked of it and what came of that, and its history."""
    with _database() as database:
        supervisor.reconcile(database)
        run = run_store.get_run(database, run_store.resolve(database, run_id))
        asked, history = read_commands(database, run.id), read_events(database, run.id)
    if as_json:
        described = run.to_dict() | {
            "waits_for": _waits_for(run),
            "commands": [row.to_dict() for row in asked],
            "events": [row.to_dict() for row in history],
        }
        echo(json.dumps(described, indent=2))
        return
    echo(f"{run.id}  {run.name}")
    why = _waits_for(run) or run.reason
    left = f", {time_left(run.seconds_left)}" if run.seconds_left else ""
    echo(f"{run.status}, {run.episode} of {run.episodes} episodes{left}{f': {why}' if why else ''}")
    for event in history:
        echo(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}  {event.actor:<12}  {event.message}")
    if asked:
        echo("Commands:")
    for row in asked:
        echo(f"{row.requested_at.astimezone():%Y-%m-%d %H:%M:%S}  {row.kind:<16}  {row.describe()}")


@commands.command()
@click.option(
    "--set-aside-database", "aside", is_flag=True, help="Rename a damaged SQLite database, so that a new one can begin."
)
@click.option("--env", metavar="ID", help="Examine this environment instead: does it keep to Gymnasium's API?")
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(aside: bool, env: str | None, env_args: dict[str, EnvArg], wrappers: tuple[str, ...], as_json: bool) -> int:
    """Say what is missing on this machine, and how to get it; with --env, what is wrong with an environment."""
    if env is not None:
        from v3core.environment_report import report_on

        fault = report_on(chosen_environment(env, recipe_for(env), env_args, wrappers), as_json=as_json)
        return _fail(fault, 1) if fault else 0
    if aside:
        target = set_aside(database_url(), datetime.now(UTC))
        echo(f"The damaged database is now {target}; the next command begins a new one.")
        return 0
    from v3core.doctor import examine

    findings = list(examine())
    if as_json:
        echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    for finding in findings if not as_json else ():
        mark = "ok     " if finding.ok else "MISSING" if finding.needed else "note   "
        echo(f"{mark}  {finding.subject}: {finding.detail}")
    missing = [finding.subject for finding in findings if not finding.ok and finding.needed]
    return _fail(f"Missing: {', '.join(missing)}.", 1) if missing else 0
