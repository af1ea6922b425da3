"""The tables of schema 1, the first release: for databases that no file is kept of."""

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

TIME = sa.DateTime(timezone=True)


def make_tables(tx: sa.Connection) -> None:
    """Make them in an empty database."""
    op = Operations(MigrationContext.configure(tx))
    op.create_table(
        "meta",
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("value", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("env", sa.String, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("episodes", sa.Integer, nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("phase", sa.String),
        sa.Column("latest_return", sa.Double),
        sa.Column("mean_return", sa.Double),
        sa.Column("steps_per_second", sa.Double),
        sa.Column("episodes_per_second", sa.Double),
        sa.Column("experts", sa.Integer, nullable=False),
        sa.Column("curriculum", sa.String, nullable=False),
        sa.Column("experiment", sa.String),
        sa.Column("config", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("host", sa.String),
        sa.Column("boot_id", sa.String),
        sa.Column("pid", sa.Integer),
        sa.Column("pid_started", sa.Double),
        sa.Column("heartbeat_at", TIME),
        sa.Column("heartbeat_due_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("queued_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_runs_created_at", "runs", ["created_at"])
    op.create_index("ix_runs_status", "runs", ["status"])
    op.create_table(
        "checkpoints",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "episode"),
    )
    op.create_table(
        "curriculum_revisions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("curriculum", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("applied_episode", sa.Integer),
        sa.Column("decided_at", TIME),
        sa.Column("reason", sa.String),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "revision"),
    )
    op.create_index("ix_curriculum_revisions_run_id", "curriculum_revisions", ["run_id"])
    op.create_table(
        "episodes",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("return", sa.Double),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("policy_loss", sa.Double),
        sa.Column("value_loss", sa.Double),
        sa.Column("load_balance_loss", sa.Double),
        sa.Column("action_entropy", sa.Double),
        sa.Column("total_loss", sa.Double),
        sa.Column("approx_kl", sa.Double),
        sa.Column("clip_fraction", sa.Double),
        sa.Column("grad_norm", sa.Double),
        sa.Column("lr", sa.Double),
        sa.Column("temperature", sa.Double),
        sa.Column("routing", sa.String, nullable=False),
        sa.Column("load_balance", sa.Double),
        sa.Column("entropy", sa.Double),
        sa.Column("routing_entropy", sa.Double),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "episode"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_events_run_id", "events", ["run_id"])
    op.create_table(
        "expert_loads",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("expert", sa.Integer, nullable=False),
        sa.Column("load", sa.Double),
        sa.Column("hard_load", sa.Double),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "episode", "expert"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "phase_changes",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("planned", sa.Integer),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "phase"),
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("revision_id", sa.Integer),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("acknowledged_at", TIME),
        sa.Column("applied_at", TIME),
        sa.Column("applied_episode", sa.Integer),
        sa.Column("rejected_reason", sa.String),
        sa.ForeignKeyConstraint(["revision_id"], ["curriculum_revisions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_commands_run_id", "commands", ["run_id"])
    tx.exec_driver_sql("INSERT INTO meta (key, value) VALUES ('schema_version', '1')")
