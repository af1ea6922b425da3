"""Schema 7: how far updates move at first, last and most; dead experts and specialisation of late; a run's tasks."""

import sqlalchemy as sa
from alembic import op

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Add to the tables; what is new is empty in old rows."""
    for name in ("approx_kl", "clip_fraction", "router_shift"):
        for place in ("first", "last", "max"):
            op.add_column("episodes", sa.Column(f"{name}_{place}", sa.Double))
    op.add_column("episodes", sa.Column("gated_dormant_share", sa.Double))
    op.add_column("episodes", sa.Column("recent_dead_experts", sa.Integer))
    op.add_column("episodes", sa.Column("recent_specialisation", sa.Double))
    op.add_column("episodes", sa.Column("task", sa.String))
    op.add_column("evaluations", sa.Column("task", sa.String))
