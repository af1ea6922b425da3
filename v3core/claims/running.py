"""Running the studies: queue what has no result yet, wait, and keep the results of what is complete."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from v3core.claims.results import Result, current, outdated, read_results, write_results
from v3core.claims.study import Study, StudyRun, key_of, keys_of, runs_of
from v3core.claims.study_outcomes import END, OUTCOMES, Recorded
from v3core.environments.apart import check_launch
from v3core.errors import V3Error
from v3core.jobs import control, supervisor
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ENDED, Status, status_word
from v3core.messages import _
from v3core.phrases import stored, unended
from v3core.rollup import Floats
from v3core.store.commands import edits_of
from v3core.store.database import Database
from v3core.store.expert_records import read_knockouts
from v3core.store.export import table_of
from v3core.store.history import EvaluationRow, read_evaluations, read_phase_changes, read_stretches
from v3core.store.run_row import RunRow
from v3core.store.runs import runs_of_experiment
from v3core.store.task_records import read_tasks

LOOK_SECONDS = 2.0
MAX_TRIES = 3
"""Times that a run which failed or was lost is resumed."""


def run_study(
    database: Database, study: Study, *, seeds: Sequence[int] | None = None, say: Callable[[str], None]
) -> int:
    """Run what is missing of a study, and return how many of its runs have no result in the end.

    It may be interrupted at any time and called again.

    Args:
        database: the store that the runs are in; they form one experiment.
        study: what to run.
        seeds: instead of all of the study's.
        say: is called with a line about the progress.

    Raises:
        V3Error: for a study that is not valid; nothing is queued.
    """
    wanted = {run.key: run for run in runs_of(study, seeds)}
    arms = {key: run.arm for key, run in wanted.items()}
    configs = [run.config for run in wanted.values()]
    check_launch(configs[0].environment, [config.curriculum for config in configs], allow_import=True)
    found = {result.key: result for result in current(read_results(study), arms)}
    _queue(database, study, [run for key, run in wanted.items() if key not in found])
    given_up: set[str] = set()
    tries: dict[str, int] = {}
    said = ""
    while len(found) < len(wanted):
        supervisor.reconcile(database)
        rows = {key: row for key, row in _runs(database, study).items() if key in wanted and key not in found}
        complete = {key: row for key, row in rows.items() if row.status == Status.COMPLETED}
        if complete:
            found |= {key: result_of(database, wanted[key], row) for key, row in complete.items()}
            _keep(study, found)
        left = [row for key, row in rows.items() if key not in complete]
        for row in left:
            if row.status in ENDED and row.id not in given_up and (why := _again(database, row, tries)):
                given_up.add(row.id)
                say(_("Run '{run}' ({id}) {why}.", run=row.name, id=row.id[:8], why=unended(why)))
        paused = sum(row.status == Status.PAUSED for row in left)
        so_far = {"study": study.name, "complete": len(found), "runs": len(wanted), "paused": paused}
        state = (
            _("{study}: {complete} of {runs} runs are complete, {paused} paused; continue them on their pages.")
            if paused
            else _("{study}: {complete} of {runs} runs are complete.")
        ).filled(**so_far)
        if state != said:
            said = state
            say(state)
        if all(row.id in given_up for row in left):
            break
        time.sleep(LOOK_SECONDS)
    if lost := len(wanted) - len(found):
        say(_("{study}: {lost} of its runs have no result.", study=study.name, lost=lost))
    return lost


def _keep(study: Study, found: Mapping[str, Result]) -> None:
    """Write these results beside those of further seeds; results of earlier settings go."""
    before, own = read_results(study), keys_of(study)
    old = {one.key for one in outdated(before, own)}
    write_results(study, [*(one for one in before if one.key not in found and one.key not in old), *found.values()])


def _queue(database: Database, study: Study, without_result: Sequence[StudyRun]) -> None:
    """Queue those of which there is no run; of two calls at the same time, the second queues none."""
    here = _runs(database, study)
    missing = [run for run in without_result if run.key not in here]
    if missing:
        ids = sorted(row.id for row in here.values())
        token = uuid5(NAMESPACE_OID, f"{study.experiment} {sorted(run.key for run in missing)} {ids}")
        configs = [run.config for run in missing]
        enqueue(database, configs, study.experiment, token=str(token), launch={"runs": len(missing)})


def _again(database: Database, row: RunRow, tries: dict[str, int]) -> str:
    """Resume a run that failed or was lost; why it is not, of one that was stopped or cannot be."""
    if row.status == Status.STOPPED:
        return _("was stopped; resume it on its page")
    if row.status not in (Status.FAILED, Status.LOST) or tries.get(row.id, 0) >= MAX_TRIES:
        ended = _("has ended as {status}", status=status_word(row.status))
        return _("{ended}: {reason}", ended=ended, reason=stored(row.reason)) if row.reason else ended
    tries[row.id] = tries.get(row.id, 0) + 1
    try:
        control.resume(database, row.id)
    except V3Error as error:
        return _("cannot be resumed: {error}", error=error)
    return ""


def _runs(database: Database, study: Study) -> dict[str, RunRow]:
    """Key to run, of those of the study's experiment that are as they were launched: no forks, no edited curricula."""
    with database.read() as tx:
        rows = list(runs_of_experiment(tx, study.experiment))
    edited = edits_of(database, [row.id for row in rows])
    found = {}
    for row in rows:
        if row.id not in edited and row.parent is None and row.status != Status.UNREADABLE:
            with suppress(V3Error):  # a configuration of another version
                found[key_of(row.config, row.seed)] = row
    return found


def result_of(database: Database, run: StudyRun, row: RunRow) -> Result:
    """What a complete run came to."""
    recorded = recorded_of(database, row)
    columns = {
        "arm": run.arm,
        "seed": run.seed,
        "key": run.key,
        "steps": row.step,
        "episodes": row.episode,
        "version": row.version,
        "backend": row.config.backend,
        "finished": row.ended_at,
        **{name: outcome.of(recorded) for name, outcome in OUTCOMES.items()},
        "tasks": [
            {"task": task.task, "success": recorded.evaluated_tasks.get(task.task), "loads": list(task.loads)}
            for task in sorted(recorded.tasks, key=lambda task: task.task)
        ],
    }
    return Result(run.arm, run.seed, run.key, columns)


def recorded_of(database: Database, row: RunRow) -> Recorded:
    """What was recorded of a run, whole."""
    with database.read() as tx:
        fields, rows = table_of(tx, [row.id], "episodes")
        names = [field.name for field in fields]
        table = list(rows)
    place = {name: names.index(name) for name in names}

    def column(name: str) -> Floats:
        return np.array([np.nan if (value := line[place[name]]) is None else value for line in table], dtype=np.float64)

    step = column("step")
    before_end = int(np.searchsorted(step, (1 - END) * step[-1], side="right")) if len(step) else 0
    newest = next(iter(read_evaluations(database, row.id)[-1:]), None)
    removal = next(iter(read_knockouts(database, row.id)[-1:]), None)
    return Recorded(
        step=step,
        length=column("length"),
        returns=column("return"),
        loads=np.column_stack([column(f"load_{expert}") for expert in range(1, row.experts + 1)]),
        close=column("close_choice_share"),
        boundaries=tuple(float(change.step) for change in read_phase_changes(database, row.id) if change.phase > 0),
        evaluation=newest.returns if newest else (),
        successes=tuple(one for one in newest.successes if one is not None) if newest else (),
        complete=removal.complete if removal else (),
        without=removal.without if removal else {},
        seconds=sum((end - begin).total_seconds() for begin, end in read_stretches(database, [row.id])[row.id] if end),
        tasks=tuple(read_tasks(database, row.id, after=before_end, last=row.episode)),
        evaluated_tasks=_successes(newest) if newest else {},
    )


def _successes(evaluation: EvaluationRow) -> dict[str, float]:
    """Success rate of each task; none in one environment, and no number where an environment does not say."""
    found: dict[str, list[float]] = {}
    for task, success in zip_longest(evaluation.tasks, evaluation.successes):
        if task is not None:
            found.setdefault(task, []).append(math.nan if success is None else success)
    return {task: sum(values) / len(values) for task, values in found.items()}
