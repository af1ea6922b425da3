"""Commands to runs and revisions of their curricula."""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from sqlalchemy import bindparam, func, insert, select, update

from v3core.curriculum import Curriculum, is_lengthened
from v3core.errors import V3Error, explain
from v3core.messages import _
from v3core.phrases import stored
from v3core.store.database import Database, reading
from v3core.store.runs import get_run
from v3core.store.schema import Transaction, commands, revisions, runs

STOP = "stop"
PAUSE = "pause"
CONTINUE = "continue"
CHECKPOINT = "checkpoint"
EDIT_CURRICULUM = "edit_curriculum"
PRIORITY = "priority"
EXTEND = "extend"
PENDING, APPLIED, REJECTED = "pending", "applied", "rejected"

_OPEN = commands.c.applied_at.is_(None) & commands.c.rejected_reason.is_(None)


@dataclass(frozen=True)
class RevisionRow:
    """A curriculum that a run has, had, or was asked to have."""

    id: int
    revision: int
    """1 is the one it was launched with."""
    curriculum_json: str
    actor: str
    requested_at: datetime
    state: str
    """`pending`, `applied` or `rejected`."""
    applied_episode: int | None
    """Complete episodes when it came into force."""
    decided_at: datetime | None
    reason: str | None
    """Why it was rejected: one sentence."""

    @cached_property
    def curriculum(self) -> Curriculum:
        """The curriculum itself.

        Raises:
            V3Error: if it cannot be read.
        """
        return _read_curriculum(self.curriculum_json, self.revision)

    def to_dict(self) -> dict[str, Any]:
        """For exports."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "curriculum_json"}
        return values | {"curriculum": self.curriculum.to_dict()}


@dataclass(frozen=True)
class CommandRow:
    """A command to a run and its outcome."""

    id: int
    kind: str
    """One of the table in `jobs/kinds.py`."""
    actor: str | None
    """Who asked; None in what an older version wrote."""
    value: str | None
    """Of a priority and an `extend` the number asked for; of a stop the signal that it took, `SIGTERM` or `SIGKILL`."""
    revision: RevisionRow | None
    """The curriculum of an edit."""
    requested_at: datetime
    acknowledged_at: datetime | None
    """When the worker saw it."""
    applied_at: datetime | None
    applied_episode: int | None
    """Complete episodes when it was applied."""
    rejected_reason: str | None
    """Why it was not: one sentence."""

    @property
    def is_open(self) -> bool:
        """Neither applied nor rejected yet."""
        return self.applied_at is None and self.rejected_reason is None

    def describe(self) -> str:
        """Its outcome as text."""
        if self.rejected_reason is not None:
            return _("rejected: {rejected_reason}", rejected_reason=stored(self.rejected_reason))
        if self.applied_at is not None:
            took = max(0.0, (self.applied_at - self.requested_at).total_seconds())  # a clock may jump back
            return _(
                "applied at episode {applied_episode}, {took:.1f} s after the request",
                applied_episode=self.applied_episode,
                took=took,
            )
        return (
            _("not acknowledged by the worker yet") if self.acknowledged_at is None else _("acknowledged by the worker")
        )

    def to_dict(self) -> dict[str, Any]:
        """For exports; the curriculum of an edit by its revision."""
        return {**vars(self), "revision": self.revision.revision if self.revision else None}


def add_revision(
    tx: Transaction, run_id: str, curriculum: Curriculum, *, actor: str, now: datetime, applied_episode: int | None
) -> int:
    """Append a revision, pending if `applied_episode` is None, else in force from there; returns its row id."""
    newest = tx.execute(select(func.max(revisions.c.revision)).where(revisions.c.run_id == run_id)).scalar_one()
    text = json.dumps(curriculum.to_dict())
    row = insert(revisions).values(run_id=run_id, revision=(newest or 0) + 1, curriculum=text, actor=actor)
    if applied_episode is None:
        row = row.values(requested_at=now, state=PENDING)
    else:
        row = row.values(requested_at=now, state=APPLIED, applied_episode=applied_episode, decided_at=now)
    row_id = tx.execute(row.returning(revisions.c.id)).scalar_one()
    if applied_episode is not None:
        _name_curriculum(tx, run_id, curriculum)
    return row_id


def read_revisions(source: Database | Transaction, run_id: str) -> list[RevisionRow]:
    """All revisions of a run's curriculum, oldest first."""
    names = [name.removesuffix("_json") for name in RevisionRow.__dataclass_fields__]
    query = select(*(revisions.c[name] for name in names)).where(revisions.c.run_id == run_id)
    with reading(source) as tx:
        return [RevisionRow(*row) for row in tx.execute(query.order_by(revisions.c.revision))]


def edits_of(source: Database | Transaction, run_ids: Collection[str]) -> dict[str, int]:
    """Run id to how often its curriculum was edited while it trained, of those whose was.

    What a fork begins with is no edit of its own, nor is a ramp that holds its value in a run made longer.
    """
    c, began = revisions.c, runs.c.parent_episode
    query = select(
        c.run_id, c.revision, c.curriculum, began, c.applied_episode > began, c.requested_at > runs.c.created_at
    )
    query = query.join_from(revisions, runs, runs.c.id == c.run_id).where(c.run_id.in_(run_ids), c.state == APPLIED)
    several = select(c.run_id).where(c.run_id.in_(run_ids), c.state == APPLIED).group_by(c.run_id)
    query = query.where(c.run_id.in_(several.having(func.count() > 1))).order_by(c.run_id, c.revision)
    edits: Counter[str] = Counter()
    known: dict[str, Curriculum] = {}
    with reading(source) as tx:
        for run_id, number, text, parent_episode, is_beyond, is_later in tx.execute(query):
            curriculum, before = _read_curriculum(text, number), known.get(run_id)
            known[run_id] = curriculum
            is_own = parent_episode is None or is_beyond or is_later
            edits[run_id] += before is not None and is_own and not is_lengthened(before, curriculum)
    return dict(+edits)


def known_revisions(source: Database | Transaction, run_id: str) -> list[RevisionRow]:
    """The same, at least one.

    Raises:
        UnknownRunError: if there is no such run, which may have been deleted just now.
        V3Error: if none was recorded.
    """
    found = read_revisions(source, run_id)
    if not found:
        get_run(source, run_id)
        raise V3Error("The curriculum of run {run_id} was not recorded.", run_id=run_id[:8])
    return found


def add_command(
    tx: Transaction,
    run_id: str,
    kind: str,
    *,
    actor: str,
    now: datetime,
    revision_id: int | None = None,
    value: str | None = None,
) -> int:
    """Ask something of a run; returns the command's id."""
    row = insert(commands).values(run_id=run_id, kind=kind, actor=actor, requested_at=now)
    row = row.values(revision_id=revision_id, value=value).returning(commands.c.id)
    return tx.execute(row).scalar_one()


_FIELDS = [field.name for field in fields(CommandRow) if field.name != "revision"]
# Made once: a worker asks several times a second.
_OF_RUN = (
    select(commands.c.revision_id, *(commands.c[name] for name in _FIELDS))
    .where(commands.c.run_id == bindparam("run"))
    .order_by(commands.c.id)
)
_OPEN_OF_RUN = _OF_RUN.where(_OPEN)


def read_commands(source: Database | Transaction, run_id: str, *, only_open: bool = False) -> list[CommandRow]:
    """Commands of a run, oldest first; all, or those neither applied nor rejected."""
    with reading(source) as tx:
        rows = tx.execute(_OPEN_OF_RUN if only_open else _OF_RUN, {"run": run_id}).mappings().all()
        edits = any(row["revision_id"] for row in rows)
        by_id = {revision.id: revision for revision in read_revisions(tx, run_id)} if edits else {}
    return [
        CommandRow(revision=by_id.get(row["revision_id"] or 0), **{name: row[name] for name in _FIELDS}) for row in rows
    ]


def acknowledge(tx: Transaction, command_ids: list[int], *, now: datetime) -> None:
    """Note that the worker has seen these commands."""
    query = update(commands).where(commands.c.id.in_(command_ids), commands.c.acknowledged_at.is_(None))
    tx.execute(query.values(acknowledged_at=now))


def apply_commands(
    tx: Transaction,
    run_id: str,
    *,
    episode: int,
    now: datetime,
    kind: str | None = None,
    ids: Collection[int] | None = None,
) -> None:
    """Close open commands, of a kind or by their ids: they were applied when `episode` episodes were complete."""
    query = update(commands).where(commands.c.run_id == run_id, _OPEN)
    if kind is not None:
        query = query.where(commands.c.kind == kind)
    if ids is not None:
        query = query.where(commands.c.id.in_(ids))
    seen = func.coalesce(commands.c.acknowledged_at, now)
    tx.execute(query.values(acknowledged_at=seen, applied_at=now, applied_episode=episode))


def reject_open(
    tx: Transaction, run_id: str, *, reason: str, now: datetime, ids: Collection[int] | None = None
) -> None:
    """Refuse open commands of a run, all or by their ids, and the revisions that they ask for."""
    for command in read_commands(tx, run_id, only_open=True):
        if ids is not None and command.id not in ids:
            continue
        if command.revision is not None:
            reject_revision(tx, run_id, command.revision.id, reason=reason, now=now)
        tx.execute(update(commands).where(commands.c.id == command.id).values(rejected_reason=reason))


def redate_stop(tx: Transaction, run_id: str, now: datetime) -> None:
    """Write the open stop of a run as asked for, or seen, now, where a clock that jumped back has it in the future."""
    query = update(commands).where(commands.c.run_id == run_id, commands.c.kind == STOP, _OPEN)
    for moment in (commands.c.requested_at, commands.c.acknowledged_at):
        tx.execute(query.where(moment > now).values({moment.name: now}))


def note_step(tx: Transaction, run_id: str, step: str, *, instead_of: str | None) -> bool:
    """Note on the open stop of a run how far it was escalated; returns whether it was `instead_of` before.

    Of several processes that look after the run, one gets True.
    """
    query = update(commands).where(commands.c.run_id == run_id, commands.c.kind == STOP, _OPEN)
    before = commands.c.value.is_(None) if instead_of is None else commands.c.value == instead_of
    return tx.execute(query.where(before).values(value=step)).rowcount > 0


def open_stop(tx: Transaction, run_id: str) -> CommandRow | None:
    """The pending stop of a run."""
    return next((command for command in read_commands(tx, run_id, only_open=True) if command.kind == STOP), None)


def apply_revision(tx: Transaction, run_id: str, revision_id: int, *, episode: int, now: datetime) -> None:
    """Note that a revision came into force after `episode` complete episodes, and settle its command."""
    mine = (revisions.c.id == revision_id, revisions.c.run_id == run_id)
    tx.execute(
        update(revisions).where(*mine).values(state=APPLIED, applied_episode=episode, decided_at=now, reason=None)
    )
    of_it = update(commands).where(commands.c.revision_id == revision_id)
    tx.execute(of_it.values(applied_at=now, applied_episode=episode))
    revision, text = tx.execute(select(revisions.c.revision, revisions.c.curriculum).where(*mine)).one()
    _name_curriculum(tx, run_id, _read_curriculum(text, revision))


def reject_revision(tx: Transaction, run_id: str, revision_id: int, *, reason: str, now: datetime) -> None:
    """Note that a revision was refused, unless it is decided already, and settle its command."""
    mine = (revisions.c.id == revision_id, revisions.c.run_id == run_id, revisions.c.state == PENDING)
    tx.execute(update(revisions).where(*mine).values(state=REJECTED, decided_at=now, reason=reason))
    tx.execute(update(commands).where(commands.c.revision_id == revision_id).values(rejected_reason=reason))


def curriculum_in_force(tx: Transaction, run_id: str) -> Curriculum:
    """The newest revision that was applied.

    Raises:
        V3Error: if there is none, or it cannot be read.
    """
    query = (
        select(revisions.c.curriculum, revisions.c.revision)
        .where(revisions.c.run_id == run_id, revisions.c.state == APPLIED)
        .order_by(revisions.c.revision.desc())
        .limit(1)
    )
    found = tx.execute(query).one_or_none()
    if found is None:
        raise V3Error("Run {run_id} has no current curriculum; its rows are incomplete.", run_id=run_id[:8])
    return _read_curriculum(*found)


def _read_curriculum(text: Any, revision: int) -> Curriculum:
    try:
        return Curriculum.model_validate_json(str(text))
    except ValidationError as error:
        raise V3Error(
            explain(error, _("Revision {revision} of its curriculum cannot be read", revision=revision))
        ) from None


def _name_curriculum(tx: Transaction, run_id: str, curriculum: Curriculum) -> None:
    tx.execute(update(runs).where(runs.c.id == run_id).values(curriculum=curriculum.name))
