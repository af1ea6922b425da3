"""Running the studies: queue what has no result yet, wait, and keep the results of what is complete."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from v3core.claims.results import Result, current, read_results, write_results
from v3core.claims.study import Study, StudyRun, key_of, runs_of
from v3core.claims.study_outcomes import OUTCOMES, Recorded
from v3core.environments.apart import check_launch
from v3core.jobs import control, supervisor
from v3core.jobs.launcher import enqueue
from v3core.jobs.lifecycle import ENDED, Status
from v3core.rollup import Floats
from v3core.store.database import Database
from v3core.store.expert_records import read_knockouts
from v3core.store.export import table_of
from v3core.store.history import read_evaluations, read_phase_changes, read_stretches
from v3core.store.run_row import RunRow
from v3core.store.runs import runs_of_experiment

LOOK_SECONDS = 2.0
MAX_TRIES = 3
"""Times that a run which failed or was lost is resumed."""


def run_study(
    database: Database, study: Study, *, seeds: Sequence[int] | None = None, say: Callable[[str], None]
) -> list[Result]:
    """Run what is missing of a study and return all its results; may be interrupted at any time and called again.

    Args:
        database: the store that the runs are in; they form one experiment.
        study: what to run.
        seeds: instead of all of the study's.
        say: is called with a line about the progress.

    Raises:
        V3Error: for a study that is not valid; nothing is queued.
    """
    wanted = {run.key: run for run in runs_of(study, seeds)}
    check_launch(study.setup, [run.config.curriculum for run in wanted.values()], allow_import=True)
    found = {result.key: result for result in current(read_results(study), wanted.keys())}
    known = {key: row for row in _rows(database, study) if (key := _key(row)) in wanted}
    missing = [run for key, run in wanted.items() if key not in found and key not in known]
    if missing:
        enqueue(database, [run.config for run in missing], study.experiment, launch={"runs": len(missing)})
    tries: dict[str, int] = {}
    said = ""
    while len(found) < len(wanted):
        supervisor.reconcile(database)
        rows = {key: row for row in _rows(database, study) if (key := _key(row)) in wanted and key not in found}
        complete = [(key, row) for key, row in rows.items() if row.status == Status.COMPLETED]
        if complete:
            found |= {key: result_of(database, wanted[key], row) for key, row in complete}
            others = [result for result in read_results(study) if result.key not in found]
            write_results(study, [*others, *found.values()])
        left = {key: row for key, row in rows.items() if row.status != Status.COMPLETED}
        for row in left.values():
            if row.status in ENDED and tries.get(row.id, 0) < MAX_TRIES:
                tries[row.id] = tries.get(row.id, 0) + 1
                control.resume(database, row.id)
        state = f"{study.name}: {len(found)} of {len(wanted)} runs are complete."
        if state != said:
            said = state
            say(state)
        if not left or all(row.status in ENDED and tries.get(row.id, 0) >= MAX_TRIES for row in left.values()):
            break
        time.sleep(LOOK_SECONDS)
    lost = len(wanted) - len(found)
    if lost:
        say(f"{study.name}: {lost} runs have no result, because they failed {MAX_TRIES} times or were deleted.")
    return list(found.values())


def _rows(database: Database, study: Study) -> list[RunRow]:
    with database.read() as tx:
        return list(runs_of_experiment(tx, study.experiment))


def _key(row: RunRow) -> str:
    return key_of(row.config, row.seed)


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

    newest = next(iter(read_evaluations(database, row.id)[-1:]), None)
    removal = next(iter(read_knockouts(database, row.id)[-1:]), None)
    return Recorded(
        step=column("step"),
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
    )
