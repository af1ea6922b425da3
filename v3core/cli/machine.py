"""Commands about this machine: the server, workers, slots, checks and disk usage."""

from dataclasses import asdict
from datetime import UTC, datetime

import click

from v3core.cli.common import commands, environment_options, json_option, opened, port_option, reconciled, run_argument
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.jobs import housekeeping, retention, supervisor
from v3core.jobs import slots as limits
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.launchers.room import by_address, free_slots, used_slots
from v3core.jobs.monitor import run_monitored
from v3core.messages import _, translated
from v3core.output import echo, echo_json, fail, padded
from v3core.phrases import counted, listed, sentences
from v3core.recall import recalled
from v3core.store.opening import database_url, set_aside
from v3core.store.runs import list_runs, resolve


@commands.command(cls=click.Command)  # the server has its own output
@port_option
def serve(port: int) -> None:
    """Serve the dashboard, on 127.0.0.1 unless STREAMLIT_SERVER_ADDRESS is set."""
    from v3core.serve import serve as start

    start(port)


@commands.command()
@run_argument
def worker(run_id: str) -> int:
    """Train a queued run in a child process; the queue starts workers with this command."""
    with opened() as database:
        run = resolve(database, run_id)
    return run_monitored(run)


@commands.command()
@click.argument("number", metavar="[N]", required=False)
def slots(number: str | None) -> None:
    """Show or set how many runs train at once on this machine: a number, or `auto` for one per core."""
    with opened() as database:
        if number is not None:
            limits.set_slots(database, limits.parse_slots(number))
        supervisor.reconcile(database)
        if (launcher := chosen()).name != LocalLauncher.name:
            offer, used = launcher.offer(), used_slots(list_runs(database))
            if offer.problem:
                echo(recalled(offer.problem))
            for node in by_address(offer.nodes):
                echo(
                    _(
                        "{address}: {used} of {slots} slots in use, {free} free",
                        address=node.address,
                        used=used[node.id],
                        slots=node.slots,
                        free=free_slots(node, used[node.id]),
                    )
                )
            return
        limit, active = limits.slots(database), limits.slots_in_use(database)
    echo(
        _(
            "{runs} can train at once on this machine; {active} active now.",
            runs=counted(limit, "run"),
            active=active,
        )
    )


@commands.command()
@click.option("--delete", "remove", is_flag=True, help="Delete the files; otherwise they are only listed.")
def tidy(remove: bool) -> int:
    """List leftovers of deleted runs and interrupted writes in the data folder, or delete them."""
    with reconciled() as database:
        found = housekeeping.leftovers(database)
        problems = housekeeping.remove_leftovers(database, found) if remove else []
    for leftover in found:
        echo(f"{padded(housekeeping.in_words(leftover.bytes), 8, right=True)}  {leftover.path}")
    room = housekeeping.in_words(sum(leftover.bytes for leftover in found))
    if not found:
        echo(_("Nothing to tidy."))
    elif not remove:
        echo(
            _(
                "{room} that belong to no run in {database}; delete them with --delete.",
                room=room,
                database=database.describe(),
            )
        )
    if problems:
        more = _("And {value} more.", value=len(problems) - 1) if len(problems) > 1 else ""
        return fail(sentences(problems[0], more), 1)
    return 0


@commands.command()
@click.option(
    "--older-than",
    "days",
    type=int,
    required=True,
    metavar="DAYS",
    help="Thin the runs that ended longer ago than that.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would be freed.")
@click.option("--yes", is_flag=True, help="Do it; it cannot be undone.")
def thin(days: int, dry_run: bool, yes: bool) -> None:
    """Drop the single episodes of old ended runs, and keep their means: charts, phases, evaluations and alarms stay.

    What goes cannot be restored: a thinned run cannot be resumed, forked or archived. The facts, situations and results
    of tasks of these episodes go too. Runs that are or have forks, those of at most 512 episodes, and those whose
    alarms were not recorded while they trained, are left as they are.
    """
    with reconciled() as database:
        plan = retention.plan_of(database, days)
        freed = housekeeping.in_words(plan.bytes)
        left = _("Of {runs} nothing can go.", runs=counted(plan.left, "run")) if plan.left else ""
        what = {"episodes": plan.episodes, "runs": counted(len(plan.found), "run"), "freed": freed}
        if not plan.found:
            echo(sentences(_("Nothing to thin."), left))
        elif dry_run:
            would = _(
                "Would drop {episodes:,} single episodes of {runs}, about {freed}, with their facts, situations and "
                "results of tasks.",
                **what,
            )
            echo(sentences(would, left))
        elif not yes:
            raise V3Error(
                "{episodes:,} single episodes of {runs}, about {freed}, would go for good, with their facts, "
                "situations and results of tasks; add --yes to drop them, or --dry-run to look.",
                **what,
            )
        else:
            gone = retention.carry_out(database, plan.found)
            dropped = _(
                "Dropped {episodes:,} single episodes, about {freed}; `compact` gives the space back.",
                episodes=gone,
                freed=freed,
            )
            echo(sentences(dropped, left))


@commands.command()
def compact() -> None:
    """Reclaim the disk space of deleted runs in the database; refused while a run trains."""
    with reconciled() as database:
        before, after = housekeeping.compact(database)
    echo(_("{before:,} bytes before, {after:,} bytes after.", before=before, after=after))


_OK, _MISSING, _WARNING, _NOTE = _("ok"), _("MISSING"), _("WARNING"), _("note")


@commands.command()
@click.option(
    "--set-aside-database",
    "aside",
    is_flag=True,
    help="Rename a damaged SQLite database, so that a new one can be created.",
)
@click.option("--env", metavar="ID", help="Check this environment against Gymnasium's API instead.")
@environment_options
@json_option
def doctor(aside: bool, setup: EnvironmentSetup | None, as_json: bool) -> int:
    """Check this machine and the database; with --env, check an environment."""
    if setup is not None:
        fault = _report_on(setup, as_json=as_json)
        return fail(fault, 1) if fault else 0
    if aside:
        target = set_aside(database_url(), datetime.now(UTC))
        echo(_("The damaged database is now {target}; the next command creates a new one.", target=target))
        return 0
    from v3core.doctor import examine

    findings = list(examine())
    if as_json:
        echo_json([asdict(finding) for finding in findings])
    for finding in findings if not as_json else ():
        mark = padded(_OK if finding.ok else _MISSING if finding.needed else _NOTE, 7)
        echo(f"{mark}  {translated(_('{subject}: {detail}', subject=finding.subject, detail=finding.detail))}")
    missing = [finding.subject for finding in findings if not finding.ok and finding.needed]
    return fail(_("Missing: {missing}.", missing=listed(missing)), 1) if missing else 0


def _report_on(setup: EnvironmentSetup, *, as_json: bool) -> str | None:
    """Examine an environment and print what was found; returns its fault, None if it can be trained on."""
    from v3core.environments.apart import examine_apart
    from v3core.environments.examine import Report

    try:
        (report,) = examine_apart(setup, allow_import=True)
    except V3Error as refusal:
        report = Report(str(setup), str(refusal))
    if as_json:
        named = {"env": setup.env_id, "env_args": dict(setup.args), "wrappers": list(setup.wrappers)}
        echo_json({**asdict(report), "ok": report.fault is None, **named})
        return report.fault
    if report.fault is None:
        works = _("{env}: can be created, reset and stepped, and works with the policy", env=report.env)
        echo(f"{padded(_OK, 7)}  {translated(works)}")
    for mark, texts in ((_WARNING, report.warnings), (_NOTE, report.notes)):
        for text in texts:
            echo(f"{padded(mark, 7)}  {translated(text)}")
    return report.fault
