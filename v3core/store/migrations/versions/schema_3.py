"""Schema 3: tags, notes, priorities, tracebacks, notices; who gave a command; sizes of checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add to the tables; what is new is empty in old rows."""
    op.add_column("checkpoints", sa.Column("bytes", sa.BigInteger))
    op.add_column("commands", sa.Column("actor", sa.String(20)))
    op.add_column("commands", sa.Column("value", sa.String))
    op.add_column("runs", sa.Column("priority", sa.Integer, server_default="0", nullable=False))
    op.add_column("runs", sa.Column("tags", sa.String))
    op.add_column("runs", sa.Column("notes", sa.String))
    op.add_column("runs", sa.Column("traceback", sa.String))
    op.add_column("runs", sa.Column("webhook", sa.String(10)))
    op.add_column("runs", sa.Column("rollout_at", TIME))
    op.create_index(op.f("ix_runs_webhook"), "runs", ["webhook"])
