"""Comparing the runs of an experiment: groups, pairs and the verdict, as on Compare."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from v3core import __version__
from v3core.cli.common import commands, json_option, reconciled
from v3core.cli.printed_rows import echo_rows
from v3core.errors import V3Error
from v3core.insight.compared import Across, Comparison, GroupResult, Pair
from v3core.insight.estimates import Estimate, with_interval
from v3core.insight.replays import MEDIAN
from v3core.jobs import control
from v3core.messages import Message, _, translated
from v3core.metrics import EVALUATION
from v3core.output import echo, echo_json, padded, width
from v3core.phrases import listed, strung, within
from v3core.store.database import Database
from v3core.store.runs import get_run, resolve

if TYPE_CHECKING:
    from v3core.comparison.fact_rows import GroupFact
    from v3core.comparison.situation_rows import GroupSituation
    from v3core.comparison.task_results import GroupTask
    from v3core.report.gathering import Section


@commands.command()
@click.argument("experiment", metavar="EXPERIMENT")
@click.option(
    "--by",
    multiple=True,
    metavar="SETTING",
    help="Group by this setting, such as ppo.epochs; may be repeated. Default: the curriculum, and what else varies.",
)
@click.option("--metric", default=EVALUATION, show_default=True, metavar="NAME", help="The metric that is compared.")
@click.option(
    "--threshold",
    type=float,
    metavar="VALUE",
    help="Also compare the steps to this return or success rate; default: the reward threshold of the environment.",
)
@click.option(
    "--until",
    type=click.IntRange(1),
    metavar="STEP",
    help="Compare at this step, with all runs that reached it; default: completed runs at their end.",
)
@click.option(
    "--bounds",
    multiple=True,
    metavar="ENV=LOW,HIGH",
    help="Values of an environment that become 0 and 1, to compare several environments together; may be repeated.",
)
@json_option
def compare(
    experiment: str,
    by: tuple[str, ...],
    metric: str,
    threshold: float | None,
    until: int | None,
    bounds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare the groups of an experiment: verdict, estimates with 95 % intervals, tests, and what is unequal.

    Of runs on several environments it also shows the return and the success of each task; of environments with facts
    of episodes and situations, such as NetHack, those of each group.
    """
    from v3core.comparison import compare as compared  # statistics, which no other command needs
    from v3core.comparison.across import parse_bounds
    from v3core.comparison.fact_rows import group_facts
    from v3core.comparison.situation_rows import group_situations
    from v3core.comparison.task_results import group_tasks
    from v3core.comparison.varied import varied

    within = dict(map(parse_bounds, bounds))

    with reconciled() as database:
        with database.read() as tx:
            runs = control.need_experiment(tx, experiment)
        asked: dict[str, Any] = {"metric": metric, "threshold": threshold, "until": until, "bounds": within}
        found = compared(database, runs, by=by or varied(runs), **asked)
        tasks = group_tasks(database, runs, found)
        facts = group_facts(database, runs, found)
        situations = group_situations(database, runs, found)
    if as_json:
        newest = {
            "tasks": [one.to_dict() for one in tasks],
            "facts": list(map(asdict, facts)),
            "situations": list(map(asdict, situations)),
        }
        beside = {name: each for name, each in newest.items() if each}
        echo_json({"experiment": experiment, **found.to_dict(), **beside})
        return
    for sentence in found.verdict:
        echo(sentence)
    _print_groups(found)
    _print_newest(tasks, facts, situations)
    _print_pairs(found)
    if found.across is not None:
        _print_across(found.across)
    for note in [*found.notes, *(found.across.notes if found.across else ())]:
        echo(_("Note: {note}", note=note))


def _print_groups(found: Comparison) -> None:
    from v3core.comparison.tables import mean_words, steps_words, worst_column  # as above

    wide = max(width(_named(group, found)) for group in found.groups)
    title = translated(_("{metric}, interquartile mean", metric=found.label))
    echo(f"\n{padded(_('Group'), wide)}  {padded(_('runs'), 5, right=True)}  {title}")
    for group in found.groups:
        threshold = found.thresholds.get(group.env)
        more: list[Message] = [
            _("; {title}: {value}", title=within(title), value=value)
            for title, value in worst_column(group, found).items()
        ]
        if threshold is not None and group.steps_to is not None and group.steps_to.n:
            reaching = {"reached": group.reached, "n": group.steps_to.n, "threshold": threshold}
            more.append(_("; {reached} of {n} runs reach {threshold:g}", **reaching))
            if group.reached:
                more.append(_(", steps to it: {estimate}", estimate=_estimate(group.steps_to, steps_words)))
        final = translated(strung("", [_estimate(group.final), *more]))
        echo(f"{padded(_named(group, found), wide)}  {group.final.n:>5}  {final}")
    if means := mean_words(found):
        echo(means)


def _print_newest(
    tasks: Sequence["GroupTask"], facts: Sequence["GroupFact"], situations: Sequence["GroupSituation"]
) -> None:
    """What the mean of a group hides: a task that is not solved, the ends of games, experts in some situation."""
    from v3core.comparison.fact_rows import FACTS_WORDS, group_fact_rows  # as above
    from v3core.comparison.newest import NEWEST_WORDS
    from v3core.comparison.situation_rows import group_situation_rows
    from v3core.comparison.task_results import group_task_rows

    means = _("means over the runs that count, of {newest}", newest=NEWEST_WORDS)
    if tasks:
        echo_rows(_("Task by task, {means}:", means=means), group_task_rows(tasks, experts=False), left=2)
    if facts:
        echo_rows(_("Facts of episodes. {words}", words=FACTS_WORDS), group_fact_rows(facts))
    if situations:
        echo_rows(_("Routing by situation, {means}:", means=means), group_situation_rows(situations), left=2)


def _named(group: GroupResult, found: Comparison) -> str:
    if len({other.env for other in found.groups}) == 1:
        return group.name
    return str(translated(_("{group} in {env}", group=group.name, env=group.env)))


def _print_pairs(found: Comparison) -> None:
    for pair in found.pairs:
        echo(
            _(
                "\n{first} − {second} in {env}: {estimate}",
                first=pair.first,
                second=pair.second,
                env=pair.env,
                estimate=_estimate(pair.difference),
            )
        )
        if pair.paired is not None:
            echo(
                _(
                    "  by seed: {estimate}, {n} pairs, p = {p}",
                    estimate=_estimate(pair.paired),
                    n=pair.paired.n,
                    p=_p(pair.paired_p),
                )
            )
        echo(
            _(
                "  the chance that a run of the first ends above one of the second: {estimate}",
                estimate=_estimate(pair.improvement),
            )
        )
        echo(strung("", ["  ", _tests(pair)]))


def _print_across(across: Across) -> None:
    from v3core.comparison.tables import AGGREGATE_TITLES  # as above

    if across.groups:
        echo(_("\nNormalised scores over {environments}:", environments=listed(across.environments)))
    for group in across.groups:
        values = [
            strung(" ", [within(AGGREGATE_TITLES[name]), _estimate(value)]) for name, value in group.aggregates.items()
        ]
        echo(strung("", ["  ", _("{group}: {values}", group=group.name, values=listed(values))]))
    for pair, chance in across.improvement.items():
        echo(
            _(
                "  the chance that a run of the first ends above one of the second, {pair}: {estimate}",
                pair=pair,
                estimate=_estimate(chance),
            )
        )


def _tests(pair: Pair) -> str:
    welch = _("Welch's test is undefined")
    if pair.welch is not None:
        welch = _("Welch's test p = {p}, corrected {p2}", p=_p(pair.welch), p2=_p(pair.welch_corrected))
    return _(
        "permutation test p = {p}, corrected {p2}; {welch}",
        p=_p(pair.permutation),
        p2=_p(pair.permutation_corrected),
        welch=welch,
    )


def _p(value: float | None) -> str:
    return _("undefined") if value is None else f"{value:.2g}"


def _estimate(estimate: Estimate, words: Callable[[float], str] | None = None) -> str:
    """As in `487 (470 to 495)`, each number in the words of the tables on Compare."""
    from v3core.comparison.tables import number_words  # as above

    said = with_interval(estimate, words or number_words)
    return _("{value} (exploratory)", value=said) if estimate.confidence == "exploratory" else said


@commands.command()
@click.argument("experiment", metavar="EXPERIMENT")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE.html")
@click.option("--by", multiple=True, metavar="SETTING", help="As of `compare`; default: what the experiment varies.")
@click.option("--metric", default="return", show_default=True, metavar="NAME", help="The metric that is drawn first.")
@click.option("--threshold", type=float, metavar="VALUE", help="As of `compare`.")
@click.option("--bounds", multiple=True, metavar="ENV=LOW,HIGH", help="As of `compare`; may be repeated.")
@click.option("--replay", metavar="ID", help="Include the median episode of this run's newest evaluation.")
def report(
    experiment: str,
    target: Path,
    by: tuple[str, ...],
    metric: str,
    threshold: float | None,
    bounds: tuple[str, ...],
    replay: str | None,
) -> None:
    """Write an experiment as one HTML file that needs no network, and its data as Parquet beside it."""
    from v3core.comparison.across import parse_bounds  # statistics and plotly, which no other command needs
    from v3core.report import gather, write_report

    within = dict(map(parse_bounds, bounds))
    with reconciled() as database:
        shown = None if replay is None else _replay(database, resolve(database, replay))
        asked: dict[str, Any] = {"by": by, "metric": metric, "threshold": threshold, "bounds": within}
        found = gather(database, experiment, __version__, **asked, replay=shown)
        folder = write_report(database, found, target)
    echo(_("{target} is written, and its data to {folder}.", target=target, folder=folder))


def _replay(database: Database, run_id: str) -> "Section":
    from v3core.jobs import kept_replays, played_episodes, replay_files  # as above
    from v3core.report.gathering import Section

    run, known = get_run(database, run_id), kept_replays.recorded_replays(database, run_id)
    if not known:
        raise V3Error("Run {run_id} has no replays: no evaluation was recorded with them.", run_id=run_id[:8])
    played = kept_replays.read_replays(database, run_id, known[-1])[MEDIAN]
    spec = played_episodes.spec_of_replay(database, run_id, played)
    with TemporaryDirectory(prefix="v3-report-") as folder:
        file = Path(folder) / "episode.gif"
        replay_files.draw(spec, played, file)
        title = _("An episode of {name}", name=run.name)
        words = _(
            "The median of the evaluation after {known:,} episodes of training: return {return_:.4g} in {played:,} "
            "steps.",
            known=known[-1],
            return_=played.return_,
            played=len(played),
        )
        return Section(title, [words], moving=(title, file.read_bytes()))
