"""The tables. Their names and columns are public: other programs read them with plain SQL."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy import TypedColumns as Columns
from sqlalchemy.types import TypeDecorator

from v3core.messages import _
from v3core.metrics import METRICS

SCHEMA_VERSION = max(
    int(file.stem.removeprefix("schema_")) for file in Path(__file__).with_name("migrations").rglob("schema_*.py")
)
"""The newest revision in `migrations/versions`: every change of the tables is one."""


class Status(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    """Waits for a free slot."""
    STARTING = "starting"
    """A slot is taken; its worker process is starting."""
    RUNNING = "running"
    """Its worker trains."""
    PAUSED = "paused"
    """Its worker is held between two rollouts; it keeps its process and its slot."""
    STALLED = "stalled"
    """Its process is alive, but its heartbeat is overdue; it is left alone."""
    STOPPING = "stopping"
    """Someone asked for the end; the worker finishes its rollout and writes a checkpoint."""
    STOPPED = "stopped"
    """Ended on request; can be resumed."""
    COMPLETED = "completed"
    """All its episodes are trained."""
    FAILED = "failed"
    """Ended by an error; can be resumed."""
    LOST = "lost"
    """Its process exited unexpectedly; can be resumed."""
    UNREADABLE = "unreadable"
    """Its row is invalid. No row has this value: readers assign it to such a run."""


ACTIVE = frozenset({Status.STARTING, Status.RUNNING, Status.PAUSED, Status.STALLED, Status.STOPPING})
"""A process belongs to the run, and a slot."""
STORED = frozenset(Status) - {Status.UNREADABLE}
"""Those that a row may hold."""

HIDDEN = "hidden"
"""Status of a run of which not all rows are there, because it is being imported or deleted: no list shows it."""

TRUNK = "trunk"
"""Status of a run of which only the rows are there that forks begin with: no list shows it."""
UNLISTED = (HIDDEN, TRUNK)

UNREADABLE_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Replaces an invalid time in SQLite, which accepts any value in any column."""

metadata = MetaData()

Transaction = Connection
"""An open transaction, handed to the functions of this package."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC. SQLite has no time zones, so there it is text without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database; a time without a zone is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(_("Time {value} has no time zone; use datetime.now(UTC).", value=value))
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """From the database; what is no time is `UNREADABLE_TIME`, so that one row does not spoil the others."""
        process = super().result_processor(dialect, coltype)
        if process is None or dialect.name != "sqlite":
            return process

        def read(value: Any) -> datetime | None:
            try:
                return process(value)
            except (TypeError, ValueError):
                return UNREADABLE_TIME

        return read

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if dialect.name == "sqlite" else moment.astimezone(UTC)


def _run_id(name: str | None = None, *, key: bool = False) -> Column[str]:
    reference = ForeignKey("runs.id", ondelete="CASCADE")
    return Column(name, String(36), reference, primary_key=key, nullable=False, index=not key)


class MetaColumns(Columns):
    """Facts about the database itself: `schema_version`."""

    key: Named[str] = Column(String(40), primary_key=True)
    value: Named[str]


class RunColumns(Columns):
    """One row per run: its state and the newest of its numbers, so that a list of runs needs no other table.

    A fork began at the checkpoint of `parent` after `parent_episode` episodes. Up to there its episodes, expert loads,
    evaluations, knockouts and rollups are rows of the run `trunk`, which has a trunk itself if it is a fork. `trunk` is
    null if all rows are its own: of a run that is no fork, and of one that was imported. Evaluations are the trunk's up
    to `parent_evaluated`.
    """

    id: Named[str] = Column(String(36), primary_key=True)
    name: Named[str]
    status: Named[str] = Column(String(10), index=True)
    env: Named[str]
    seed: Named[int] = Column(BigInteger)
    episodes: Named[int]
    steps: Named[int | None] = Column(BigInteger)
    episode: Named[int]
    step: Named[int] = Column(BigInteger)
    phase: Named[str | None]
    latest_return: Named[float | None]
    mean_return: Named[float | None]
    steps_per_second: Named[float | None]
    episodes_per_second: Named[float | None]
    experts: Named[int]
    curriculum: Named[str]
    experiment: Named[str | None]
    config: Named[str]
    launch: Named[str | None]
    priority: Named[int] = Column(nullable=False, server_default="0")
    tags: Named[str | None]
    notes: Named[str | None]
    reason: Named[str | None]
    traceback: Named[str | None]
    webhook: Named[str | None] = Column(String(10), index=True)
    generation: Named[int]
    host: Named[str | None]
    machine: Named[str | None] = Column(String(64))
    boot_id: Named[str | None]
    pid_namespace: Named[str | None] = Column(String(32))
    pid: Named[int | None]
    pid_started: Named[float | None]
    launcher: Named[str | None]
    node: Named[str | None] = Column(String(64))
    node_address: Named[str | None]
    needs_label: Named[str | None]
    needs_gpus: Named[float | None]
    max_restarts: Named[int | None]
    restarts: Named[int] = Column(nullable=False, server_default="0")
    device: Named[str | None]
    sees: Named[str | None]
    heartbeat_at: Named[datetime | None] = Column(UtcDateTime)
    heartbeat_due_at: Named[datetime | None] = Column(UtcDateTime)
    rollout_at: Named[datetime | None] = Column(UtcDateTime)
    watched: Named[int | None]
    parent: Named[str | None] = Column(String(36))
    parent_episode: Named[int | None]
    parent_evaluated: Named[int | None]
    trunk: Named[str | None] = Column(String(36), index=True)
    created_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    queued_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    started_at: Named[datetime | None] = Column(UtcDateTime)
    ended_at: Named[datetime | None] = Column(UtcDateTime)
    thinned_at: Named[datetime | None] = Column(UtcDateTime)


class MachineColumns(Columns):
    """What was set for a machine; `machine` is that of `runs`, `host` the name that it had then."""

    machine: Named[str] = Column(String(64), primary_key=True)
    host: Named[str]
    slots: Named[int | None]


class ExperimentColumns(Columns):
    """How an experiment, the runs with this text in `runs.experiment`, was launched; one made earlier has no row.

    `spec` is a JSON list with a grid for each launch: curricula, environments, seeds, settings and episodes.
    """

    name: Named[str] = Column(String(120), primary_key=True)
    created_at: Named[datetime | None] = Column(UtcDateTime)
    spec: Named[str | None]


class ExpertLoadColumns(Columns):
    """Per episode and expert: mean gate weight, share of steps at which its weight was the largest, gradient norm."""

    run_id = _run_id(key=True)
    episode: Named[int] = Column(primary_key=True, autoincrement=False)
    expert: Named[int] = Column(primary_key=True, autoincrement=False)
    load: Named[float | None]
    hard_load: Named[float | None]
    grad_norm: Named[float | None]


class RollupColumns(Columns):
    """Four buckets of `size` consecutive episodes each, written with the last episode of the last.

    The first is bucket 4·number; bucket b contains the episodes b·size + 1 … (b + 1)·size.
    `phases` is a JSON list of four lists: the phases that each bucket spans. `stats` is float64, little-endian, of
    shape [4, 5, metrics]: minimum, maximum, mean, count and last of each metric, in the order of
    `v3core.store.bulk.metric_names`.
    """

    run_id = _run_id(key=True)
    size: Named[int] = Column(primary_key=True, autoincrement=False)
    number: Named[int] = Column(primary_key=True, autoincrement=False)
    phases: Named[str]
    stats: Named[bytes] = Column(LargeBinary, nullable=False)


class EvaluationColumns(Columns):
    """Episodes played apart from training, after `episode` complete training episodes; `number` counts from 1.

    `task` is the environment of the episode, in a run that trains on several at once.
    """

    run_id = _run_id(key=True)
    episode: Named[int] = Column(primary_key=True, autoincrement=False)
    number: Named[int] = Column(primary_key=True, autoincrement=False)
    step: Named[int] = Column(BigInteger)
    env: Named[str]
    return_: Named[float | None] = Column("return")
    length: Named[int]
    success: Named[float | None]
    at: Named[datetime] = Column(UtcDateTime, nullable=False)
    task: Named[str | None]


class EvaluationExpertColumns(Columns):
    """What each expert does on the states of an evaluation; `expert` counts from 0.

    `actions`, `used_actions` and `distances` are JSON: the fields of `v3core.insight.experts.ExpertProfile`.
    """

    run_id = _run_id(key=True)
    episode: Named[int] = Column(primary_key=True, autoincrement=False)
    expert: Named[int] = Column(primary_key=True, autoincrement=False)
    states: Named[int]
    compared: Named[int]
    load: Named[float | None]
    hard_load: Named[float | None]
    actions: Named[str]
    used_actions: Named[str | None]
    distances: Named[str]


class StateMapColumns(Columns):
    """States of a run's newest evaluation on two axes: `points` is a `v3core.insight.experts.StateMap` as JSON."""

    run_id = _run_id(key=True)
    episode: Named[int] = Column(primary_key=True, autoincrement=False)
    states: Named[int]
    points: Named[str]


class KnockoutColumns(Columns):
    """Episodes played by the policy after `episode` episodes without one expert; `expert` is −1 for all experts.

    Episodes of the same `number` begin alike, so that they can be compared one by one.
    """

    run_id = _run_id(key=True)
    episode: Named[int] = Column(primary_key=True, autoincrement=False)
    expert: Named[int] = Column(primary_key=True, autoincrement=False)
    number: Named[int] = Column(primary_key=True, autoincrement=False)
    return_: Named[float | None] = Column("return")
    length: Named[int]
    success: Named[float | None]
    at: Named[datetime] = Column(UtcDateTime, nullable=False)


class PhaseChangeColumns(Columns):
    """When each phase really began: after `episode` complete episodes. `planned` is where the curriculum had it."""

    run_id = _run_id(key=True)
    phase: Named[int] = Column(primary_key=True, autoincrement=False)
    name: Named[str]
    planned: Named[int | None]
    episode: Named[int]
    step: Named[int] = Column(BigInteger)
    generation: Named[int]
    at: Named[datetime] = Column(UtcDateTime, nullable=False)


class RevisionColumns(Columns):
    """Each curriculum a run had or was asked to have; revision 1 is the one it was launched with."""

    id: Named[int] = Column(primary_key=True)
    run_id = _run_id()
    revision: Named[int]
    curriculum: Named[str]
    actor: Named[str]
    requested_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    state: Named[str] = Column(String(10))
    applied_episode: Named[int | None]
    decided_at: Named[datetime | None] = Column(UtcDateTime)
    reason: Named[str | None]


class CommandColumns(Columns):
    """Commands to runs and their outcomes: applied at an episode, or rejected with a reason."""

    id: Named[int] = Column(primary_key=True)
    run_id = _run_id()
    kind: Named[str] = Column(String(20))
    actor: Named[str | None] = Column(String(20))
    value: Named[str | None]
    revision_id: Named[int | None] = Column(ForeignKey("curriculum_revisions.id", ondelete="CASCADE"))
    requested_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    acknowledged_at: Named[datetime | None] = Column(UtcDateTime)
    applied_at: Named[datetime | None] = Column(UtcDateTime)
    applied_episode: Named[int | None]
    rejected_reason: Named[str | None]


class CheckpointColumns(Columns):
    """Checkpoint files; `path` is relative to the data folder."""

    run_id = _run_id(key=True)
    episode: Named[int] = Column(primary_key=True, autoincrement=False)
    step: Named[int] = Column(BigInteger)
    path: Named[str]
    bytes: Named[int | None] = Column(BigInteger)
    at: Named[datetime] = Column(UtcDateTime, nullable=False)


class EventColumns(Columns):
    """The history of a run in sentences."""

    id: Named[int] = Column(primary_key=True)
    run_id = _run_id()
    at: Named[datetime] = Column(UtcDateTime, nullable=False)
    actor: Named[str]
    kind: Named[str]
    message: Named[str]


class ProcessSampleColumns(Columns):
    """What a run's process did with its time, in stretches of 15 seconds, later longer; `number` counts from 1.

    `seconds` is the length of the stretch that ends at `at`. The columns `acting`, `environments`, `learning` and
    `recording` are seconds of the training thread, `cpu` and `waited` of processors, `machine` and `gpu` shares in use,
    `memory` and `gpu_memory` bytes.
    """

    run_id = _run_id(key=True)
    number: Named[int] = Column(primary_key=True, autoincrement=False)
    at: Named[datetime] = Column(UtcDateTime, nullable=False)
    seconds: Named[float]
    steps: Named[int] = Column(BigInteger)
    updates: Named[int]
    acting: Named[float]
    environments: Named[float]
    learning: Named[float]
    recording: Named[float]
    cpu: Named[float]
    waited: Named[float | None]
    machine: Named[float | None]
    memory: Named[int] = Column(BigInteger)
    threads: Named[int]
    gpu_memory: Named[int | None] = Column(BigInteger)
    gpu: Named[float | None]


class AlarmColumns(Columns):
    """What went wrong by a rule of docs/alarms.md, from the first to the last episode at which the rule held.

    `number` counts from 1 in the order in which they were raised. `detail` is the evidence in one sentence, `reason`
    why it was muted. `webhook` is the state of its notice, as that of a run's end in `runs`.
    """

    run_id = _run_id(key=True)
    number: Named[int] = Column(primary_key=True, autoincrement=False)
    rule: Named[str] = Column(String(40))
    phase: Named[str]
    first_episode: Named[int]
    last_episode: Named[int]
    value: Named[float | None]
    threshold: Named[float | None]
    state: Named[str] = Column(String(10), index=True)
    detail: Named[str]
    reason: Named[str | None]
    webhook: Named[str | None] = Column(String(10), index=True)
    raised_at: Named[datetime] = Column(UtcDateTime, nullable=False)
    cleared_at: Named[datetime | None] = Column(UtcDateTime)


_OF_SCHEMA_5 = (
    "phase", "env", "return", "length", "phase_steps", "success", "step", "policy_loss", "value_loss",
    "load_balance_loss", "expert_balance_loss", "router_z_loss", "diversity_loss", "consistency_loss",
    "gate_entropy_loss", "action_entropy", "total_loss", "approx_kl", "clip_fraction", "router_shift",
    "grad_norm", "explained_variance", "dormant_share", "rollbacks", "lr", "temperature", "routing", "alpha",
    "top_k", "top_k_weights", "jitter", "load_balance", "expert_balance", "z_loss", "diversity", "consistency",
    "gate_entropy", "bias_speed", "entropy", "routing_entropy", "load_entropy", "specialisation",
    "effective_experts", "support", "load_cv", "dead_experts",
)  # fmt: skip
"""The columns of metrics in the order in which stored buckets have them; those declared since come behind."""
_SINCE = sorted(
    (name for name, metric in METRICS.items() if not metric.per_expert and name not in _OF_SCHEMA_5),
    key=lambda name: METRICS[name].since,
)
"""By schema, so that wherever a metric is declared, stored buckets of the schemas before it keep their order."""
_TYPES: dict[Any, Any] = {float: Double, int: Integer, str: String, "step": BigInteger, "top_k_weights": String(20)}


def _of_metrics(*names: str) -> Iterator[Column[Any]]:
    """Their columns. Null where a setting was not used, in rows of an earlier schema, and where a number is not finite.

    SQLite has no NaN.
    """
    for metric in map(METRICS.__getitem__, names):
        kind = _TYPES.get(metric.name, _TYPES[metric.kind])
        yield Column(metric.name, kind, key=metric.field, nullable=metric.since > 1 or metric.kind is float)


# Without rowids the rows lie in the order of their key, so that reading on from a cursor is one sequential read.
meta = Table("meta", metadata, MetaColumns)
runs = Table("runs", metadata, RunColumns)
# One row per completed episode.
episodes = Table(
    "episodes",
    metadata,
    _run_id("run_id", key=True),
    Column("episode", Integer, primary_key=True, autoincrement=False),
    *_of_metrics(*_OF_SCHEMA_5),
    Column("at", UtcDateTime, nullable=False),
    *_of_metrics(*_SINCE),
    sqlite_with_rowid=False,
)
expert_loads = Table("expert_loads", metadata, ExpertLoadColumns, sqlite_with_rowid=False)
# With rowids: rows of nine kilobytes lie badly in an index.
rollups = Table("rollups", metadata, RollupColumns)
evaluations = Table("evaluations", metadata, EvaluationColumns, sqlite_with_rowid=False)
evaluation_experts = Table("evaluation_experts", metadata, EvaluationExpertColumns, sqlite_with_rowid=False)
state_maps = Table("state_maps", metadata, StateMapColumns)  # with rowids: rows of fifty kilobytes
knockouts = Table("knockouts", metadata, KnockoutColumns, sqlite_with_rowid=False)
phase_changes = Table("phase_changes", metadata, PhaseChangeColumns)
revisions = Table("curriculum_revisions", metadata, RevisionColumns, UniqueConstraint("run_id", "revision"))
commands = Table("commands", metadata, CommandColumns)
checkpoints = Table("checkpoints", metadata, CheckpointColumns)
events = Table("events", metadata, EventColumns)
alarms = Table("alarms", metadata, AlarmColumns)
process_samples = Table("process_samples", metadata, ProcessSampleColumns)
machines = Table("machines", metadata, MachineColumns)
experiments = Table("experiments", metadata, ExperimentColumns)

Index("ix_runs_created_at", runs.c.created_at)


# Alembic's own note of the revision, here so that a new database is made without it. Not in `metadata`: it is no table
# of ours, and its name is not Alembic's default, which another program in the same database may use.
REVISION_TABLE = "v3_alembic_version"
revision_metadata = MetaData()
revision = Table(
    REVISION_TABLE,
    revision_metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{REVISION_TABLE}_pkc"),
)
