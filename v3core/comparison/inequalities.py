"""What is not equal between the runs of a comparison: said and counted, never silently left out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from v3core.comparison.groups import ENVIRONMENT, NAME, NOT_VARIED, Group, Setting, is_readable, settings_that_differ
from v3core.comparison.tables import WORST_TITLES, number_words
from v3core.insight.bootstrap import cut_of
from v3core.insight.compared import GroupResult, Window
from v3core.insight.estimates import ENOUGH_SEEDS
from v3core.messages import Message, _, several
from v3core.metrics import AT_EVALUATIONS, worst_of
from v3core.phrases import listed, strung
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
    windows: Mapping[str, int],
) -> list[Message]:
    """A sentence about each inequality.

    `edited` are the ids of runs whose curriculum was edited as they trained, `windows` the episodes of each environment
    that final values are means of.
    """
    is_in_several, roots = len({group.env for group in groups}) > 1, roots_of(groups)
    notes: list[Message] = []
    if is_in_several:
        notes.append(_("The runs end in several environments, on different scales: each is compared by itself."))
    for group, result in zip(groups, results, strict=True):
        where = _("{group} in {env}", group=group.name, env=group.env) if is_in_several else group.name
        notes += _left_out(where, result)
        notes += _other_differences(where, group, by)
        notes += _shared_trunks(where, result, roots)
    for env in dict.fromkeys(group.env for group in groups):
        here = [result for result in results if result.env == env]
        where = env if is_in_several else ""
        notes += _also_between([group for group in groups if group.env == env], where, by)
        notes += _seeds(here, where)
        notes += _numbers(here, where)
        notes += _short_phases(here, windows[env])
    notes += _cut_away(results, metric, is_in_several=is_in_several)
    notes += _edited(groups, edited)
    notes += _never_begun(groups, edited)
    if until is None:
        notes += [_unequal(window, window.env if is_in_several else "") for window in common]
    if metric in AT_EVALUATIONS and until is None:
        notes += _evaluated_at(database, groups)
    return notes


def _unequal(window: Window, env: str) -> Message:
    said: dict[str, object] = {"env": env, "least": window.step, "most": window.longest}
    if not window.step:
        if env:
            return _("The runs in {env} reached different numbers of steps, from none to {most:,}.", **said)
        return _("The runs reached different numbers of steps, from none to {most:,}.", **said)
    if env:
        return _(
            "The runs in {env} reached different numbers of steps, from {least:,} to {most:,}; all of them can be "
            "compared at step {least:,}.",
            **said,
        )
    return _(
        "The runs reached different numbers of steps, from {least:,} to {most:,}; all of them can be compared at step "
        "{least:,}.",
        **said,
    )


def _left_out(where: str, result: GroupResult) -> list[Message]:
    """Runs that do not count, by the reason."""
    missing = [run for run in result.runs if run.left_out]
    if not missing:
        return []
    named: list[str] = [_("{run} {reason}", run=run.name, reason=run.left_out) for run in missing[:NAMED]]
    if len(missing) > NAMED:
        named.append(_("and {count} more", count=len(missing) - NAMED))
    notes: list[Message] = [
        several(
            "{count} of {runs} runs of {where} is not counted: {named}.",
            "{count} of {runs} runs of {where} are not counted: {named}.",
            count=len(missing),
            runs=len(result.runs),
            where=where,
            named=strung("; ", named),
        )
    ]
    if result.failed and result.final.n:
        notes.append(
            _(
                "{failed} of {runs} runs of {where} failed: the final value of a group is too high if runs fail that "
                "would have ended low.",
                failed=result.failed,
                runs=len(result.runs),
                where=where,
            )
        )
    return notes


def _differ(runs: Sequence[RunRow], but: Collection[str]) -> list[Setting]:
    """The settings in which runs differ, other than these; a run that cannot be read has none."""
    readable = [run for run in runs if is_readable(run)]
    return [setting for setting in settings_that_differ(readable) if setting.path not in {*but, ENVIRONMENT}]


def _other_differences(where: str, group: Group, by: Sequence[str]) -> list[Message]:
    others = [setting.path for setting in _differ(group.runs, by)]
    if not others:
        return []
    return [
        _(
            "Runs of {where} differ in {settings} as well; group by it, or compare them apart.",
            where=where,
            settings=_first(others),
        )
    ]


def _also_between(here: Sequence[Group], env: str, by: Sequence[str]) -> list[Message]:
    """Settings that are one in each group, and not in all groups: their effect is taken for that of the grouping.

    Names stand for what an experiment varies.
    """
    known = {setting.path for group in here for setting in _differ(group.runs, by)}
    found = _differ([run for group in here for run in group.runs], {*by, *known})
    if NAME in by:
        found = [setting for setting in found if setting.path in NOT_VARIED]
    if not found:
        return []
    others = _first([_("{setting} ({path})", setting=setting.title, path=setting.path) for setting in found])
    if env:
        return [
            _(
                "The groups in {env} also differ in {settings}: a difference between them may come from that.",
                env=env,
                settings=others,
            )
        ]
    return [_("The groups also differ in {settings}: a difference between them may come from that.", settings=others)]


def _first(named: Sequence[str]) -> Message:
    more = len(named) - NAMED
    if more <= 0:
        return listed(named)
    return several(
        "{names} and {count} more setting", "{names} and {count} more settings", count=more, names=listed(named[:NAMED])
    )


def _first_groups(named: Sequence[str]) -> Message:
    more = len(named) - NAMED
    if more <= 0:
        return listed(named)
    return several(
        "{names} and {count} more group", "{names} and {count} more groups", count=more, names=listed(named[:NAMED])
    )


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


def _shared_trunks(where: str, result: GroupResult, roots: Mapping[str, str]) -> list[Message]:
    """Forks of one run are more alike than runs that were trained from their beginning."""
    sizes = Counter(roots[run_id] for run_id in result.finals)
    forks = [run_id for run_id in result.finals if roots[run_id] != run_id and sizes[roots[run_id]] > 1]
    if not forks:
        return []
    shared = len({roots[run_id] for run_id in forks})
    if shared == 1:
        return [
            several(
                "1 run of {where} is a fork of the same run: what they share, their interval does not know of.",
                "{count} runs of {where} are forks of the same run: what they share, their interval does not know of.",
                count=len(forks),
                where=where,
            )
        ]
    return [
        _(
            "{count} runs of {where} are forks of {roots} runs: what they share, their interval does not know of.",
            count=len(forks),
            where=where,
            roots=shared,
        )
    ]


def _edited(groups: Sequence[Group], edited: Collection[str]) -> list[Message]:
    named = [run.name for group in groups for run in group.runs if run.id in edited]
    if not named:
        return []
    return [
        several(
            "The curriculum of {count} run was edited in training, so that it is not what its name says: {names}.",
            "The curriculum of {count} runs was edited in training, so that it is not what its name says: {names}.",
            count=len(named),
            names=_named(named),
        )
    ]


def _never_begun(groups: Sequence[Group], edited: Collection[str]) -> list[Message]:
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
        several(
            "{count} complete run ended before {phases} began, so that a part of the curriculum was never trained: "
            "{names}.",
            "{count} complete runs ended before {phases} began, so that a part of the curriculum was never trained: "
            "{names}.",
            count=len(named),
            phases=listed(later),
            names=_named(named),
        )
        for later, named in runs.items()
    ]


def _named(names: Sequence[str]) -> Message:
    if len(names) <= NAMED:
        return listed(names)
    return _("{names} and {count} more", names=listed(names[:NAMED]), count=len(names) - NAMED)


def _seeds(here: Sequence[GroupResult], env: str) -> list[Message]:
    counted = {group.name: sorted(run.seed for run in group.runs if not run.left_out) for group in here}
    notes: list[Message] = []
    for name, seeds in counted.items():
        repeated = [seed for seed, count in Counter(seeds).items() if count > 1]
        if repeated:
            group = _("{group} in {env}", group=name, env=env) if env else name
            seeds_words = listed(repeated[:NAMED])
            notes.append(_("{group} has several runs of seed {seeds}.", group=group, seeds=seeds_words))
    sets = [set(seeds) for seeds in counted.values() if seeds]
    if len(sets) > 1 and any(one != sets[0] for one in sets):
        counts = _first_groups([f"{name} {len(seeds)}" for name, seeds in counted.items()])
        notes.append(_different_seeds(env, counts, len(set.intersection(*sets))))
    return notes


def _different_seeds(env: str, counts: Message, shared: int) -> Message:
    said: dict[str, object] = {"env": env, "counts": counts}
    said["shared"] = _("they share {count}", count=shared) if shared else _("they share none")
    if env:
        return _(
            "The groups in {env} do not have the same seeds (numbers of runs that count: {counts}); {shared}.", **said
        )
    return _("The groups do not have the same seeds (numbers of runs that count: {counts}); {shared}.", **said)


def _numbers(here: Sequence[GroupResult], env: str) -> list[Message]:
    few = [group for group in here if group.final.n < ENOUGH_SEEDS]
    if not few:
        return []
    counts = _first_groups([_("{group} has {count}", group=group.name, count=group.final.n) for group in few])
    if env:
        return [
            _(
                "Intervals need {enough} runs or more per group in {env}: {counts}.",
                enough=ENOUGH_SEEDS,
                env=env,
                counts=counts,
            )
        ]
    return [_("Intervals need {enough} runs or more per group: {counts}.", enough=ENOUGH_SEEDS, counts=counts)]


def _short_phases(here: Sequence[GroupResult], window: int) -> list[Message]:
    """Final values over fewer episodes than others, because a phase had just begun."""
    short = [run for group in here for run in group.runs if run.mean_of is not None and run.mean_of < window]
    if not short:
        return []
    named = [_("{run} ({count})", run=run.name, count=run.mean_of) for run in short]
    return [
        several(
            "The phase in force has fewer than {window} episodes in {count} run, whose final value is of those alone: "
            "{names}.",
            "The phase in force has fewer than {window} episodes in {count} runs, whose final values are of those "
            "alone: {names}.",
            count=len(named),
            window=window,
            names=_named(named),
        )
    ]


def _cut_away(results: Sequence[GroupResult], metric: str, *, is_in_several: bool) -> list[Message]:
    """Single runs that matter, which the interquartile mean in a verdict does not show."""
    beyond = {
        _("{group} in {env}", group=group.name, env=group.env) if is_in_several else group.name: group.worst
        for group in results
        if group.worst is not None and cut_of(group.final.n) and group.worst != group.final.value
    }
    if not beyond:
        return []
    worst = worst_of(metric)
    ordered = sorted(beyond.items(), key=lambda one: one[1], reverse=worst == "most")
    named = [_("{name} ({value})", name=name, value=number_words(value)) for name, value in ordered]
    return [
        _(
            "An interquartile mean leaves out the lowest and the highest quarter of the runs. {title}: {groups}.",
            title=WORST_TITLES[worst],
            groups=_first_groups(named),
        )
    ]


def _evaluated_at(database: Database, groups: Sequence[Group]) -> list[Message]:
    """Whether the newest evaluations are all of the end of their runs."""
    runs = [run for group in groups for run in group.runs if run.ended_at is not None]
    found = read_evaluation_means(database, [run.id for run in runs])
    early = [run.name for run in runs if found[run.id] and found[run.id][-1].episode < run.episode]
    if not early:
        return []
    return [_("The newest evaluation of {names} was taken before the last episode.", names=_named(early))]
