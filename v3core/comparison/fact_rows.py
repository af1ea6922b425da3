"""What environments say of the newest episodes, as the score and the cause of death in NetHack: by run and group."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from v3core.comparison.newest import NEWEST_WORDS, mean_of_known, newest_of, newest_of_groups
from v3core.comparison.tables import Row, group_columns
from v3core.insight.compared import Comparison
from v3core.insight.seen_words import end_in_words
from v3core.messages import _, with_minus
from v3core.phrases import listed
from v3core.store.database import Database
from v3core.store.fact_records import FactResult, fact_results, read_facts
from v3core.store.phase_window import PhaseWindow
from v3core.store.run_row import RunRow

FACTS_WORDS = _("Means of numbers, and the most frequent of words, over {newest}.", newest=NEWEST_WORDS)


@dataclass(frozen=True)
class GroupFact:
    """A fact in the runs of a group that count."""

    group: str
    env: str
    fact: str
    runs: int
    """In whose episodes it is known."""
    mean: float
    """Over the runs, of the mean of its numbers; NaN if it has none."""
    lowest: float
    """Of these means."""
    highest: float
    word: str | None
    """The most frequent of its words, each run counting alike; None if it has none."""
    share: float
    """Of that word, over the runs."""


def has_facts(run: RunRow) -> bool:
    """Whether it records facts of its episodes."""
    return bool(run.config.episode_facts)


def run_facts(database: Database, run: RunRow, window: PhaseWindow) -> list[FactResult]:
    """The facts of a run in a window."""
    facts = read_facts(database, run.id, after=window.after, last=window.last)
    return fact_results(facts, list(run.config.episode_facts))


def fact_rows(results: Sequence[FactResult]) -> list[Row]:
    """A row per fact of a run, with its numbers and the most frequent of its words."""
    return [
        {
            _("Fact"): result.name,
            _("Mean"): result.mean,
            _("Least"): result.least,
            _("Most"): result.most,
            _("Most frequent"): next(iter(_shared(*_most_frequent(result))), None),
            _("Episodes"): result.episodes,
        }
        for result in results
    ]


def run_fact_rows(database: Database, runs: Sequence[RunRow], names: Sequence[str]) -> list[Row]:
    """A row per run that records facts, with the mean of each number and the most frequent of words."""
    rows: list[Row] = []
    for name, run, window in newest_of(database, runs, names, has_facts):
        if results := run_facts(database, run, window):
            rows.append({_("Run"): name, **{one.name: _short(one) for one in results}})
    return rows


def _short(result: FactResult) -> str:
    return _in_short(result.mean, *_most_frequent(result))


def _most_frequent(result: FactResult) -> tuple[str | None, float]:
    return (result.words[0][0], result.words[0][1] / result.episodes) if result.words else (None, math.nan)


def _in_short(mean: float, word: str | None, share: float) -> str:
    """As in `35.6` or `killed by a newt (12%)`; both of a fact that is a number at times and a word at others."""
    number = [] if math.isnan(mean) else [with_minus(f"{mean:.4g}")]
    return listed([*number, *_shared(word, share)])


def _shared(word: str | None, share: float) -> list[str]:
    return [] if word is None else [_("{name} ({value})", name=end_in_words(word), value=f"{share:.0%}")]


def group_facts(database: Database, runs: Sequence[RunRow], found: Comparison) -> list[GroupFact]:
    """The facts of each group of a comparison of these runs, at the step where it takes final values."""
    facts: list[GroupFact] = []
    for group, newest in newest_of_groups(database, runs, found, has_facts):
        results = [result for run, window in newest for result in run_facts(database, run, window)]
        for name in dict.fromkeys(result.name for result in results):
            facts.append(_group_fact(group.name, group.env, [one for one in results if one.name == name]))
    return facts


def _group_fact(group: str, env: str, results: Sequence[FactResult]) -> GroupFact:
    means = [result.mean for result in results if result.numbers]
    shares: dict[str, float] = {}
    for result in results:
        for word, count in result.words:
            shares[word] = shares.get(word, 0.0) + count / result.episodes / len(results)
    most_frequent = max(shares, key=lambda word: shares[word], default=None)
    return GroupFact(
        group=group,
        env=env,
        fact=results[0].name,
        runs=len(results),
        mean=mean_of_known(means),
        lowest=min(means, default=math.nan),
        highest=max(means, default=math.nan),
        word=most_frequent,
        share=math.nan if most_frequent is None else shares[most_frequent],
    )


def group_fact_rows(facts: Sequence[GroupFact]) -> list[Row]:
    """A row per group, with a column for each fact."""
    several = len({one.env for one in facts}) > 1
    rows: dict[tuple[str, str], Row] = {}
    for one in facts:
        row = rows.setdefault((one.group, one.env), group_columns(one.group, one.env if several else None))
        row[one.fact] = _in_short(one.mean, one.word, one.share)
    return list(rows.values())
