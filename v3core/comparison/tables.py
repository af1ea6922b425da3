"""The tables of a comparison, as rows of text: for Compare and for reports."""

import math
from collections.abc import Mapping, Sequence

from v3core.insight.compared import Across, Comparison, GroupResult, Pair
from v3core.insight.estimates import Estimate, with_interval
from v3core.insight.profiles import Aggregate
from v3core.insight.significance import MOST_SEEDS
from v3core.messages import Message, _, with_minus
from v3core.metrics import POOLED, worst_of
from v3core.phrases import one_of, sentences

Row = dict[str, object]
MAX_EXPERTS = 16
"""With more, a table has no column for each."""
AGGREGATE_TITLES: Mapping[Aggregate, str] = {
    "iqm": _("Interquartile mean"),
    "mean": _("Mean"),
    "median": _("Median"),
    "optimality_gap": _("Optimality gap"),
}

WORST_TITLES: Mapping[str, str] = {"most": _("Most in a run"), "least": _("Least in a run")}

PAIR_HELP: dict[str, str] = {
    _("Difference"): _("Of the interquartile means of the final values."),
    _("95 % interval"): _("Of the difference, by bootstrap within each group; from 5 seeds on."),
    _("By seed"): _("Mean difference of runs of the same seed."),
    _("Ends above"): _("The chance that a run of the first ends above one of the second."),
    _("Welch"): _("Two-sided p of Welch's t-test, corrected for the number of pairs by Holm's method."),
    _("Permutation"): _(
        "Two-sided p of a permutation test of the runs; corrected with the tests of the steps as well."
    ),
    _("Fewer steps"): _("How many per cent fewer steps the first group needs to reach the threshold."),
    _("Seeds needed"): _("Seeds per group at which a t-test finds the difference seen in 80 % of cases."),
}
"""What the columns of `pair_rows` are."""


def final_words(found: Comparison) -> Message:
    """What the final values of a comparison are."""
    if found.until is None:
        how = _(
            "{metric}, at the end of each run: each point is a run, the diamond the interquartile mean with its 95 % "
            "interval.",
            metric=found.label,
        )
    else:
        how = _(
            "{metric}, at step {step:,}: each point is a run, the diamond the interquartile mean with its 95 % "
            "interval.",
            metric=found.label,
            step=found.until,
        )
    return sentences(how, mean_words(found))


def mean_words(found: Comparison) -> Message | None:
    """Which episodes final values are over; None where they are not over a number of episodes."""
    if not found.mean_over:
        return None
    episodes = one_of([f"{count:,}" for count in sorted(set(found.mean_over.values()))])
    if found.metric in POOLED:
        return _(
            "Of each run it is over all steps of the last {episodes} episodes of the phase in force together, or of "
            "all of that phase while there are fewer, but for those that began before it.",
            episodes=episodes,
        )
    return _(
        "Of each run it is the mean of the last {episodes} episodes of the phase in force, or of all of that phase "
        "while there are fewer.",
        episodes=episodes,
    )


def group_rows(found: Comparison) -> list[Row]:
    """A row per group: its runs, how many count, its final value with its interval, its steps to the threshold."""
    several = len({group.env for group in found.groups}) > 1
    return [_group_row(group, found, several=several) for group in found.groups]


def pair_rows(found: Comparison) -> list[Row]:
    """A row per pair of groups in one environment, as `PAIR_HELP` says."""
    several = len({group.env for group in found.groups}) > 1
    return [_pair_row(pair, several=several) for pair in found.pairs]


def across_rows(found: Across) -> list[Row]:
    """A row per group: its aggregates over environments, each with its interval."""
    return [
        {
            _("Group"): group.name,
            **{title: _with_unit(group.aggregates[kind]) for kind, title in AGGREGATE_TITLES.items()},
        }
        for group in found.groups
    ]


def group_columns(group: str, env: str | None) -> Row:
    """The first columns of a row about a group, with its environment where groups are in several."""
    return {_("Group"): group} if env is None else {_("Group"): group, _("Environment"): env}


def _group_row(group: GroupResult, found: Comparison, *, several: bool) -> Row:
    row = group_columns(group.name, group.env if several else None)
    row |= {
        _("Runs"): len(group.runs),
        _("Counted"): group.final.n,
        _("Final"): number_words(group.final.value),
        _("95 % interval"): _interval(group.final),
        **worst_column(group, found),
        _("Failed"): group.failed,
        _("Unfinished"): group.unfinished,
    }
    if found.thresholds:
        row |= _reached(group, found.thresholds)
    return row


def worst_column(group: GroupResult, found: Comparison) -> Row:
    """The run that matters by itself, beside an interquartile mean that cuts it away; empty of most metrics."""
    return {} if group.worst is None else {WORST_TITLES[worst_of(found.metric)]: number_words(group.worst)}


def _reached(group: GroupResult, thresholds: Mapping[str, float]) -> Row:
    """How many runs reached the threshold of their environment; the column names it if there is one in all."""
    own, steps, values = thresholds.get(group.env), group.steps_to, set(thresholds.values())
    said: str = "–"
    if own is not None and steps is not None and steps.n:
        said = _("{reached} of {runs}", reached=group.reached, runs=steps.n)
    if len(values) == 1:
        title = _("Reached {threshold:g}", threshold=values.pop())
    else:
        title, said = _("Reached"), said if said == "–" else _("{runs} ({threshold:g})", runs=said, threshold=own)
    return {title: said, _("Steps to it"): "–" if steps is None else steps_words(steps.value)}


def _pair_row(pair: Pair, *, several: bool) -> Row:
    row: Row = {_("Pair"): f"{pair.first} − {pair.second}"}
    if several:
        row[_("Environment")] = pair.env
    row |= {
        _("Difference"): number_words(pair.difference.value),
        _("95 % interval"): _interval(pair.difference),
        _("By seed"): "–" if pair.paired is None else _with_unit(pair.paired),
        _("Ends above"): _with_unit(pair.improvement, per_cent=True),
        _("Welch"): _p(pair.welch_corrected),
        _("Permutation"): _p(pair.permutation_corrected),
    }
    if pair.steps_change is not None:
        row[_("Fewer steps")] = _fewer_steps(pair, pair.steps_change)
    row[_("Seeds needed")] = _seeds(pair.seeds_needed)
    return row


def _seeds(needed: float | None) -> str:
    return "–" if needed is None else f"{needed:,.0f}" if math.isfinite(needed) else _("over {most:,}", most=MOST_SEEDS)


def _fewer_steps(pair: Pair, change: Estimate) -> str:
    if math.isinf(change.value):
        return _("only {group} reaches it", group=pair.second if change.value < 0 else pair.first)
    return _with_unit(change, unit=" %")


def number_words(value: float) -> str:
    """A number as text; a dash for none."""
    return "–" if math.isnan(value) else with_minus(f"{value:,.4g}".replace("inf", "∞"))


def steps_words(value: float) -> str:
    """Steps to a threshold as text, of which infinity says that it was not reached."""
    return "–" if math.isnan(value) else _("not reached") if math.isinf(value) else f"{value:,.0f}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return {"points": _("needs 5 seeds"), "exploratory": _("exploratory")}.get(estimate.confidence, "–")
    return _("{low} to {high}", low=number_words(estimate.low), high=number_words(estimate.high))


def _with_unit(estimate: Estimate, *, per_cent: bool = False, unit: str = "") -> str:
    if math.isnan(estimate.value):
        return "–"
    scale, end = (100, " %") if per_cent else (1, unit)
    return with_interval(estimate, lambda value: _short(scale * value), end)


def _short(value: float) -> str:
    return with_minus(f"{value:.3g}".replace("inf", "∞"))


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


_SHARES = ("Success", "Lowest success", "Evaluation success", "Share of steps")


def is_share(column: str) -> bool:
    """Whether a column is of shares, which are shown in per cent."""
    return column in _SHARES or column.startswith("Expert ")


def as_text(rows: Sequence[Row]) -> list[Row]:
    """Rows of numbers as text, all with the same columns: those in which any has a value."""
    columns = dict.fromkeys(column for row in rows for column in row)
    known = [column for column in columns if any(not _is_missing(row.get(column)) for row in rows)]
    return [{column: _text(column, row.get(column)) for column in known} for row in rows]


def _text(column: str, value: object) -> str:
    if _is_missing(value):
        return "–"
    if isinstance(value, float):
        return f"{value:.0%}" if is_share(column) else number_words(value)
    if isinstance(value, str):
        return value  # perhaps one that is translated later
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
