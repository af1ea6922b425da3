"""Migrating the tables of an earlier schema to the current one, with Alembic.

Imported only where there is something to migrate: Alembic takes longer to import than a database takes to open.
"""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, select

from v3core.store.pace import recent_returns
from v3core.store.rollups import rebuild_rollups
from v3core.store.schema import REVISION_TABLE, SCHEMA_VERSION, meta, runs

_ALEMBIC = threading.Lock()
"""Alembic keeps the migration that it runs in globals; other threads wait."""


def migrate(tx: Connection, version: int, to: int = SCHEMA_VERSION) -> None:
    """Bring the tables of schema `version` to schema `to`.

    `tx` is the only writing transaction; what is done in it can be undone with it. On SQLite without foreign keys.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = tx
    with _ALEMBIC:
        if not inspect(tx).has_table(REVISION_TABLE):
            command.stamp(config, str(version))  # written before V3 Lab used Alembic
        command.upgrade(config, str(to))
    # Columns derived from other rows are filled in here, by the code of this schema: `if version < N: …`.
    if version < 4 <= to:
        for run_id in tx.execute(select(runs.c.id)).scalars().all():
            rebuild_rollups(tx, run_id)
    if version < 7 <= to:
        # Until then it was over episodes of earlier phases too, and before 5 over 100, however short the run.
        for run_id in tx.execute(select(runs.c.id).where(runs.c.mean_return.is_not(None))).scalars().all():
            mean = recent_returns(tx, run_id).mean
            tx.execute(runs.update().values(mean_return=mean).where(runs.c.id == run_id))
    tx.execute(meta.update().values(value=str(to)).where(meta.c.key == "schema_version"))
