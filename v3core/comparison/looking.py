"""How groups are looked at, and the comparison that answers it."""

from collections.abc import Sequence
from dataclasses import dataclass

from v3core.comparison.comparing import WITH_THRESHOLD, compare
from v3core.insight.compared import Comparison
from v3core.insight.grids import Axis
from v3core.metrics import EVALUATION
from v3core.store.database import Database
from v3core.store.run_row import RunRow


@dataclass(frozen=True)
class Grouping:
    """How groups are looked at."""

    by: tuple[str, ...]
    """Paths of settings; by default those that are `varied`."""
    axis: Axis = "step"
    since: str | None = None
    """The phase whose beginning is 0; None for the beginning of the run."""
    at_common: bool = False
    """Whether final values are those at the last step that all runs reached."""
    threshold: float | None = None
    """Whose first step is compared; None for the environment's own."""


def answer(database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping) -> Comparison:
    """The comparison of a metric; of returns that of evaluations, if there are any at the end of runs.

    At equal steps returns are those of training: few runs are evaluated at a step that all of them reached.
    """

    def found(of: str, until: int | None = None) -> Comparison:
        threshold = grouping.threshold if of in WITH_THRESHOLD else None
        return compare(database, runs, by=grouping.by, metric=of, threshold=threshold, until=until)

    until = common_step(runs) if grouping.at_common else None
    if metric != "return" or until is not None:
        return found(metric, until)
    by_evaluation = found(EVALUATION)
    return by_evaluation if any(group.final.n for group in by_evaluation.groups) else found("return")


def common_step(runs: Sequence[RunRow]) -> int | None:
    """The last step that all runs with an episode reached, in every environment; None if they are equal there."""
    steps = [run.step for run in runs if run.episode]
    return min(steps) if steps and min(steps) != max(steps) else None
