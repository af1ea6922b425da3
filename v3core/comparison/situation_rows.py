"""How the experts share the situations that an environment declares, by run and group."""

from collections.abc import Sequence
from dataclasses import dataclass

from v3core.comparison.newest import Wanted, mean_of_known, newest_of, newest_of_groups
from v3core.comparison.tables import MAX_EXPERTS, Row, group_columns
from v3core.insight.compared import Comparison
from v3core.insight.loads import effective_experts
from v3core.insight.situation_loads import OTHER, SituationResult, situation_results
from v3core.messages import _
from v3core.recall import recalled
from v3core.store.database import Database
from v3core.store.phase_window import PhaseWindow
from v3core.store.run_row import RunRow
from v3core.store.situation_records import has_situations, read_situations

LOADS_WORDS = _(
    "Mean gate of each expert over the steps that a situation holds at, Σ gates / steps, of training episodes as "
    "acted. The environment declares its situations; a step can be in several of them, or in none."
)
DISTANCE_WORDS = _(
    "Jensen-Shannon distance of the loads in a situation and those in none of the situations, √divergence with "
    "logarithms of base 2: 0 if the experts are used alike, 1 if they share none."
)
SHARE, STEPS, DISTANCE = _("Share of steps"), _("Steps"), _("Distance")


@dataclass(frozen=True)
class GroupSituation:
    """A situation in the runs of a group that count: means over the runs, NaN where it is not known."""

    group: str
    env: str
    situation: str
    runs: int
    """In whose episodes it was."""
    share: float
    """Of all steps."""
    effective_experts: float
    """By the loads in it, pooled by steps; experts of different runs have no common order."""
    distance: float
    """As of `SituationResult`."""


def situation_rows(results: Sequence[SituationResult]) -> list[Row]:
    """A row of numbers per situation, with a column for each expert, unless they are many."""
    experts = max((len(result.loads) for result in results), default=0)
    numbers = range(1, experts + 1 if experts <= MAX_EXPERTS else 1)
    return [
        {
            _("Situation"): recalled(result.name),
            SHARE: result.share,
            STEPS: result.steps,
            **{
                _("Expert {number}", number=number): result.loads[number - 1]
                for number in numbers
                if number <= len(result.loads)
            },
            DISTANCE: result.distance,
        }
        for result in results
    ]


def run_situations(database: Database, run: RunRow, window: PhaseWindow) -> list[SituationResult]:
    """The situations of a run in a window."""
    return situation_results(read_situations(database, run.id, after=window.after, last=window.last))


def run_situation_rows(database: Database, runs: Sequence[RunRow], names: Sequence[str]) -> list[Row]:
    """A row of numbers per run and situation, of those runs whose environment declares any."""
    return [
        {_("Run"): name} | row
        for name, run, window in newest_of(database, runs, names, _has_some(database))
        for row in situation_rows(run_situations(database, run, window))
    ]


def _has_some(database: Database) -> Wanted:
    return lambda run: has_situations(database, run.id, last=run.episode)


def group_situations(database: Database, runs: Sequence[RunRow], found: Comparison) -> list[GroupSituation]:
    """The situations of each group of a comparison of these runs, at the step where it takes final values."""
    situations: list[GroupSituation] = []
    for group, newest in newest_of_groups(database, runs, found, _has_some(database)):
        results = [result for run, window in newest for result in run_situations(database, run, window)]
        for name in sorted(dict.fromkeys(result.name for result in results), key=lambda name: name == OTHER):
            here = [result for result in results if result.name == name]
            situations.append(
                GroupSituation(
                    group=group.name,
                    env=group.env,
                    situation=name,
                    runs=len(here),
                    share=mean_of_known(result.share for result in here),
                    effective_experts=mean_of_known(float(effective_experts(result.loads)) for result in here),
                    distance=mean_of_known(result.distance for result in here),
                )
            )
    return situations


def group_situation_rows(situations: Sequence[GroupSituation]) -> list[Row]:
    """A row of numbers per group and situation."""
    several = len({one.env for one in situations}) > 1
    return [
        {
            **group_columns(one.group, one.env if several else None),
            _("Situation"): recalled(one.situation),
            _("Runs"): one.runs,
            SHARE: one.share,
            _("Effective experts"): one.effective_experts,
            DISTANCE: one.distance,
        }
        for one in situations
    ]
