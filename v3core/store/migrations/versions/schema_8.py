"""Schema 8: where a run is to train, on which node of a cluster it does, and how often it is queued again when lost."""

import sqlalchemy as sa
from alembic import op

revision = "8"
down_revision = "7"


def upgrade() -> None:
    """Add to the tables of runs and episodes; what is new is empty in old rows."""
    op.add_column("episodes", sa.Column("facts", sa.String))
    op.add_column("episodes", sa.Column("situations", sa.String))
    for name, kind in (("launcher", sa.String), ("node", sa.String(64)), ("node_address", sa.String)):
        op.add_column("runs", sa.Column(name, kind))
    op.add_column("runs", sa.Column("needs_label", sa.String))
    op.add_column("runs", sa.Column("needs_gpus", sa.Double))
    op.add_column("runs", sa.Column("max_restarts", sa.Integer))
    op.add_column("runs", sa.Column("thinned_at", sa.DateTime(timezone=True)))
    op.add_column("runs", sa.Column("restarts", sa.Integer, nullable=False, server_default="0"))
