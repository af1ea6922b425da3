"""The rollup pyramid: buckets of 16, 64, 256 … episodes, each written in the transaction of its last episode.

Only finished buckets are rows. What is not finished yet is read from the finer levels, and at last from the episodes,
so nothing is ever written twice, and taking a run back to an episode deletes the buckets that reach beyond it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import delete, select

from v3core.errors import V3Error
from v3core.rollup import STATISTICS, Floats, Integers, combine, singles, trailing_mean
from v3core.store.bulk import insert_rows
from v3core.store.database import Transaction
from v3core.store.recent import RETURN_WINDOW
from v3core.store.runs import need_run
from v3core.store.schema import episodes, expert_loads, rollups, runs

LEVELS = (16, 64, 256, 1024, 4096, 16_384, 65_536)
"""Episodes per bucket. Changing them asks for `rebuild_rollups` of every run."""

MEAN_RETURN, MEAN_SUCCESS = "mean_return", "mean_success"
"""Means of the last 100 episodes: kept in the pyramid alone, for a bucket's mean does not tell its end's."""

COLUMNS = (
    *("return", "length", "phase_steps", "success", "step", "policy_loss", "value_loss", "load_balance_loss"),
    *("expert_balance_loss", "router_z_loss", "diversity_loss", "consistency_loss", "gate_entropy_loss"),
    *("action_entropy", "total_loss", "approx_kl", "clip_fraction", "router_shift", "grad_norm", "explained_variance"),
    *("dormant_share", "rollbacks", "lr", "temperature", "alpha", "top_k", "jitter", "load_balance", "expert_balance"),
    *("z_loss", "diversity", "consistency", "gate_entropy", "bias_speed", "entropy", "routing_entropy"),
    *("load_entropy", "specialisation", "effective_experts", "support", "load_cv", "dead_experts"),
)
"""The numeric columns of the episodes. A new one goes to the end: stored buckets that lack it stay readable."""

_PER_EXPERT = ("load", "hard_load", "expert_grad_norm")
_CHUNK = 4096
_INSERTED = ("run_id", "size", "number", "phases", "stats")

Phases = list[tuple[str, ...]]
"""Per row or bucket, the phases it spans, in their order."""


def metric_names(experts: int) -> tuple[str, ...]:
    """The metrics in the order of a bucket's statistics: `load_1 …`, `hard_load_1 …`, …, then what is per episode."""
    of_experts = [f"{name}_{expert}" for name in _PER_EXPERT for expert in range(1, experts + 1)]
    return (*of_experts, MEAN_RETURN, MEAN_SUCCESS, *COLUMNS)


@dataclass(frozen=True)
class Rows:
    """Episodes one by one, as the pyramid takes them."""

    episode: Integers
    """Numbers, ascending, shape [n]."""
    values: Floats
    """Shape [n, metrics], in the order of `metric_names`."""
    phases: list[str]

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.episode)


def gather(episode: Sequence[int], columns: Floats, per_expert: Floats, phases: list[str], before: Floats) -> Rows:
    """Put what is recorded of episodes into the pyramid's order.

    Args:
        episode: their numbers, ascending.
        columns: shape [n, columns], in the order of `COLUMNS`.
        per_expert: shape [n, 3, experts]: load, hard load, gradient norm.
        phases: of each.
        before: return and success of the episodes just before, oldest first, shape [m, 2]; only the last 99 count.
    """
    reach = RETURN_WINDOW - 1
    recent = np.full((reach + len(columns), 2), np.nan)
    recent[reach:] = columns[:, [COLUMNS.index("return"), COLUMNS.index("success")]]
    before = before[-reach:]
    recent[reach - len(before) : reach] = before
    means = trailing_mean(recent, RETURN_WINDOW)
    values = np.concatenate((per_expert.reshape(len(columns), -1), means, columns), axis=1)
    return Rows(np.asarray(episode, dtype=np.int64), values, phases)


@dataclass
class _Pending:
    """Parts of a bucket of one level that is not finished."""

    numbers: Integers
    """Per part, which bucket of the finer level it is; of the finest level: which episode, from 0."""
    stats: Floats
    phases: Phases


@dataclass
class Pyramid:
    """The unfinished buckets of a run, at hand for whoever adds episodes to it."""

    run_id: str
    experts: int
    _pending: list[_Pending] = field(default_factory=list)
    _unwritten: list[tuple[Any, ...]] = field(default_factory=list)
    _recent: Floats = field(default_factory=lambda: np.empty((0, 2)))

    def __post_init__(self) -> None:
        """Nothing is unfinished in an empty run."""
        shape = (0, STATISTICS, len(metric_names(self.experts)))
        self._pending = [_Pending(np.empty(0, dtype=np.int64), np.empty(shape), []) for _ in LEVELS]

    @classmethod
    def restore(cls, tx: Transaction, run_id: str) -> "Pyramid":
        """The pyramid of a run as it is recorded, ready to go on."""
        made = cls(run_id, experts_of(tx, run_id))
        done = 0
        for level in reversed(range(len(LEVELS))):
            stored = read_buckets(tx, run_id, LEVELS[level], first=done // LEVELS[level], experts=made.experts)
            if len(stored.numbers):
                if level + 1 < len(LEVELS):
                    made._pending[level + 1] = stored
                done = int(stored.numbers[-1] + 1) * LEVELS[level]
        for rows in read_rows(tx, run_id, made.experts, after=done):
            made._unwritten += made._add(rows)
        made._recent = recent_outcomes(tx, run_id)
        return made

    def record(
        self, episode: Sequence[int], columns: Floats, per_expert: Floats, phases: list[str]
    ) -> list[tuple[Any, ...]]:
        """Add episodes that were just recorded; the arguments are those of `gather`.

        Returns:
            The buckets that are finished now, for `insert_buckets`.
        """
        rows = gather(episode, columns, per_expert, phases, self._recent)
        outcomes = columns[:, [COLUMNS.index("return"), COLUMNS.index("success")]]
        self._recent = np.concatenate((self._recent, outcomes))[-(RETURN_WINDOW - 1) :]
        finished, self._unwritten = self._unwritten + self._add(rows), []
        return finished

    def _add(self, rows: Rows) -> list[tuple[Any, ...]]:
        newest = int(rows.episode[-1])
        numbers, stats = rows.episode - 1, singles(rows.values)
        phases: Phases = [(phase,) for phase in rows.phases]
        made: list[tuple[Any, ...]] = []
        finer = 1
        for size, waiting in zip(LEVELS, self._pending, strict=True):
            numbers = np.concatenate((waiting.numbers, numbers))
            stats = np.concatenate((waiting.stats, stats))
            phases = waiting.phases + phases
            belongs = numbers // (size // finer)
            # All up to the last bucket that the newest episode leaves finished.
            cut = int(np.searchsorted(belongs, newest // size))
            waiting.numbers, waiting.stats, waiting.phases = numbers[cut:], stats[cut:].copy(), phases[cut:]
            phases = _spanned(belongs[:cut], phases[:cut])
            numbers, stats = combine(belongs[:cut], stats[:cut])
            made += [
                (self.run_id, size, number, json.dumps(spanned), stats[place].astype("<f8").tobytes())
                for place, (number, spanned) in enumerate(zip(numbers.tolist(), phases, strict=True))
            ]
            finer = size
        return made


def _spanned(numbers: Integers, phases: Phases) -> Phases:
    """The phases of each bucket, from those of its parts."""
    ends = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)] if len(numbers) else []
    starts = [0, *ends[:-1]]
    return [tuple(dict.fromkeys(chain(*phases[start:end]))) for start, end in zip(starts, ends, strict=False)]


def insert_buckets(tx: Transaction, buckets: list[tuple[Any, ...]]) -> None:
    """Write finished buckets, in the transaction of the episodes that finished them."""
    insert_rows(tx, rollups, _INSERTED, buckets)


def rebuild_rollups(tx: Transaction, run_id: str) -> int:
    """Make the pyramid of a run anew from its episodes, in bounded memory.

    Returns:
        The number of buckets.
    """
    tx.execute(delete(rollups).where(rollups.c.run_id == run_id))
    pyramid = Pyramid(run_id, experts_of(tx, run_id))
    count = 0
    for rows in read_rows(tx, run_id, pyramid.experts):
        made = pyramid._add(rows)
        insert_buckets(tx, made)
        count += len(made)
    return count


def cut_rollups(tx: Transaction, run_id: str, episode: int) -> None:
    """Delete the buckets that reach beyond an episode."""
    beyond = (rollups.c.number + 1) * rollups.c.size > episode
    tx.execute(delete(rollups).where(rollups.c.run_id == run_id, beyond))


def experts_of(tx: Transaction, run_id: str) -> int:
    """Number of experts of a run.

    Raises:
        UnknownRunError: if there is no such run.
    """
    experts = tx.execute(select(runs.c.experts).where(runs.c.id == run_id)).scalar_one_or_none()
    return experts if experts is not None else need_run(tx, run_id).experts


def read_buckets(
    tx: Transaction, run_id: str, size: int, *, experts: int, first: int = 0, last: int | None = None
) -> _Pending:
    """The finished buckets of one level whose numbers are in a range, ascending."""
    query = select(rollups.c.number, rollups.c.phases, rollups.c.stats).where(
        rollups.c.run_id == run_id, rollups.c.size == size, rollups.c.number >= first
    )
    if last is not None:
        query = query.where(rollups.c.number <= last)
    found = fetch_tuples(tx, query.order_by(rollups.c.number))
    width = len(metric_names(experts))
    numbers = np.array([row[0] for row in found], dtype=np.int64)
    return _Pending(numbers, unpack([row[2] for row in found], width), [tuple(json.loads(row[1])) for row in found])


def unpack(blobs: Sequence[bytes], metrics: int) -> Floats:
    """Stored statistics as an array of shape [buckets, 5, metrics]; metrics added since are missing in all."""
    known = {len(blob) // (8 * STATISTICS) for blob in blobs}
    if known <= {metrics}:
        return np.frombuffer(b"".join(blobs), dtype="<f8").reshape(len(blobs), STATISTICS, metrics)
    stats = np.full((len(blobs), STATISTICS, metrics), np.nan)
    stats[:, 3] = 0.0
    for place, blob in enumerate(blobs):
        values = np.frombuffer(blob, dtype="<f8").reshape(STATISTICS, -1)
        stats[place, :, : values.shape[1]] = values
    return stats


def read_rows(tx: Transaction, run_id: str, experts: int, *, after: int = 0, last: int | None = None) -> Iterator[Rows]:
    """Episodes beyond `after`, up to `last`, oldest first, in chunks of bounded size.

    Raises:
        V3Error: if the experts' loads of an episode are missing.
    """
    named = {column.name: column for column in episodes.c}
    wanted = [named[name] for name in COLUMNS]
    before = recent_outcomes(tx, run_id, upto=after) if after else np.empty((0, 2))
    while True:
        query = select(episodes.c.episode, episodes.c.phase, *wanted).where(
            episodes.c.run_id == run_id, episodes.c.episode > after
        )
        if last is not None:
            query = query.where(episodes.c.episode <= last)
        found = fetch_tuples(tx, query.order_by(episodes.c.episode).limit(_CHUNK))
        if not found:
            return
        numbers = [row[0] for row in found]
        columns = np.array([row[2:] for row in found], dtype=np.float64)  # None becomes NaN
        loads = _read_loads(tx, run_id, after, numbers[-1])
        if len(loads) != len(found) * experts:
            raise V3Error(f"Run {run_id} has {len(loads)} expert loads for {len(found)} episodes of {experts} experts.")
        per_expert = loads.reshape(len(found), experts, 3).transpose(0, 2, 1)
        yield gather(numbers, columns, per_expert, [row[1] for row in found], before)
        outcomes = columns[:, [COLUMNS.index("return"), COLUMNS.index("success")]]
        before = np.concatenate((before, outcomes))[-(RETURN_WINDOW - 1) :]
        after = numbers[-1]
        if len(found) < _CHUNK:
            return


def _read_loads(tx: Transaction, run_id: str, after: int, last: int) -> Floats:
    query = (
        select(expert_loads.c.load, expert_loads.c.hard_load, expert_loads.c.grad_norm)
        .where(expert_loads.c.run_id == run_id, expert_loads.c.episode > after, expert_loads.c.episode <= last)
        .order_by(expert_loads.c.episode, expert_loads.c.expert)
    )
    return np.array(fetch_tuples(tx, query), dtype=np.float64).reshape(-1, 3)


def recent_outcomes(tx: Transaction, run_id: str, upto: int | None = None) -> Floats:
    """Return and success of the newest 99 episodes up to one, oldest first, shape [at most 99, 2]."""
    query = select(episodes.c.return_, episodes.c.success).where(episodes.c.run_id == run_id)
    if upto is not None:
        query = query.where(episodes.c.episode <= upto)
    found = fetch_tuples(tx, query.order_by(episodes.c.episode.desc()).limit(RETURN_WINDOW - 1))
    return np.array(found[::-1], dtype=np.float64).reshape(-1, 2)


def fetch_tuples(tx: Transaction, query: Any) -> list[Any]:
    """Rows straight from the driver: tuples become an array ten times as fast as SQLAlchemy's rows do."""
    cursor = tx.execute(query).cursor
    return cursor.fetchall() if cursor is not None else []
