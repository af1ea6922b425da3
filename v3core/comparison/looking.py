"""How groups are looked at, and the comparison that answers it."""

from collections.abc import Sequence
from dataclasses import dataclass

from v3core.comparison.comparing import compare
from v3core.comparison.groups import CURRICULUM, ENVIRONMENT, Setting
from v3core.insight.compared import Comparison
from v3core.insight.grids import Axis
from v3core.metrics import EVALUATION
from v3core.store.database import Database
from v3core.store.run_row import RunRow


@dataclass(frozen=True)
class Grouping:
    """How groups are looked at."""

    by: tuple[str, ...]
    """Paths of settings."""
    axis: Axis = "step"
    since: str | None = None
    """The phase whose beginning is 0; None for the beginning of the run."""
    at_common: bool = False
    """Whether final values are those at the last step that all runs reached."""
    threshold: float | None = None
    """Whose first step is compared; None for the environment's own."""


def usual_grouping(settings: Sequence[Setting]) -> tuple[str, ...]:
    """By curriculum if it differs, otherwise by the first setting that does."""
    offered = [setting.path for setting in settings if setting.path != ENVIRONMENT]
    return (CURRICULUM,) if CURRICULUM in offered else tuple(offered[:1])


def answer(database: Database, runs: Sequence[RunRow], metric: str, grouping: Grouping) -> Comparison:
    """The comparison of a metric; of returns that of evaluations, if there are any."""
    of = metric
    if metric == "return":
        found = compare(database, runs, by=grouping.by, metric=EVALUATION, threshold=grouping.threshold)
        of = EVALUATION if any(group.final.n for group in found.groups) else "return"
    found = compare(database, runs, by=grouping.by, metric=of, threshold=grouping.threshold)
    if grouping.at_common and found.common:
        until = min(window.step for window in found.common)
        return compare(database, runs, by=grouping.by, metric=of, threshold=grouping.threshold, until=until)
    return found
