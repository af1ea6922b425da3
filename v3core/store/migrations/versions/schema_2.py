"""Schema 2: routings, losses and statistics of every kind; evaluations."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

TIME = sa.DateTime(timezone=True)


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
    op.add_column("episodes", sa.Column("success", sa.Double))
    op.add_column("episodes", sa.Column("expert_balance_loss", sa.Double))
    op.add_column("episodes", sa.Column("router_z_loss", sa.Double))
    op.add_column("episodes", sa.Column("diversity_loss", sa.Double))
    op.add_column("episodes", sa.Column("consistency_loss", sa.Double))
    op.add_column("episodes", sa.Column("gate_entropy_loss", sa.Double))
    op.add_column("episodes", sa.Column("router_shift", sa.Double))
    op.add_column("episodes", sa.Column("explained_variance", sa.Double))
    op.add_column("episodes", sa.Column("dormant_share", sa.Double))
    op.add_column("episodes", sa.Column("rollbacks", sa.Integer))
    op.add_column("episodes", sa.Column("alpha", sa.Double))
    op.add_column("episodes", sa.Column("top_k", sa.Integer))
    op.add_column("episodes", sa.Column("top_k_weights", sa.String(20)))
    op.add_column("episodes", sa.Column("jitter", sa.Double))
    op.add_column("episodes", sa.Column("expert_balance", sa.Double))
    op.add_column("episodes", sa.Column("z_loss", sa.Double))
    op.add_column("episodes", sa.Column("diversity", sa.Double))
    op.add_column("episodes", sa.Column("consistency", sa.Double))
    op.add_column("episodes", sa.Column("gate_entropy", sa.Double))
    op.add_column("episodes", sa.Column("bias_speed", sa.Double))
    op.add_column("episodes", sa.Column("load_entropy", sa.Double))
    op.add_column("episodes", sa.Column("specialisation", sa.Double))
    op.add_column("episodes", sa.Column("effective_experts", sa.Double))
    op.add_column("episodes", sa.Column("support", sa.Double))
    op.add_column("episodes", sa.Column("load_cv", sa.Double))
    op.add_column("episodes", sa.Column("dead_experts", sa.Integer))
    op.add_column("expert_loads", sa.Column("grad_norm", sa.Double))
