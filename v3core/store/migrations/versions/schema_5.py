"""Schema 5: what a run needs to start, the device it used, what its policy sees; what a machine is, and its limits."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Add to the tables; what is new is empty in old rows."""
    op.add_column("runs", sa.Column("launch", sa.String))
    op.add_column("runs", sa.Column("machine", sa.String(64)))
    op.add_column("runs", sa.Column("pid_namespace", sa.String(32)))
    op.add_column("runs", sa.Column("device", sa.String))
    op.add_column("runs", sa.Column("sees", sa.String))
    op.create_table(
        "machines",
        sa.Column("machine", sa.String(64), primary_key=True, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("slots", sa.Integer),
    )
