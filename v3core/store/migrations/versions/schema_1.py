"""Schema 1: the first release, where every migration begins."""

revision = "1"
down_revision = None


def upgrade() -> None:
    """Nothing is earlier."""
