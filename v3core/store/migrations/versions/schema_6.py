"""Schema 6: alarms of a run, up to which episode it was watched for them, and the distance of node embeddings."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Add to the tables; what is new is empty in old rows."""
    op.add_column("episodes", sa.Column("node_distance", sa.Double))
    op.add_column("runs", sa.Column("watched", sa.Integer))
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
