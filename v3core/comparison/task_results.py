"""How each task of runs on several environments goes, for Live, Compare, reports and the command line."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from v3core.comparison.newest import mean_of_known, newest_of, newest_of_groups
from v3core.comparison.tables import MAX_EXPERTS, Row, group_columns
from v3core.insight.compared import Comparison
from v3core.insight.loads import effective_experts
from v3core.insight.task_loads import TaskResult, in_order, task_specialisation
from v3core.messages import Message, _
from v3core.store.database import Database
from v3core.store.phase_window import PhaseWindow
from v3core.store.run_row import RunRow
from v3core.store.task_records import read_task_evaluation, read_tasks

BETWEEN_TASKS = _("Specialisation between tasks")
BETWEEN_TASKS_WORDS = _(
    "Specialisation between tasks is the mutual information of expert and task in nats, the same for all rows of a run."
)
GROUP_TASK_HELP: Mapping[str, str] = {
    _("Return"): _("Mean over the runs that count, as the other columns."),
    _("Lowest success"): _("That of the run with the lowest."),
    _("Effective experts"): _("exp of the entropy of the loads in the task, over all of its steps together."),
}
"""What the columns of `group_task_rows` are, where their names do not say it."""


@dataclass(frozen=True)
class RunTasks:
    """The tasks of a run in some of its newest episodes."""

    results: tuple[TaskResult, ...]
    """In the order of the run."""
    evaluated: Mapping[str, tuple[int, float, float]]
    """Task to episodes, mean return and success of the newest evaluation; empty without one."""

    @property
    def comparable(self) -> list[TaskResult]:
        """The tasks whose loads are known; none if they, or the experts, are fewer than two."""
        known = [result for result in self.results if not any(map(math.isnan, result.loads))]
        return known if len(known) > 1 and len(known[0].loads) > 1 else []

    @property
    def specialisation(self) -> float:
        """Between the tasks, as `task_specialisation`; NaN if it is not known."""
        known = self.comparable
        return task_specialisation([result.loads for result in known], [result.steps for result in known])

    def rows(self) -> list[Row]:
        """A row of numbers per task."""
        return [_row(result) | self._evaluated(result.task) for result in self.results]

    def _evaluated(self, task: str) -> Row:
        if not self.evaluated:
            return {}
        _episodes, mean, success = self.evaluated.get(task, (0, math.nan, math.nan))
        return {_("Evaluation return"): mean, _("Evaluation success"): success}


@dataclass(frozen=True)
class GroupTask:
    """A task in the runs of a group that count: means over the runs, NaN where it is not known."""

    group: str
    env: str
    task: str
    runs: int
    return_: float
    success: float
    lowest_success: float
    """Of a run."""
    evaluated_return: float
    evaluated_success: float
    effective_experts: float
    """By the loads in the task, pooled by steps; experts of different runs have no common order."""
    specialisation: float
    """Between the tasks of a run."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name.removesuffix("_"): value for name, value in asdict(self).items()}


def has_tasks(run: RunRow) -> bool:
    """Whether it trains on several environments, in any of its phases."""
    return bool(task_names(run))


def task_names(run: RunRow) -> tuple[str, ...]:
    """The tasks of the run and of its phases, each once."""
    config = run.config
    ids = [config.environment, *(config.environment.in_phase(one.env, {}) for one in config.curriculum.phases)]
    return tuple(dict.fromkeys(name for setup in ids for name in setup.task_names))


def read_run_tasks(database: Database, run: RunRow, window: PhaseWindow) -> RunTasks:
    """The tasks of a run in a window, with its newest evaluation up to the window's end."""
    found = {one.task: one for one in read_tasks(database, run.id, after=window.after, last=window.last)}
    results = tuple(found[task] for task in in_order(found, task_names(run)))
    return RunTasks(results, read_task_evaluation(database, run.id) if window.last == run.episode else {})


def run_task_rows(database: Database, runs: Sequence[RunRow], names: Sequence[str]) -> list[Row]:
    """A row of numbers per run and task, of those runs that train on several environments."""
    rows: list[Row] = []
    for name, run, window in newest_of(database, runs, names, has_tasks):
        tasks = read_run_tasks(database, run, window)
        rows += [{_("Run"): name} | row | {BETWEEN_TASKS: tasks.specialisation} for row in tasks.rows()]
    return rows


def group_tasks(database: Database, runs: Sequence[RunRow], found: Comparison) -> list[GroupTask]:
    """The tasks of each group of a comparison of these runs, at the step where it takes final values."""
    groups: list[GroupTask] = []
    for group, newest in newest_of_groups(database, runs, found, has_tasks):
        tasks = [read_run_tasks(database, run, window) for run, window in newest]
        names = task_names(newest[0][0]) if newest else ()
        order = in_order({one.task for each in tasks for one in each.results}, names)
        groups += [_group_task(group.name, group.env, task, tasks) for task in order]
    return groups


def _group_task(group: str, env: str, task: str, tasks: Sequence[RunTasks]) -> GroupTask:
    found = [(each, one) for each in tasks for one in each.results if one.task == task]
    evaluated = [each.evaluated[task] for each in tasks if task in each.evaluated]
    success = [one.success for _each, one in found if not math.isnan(one.success)]
    return GroupTask(
        group=group,
        env=env,
        task=task,
        runs=len(found),
        return_=mean_of_known(one.return_ for _each, one in found),
        success=mean_of_known(success),
        lowest_success=min(success, default=math.nan),
        evaluated_return=mean_of_known(mean for _count, mean, _solved in evaluated),
        evaluated_success=mean_of_known(solved for _count, _mean_return, solved in evaluated),
        effective_experts=mean_of_known(float(effective_experts(one.loads)) for _each, one in found),
        specialisation=mean_of_known(each.specialisation for each, _one in found),
    )


def _row(result: TaskResult) -> Row:
    loads: Row = {_("Expert {number}", number=number): load for number, load in enumerate(result.loads, 1)}
    return {
        _("Task"): result.task,
        _("Episodes"): result.episodes,
        _("Steps"): result.steps,
        _("Return"): result.return_,
        _("Success"): result.success,
        **(loads if len(result.loads) <= MAX_EXPERTS else {}),
    }


def group_task_rows(tasks: Sequence[GroupTask], *, experts: bool = True) -> list[Row]:
    """A row of numbers per group and task; without `experts` only of returns and success."""
    several = len({one.env for one in tasks}) > 1
    return [
        {
            **group_columns(one.group, one.env if several else None),
            _("Task"): one.task,
            _("Runs"): one.runs,
            _("Return"): one.return_,
            _("Success"): one.success,
            _("Lowest success"): one.lowest_success,
            _("Evaluation return"): one.evaluated_return,
            _("Evaluation success"): one.evaluated_success,
            **({_("Effective experts"): one.effective_experts, BETWEEN_TASKS: one.specialisation} if experts else {}),
        }
        for one in tasks
    ]


def lowest_words(tasks: Sequence[GroupTask]) -> list[Message]:
    """A sentence per group about the task with the lowest success, where that is known of several."""
    words = []
    for place in dict.fromkeys((one.group, one.env) for one in tasks):
        here = [one for one in tasks if (one.group, one.env) == place and not math.isnan(_success(one))]
        if len(here) > 1:
            least = min(here, key=_success)
            said = {"group": least.group, "task": least.task, "success": f"{_success(least):.0%}"}
            words.append(_("{group}: the lowest success is in {task}, {success}.", **said))
    return words


def _success(task: GroupTask) -> float:
    """Of the evaluation, or of training where that has none."""
    return task.success if math.isnan(task.evaluated_success) else task.evaluated_success
