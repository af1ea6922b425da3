"""The alarms of a recorded run: computed from its rows, kept in the table as it trains."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import select

from v3core.config import RunConfig
from v3core.curriculum import PhaseStart
from v3core.insight.alarms import NEEDED, Alarm, Began, Edited, Episodes, Evaluated, Plan, Watch
from v3core.insight.alarms.watch import Mark
from v3core.messages import _
from v3core.metrics import PER_EXPERT
from v3core.store.alarms import ACTIVE, CLEARED, AlarmRow, advised, read_alarms
from v3core.store.bulk import COLUMNS, fetch_tuples, floats
from v3core.store.commands import APPLIED, read_revisions
from v3core.store.database import Database, reading
from v3core.store.history import read_evaluations, read_phase_changes
from v3core.store.runs import get_run
from v3core.store.schema import Transaction, episodes, expert_loads, runs
from v3core.store.trunks import ranges_of

_CHUNK = 4096
_PLACES = [COLUMNS.index(name) for name in NEEDED]
_LOAD = next(place for place, metric in enumerate(PER_EXPERT) if metric.column == "load")


def as_episodes(
    numbers: Sequence[int], columns: "np.ndarray[Any, Any]", per_expert: "np.ndarray[Any, Any]", phases: Sequence[str]
) -> Episodes:
    """Rows as the rules read them.

    Args:
        numbers: of the episodes, ascending.
        columns: shape [n, columns], in the order of `COLUMNS`.
        per_expert: shape [n, 3, experts], in the order of `PER_EXPERT`.
        phases: of each.
    """
    return Episodes(np.asarray(numbers, dtype=np.int64), columns[:, _PLACES], per_expert[:, _LOAD], phases)


def watch_of(tx: Transaction, run_id: str) -> Watch:
    """The rules applied to all that is recorded of a run; may be handed further episodes.

    Raises:
        V3Error: if its curriculum cannot be read.
    """
    watch, after = begun_watch(tx, run_id), 0
    while (rows := _recorded(tx, run_id, watch.experts, after)) is not None:
        watch.watch(rows)
        after = int(rows.number[-1])
    return watch


def begun_watch(tx: Transaction, run_id: str) -> Watch:
    """The rules with what happened beside the episodes of a run, to be handed all its episodes.

    Raises:
        V3Error: if its curriculum cannot be read.
    """
    text, experts = tx.execute(select(runs.c.config, runs.c.experts).where(runs.c.id == run_id)).one()
    config = RunConfig.model_validate(json.loads(text))
    applied = [row for row in read_revisions(tx, run_id) if row.state == APPLIED]
    watch = Watch(Plan(config, applied[0].curriculum if applied else config.curriculum), experts)
    marks: list[Mark] = [Edited(row.applied_episode or 0, row.curriculum) for row in applied[1:]]
    for change in read_phase_changes(tx, run_id):
        marks.append(Began(change.episode, change.phase, PhaseStart(change.episode, change.step)))
    for row in read_evaluations(tx, run_id):
        marks.append(Evaluated(row.episode, row.returns))
    # At one episode as they happen: evaluation, edit, phase.
    order = (Evaluated, Edited, Began)
    for mark in sorted(marks, key=lambda mark: (mark.episode, order.index(type(mark)))):
        watch.mark(mark)
    return watch


class Backlog:
    """The recorded episodes of a run that its rules have not seen yet, applied a part at a time.

    Reading all of a million takes half a minute, in which a worker has other things to do.
    """

    def __init__(self, database: Database, run_id: str, watch: Watch, until: int) -> None:
        """Of the episodes up to `until`; later ones are to be added."""
        self._database, self._run_id, self._watch, self._until = database, run_id, watch, until
        self._after = 0
        self._later: list[Episodes] = []

    @property
    def left(self) -> int:
        """About how many the rules have not seen."""
        return self._until - self._after

    def add(self, rows: Episodes) -> None:
        """Episodes recorded meanwhile, in order."""
        self._later.append(rows)

    def advance(self) -> bool:
        """Apply the rules to the next part; returns whether they have seen all now."""
        if self._after < self._until:
            with self._database.read() as tx:
                rows = _recorded(tx, self._run_id, self._watch.experts, self._after, self._until)
            self._after = self._until if rows is None else int(rows.number[-1])
            if rows is not None:
                self._watch.watch(rows)
            return False
        for rows in self._later:
            self._watch.watch(rows)
        return True


def _recorded(tx: Transaction, run_id: str, experts: int, after: int, until: int | None = None) -> Episodes | None:
    """The episodes that follow `after`, at most `_CHUNK` and up to `until`; None if there are none."""
    named = {column.name: column for column in episodes.c}
    query = select(episodes.c.episode, episodes.c.phase, *(named[name] for name in NEEDED)).order_by(episodes.c.episode)
    loads = select(expert_loads.c.episode, expert_loads.c.expert, expert_loads.c.load)
    found: list[Any] = []
    for part, begin, last in ranges_of(tx, run_id, after, until):
        of_part = query.where(episodes.c.run_id == part, episodes.c.episode > begin, episodes.c.episode <= last)
        if found := fetch_tuples(tx, of_part.limit(_CHUNK)):
            run_id, after = part, begin
            break
    if not found:
        return None
    numbers = np.array([row[0] for row in found], dtype=np.int64)
    shares = np.full((len(found), experts), np.nan)
    of_these = (expert_loads.c.episode > after, expert_loads.c.episode <= int(numbers[-1]))
    triples = floats(fetch_tuples(tx, loads.where(expert_loads.c.run_id == run_id, *of_these))).reshape(-1, 3)
    triples = triples[np.isfinite(triples[:, :2]).all(axis=1)]
    of_episode, of_expert = triples[:, 0].astype(np.int64), triples[:, 1].astype(np.int64)
    known = np.isin(of_episode, numbers) & (of_expert >= 0) & (of_expert < experts)
    shares[np.searchsorted(numbers, of_episode[known]), of_expert[known]] = triples[known, 2]
    return Episodes(numbers, floats([row[2:] for row in found]), shares, [str(row[1]) for row in found])


def computed_alarms(tx: Transaction, run_id: str) -> list[AlarmRow]:
    """The alarms of a run that no worker has watched, oldest first; nothing is stored."""
    return [as_row(alarm) for alarm in watch_of(tx, run_id).alarms]


COMPUTED = _(
    "These alarms were not recorded while the run trained, by an earlier version or because it ended before they "
    "were computed. They were computed now from its episodes, and cannot be muted."
)
"""What to say with alarms that were computed."""
BEHIND = _("The worker is still reading the run's earlier episodes; alarms of new episodes follow.")


def alarms_of(source: Database | Transaction, run_id: str) -> tuple[list[AlarmRow], bool]:
    """The alarms of a run, oldest first, and whether they were computed now.

    Those of a run that was trained, wholly or in its last part, by a version without alarms are computed.
    """
    with reading(source) as tx:
        if get_run(tx, run_id).has_alarms_recorded:
            return advised(tx, run_id, read_alarms(tx, run_id)), False
        return advised(tx, run_id, computed_alarms(tx, run_id)), True


def as_row(alarm: Alarm, number: int = 0) -> AlarmRow:
    """An alarm as it is stored."""
    state = CLEARED if alarm.is_cleared else ACTIVE
    content = {name: value for name, value in vars(alarm).items() if name != "is_cleared"}
    return AlarmRow(number=number, state=state, **content)
