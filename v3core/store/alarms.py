"""Alarms of runs: raised and cleared by a run's worker, muted by people, read by pages and commands."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from v3core.errors import V3Error
from v3core.insight.alarms import RULES
from v3core.insight.alarms.rules import STALLED
from v3core.messages import _
from v3core.phrases import stored
from v3core.store.advising import advices
from v3core.store.bulk import floats
from v3core.store.database import Database, reading
from v3core.store.history import CALLED, CALLING, CLAIM_SECONDS, DUE, FAILED, NOTICE, add_event
from v3core.store.schema import UNLISTED, Transaction, alarms, events, runs

ACTIVE, CLEARED, MUTED = "active", "cleared", "muted"
STATES = (ACTIVE, CLEARED, MUTED)
EVENT = "alarm"
"""Kind of the events about alarms."""


@dataclass(frozen=True)
class AlarmRow:
    """Something that went wrong with a run, by a rule of `v3core.insight.alarms`."""

    number: int
    """From 1, in the order in which they were raised; 0 if it is not stored, because it was computed on demand."""
    rule: str
    phase: str
    """Name of the phase in which it was raised."""
    first_episode: int
    """The episode at which the rule held at first."""
    last_episode: int
    """The newest at which it held."""
    value: float | None
    """What the rule measures, at that episode."""
    threshold: float | None
    """The limit that it was beyond."""
    state: str
    """One of `STATES`."""
    detail: str
    """The evidence, one sentence without a full stop."""
    reason: str | None = None
    """Why it was muted."""
    advice: str = field(default="", compare=False)
    """What helps in this run, as `advised` finds it; empty: what its rule says. Not stored."""

    @property
    def title(self) -> str:
        """That of its rule; of a rule of another version its name."""
        return RULES[self.rule].title if self.rule in RULES else self.rule

    @property
    def sentence(self) -> str:
        """The evidence and what helps, without a full stop."""
        if self.rule not in RULES:
            return stored(self.detail)
        return _("{detail}; {advice}", detail=stored(self.detail), advice=self.advice or RULES[self.rule].advice)

    def to_dict(self) -> dict[str, Any]:
        """For the command line."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = [column.name for column in fields(AlarmRow) if column.name != "advice"]
_OLDEST_FIRST = (alarms.c.first_episode, alarms.c.number)
"""A run that was made longer has other windows, and so may have alarms that are older than those found before."""


def advised(tx: Transaction, run_id: str, rows: Sequence[AlarmRow]) -> list[AlarmRow]:
    """Alarms of a run with what helps under the settings that it had when they last held."""
    if not rows:
        return []
    helping = advices(tx, run_id)
    return [replace(row, advice=helping(row.rule, row.last_episode)) for row in rows]


def read_alarms(source: Database | Transaction, run_id: str) -> list[AlarmRow]:
    """All alarms of a run, oldest first."""
    query = select(*(alarms.c[name] for name in _FIELDS)).where(alarms.c.run_id == run_id).order_by(*_OLDEST_FIRST)
    with reading(source) as tx:
        return [_row(row) for row in tx.execute(query)]


def active_alarms(source: Database | Transaction) -> dict[str, list[AlarmRow]]:
    """The active alarms of all runs, by run, oldest first; runs without any are left out."""
    query = (
        select(alarms.c.run_id, *(alarms.c[name] for name in _FIELDS))
        .join(runs, runs.c.id == alarms.c.run_id)
        .where(alarms.c.state == ACTIVE, runs.c.status.not_in(UNLISTED))
        .order_by(alarms.c.run_id, *_OLDEST_FIRST)
    )
    found: dict[str, list[AlarmRow]] = defaultdict(list)
    with reading(source) as tx:
        for run_id, *row in tx.execute(query):
            found[run_id].append(_row(row))
    return dict(found)


def active_rules(source: Database | Transaction) -> dict[str, list[str]]:
    """The titles of the rules of active alarms, by run, oldest first: for lists, at the cost of one short query."""
    query = select(alarms.c.run_id, alarms.c.rule).where(alarms.c.state == ACTIVE)
    found: dict[str, list[str]] = defaultdict(list)
    with reading(source) as tx:
        for run_id, rule in tx.execute(query.order_by(alarms.c.run_id, *_OLDEST_FIRST)):
            found[run_id].append(RULES[rule].title if rule in RULES else rule)
    return dict(found)


def _row(values: Sequence[Any]) -> AlarmRow:
    row = AlarmRow(*values)
    numbers = floats([row.value, row.threshold]).tolist()
    value, threshold = (None if number != number else number for number in numbers)
    return replace(row, value=value, threshold=threshold)


# What the worker, or the supervisor, writes.


def put_alarm(tx: Transaction, run_id: str, alarm: AlarmRow, *, actor: str, now: datetime, notify: bool) -> None:
    """Write an alarm as it is now: a new one is raised, a known one kept up or cleared; muted ones stay muted.

    It is known by its rule and its first episode. A raised one is muted if the one before of its rule is. With `notify`
    the webhook is due for it, unless the history has it already: episodes after a checkpoint may be trained again.
    """
    mine = (alarms.c.run_id == run_id, alarms.c.rule == alarm.rule, alarms.c.first_episode == alarm.first_episode)
    is_cleared = alarm.state == CLEARED
    known = tx.execute(select(alarms.c.state, alarms.c.cleared_at).where(*mine)).one_or_none()
    if known is None:
        _raise(tx, run_id, alarm, actor=actor, now=now, notify=notify)
    else:
        values: dict[str, Any] = {name: getattr(alarm, name) for name in ("last_episode", "value", "detail")}
        values["state"] = case((alarms.c.state == MUTED, MUTED), else_=alarm.state)
        values["cleared_at"] = func.coalesce(alarms.c.cleared_at, now) if is_cleared else None
        tx.execute(update(alarms).where(*mine).values(values))
    if is_cleared and (known is None or known.state == ACTIVE):
        message = _(
            "{headline} is over, last at episode {last_episode}.",
            headline=_headline(alarm),
            last_episode=alarm.last_episode,
        )
        add_event(tx, run_id, actor=actor, kind=EVENT, message=message, now=now)


def _raise(tx: Transaction, run_id: str, alarm: AlarmRow, *, actor: str, now: datetime, notify: bool) -> None:
    of_run = select(func.max(alarms.c.number)).where(alarms.c.run_id == run_id)
    number = (tx.execute(of_run).scalar_one() or 0) + 1
    of_rule = select(alarms.c.state, alarms.c.reason).where(alarms.c.run_id == run_id, alarms.c.rule == alarm.rule)
    before = tx.execute(of_rule.order_by(alarms.c.number.desc()).limit(1)).one_or_none()
    reason = before.reason if before is not None and before.state == MUTED else None
    content = {name: getattr(alarm, name) for name in _FIELDS} | {"number": number, "raised_at": now}
    if reason is not None:
        content |= {"state": MUTED, "reason": reason}
    headline = f"{_headline(alarm)}: "
    (alarm,) = advised(tx, run_id, [alarm])
    message = f"{headline}{alarm.sentence}."
    if alarm.rule in RULES:
        message = _(  # in one piece, of which a reader of another language finds the parts again
            "Alarm '{title}' of episode {first_episode:d}: {detail}; {advice}.",
            title=alarm.title,
            first_episode=alarm.first_episode,
            detail=alarm.detail,
            advice=alarm.advice,
        )
    told = exists().where(events.c.run_id == run_id, events.c.message.startswith(headline, autoescape=True))
    is_new = not tx.execute(select(told)).scalar_one()
    if is_new and alarm.rule != STALLED:  # the change of status is in the history already
        add_event(tx, run_id, actor=actor, kind=EVENT, message=message, now=now)
    content["webhook"] = DUE if notify and is_new and reason is None and alarm.state == ACTIVE else None
    content["cleared_at"] = now if alarm.state == CLEARED else None
    tx.execute(insert(alarms).values(run_id=run_id, **content))


def _headline(alarm: AlarmRow) -> str:
    """Names an alarm in the history; the same whenever it is raised."""
    return _("Alarm '{title}' of episode {first_episode:d}", title=alarm.title, first_episode=alarm.first_episode)


def keep_alarms(tx: Transaction, run_id: str, known: Collection[tuple[str, int]], episode: int) -> None:
    """Delete the alarms up to `episode` that are not `known` by rule and first episode, but for stalled workers."""
    for row in read_alarms(tx, run_id):
        other = (row.rule, row.first_episode) not in known and row.rule != STALLED
        if other and row.first_episode <= episode:
            tx.execute(delete(alarms).where(alarms.c.run_id == run_id, alarms.c.number == row.number))


def cut_alarms(tx: Transaction, run_id: str, episode: int) -> None:
    """Delete the alarms raised after `episode`; muted ones wait for being raised again."""
    later = (alarms.c.run_id == run_id, alarms.c.first_episode > episode, alarms.c.state != MUTED)
    tx.execute(delete(alarms).where(*later))


def copy_alarms(tx: Transaction, run_id: str, fork_id: str, episode: int) -> None:
    """Give a fork the alarms that its parent had raised up to an episode, muted ones too; nobody is notified again."""
    names = [name for name in (column.name for column in alarms.c) if name not in {"run_id", "webhook"}]
    rows = tx.execute(
        select(*(alarms.c[name] for name in names)).where(
            alarms.c.run_id == run_id, alarms.c.first_episode <= episode, alarms.c.rule != STALLED
        )
    ).mappings()
    if copies := [{"run_id": fork_id, "webhook": None, **row} for row in rows]:
        tx.execute(insert(alarms), copies)


def clear_stalled(tx: Transaction, run_id: str, now: datetime) -> None:
    """The worker of a run is heard again, or it has ended."""
    mine = (alarms.c.run_id == run_id, alarms.c.rule == STALLED, alarms.c.cleared_at.is_(None))
    state = case((alarms.c.state == MUTED, MUTED), else_=CLEARED)
    tx.execute(update(alarms).where(*mine).values(state=state, cleared_at=now))


# What people decide.


def set_muted(tx: Transaction, run_id: str, number: int, *, reason: str | None, actor: str, now: datetime) -> None:
    """Mute an alarm with a reason, or with None undo that.

    Raises:
        V3Error: if there is no such alarm, or it is cleared.
    """
    row = next((row for row in read_alarms(tx, run_id) if row.number == number), None)
    if row is None:
        raise V3Error(
            "Run {run_id} has no alarm {number}; `alarms {run_id}` lists them.", run_id=run_id[:8], number=number
        )
    if reason is not None and row.state == CLEARED:
        raise V3Error("Alarm {number} is already cleared; there is nothing to mute.", number=number)
    mine = (alarms.c.run_id == run_id, alarms.c.number == number)
    unmuted = case((alarms.c.cleared_at.is_(None), ACTIVE), else_=CLEARED)
    tx.execute(update(alarms).where(*mine).values(state=MUTED if reason else unmuted, reason=reason))
    message = (
        _("{headline} was muted: {reason}", headline=_headline(row), reason=reason)
        if reason
        else _("{headline} is no longer muted.", headline=_headline(row))
    )
    add_event(tx, run_id, actor=actor, kind=EVENT, message=message, now=now)


# The webhook: the state of its request about an alarm is in `alarms.webhook`.


def alarm_notices_due(tx: Transaction, now: datetime) -> list[tuple[str, int]]:
    """Run and number of the alarms that the webhook is due for, the oldest first."""
    query = select(alarms.c.run_id, alarms.c.number).join(runs, runs.c.id == alarms.c.run_id)
    query = query.where(runs.c.status.not_in(UNLISTED), _is_free(now)).order_by(alarms.c.raised_at, alarms.c.number)
    return [(run_id, number) for run_id, number in tx.execute(query)]


def claim_alarm_notice(tx: Transaction, run_id: str, number: int, *, message: str, now: datetime) -> AlarmRow | None:
    """Claim the webhook request about an alarm; None if another process was faster, or the alarm is gone."""
    mine = (alarms.c.run_id == run_id, alarms.c.number == number)
    if tx.execute(update(alarms).where(*mine, _is_free(now)).values(webhook=CALLING)).rowcount != 1:
        return None
    add_event(tx, run_id, actor=NOTICE, kind=f"{_CLAIM}{number}", message=message, now=now)
    return next((row for row in advised(tx, run_id, read_alarms(tx, run_id)) if row.number == number), None)


def settle_alarm_notice(
    tx: Transaction, run_id: str, number: int, *, called: bool, message: str, now: datetime
) -> None:
    """Record the result of a claim."""
    mine = (alarms.c.run_id == run_id, alarms.c.number == number, alarms.c.webhook == CALLING)
    if tx.execute(update(alarms).where(*mine).values(webhook=CALLED if called else FAILED)).rowcount == 1:
        add_event(tx, run_id, actor=NOTICE, kind=NOTICE, message=message, now=now)


_CLAIM = "notice of alarm "


def _is_free(now: datetime) -> ColumnElement[bool]:
    """As for the end of a run: a claim of more than a minute ago is of a process that died."""
    claimed = exists().where(
        events.c.run_id == alarms.c.run_id,
        events.c.kind == literal(_CLAIM) + cast(alarms.c.number, String),
        events.c.at.between(now - timedelta(seconds=CLAIM_SECONDS), now + timedelta(seconds=CLAIM_SECONDS)),
    )
    return or_(alarms.c.webhook == DUE, and_(alarms.c.webhook == CALLING, ~claimed))
