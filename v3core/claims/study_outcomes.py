"""What a run of a study comes to, each number declared once. All windows are parts of the run's environment steps."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from v3core.insight.loads import dead_experts
from v3core.insight.removals import IDLE_SHARE
from v3core.insight.task_loads import TaskResult, task_specialisation
from v3core.messages import _
from v3core.metrics import CLOSE_MARGIN, DEAD_LOAD
from v3core.rollup import Floats

END = 0.1
"""Part of the steps that the end of a run is."""
BESIDE = 0.05
"""Part of the steps that is compared before and after a boundary."""
WINDOWS = 20
"""Equal parts of the steps that a fall of the return is looked for in."""


@dataclass(frozen=True)
class Recorded:
    """What was recorded of a run that is complete."""

    step: Floats
    """Environment steps at the end of each episode, ascending, shape [episodes]."""
    length: Floats
    """Steps of each episode, [episodes]."""
    returns: Floats
    loads: Floats
    """Mean gate weights, [episodes, experts]."""
    close: Floats
    """Share of steps near a tie, [episodes]."""
    boundaries: tuple[float, ...]
    """Environment steps at which phases after the first began."""
    evaluation: tuple[float, ...]
    """Returns of the newest evaluation's episodes."""
    successes: tuple[float, ...]
    """Of the same episodes; empty if the environment knows none."""
    complete: tuple[float, ...]
    """Returns with all experts, of the episodes of the knock-out."""
    without: Mapping[int, tuple[float, ...]]
    """Returns of the same episodes without each expert."""
    seconds: float
    """Of training."""
    tasks: tuple[TaskResult, ...] = ()
    """Of a run on several environments: each one's episodes that ended in the last tenth of the steps."""
    evaluated_tasks: Mapping[str, float] = field(default_factory=dict)
    """Success rate of the newest evaluation in each of them."""

    @property
    def total(self) -> float:
        """Steps of all episodes; 0 of none."""
        return float(self.step[-1]) if len(self.step) else 0.0

    def between(self, begin: float, end: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which episodes ended after `begin` and not after `end`, both in environment steps."""
        return (self.step > begin) & (self.step <= end)

    def part(self, begin: float, end: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which episodes ended in this part of the steps, each from 0 to 1."""
        return self.between(begin * self.total, end * self.total)

    @property
    def windows(self) -> list[np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """The episodes of each twentieth of the steps."""
        return [self.part(one / WINDOWS, (one + 1) / WINDOWS) for one in range(WINDOWS)]


def _mean(values: Sequence[float] | Floats) -> float:
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else math.nan


def _by_steps(run: Recorded, values: Floats, episodes: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    """Mean over all steps of these episodes together: an episode counts by its length. NaN of none."""
    if not episodes.any():
        return np.full(values.shape[1:], math.nan)
    return np.asarray(np.average(values[episodes], axis=0, weights=run.length[episodes]))


def _closing_loads(run: Recorded) -> Floats:
    return _by_steps(run, run.loads, run.part(1 - END, 1))


def _dead(run: Recorded) -> float:
    dead = dead_experts(_closing_loads(run))
    return math.nan if dead is None else float(dead)


def _largest_load(run: Recorded) -> float:
    return float(_closing_loads(run).max())


def _drops(run: Recorded) -> list[float]:
    """Mean return with all experts minus that without each."""
    return [_mean(run.complete) - _mean(returns) for returns in run.without.values()]


def _needed(run: Recorded) -> float:
    """Experts without which the mean return is lower by more than 5 % of that with all."""
    drops = _drops(run)
    least = IDLE_SHARE * abs(_mean(run.complete))
    return float(sum(drop > least for drop in drops)) if drops else math.nan


def _largest_fall(run: Recorded) -> float:
    """Of the mean returns of twentieths of the steps, the largest fall below an earlier one."""
    means = np.array([mean for one in run.windows if math.isfinite(mean := _mean(run.returns[one]))])
    return float((np.maximum.accumulate(means) - means).max()) if len(means) > 1 else math.nan


def _boundary_drop(run: Recorded) -> float:
    """Mean over boundaries of the mean return before it minus that after it."""
    beside = BESIDE * run.total
    return _mean(
        [
            _mean(run.returns[run.between(at - beside, at)]) - _mean(run.returns[run.between(at, at + beside)])
            for at in run.boundaries
        ]
    )


def _ties(run: Recorded) -> float:
    """Share of steps near a tie before boundaries."""
    return _mean([float(_by_steps(run, run.close, run.between(at - BESIDE * run.total, at))) for at in run.boundaries])


def _between_tasks(run: Recorded) -> float:
    return task_specialisation([task.loads for task in run.tasks], [task.steps for task in run.tasks])


@dataclass(frozen=True)
class StudyOutcome:
    """One number of a run."""

    title: str
    meaning: str
    unit: str
    of: Callable[[Recorded], float]
    """NaN if the run has none."""
    lowest: float | None = None
    """That it can be, where there is one."""
    highest: float | None = None
    is_mean_return: bool = False
    """No higher than the highest return of an episode."""


OUTCOMES = {
    "dead_experts": StudyOutcome(
        _("Dead experts"),
        _(
            "Experts whose step-weighted load is below {dead_load:.0%} over the last tenth of the steps.",
            dead_load=DEAD_LOAD,
        ),
        "experts",
        _dead,
        lowest=0,
    ),
    "largest_load": StudyOutcome(
        _("Largest load"),
        _("Step-weighted load of the busiest expert over the last tenth of the steps."),
        "",
        _largest_load,
        lowest=0,
        highest=1,
    ),
    "evaluation_return": StudyOutcome(
        _("Evaluation return"),
        _("Mean return of the evaluation after training."),
        "return",
        lambda run: _mean(run.evaluation),
        is_mean_return=True,
    ),
    "evaluation_success": StudyOutcome(
        _("Evaluation success"),
        _("Success rate of the evaluation after training."),
        "",
        lambda run: _mean(run.successes),
        lowest=0,
        highest=1,
    ),
    "lowest_success": StudyOutcome(
        _("Lowest success"),
        _("Of several environments: the success rate of the evaluation in the one where it is lowest."),
        "",
        lambda run: min(run.evaluated_tasks.values(), default=math.nan),
        lowest=0,
        highest=1,
    ),
    "task_specialisation": StudyOutcome(
        _("Specialisation between tasks"),
        _("Of several environments: mutual information of expert and environment over the last tenth of the steps."),
        "nats",
        _between_tasks,
        lowest=0,
    ),
    "final_return": StudyOutcome(
        _("Training return"),
        _("Mean return of the episodes that ended in the last tenth of the steps."),
        "return",
        lambda run: _mean(run.returns[run.part(1 - END, 1)]),
        is_mean_return=True,
    ),
    "mean_return": StudyOutcome(
        _("Return over the run"),
        _("Mean over twentieths of the steps of the mean return of their episodes: how soon it learned."),
        "return",
        lambda run: _mean([_mean(run.returns[one]) for one in run.windows]),
        is_mean_return=True,
    ),
    "knockout_drop": StudyOutcome(
        _("Knock-out drop"),
        _("Mean over experts of the return with all experts minus the return without that one."),
        "return",
        lambda run: _mean(_drops(run)),
    ),
    "needed_experts": StudyOutcome(
        _("Needed experts"),
        _("Experts whose removal lowers the mean return by more than 5 %."),
        "experts",
        _needed,
        lowest=0,
    ),
    "largest_fall": StudyOutcome(
        _("Largest fall"),
        _("The largest fall of the mean return of a twentieth of the steps below that of an earlier one."),
        "return",
        _largest_fall,
        lowest=0,
    ),
    "boundary_drop": StudyOutcome(
        _("Drop at boundaries"),
        _("Mean return over a twentieth of the steps before a boundary minus that after it, mean over boundaries."),
        "return",
        _boundary_drop,
    ),
    "ties_before": StudyOutcome(
        _("Near ties before boundaries"),
        _(
            "Share of steps whose two largest gates differ by less than {close_margin}, over a twentieth of the "
            "steps before a boundary; mean over boundaries.",
            close_margin=CLOSE_MARGIN,
        ),
        "",
        _ties,
    ),
    "seconds": StudyOutcome(
        _("Training time"), _("Seconds of training, on a machine with other work."), "s", lambda run: run.seconds
    ),
}
