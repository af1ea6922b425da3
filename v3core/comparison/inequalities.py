"""What is not equal between the runs of a comparison: said and counted, never silently left out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from v3core.comparison.groups import ENVIRONMENT, Group, Setting, is_readable, settings_that_differ
from v3core.insight.compared import GroupResult, Window
from v3core.insight.estimates import ENOUGH_SEEDS
from v3core.metrics import AT_EVALUATIONS
from v3core.store.database import Database
from v3core.store.history import read_evaluation_means
from v3core.store.run_row import RunRow
from v3core.store.schema import Status

NAMED = 3
"""Runs that a sentence names; of more it says how many."""


def windows_of(groups: Sequence[Group]) -> list[Window]:
    """Per environment whose runs reached different numbers of steps, the steps that all of them reached."""
    found = []
    for env in dict.fromkeys(group.env for group in groups):
        steps = [run.step for group in groups if group.env == env for run in group.runs]
        if min(steps) != max(steps):
            found.append(Window(env, min(steps), max(steps)))
    return found


def notes_of(
    database: Database,
    groups: Sequence[Group],
    results: Sequence[GroupResult],
    common: Sequence[Window],
    *,
    by: Sequence[str],
    metric: str,
    until: int | None,
    edited: Collection[str],
) -> list[str]:
    """A sentence about each inequality; `edited` are the ids of runs whose curriculum was edited as they trained."""
    several, roots = len({group.env for group in groups}) > 1, roots_of(groups)
    notes = []
    if several:
        notes.append("The runs end in several environments, on different scales: each is compared by itself.")
    for group, result in zip(groups, results, strict=True):
        where = f"{group.name} in {group.env}" if several else group.name
        notes += _left_out(where, result)
        notes += _other_differences(where, group, by)
        notes += _shared_trunks(where, result, roots)
    for env in dict.fromkeys(group.env for group in groups):
        here = [result for result in results if result.env == env]
        notes += _also_between([group for group in groups if group.env == env], f" in {env}" if several else "", by)
        notes += _seeds(here, f" in {env}" if several else "")
        notes += _numbers(here, f" in {env}" if several else "")
    notes += _edited(groups, edited)
    notes += _never_begun(groups, edited)
    for window in common:
        if until is None:
            where = f" in {window.env}" if several else ""
            least = f"{window.step:,}" if window.step else "none"
            notes.append(
                f"The runs{where} reached different numbers of steps, from {least} to {window.longest:,}"
                + (f"; all of them can be compared at step {window.step:,}." if window.step else ".")
            )
    if metric in AT_EVALUATIONS and until is None:
        notes += _evaluated_at(database, groups)
    return notes


def _left_out(where: str, result: GroupResult) -> list[str]:
    """Runs that do not count, by the reason."""
    missing = [run for run in result.runs if run.left_out]
    if not missing:
        return []
    count = f"{len(missing)} of {len(result.runs)} runs of {where}"
    what = "is not counted" if len(missing) == 1 else "are not counted"
    named = "; ".join(f"{run.name} {run.left_out}" for run in missing[:NAMED])
    more = f"; and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    notes = [f"{count} {what}: {named}{more}."]
    if result.failed and result.final.n:
        notes.append(
            f"{result.failed} of {len(result.runs)} runs of {where} failed: the final value of a group is too high "
            "if runs fail that would have ended low."
        )
    return notes


def _differ(runs: Sequence[RunRow], but: Collection[str]) -> list[Setting]:
    """The settings in which runs differ, other than these; a run that cannot be read has none."""
    readable = [run for run in runs if is_readable(run)]
    return [setting for setting in settings_that_differ(readable) if setting.path not in {*but, ENVIRONMENT}]


def _other_differences(where: str, group: Group, by: Sequence[str]) -> list[str]:
    others = [setting.path for setting in _differ(group.runs, by)]
    if not others:
        return []
    return [f"Runs of {where} differ in {_first(others)} as well; group by it, or compare them apart."]


def _also_between(here: Sequence[Group], where: str, by: Sequence[str]) -> list[str]:
    """Settings that are one in each group, and not in all groups: their effect is taken for that of the grouping."""
    known = {setting.path for group in here for setting in _differ(group.runs, by)}
    found = _differ([run for group in here for run in group.runs], {*by, *known})
    if not found:
        return []
    others = _first([f"{setting.title} ({setting.path})" for setting in found])
    return [f"The groups{where} also differ in {others}: a difference between them may come from that."]


def _first(named: Sequence[str], what: str = "setting") -> str:
    more = len(named) - NAMED
    more_words = f" and {more} more {what}{'' if more == 1 else 's'}" if more > 0 else ""
    return ", ".join(named[:NAMED]) + more_words


def roots_of(groups: Sequence[Group]) -> dict[str, str]:
    """Run id to the id of the run that it comes from by forks, as far as the runs of the comparison say."""
    parents = {run.id: run.parent for group in groups for run in group.runs}
    roots = {}
    for run_id in parents:
        root, seen = run_id, {run_id}
        while (parent := parents.get(root)) is not None and parent not in seen:
            seen.add(parent)
            root = parent
        roots[run_id] = root
    return roots


def few_roots(results: Sequence[GroupResult], roots: Mapping[str, str]) -> dict[tuple[str, str], frozenset[str]]:
    """Name and environment of each group whose runs that count come from too few runs for an interval, to those."""
    found = {(group.name, group.env): frozenset(roots[run_id] for run_id in group.finals) for group in results}
    return {
        (group.name, group.env): here
        for group in results
        if len(here := found[group.name, group.env]) < min(ENOUGH_SEEDS, len(group.finals))
    }


def _shared_trunks(where: str, result: GroupResult, roots: Mapping[str, str]) -> list[str]:
    """Forks of one run are more alike than runs that were trained from their beginning."""
    sizes = Counter(roots[run_id] for run_id in result.finals)
    forks = [run_id for run_id in result.finals if roots[run_id] != run_id and sizes[roots[run_id]] > 1]
    if not forks:
        return []
    shared = len({roots[run_id] for run_id in forks})
    runs = "the same run" if shared == 1 else f"{shared} runs"
    of = f"{len(forks)} runs of {where} are forks" if len(forks) > 1 else f"1 run of {where} is a fork"
    return [f"{of} of {runs}: what they share, their interval does not know of."]


def _edited(groups: Sequence[Group], edited: Collection[str]) -> list[str]:
    named = [run.name for group in groups for run in group.runs if run.id in edited]
    if not named:
        return []
    count = "1 run" if len(named) == 1 else f"{len(named)} runs"
    return [f"The curriculum of {count} was edited in training, so that it is not what its name says: {_named(named)}."]


def _never_begun(groups: Sequence[Group], edited: Collection[str]) -> list[str]:
    """Phases that no step was left for: presets end theirs by episodes, a run may be as long as its steps."""
    runs: dict[tuple[str, ...], list[str]] = {}
    for group in groups:
        for run in group.runs:
            if run.status != Status.COMPLETED or run.id in edited or not is_readable(run):
                continue
            names = [phase.name for phase in run.config.curriculum.phases]
            if run.phase in names and (later := tuple(names[names.index(run.phase) + 1 :])):
                runs.setdefault(later, []).append(run.name)
    return [
        f"{'1 complete run' if len(named) == 1 else f'{len(named)} complete runs'} ended before "
        f"{', '.join(later)} began, so that a part of the curriculum was never trained: {_named(named)}."
        for later, named in runs.items()
    ]


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _seeds(here: Sequence[GroupResult], where: str) -> list[str]:
    counted = {group.name: sorted(run.seed for run in group.runs if not run.left_out) for group in here}
    notes = []
    for name, seeds in counted.items():
        repeated = [seed for seed, count in Counter(seeds).items() if count > 1]
        if repeated:
            notes.append(f"{name}{where} has several runs of seed {', '.join(map(str, repeated[:NAMED]))}.")
    sets = [set(seeds) for seeds in counted.values() if seeds]
    if len(sets) > 1 and any(one != sets[0] for one in sets):
        shared = set.intersection(*sets)
        counts = _first([f"{name} {len(seeds)}" for name, seeds in counted.items()], "group")
        notes.append(
            f"The groups{where} do not have the same seeds (numbers of runs that count: {counts}); "
            + (f"they share {len(shared)}." if shared else "they share none.")
        )
    return notes


def _numbers(here: Sequence[GroupResult], where: str) -> list[str]:
    few = [group for group in here if group.final.n < ENOUGH_SEEDS]
    if not few:
        return []
    counts = _first([f"{group.name} has {group.final.n}" for group in few], "group")
    return [f"Intervals need {ENOUGH_SEEDS} runs or more per group{where}: {counts}."]


def _evaluated_at(database: Database, groups: Sequence[Group]) -> list[str]:
    """Whether the newest evaluations are all of the end of their runs."""
    runs = [run for group in groups for run in group.runs if run.ended_at is not None]
    found = read_evaluation_means(database, [run.id for run in runs])
    early = [run.name for run in runs if found[run.id] and found[run.id][-1].episode < run.episode]
    if not early:
        return []
    return [f"The newest evaluation of {_named(early)} was taken before the last episode."]
