"""What an experiment says so far: the comparison of everything that it varies, and where its runs are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from v3core.comparison.groups import grouped
from v3core.comparison.looking import Grouping, answer
from v3core.comparison.varied import varied
from v3core.insight.compared import Comparison, GroupResult
from v3core.insight.estimates import Estimate, iqm_of
from v3core.store.database import Database
from v3core.store.pace import read_mean
from v3core.store.run_row import RunRow


@dataclass(frozen=True)
class Standing:
    """A group of an experiment's runs."""

    result: GroupResult
    """Its completed runs by the metric that is compared."""
    so_far: Estimate
    """Interquartile mean of the newest mean returns of its runs, wherever they are."""


@dataclass(frozen=True)
class Standings:
    """An experiment so far."""

    comparison: Comparison
    groups: tuple[Standing, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the comparison, its groups with `so_far`."""
        found = self.comparison.to_dict()
        for group, standing in zip(found["groups"], self.groups, strict=True):
            so_far = standing.so_far
            group["so_far"] = {"value": so_far.value, "low": so_far.low, "high": so_far.high, "n": so_far.n}
        return found


def standings_of(database: Database, runs: Sequence[RunRow]) -> Standings:
    """How the groups of an experiment stand, by the comparison of returns that Compare shows."""
    by = varied(runs)
    comparison = answer(database, runs, "return", Grouping(by))
    means = {(group.name, group.env): _means(database, group.runs) for group in grouped(runs, by)}
    groups = [Standing(result, iqm_of(means[result.name, result.env])) for result in comparison.groups]
    return Standings(comparison, tuple(groups))


def _means(database: Database, runs: Sequence[RunRow]) -> list[float]:
    with database.read() as tx:
        means = [run.mean_return if run.steps is None else read_mean(tx, run).value for run in runs]
    return [mean for mean in means if mean is not None]
