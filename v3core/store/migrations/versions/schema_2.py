"""Schema 2: routings, losses and statistics of every kind; evaluations."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

TIME = sa.DateTime(timezone=True)
DOUBLES = (
    "success", "expert_balance_loss", "router_z_loss", "diversity_loss", "consistency_loss", "gate_entropy_loss",
    "router_shift", "explained_variance", "dormant_share", "alpha", "jitter", "expert_balance", "z_loss", "diversity",
    "consistency", "gate_entropy", "bias_speed", "load_entropy", "specialisation", "effective_experts", "support",
    "load_cv",
)  # fmt: skip


def upgrade() -> None:
    """Add to the tables; what is new is empty in old rows."""
    op.create_table(
        "evaluations",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("env", sa.String, nullable=False),
        sa.Column("return", sa.Double),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("success", sa.Double),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "episode", "number"),
        sqlite_with_rowid=False,
    )
    op.add_column("episodes", sa.Column("env", sa.String))
    op.add_column("episodes", sa.Column("phase_steps", sa.Integer))
    op.add_column("episodes", sa.Column("rollbacks", sa.Integer))
    op.add_column("episodes", sa.Column("top_k", sa.Integer))
    op.add_column("episodes", sa.Column("top_k_weights", sa.String(20)))
    op.add_column("episodes", sa.Column("dead_experts", sa.Integer))
    for name in DOUBLES:
        op.add_column("episodes", sa.Column(name, sa.Double))
    op.add_column("expert_loads", sa.Column("grad_norm", sa.Double))
