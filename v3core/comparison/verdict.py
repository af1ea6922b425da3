"""The verdict of a comparison, as sentences."""

import math
from collections.abc import Mapping, Sequence

from v3core.insight.compared import GroupResult, Pair
from v3core.insight.estimates import ENOUGH_SEEDS, FEW_SEEDS, Estimate
from v3core.insight.significance import MOST_SEEDS
from v3core.messages import Message, _, several, with_minus
from v3core.phrases import counted, sentences

Roots = Mapping[tuple[str, str], frozenset[str]]
MOST_SENTENCES = 10
NOTHING = _("Nothing to compare: no group has a run that counts.")


def verdict_of(
    groups: Sequence[GroupResult],
    pairs: Sequence[Pair],
    thresholds: Mapping[str, float],
    within: Mapping[str, int],
    roots: Roots,
    label: str,
) -> list[Message]:
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
    found: dict[str, list[Message]] = {}
    for env in envs:
        here = {group.name: group for group in groups if group.env == env}
        ordered = _ranked([pair for pair in pairs if pair.env == env], here)
        said = [_sentence(pair, here, thresholds.get(env), within.get(env), roots, label) for pair in ordered] or [
            _alone(next(iter(here.values())), roots, label)
        ]
        found[env] = [_("{env}: {sentence}", env=env, sentence=one) for one in said] if envs[1:] else said
    return _shortened(list(found.values())) or [NOTHING]


def _shortened(of_envs: Sequence[Sequence[Message]]) -> list[Message]:
    """The first sentences of each environment, as many of each, and how many more pairs there are."""
    count = sum(map(len, of_envs))
    if count <= MOST_SENTENCES:
        return [sentence for of_env in of_envs for sentence in of_env]
    places = sorted((rank, env) for env, of_env in enumerate(of_envs) for rank in range(len(of_env)))
    kept = sorted((env, rank) for rank, env in places[: MOST_SENTENCES - 1])
    more = count - len(kept)
    return [
        *(of_envs[env][rank] for env, rank in kept),
        _("The table has {count} more pairs.", count=more),
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


def _alone(group: GroupResult, roots: Roots, label: str) -> Message:
    final = group.final
    if not final.n:
        return NOTHING
    said: dict[str, object] = {"group": group.name, "value": _number(final.value), "metric": label}
    said["count"] = _of_roots(counted(final.n, "seed"), [group], roots)
    if final.low is None or final.high is None:
        return _("{group} ends at {value} in {metric}, {count}; nothing to compare it with.", **said)
    return _(
        "{group} ends at {value} in {metric} (95 % interval {low} to {high}), {count}; nothing to compare it with.",
        low=_number(final.low),
        high=_number(final.high),
        **said,
    )


def _sentence(
    pair: Pair, groups: Mapping[str, GroupResult], threshold: float | None, within: int | None, roots: Roots, label: str
) -> Message:
    first, second = groups[pair.first], groups[pair.second]
    n = min(first.final.n, second.final.n)
    said: dict[str, object] = {"first": pair.first, "second": pair.second}
    if not n:
        missing = first.name if not first.final.n else second.name
        return _("Undecided between {first} and {second}: no run of {missing} counts yet.", missing=missing, **said)
    count = _counts(first.final.n, second.final.n)
    if n < FEW_SEEDS:
        return _(
            "Undecided between {first} and {second}: with {count} there are only single points; an interval needs "
            "{enough} seeds each.",
            count=count,
            enough=ENOUGH_SEEDS,
            **said,
        )
    if n < ENOUGH_SEEDS:
        return _exploratory(pair, label, count)
    count = _of_roots(count, [first, second], roots)
    if pair.is_faster_decided and pair.steps_change is not None and threshold is not None:
        sooner = _faster(pair, groups, threshold, within, count)
        if pair.is_decided and pair.steps_change.value < 0:
            return sentences(sooner, _higher(pair, label, count, nevertheless=True))
        return sooner
    if pair.is_decided:
        return _higher(pair, label, count)
    return _undecided(pair, first, second, label, count)


def _exploratory(pair: Pair, label: str, count: Message) -> Message:
    said: dict[str, object] = {"first": pair.first, "second": pair.second, "metric": label, "count": count}
    if not pair.difference.value:
        return _("Exploratory: {first} and {second} end alike in {metric} ({count}).", **said)
    return _(
        "Exploratory: {first} ends {difference} above {second} in {metric} ({count}); an interval needs {enough} "
        "seeds each.",
        difference=_number(abs(pair.difference.value)),
        enough=ENOUGH_SEEDS,
        **said,
    )


def _faster(
    pair: Pair, groups: Mapping[str, GroupResult], threshold: float, within: int | None, count: Message
) -> Message:
    change = pair.steps_change
    assert change is not None
    assert change.low is not None
    assert change.high is not None
    name, other, sign = (pair.first, pair.second, 1) if change.value > 0 else (pair.second, pair.first, -1)
    slower = groups[other]
    said: dict[str, object] = {"first": name, "second": other, "threshold": _number(threshold), "count": count}
    if slower.steps_to is not None and math.isinf(slower.steps_to.value):
        said |= {"reached": slower.reached, "runs": slower.steps_to.n}
        if within is None:
            return _(
                "{first} reaches {threshold}, {second} does not: {reached} of its {runs} runs do ({count}).", **said
            )
        return _(
            "{first} reaches {threshold}, {second} does not within the {steps:,} steps that all runs reached: "
            "{reached} of its {runs} runs do ({count}).",
            steps=within,
            **said,
        )
    ends = sorted((sign * change.low, sign * change.high))
    if sign < 0:
        # In per cent of the other group's steps, as the sentence says it.
        value = 100 * (1 - 1 / (1 - change.value / 100))
        ends = sorted(100 * (1 - 1 / (1 - end / 100)) for end in (change.low, change.high))
    else:
        value = change.value
    said |= {"value": value, "low": ends[0], "high": ends[1]}
    if within is None:
        return _(
            "{first} reaches {threshold} in {value:.0f} % fewer steps than {second} (95 % interval {low:.0f} to "
            "{high:.0f} %, {count}).",
            **said,
        )
    return _(
        "{first} reaches {threshold} in {value:.0f} % fewer steps than {second} within the {steps:,} steps that all "
        "runs reached (95 % interval {low:.0f} to {high:.0f} %, {count}).",
        steps=within,
        **said,
    )


def _higher(pair: Pair, label: str, count: Message, *, nevertheless: bool = False) -> Message:
    difference = pair.difference
    assert difference.low is not None
    assert difference.high is not None
    said: dict[str, object] = {"first": pair.first, "second": pair.second, "metric": label, "count": count}
    said |= {"difference": _number(difference.value), "low": _number(difference.low), "high": _number(difference.high)}
    if nevertheless:
        return _(
            "{first} nevertheless ends {difference} above {second} in {metric} (95 % interval {low} to {high}, "
            "{count}).",
            **said,
        )
    return _("{first} ends {difference} above {second} in {metric} (95 % interval {low} to {high}, {count}).", **said)


def _undecided(pair: Pair, first: GroupResult, second: GroupResult, label: str, count: Message) -> Message:
    low, high = pair.difference.low, pair.difference.high
    said: dict[str, object] = {"first": pair.first, "second": pair.second, "metric": label, "count": count}
    said |= {"difference": _number(pair.difference.value), "needed": _needed(pair, first, second)}
    if low is None or high is None:
        return _(
            "Undecided between {first} and {second}: they differ by {difference} in {metric} ({count}); {needed}.",
            **said,
        )
    return _(
        "Undecided between {first} and {second}: they differ by {difference} in {metric}, 95 % interval {low} to "
        "{high} ({count}); {needed}.",
        low=_number(low),
        high=_number(high),
        **said,
    )


def _needed(pair: Pair, first: GroupResult, second: GroupResult) -> Message:
    if pair.seeds_needed is not None and math.isfinite(pair.seeds_needed):
        more = round(max(pair.seeds_needed - min(first.final.n, second.final.n), 1))
        return several(
            "about {count:,} more seed each would be needed",
            "about {count:,} more seeds each would be needed",
            count=more,
        )
    if pair.difference.value == 0:
        return _("no difference is seen")
    if pair.seeds_needed is None:
        return _("how many seeds it would need is unknown")
    return _("more than {most:,} seeds each would be needed", most=MOST_SEEDS)


def _of_roots(count: Message, groups: Sequence[GroupResult], roots: Roots) -> Message:
    """Forks of one checkpoint say nothing about what other checkpoints would have come to."""
    few = [roots[group.name, group.env] for group in groups if (group.name, group.env) in roots]
    if not few:
        return count
    runs = len(frozenset.union(*few))
    if runs == 1:
        return _("{seeds}, from 1 run: about its checkpoint only", seeds=count)
    return _("{seeds}, from {runs} runs: about those only", seeds=count, runs=runs)


def _counts(first: int, second: int) -> Message:
    if first == second:
        return _("{seeds} each", seeds=counted(first, "seed"))
    return _("{first} and {seeds}", first=first, seeds=counted(second, "seed"))


def _number(value: float) -> str:
    """Three digits that count, whole numbers with their thousands."""
    return with_minus(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}")
