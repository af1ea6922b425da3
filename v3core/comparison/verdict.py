"""The verdict of a comparison, as sentences."""

import math
from collections.abc import Mapping, Sequence

from v3core.insight.compared import GroupResult, Pair
from v3core.insight.estimates import ENOUGH_SEEDS, FEW_SEEDS, Estimate
from v3core.insight.significance import MOST_SEEDS

Roots = Mapping[tuple[str, str], frozenset[str]]
MOST_SENTENCES = 10
NOTHING = "Nothing to compare: no group has a run that counts."


def verdict_of(
    groups: Sequence[GroupResult],
    pairs: Sequence[Pair],
    thresholds: Mapping[str, float],
    within: Mapping[str, int],
    roots: Roots,
    label: str,
) -> list[str]:
    """The headline, then a sentence for each further pair; each environment by itself, `MOST_SENTENCES` at most.

    Args:
        groups: all.
        pairs: all.
        thresholds: environment to the value that is to be reached.
        within: environment to the steps that all runs reached, where some went on, which is not judged.
        roots: name and environment of each group whose runs are forks of too few runs, to the ids of those.
        label: of the metric, within a sentence.
    """
    envs = list(dict.fromkeys(group.env for group in groups))
    found: dict[str, list[str]] = {}
    for env in envs:
        here = {group.name: group for group in groups if group.env == env}
        before = f"{env}: " if len(envs) > 1 else ""
        ordered = _ranked([pair for pair in pairs if pair.env == env], here)
        if ordered:
            found[env] = [
                f"{before}{_sentence(pair, here, thresholds.get(env), within.get(env), roots, label)}"
                for pair in ordered
            ]
        else:
            found[env] = [f"{before}{_alone(next(iter(here.values())), roots, label)}"]
    return _shortened(list(found.values())) or [NOTHING]


def _shortened(of_envs: Sequence[Sequence[str]]) -> list[str]:
    """The first sentences of each environment, as many of each, and how many more pairs there are."""
    count = sum(map(len, of_envs))
    if count <= MOST_SENTENCES:
        return [sentence for sentences in of_envs for sentence in sentences]
    places = sorted((rank, env) for env, sentences in enumerate(of_envs) for rank in range(len(sentences)))
    kept = sorted((env, rank) for rank, env in places[: MOST_SENTENCES - 1])
    more = count - len(kept)
    return [
        *(of_envs[env][rank] for env, rank in kept),
        f"The table has {more} more pairs.",
    ]


def _ranked(pairs: Sequence[Pair], groups: Mapping[str, GroupResult]) -> list[Pair]:
    """The first group against the second first, then by their places: by certain differences, then final values."""
    wins = dict.fromkeys(groups, 0)
    for pair in pairs:
        if (ahead := _ahead(pair)) is not None:
            wins[ahead] += 1
            wins[pair.second if ahead == pair.first else pair.first] -= 1
    order = sorted(groups, key=lambda name: (-wins[name], -_value(groups[name].final)))
    places = {name: place for place, name in enumerate(order)}
    return sorted(pairs, key=lambda pair: sorted((places[pair.first], places[pair.second])))


def _ahead(pair: Pair) -> str | None:
    """The group that is certain to be ahead: sooner at the threshold, or else higher at the end."""
    if pair.is_faster_decided and pair.steps_change is not None:
        return pair.first if pair.steps_change.value > 0 else pair.second
    return pair.first if pair.is_decided else None


def _value(estimate: Estimate) -> float:
    return -math.inf if math.isnan(estimate.value) else estimate.value


def _alone(group: GroupResult, roots: Roots, label: str) -> str:
    if not group.final.n:
        return NOTHING
    final = group.final
    interval = "" if final.low is None or final.high is None else f" (95 % interval {_span(final.low, final.high)})"
    return (
        f"{group.name} ends at {_number(final.value)} in {label}{interval}, "
        f"{_seeds(final.n)}{_from([group], roots)}; nothing to compare it with."
    )


def _sentence(
    pair: Pair, groups: Mapping[str, GroupResult], threshold: float | None, within: int | None, roots: Roots, label: str
) -> str:
    first, second = groups[pair.first], groups[pair.second]
    n = min(first.final.n, second.final.n)
    if not n:
        missing = first.name if not first.final.n else second.name
        return f"Undecided between {pair.first} and {pair.second}: no run of {missing} counts yet."
    count = _counts(first.final.n, second.final.n)
    if n < FEW_SEEDS:
        return (
            f"Undecided between {pair.first} and {pair.second}: with {count} there are only single points; an "
            f"interval needs {ENOUGH_SEEDS} seeds each."
        )
    if n < ENOUGH_SEEDS:
        return (
            f"Exploratory: {pair.first} ends {_number(abs(pair.difference.value))} above {pair.second} in {label} "
            f"({count}); an interval needs {ENOUGH_SEEDS} seeds each."
            if pair.difference.value
            else f"Exploratory: {pair.first} and {pair.second} end alike in {label} ({count})."
        )
    count += _from([first, second], roots)
    if pair.is_faster_decided and pair.steps_change is not None and threshold is not None:
        sooner = _faster(pair, groups, threshold, within, count)
        if pair.is_decided and pair.steps_change.value < 0:
            return f"{sooner} {_higher(pair, label, count).replace(' ends ', ' nevertheless ends ', 1)}"
        return sooner
    if pair.is_decided:
        return _higher(pair, label, count)
    return _undecided(pair, first, second, label, count)


def _faster(pair: Pair, groups: Mapping[str, GroupResult], threshold: float, within: int | None, count: str) -> str:
    change = pair.steps_change
    assert change is not None
    assert change.low is not None
    assert change.high is not None
    name, other, sign = (pair.first, pair.second, 1) if change.value > 0 else (pair.second, pair.first, -1)
    slower = groups[other]
    limit = "" if within is None else f" within the {within:,} steps that all runs reached"
    if slower.steps_to is not None and math.isinf(slower.steps_to.value):
        return (
            f"{name} reaches {_number(threshold)}, {other} does not{limit}: {slower.reached} of its "
            f"{slower.steps_to.n} runs do ({count})."
        )
    ends = sorted((sign * change.low, sign * change.high))
    if sign < 0:
        # In per cent of the other group's steps, as the sentence says it.
        value = 100 * (1 - 1 / (1 - change.value / 100))
        ends = sorted(100 * (1 - 1 / (1 - end / 100)) for end in (change.low, change.high))
    else:
        value = change.value
    return (
        f"{name} reaches {_number(threshold)} in {value:.0f} % fewer steps than {other}{limit} "
        f"(95 % interval {ends[0]:.0f} to {ends[1]:.0f} %, {count})."
    )


def _higher(pair: Pair, label: str, count: str) -> str:
    difference = pair.difference
    assert difference.low is not None
    assert difference.high is not None
    return (
        f"{pair.first} ends {_number(difference.value)} above {pair.second} in {label} "
        f"(95 % interval {_span(difference.low, difference.high)}, {count})."
    )


def _undecided(pair: Pair, first: GroupResult, second: GroupResult, label: str, count: str) -> str:
    have = min(first.final.n, second.final.n)
    low, high = pair.difference.low, pair.difference.high
    interval = "" if low is None or high is None else f", 95 % interval {_span(low, high)}"
    if pair.seeds_needed is not None and math.isfinite(pair.seeds_needed):
        more = max(pair.seeds_needed - have, 1)
        needed = f"about {more:,.0f} more {'seed' if more == 1 else 'seeds'} each would be needed"
    elif pair.difference.value == 0:
        needed = "no difference is seen"
    elif pair.seeds_needed is None:
        needed = "how many seeds it would need is unknown"
    else:
        needed = f"more than {MOST_SEEDS:,} seeds each would be needed"
    return (
        f"Undecided between {pair.first} and {pair.second}: they differ by {_number(pair.difference.value)} in {label}"
        f"{interval} ({count}); {needed}."
    )


def _from(groups: Sequence[GroupResult], roots: Roots) -> str:
    """Forks of one checkpoint say nothing about what other checkpoints would have come to."""
    few = [roots[group.name, group.env] for group in groups if (group.name, group.env) in roots]
    if not few:
        return ""
    count = len(frozenset.union(*few))
    return ", from 1 run: about its checkpoint only" if count == 1 else f", from {count} runs: about those only"


def _counts(first: int, second: int) -> str:
    return f"{_seeds(first)} each" if first == second else f"{first} and {_seeds(second)}"


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count:,} seeds"


def _span(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    """Three digits that count, whole numbers with their thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
