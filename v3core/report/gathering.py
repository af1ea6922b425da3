"""What a report says: everything is read and computed here, as for Compare."""

import json
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from v3core.comparison.across import across
from v3core.comparison.fact_rows import FACTS_WORDS, group_fact_rows, group_facts, run_fact_rows
from v3core.comparison.groups import grouped, settings_that_differ
from v3core.comparison.launched import curricula_of, differing_rows, timelines_picture
from v3core.comparison.looking import Grouping, answer
from v3core.comparison.newest import NEWEST_WORDS
from v3core.comparison.pictures import (
    Picture,
    curve_pictures,
    final_pictures,
    phase_pictures,
    profile_picture,
    sweep_pictures,
)
from v3core.comparison.situation_rows import (
    DISTANCE,
    DISTANCE_WORDS,
    LOADS_WORDS,
    group_situation_rows,
    group_situations,
    run_situation_rows,
)
from v3core.comparison.tables import (
    PAIR_HELP,
    Row,
    across_rows,
    as_text,
    final_words,
    group_rows,
    mean_words,
    pair_rows,
)
from v3core.comparison.task_results import (
    BETWEEN_TASKS_WORDS,
    GROUP_TASK_HELP,
    group_task_rows,
    group_tasks,
    lowest_words,
    run_task_rows,
)
from v3core.comparison.varied import varied
from v3core.curriculum.presets import dump
from v3core.errors import V3Error
from v3core.insight.compared import Comparison
from v3core.insight.profiles import Bounds
from v3core.messages import Message, _, with_minus
from v3core.metrics import COMPARED, POOLED, POOLED_EXPERTS, WINDOWED, Metric, worst_of
from v3core.paths import INSTALLED, PACKAGE
from v3core.phrases import listed, stored, strung
from v3core.store.alarms import read_alarms
from v3core.store.curve import read_phase_sums
from v3core.store.database import Database
from v3core.store.experiment_rows import read_experiment
from v3core.store.run_row import RunRow, distinct_names
from v3core.store.runs import runs_of_experiment

ROUTING = (POOLED_EXPERTS, "recent_dead_experts", "routing_entropy", "specialisation", "recent_specialisation")
"""Metrics of the routing that every report draws, where they were recorded."""
_PACKAGES = ("torch", "numpy", "gymnasium", "scipy", "plotly")


@dataclass(frozen=True)
class Table:
    """Rows with the same columns."""

    rows: Sequence[Row]
    title: str = ""
    helps: Mapping[str, str] = field(default_factory=dict)
    """Column to what it is."""


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    title: str
    words: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    texts: Sequence[tuple[str, str]] = ()
    """Title and text of listings that unfold, such as a curriculum as YAML."""
    moving: tuple[str, bytes] | None = None
    """A GIF, after what it shows."""


@dataclass(frozen=True)
class Report:
    """An experiment."""

    name: str
    made_at: datetime
    verdict: Sequence[str]
    notes: Sequence[str]
    sections: Sequence[Section]
    run_ids: Sequence[str]
    environments: int
    """In which its runs end; with several, each picture is titled with its own."""


def gather(
    database: Database,
    experiment: str,
    program: str,
    *,
    by: Sequence[str] = (),
    metric: str = "return",
    threshold: float | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    replay: Section | None = None,
) -> Report:
    """The report of an experiment.

    Args:
        database: an open store.
        experiment: its name.
        program: the version of V3 Lab that writes it.
        by: paths of the settings by which runs are grouped; by default those that the experiment varies.
        metric: what is drawn first and decides the final values; for returns evaluations decide them, if there are any.
        threshold: whose first step is compared; None for the environment's own.
        bounds: of environments, to put several together by normalised scores.
        replay: a section with an episode, if there is one.

    Raises:
        V3Error: for an experiment that does not exist or has no episode, or a metric or setting that does not exist.
    """
    with database.read() as tx:
        runs, record = runs_of_experiment(tx, experiment), read_experiment(tx, experiment)
    if not runs:
        raise V3Error("There is no experiment '{experiment}'; `experiments` lists them.", experiment=experiment)
    if not any(run.episode for run in runs):
        raise V3Error(
            "No run of experiment '{experiment}' has finished an episode; there is nothing to report yet.",
            experiment=experiment,
        )
    if metric not in COMPARED:
        raise V3Error(
            "There is no metric '{metric}' to compare; choose one of {compared}.",
            metric=metric,
            compared=listed(list(COMPARED)),
        )
    grouping = Grouping(tuple(by) or varied(runs), threshold=threshold)
    found = answer(database, runs, metric, grouping)
    sections = [
        _curves(database, runs, metric, grouping, found),
        _finals(found),
        *_together(found, bounds or {}),
        _phases(database, runs, metric, grouping),
        *_tasks(database, runs, found),
        *_facts(database, runs, found),
        *_routing(database, runs, grouping, found),
        *_situations(database, runs, found),
        *_sweeps(runs, grouping, found),
        *([replay] if replay else []),
        _curricula(runs),
        _alarms(database, runs, grouping),
        _runs(runs, found),
        _origin(runs, record.launches if record else (), program),
    ]
    ids = [run.id for run in runs]
    return Report(
        experiment,
        datetime.now(UTC),
        found.verdict,
        found.notes,
        sections,
        ids,
        len({group.env for group in found.groups}),
    )


def _curves(database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping, found: Comparison) -> Section:
    pictures, notes = curve_pictures(database, runs, metric, grouping, found)
    how = _(
        "The interquartile mean of a group's runs with its pointwise 95 % bootstrap interval. Thin lines are runs, "
        "also failed and unfinished ones as far as they got; below is how many there are at each step. Three or "
        "four runs have a dotted mean without an interval, fewer only their lines."
    )
    return Section(_("{metric} over steps", metric=COMPARED[metric].label), [how, *notes], pictures)


def _finals(found: Comparison) -> Section:
    tables = [Table(group_rows(found), _("Groups"))]
    if found.pairs:
        tables.append(Table(pair_rows(found), _("Pairs"), PAIR_HELP))
    return Section(_("Final values"), [final_words(found)], final_pictures(found), tables)


def _together(found: Comparison, bounds: Mapping[str, Bounds]) -> list[Section]:
    if not bounds or not (made := across(found.groups, bounds)).groups:
        return []
    stated = strung(
        "; ",
        [
            _("{env}: {low:.4g} becomes 0, {high:.4g} becomes 1", env=env, low=bound.low, high=bound.high)
            for env, bound in bounds.items()
        ],
    )
    picture = Picture("", "profiles", profile_picture(made, found.groups))
    words = [_("Scores are normalised. {stated}.", stated=stated), *made.notes]
    return [Section(_("All environments together"), words, [picture], [Table(across_rows(made))])]


def _phases(database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping) -> Section:
    phases = {run.id: read_phase_sums(database, run.id) for run in runs}
    words = [_("Each point is the mean of a run in a phase; groups of fewer than five runs have no box.")]
    return Section(_("Phase by phase"), words, phase_pictures(runs, phases, metric, grouping.by))


def _tasks(database: Database, runs: Sequence[RunRow], found: Comparison) -> list[Section]:
    """Of runs on several environments: their mean over tasks hides one that is not solved."""
    of_runs = run_task_rows(database, runs, distinct_names(runs))
    if not of_runs:
        return []
    of_groups = group_tasks(database, runs, found)
    words = [_("Of {newest}. {between}", newest=NEWEST_WORDS, between=BETWEEN_TASKS_WORDS), *lowest_words(of_groups)]
    tables = _of_groups_and_runs(group_task_rows(of_groups), of_runs, GROUP_TASK_HELP)
    return [Section(_("Task by task"), words, tables=tables)]


def _facts(database: Database, runs: Sequence[RunRow], found: Comparison) -> list[Section]:
    of_runs = run_fact_rows(database, runs, distinct_names(runs))
    of_groups = group_fact_rows(group_facts(database, runs, found)) if of_runs else []
    tables = _of_groups_and_runs(of_groups, of_runs)
    return [Section(_("Facts of episodes"), [FACTS_WORDS], tables=tables)] if tables else []


def _situations(database: Database, runs: Sequence[RunRow], found: Comparison) -> list[Section]:
    of_runs = run_situation_rows(database, runs, distinct_names(runs))
    of_groups = group_situation_rows(group_situations(database, runs, found)) if of_runs else []
    tables = _of_groups_and_runs(of_groups, of_runs, {DISTANCE: DISTANCE_WORDS})
    words = [LOADS_WORDS, _("Of {newest}.", newest=NEWEST_WORDS)]
    return [Section(_("Routing by situation"), words, tables=tables)] if tables else []


def _of_groups_and_runs(
    of_groups: Sequence[Row], of_runs: Sequence[Row], helps: Mapping[str, str] | None = None
) -> list[Table]:
    """One table of the groups of a comparison, one of its runs; those that have a row."""
    tables = [Table(as_text(of_groups), _("Groups"), helps or {}), Table(as_text(of_runs), _("Runs"))]
    return [table for table in tables if table.rows]


def _routing(database: Database, runs: Sequence[RunRow], grouping: Grouping, found: Comparison) -> list[Section]:
    pictures = []
    for metric in ROUTING:
        made, _notes = curve_pictures(database, runs, metric, grouping, found)
        pictures += [
            Picture(one.env, f"{metric}-{one.key}", one.figure)
            for one in made
            if any(trace.showlegend is not False for trace in one.figure.data)
        ]
    words = [_over(COMPARED[metric]) for metric in ROUTING]
    ends = [answer(database, runs, metric, grouping) for metric in ROUTING if worst_of(metric)] if pictures else []
    tables = [Table(group_rows(one), _("{metric}, at the end of each run", metric=one.label)) for one in ends]
    words += [
        _("{metric}, in the table: {over}", metric=one.label, over=over) for one in ends if (over := mean_words(one))
    ]
    return [Section(_("Routing"), words, pictures, tables)] if pictures else []


def _over(metric: Metric) -> Message:
    """What a metric is, and over which steps: a mean of values of single episodes may hide what their steps show."""
    about = {"metric": metric.label, "meaning": metric.sentence}
    if metric.name in WINDOWED or metric.name in POOLED:
        return _("{metric}: {meaning}", **about)
    return _("{metric}: {meaning} Each point is the mean of the values of single episodes.", **about)


def _sweeps(runs: Sequence[RunRow], grouping: Grouping, found: Comparison) -> list[Section]:
    pictures = sweep_pictures(runs, settings_that_differ(runs), found, grouping.by)
    return [Section(_("Settings"), pictures=pictures)] if pictures else []


def _curricula(runs: Sequence[RunRow]) -> Section:
    settings = settings_that_differ(runs)
    listings = [(_("Curriculum {name}", name=name), dump(one.curriculum)) for name, one in curricula_of(runs).items()]
    tables = [Table(differing_rows(runs, settings), _("Settings that differ"))] if settings else []
    words = [] if settings else [_("The runs have the same settings; only their seeds differ.")]
    picture = Picture("", "timelines", timelines_picture(runs))
    return Section(_("Curricula and settings"), words, [picture], tables, listings)


def _alarms(database: Database, runs: Sequence[RunRow], grouping: Grouping) -> Section:
    rows: list[Row] = []
    for group in grouped(runs, grouping.by):
        counts = Counter(title for run in group.runs for title in {row.title for row in read_alarms(database, run.id)})
        rows += [
            {
                _("Group"): group.name,
                _("Environment"): group.env,
                _("Alarm"): title,
                _("Runs"): _("{reached} of {runs}", reached=count, runs=len(group.runs)),
            }
            for title, count in counts.most_common()
        ]
    if not rows:
        return Section(_("Alarms"), [_("No run raised an alarm.")])
    return Section(_("Alarms"), [_("Runs in which an alarm was raised at least once.")], tables=[Table(rows)])


def _runs(runs: Sequence[RunRow], found: Comparison) -> Section:
    results = {run.run_id: run for group in found.groups for run in group.runs}
    rows: list[Row] = [
        {
            _("Run"): run.id[:8],
            _("Name"): run.name,
            _("Seed"): run.seed,
            _("Status"): stored(run.status),
            _("Episodes"): f"{run.episode:,}",
            _("Steps"): f"{run.step:,}",
            _("Final"): "–" if results[run.id].left_out else with_minus(f"{results[run.id].final:,.4g}"),
            _("Not counted"): results[run.id].left_out,
            "V3 Lab": run.version or "",
        }
        for run in runs
    ]
    return Section(_("Runs"), tables=[Table(rows)])


def _origin(runs: Sequence[RunRow], launches: Sequence[Mapping[str, Any]], program: str) -> Section:
    packages = [f"{name} {version(name)}" for name in _PACKAGES]
    commit = _commit()
    said: dict[str, object] = {
        "program": program,
        "commit": commit,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": listed(packages),
    }
    by = _("Written by V3 Lab {program}, Python {python} on {system} {machine}; {packages}.", **said)
    if commit:
        by = _(
            "Written by V3 Lab {program} at commit {commit}, Python {python} on {system} {machine}; {packages}.", **said
        )
    words = [by]
    texts = []
    for number, launch in enumerate(launches, start=1):
        title = _("As launched") if len(launches) == 1 else _("Launch {number}", number=number)
        texts.append((title, _as_json(launch)))
    for group in grouped(runs):
        with suppress(V3Error):
            run = group.runs[0]
            title = _("Configuration of {name} in {env}, seed {seed}", name=group.name, env=group.env, seed=run.seed)
            texts.append((title, run.config.model_dump_json(indent=2)))
    return Section(_("Where it comes from"), words, texts=texts)


def _as_json(launch: Mapping[str, Any]) -> str:
    return json.dumps(launch, indent=2, ensure_ascii=False, default=str)


def _commit() -> str:
    """Of the checkout that V3 Lab runs from; empty if it is installed."""
    if INSTALLED:
        return ""
    try:
        command = ["git", "rev-parse", "--short=12", "HEAD"]
        found = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
