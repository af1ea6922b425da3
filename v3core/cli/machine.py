"""This machine: the server, workers, how many at once, what is missing, room on the disk."""

from dataclasses import asdict
from datetime import UTC, datetime

import click

from v3core.cli.common import (
    commands,
    echo_json,
    environment_options,
    fail,
    json_option,
    opened,
    reconciled,
    run_argument,
)
from v3core.config import chosen_environment, recipe_for
from v3core.environment_setup import EnvArg
from v3core.errors import V3Error
from v3core.jobs import housekeeping, launcher, supervisor
from v3core.jobs.monitor import run_monitored
from v3core.output import echo
from v3core.serve import DEFAULT_PORT
from v3core.store.opening import database_url
from v3core.store.runs import resolve
from v3core.store.sqlite_file import set_aside


@commands.command(cls=click.Command)  # the server has its own output
@click.option("--port", type=int, metavar="N", help=f"Port to listen on; {DEFAULT_PORT} if left out.")
def serve(port: int | None) -> None:
    """Serve the dashboard in the browser: on 127.0.0.1, unless STREAMLIT_SERVER_ADDRESS says otherwise."""
    from v3core.serve import serve as start

    if port == 0:
        raise V3Error("Port 0 does not exist; choose one from 1024 to 65535.")
    start(port or 0)


@commands.command()
@run_argument
def worker(run_id: str) -> int:
    """Train a queued run in a child of this process; the queue starts workers this way."""
    with opened() as database:
        run = resolve(database, run_id)
    return run_monitored(run)


@commands.command()
@click.argument("number", metavar="[N]", required=False)
def slots(number: str | None) -> None:
    """Show how many runs train at once on this machine, or set it: a number, or `auto` for one per core."""
    with opened() as database:
        if number is not None:
            launcher.set_slots(database, launcher.parse_slots(number))
        supervisor.reconcile(database)
        limit, active = launcher.slots(database), launcher.slots_in_use(database)
    echo(f"{limit} {'run' if limit == 1 else 'runs'} may train at once on this machine; {active} now.")


@commands.command()
@click.option("--delete", "remove", is_flag=True, help="Delete them; without it they are only listed.")
def tidy(remove: bool) -> int:
    """List what deleted runs and cut-off writes have left in the data folder, or delete it."""
    with reconciled() as database:
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
        return fail(f"{problems[0]}{f' And {len(problems) - 1} more.' if len(problems) > 1 else ''}", 1)
    return 0


@commands.command()
def compact() -> None:
    """Give the space of deleted runs in the database back to the disk; no run may train meanwhile."""
    with reconciled() as database:
        before, after = housekeeping.compact(database)
    echo(f"{before:,} bytes before, {after:,} bytes after.")


@commands.command()
@click.option(
    "--set-aside-database", "aside", is_flag=True, help="Rename a damaged SQLite database, so that a new one can begin."
)
@click.option("--env", metavar="ID", help="Examine this environment instead: does it keep to Gymnasium's API?")
@environment_options
@json_option
def doctor(aside: bool, env: str | None, env_args: dict[str, EnvArg], wrappers: tuple[str, ...], as_json: bool) -> int:
    """Say what is missing on this machine, and how to get it; with --env, what is wrong with an environment."""
    if env is not None:
        from v3core.environment_report import report_on

        fault = report_on(chosen_environment(env, recipe_for(env), env_args, wrappers), as_json=as_json)
        return fail(fault, 1) if fault else 0
    if aside:
        target = set_aside(database_url(), datetime.now(UTC))
        echo(f"The damaged database is now {target}; the next command begins a new one.")
        return 0
    from v3core.doctor import examine

    findings = list(examine())
    if as_json:
        echo_json([asdict(finding) for finding in findings])
    for finding in findings if not as_json else ():
        mark = "ok     " if finding.ok else "MISSING" if finding.needed else "note   "
        echo(f"{mark}  {finding.subject}: {finding.detail}")
    missing = [finding.subject for finding in findings if not finding.ok and finding.needed]
    return fail(f"Missing: {', '.join(missing)}.", 1) if missing else 0
