"""Schema 6: alarms, node embeddings, router's decisions, what each expert and process does, experiments, forks."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Add to the tables; what is new is empty in old rows."""
    op.add_column("episodes", sa.Column("node_distance", sa.Double))
    op.add_column("episodes", sa.Column("expert_persistence", sa.Double))
    op.add_column("episodes", sa.Column("close_choice_share", sa.Double))
    op.add_column("runs", sa.Column("watched", sa.Integer))
    op.add_column("runs", sa.Column("steps", sa.BigInteger))
    op.add_column("runs", sa.Column("parent", sa.String(36)))
    op.add_column("runs", sa.Column("parent_episode", sa.Integer))
    op.add_column("runs", sa.Column("parent_evaluated", sa.Integer))
    op.add_column("runs", sa.Column("trunk", sa.String(36)))
    op.create_index(op.f("ix_runs_trunk"), "runs", ["trunk"])
    op.create_table(
        "alarms",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("first_episode", sa.Integer, nullable=False),
        sa.Column("last_episode", sa.Integer, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("threshold", sa.Double),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("webhook", sa.String(10)),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
    op.create_index(op.f("ix_alarms_state"), "alarms", ["state"])
    op.create_index(op.f("ix_alarms_webhook"), "alarms", ["webhook"])
    _create(
        "evaluation_experts",
        _key("episode"),
        _key("expert"),
        sa.Column("states", sa.Integer, nullable=False),
        sa.Column("compared", sa.Integer, nullable=False),
        sa.Column("load", sa.Double),
        sa.Column("hard_load", sa.Double),
        sa.Column("actions", sa.String, nullable=False),
        sa.Column("used_actions", sa.String),
        sa.Column("distances", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    _create(
        "state_maps",
        _key("episode"),
        sa.Column("states", sa.Integer, nullable=False),
        sa.Column("points", sa.String, nullable=False),
    )
    _create(
        "knockouts",
        _key("episode"),
        _key("expert"),
        _key("number"),
        sa.Column("return", sa.Double),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("success", sa.Double),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sqlite_with_rowid=False,
    )
    _create(
        "process_samples",
        _key("number"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("steps", sa.BigInteger, nullable=False),
        sa.Column("updates", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.Double, nullable=False)
            for name in ("acting", "environments", "learning", "recording", "cpu")
        ),
        sa.Column("waited", sa.Double),
        sa.Column("machine", sa.Double),
        sa.Column("memory", sa.BigInteger, nullable=False),
        sa.Column("threads", sa.Integer, nullable=False),
        sa.Column("gpu_memory", sa.BigInteger),
        sa.Column("gpu", sa.Double),
    )
    op.create_table(
        "experiments",
        sa.Column("name", sa.String(120), primary_key=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True)),
        sa.Column("spec", sa.String),
    )


def _create(name: str, *columns: sa.Column[Any], **options: bool) -> None:
    run_id = sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    op.create_table(name, run_id, *columns, **options)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, primary_key=True, nullable=False, autoincrement=False)
