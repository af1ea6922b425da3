"""Schema 4: buckets of episodes, each level a fixed factor coarser, for charts of constant cost."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    """Add the table; `migrate` fills it, for it is derived from the episodes."""
    op.create_table(
        "rollups",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("size", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("phases", sa.String, nullable=False),
        sa.Column("stats", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "size", "number"),
    )
