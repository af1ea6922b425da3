"""Making the tables of a new database, and bringing those of an earlier schema up, in one transaction."""

from pathlib import Path

from sqlalchemy import URL, Engine, inspect
from sqlalchemy.exc import DBAPIError

from v3core.errors import V3Error
from v3core.store import dialect, opening
from v3core.store.backup import copy_before_schema, keep_copy
from v3core.store.damage import find_damage
from v3core.store.schema import REVISION_TABLE, SCHEMA_VERSION


def make_current(writer: Engine, url: URL) -> None:
    """Create the tables, or migrate them after a copy of a SQLite file. Safe in many processes at once.

    Raises:
        V3Error: if the database is damaged or a migration fails; it is as it was.
        DBAPIError: if the tables of a new database cannot be made.
    """
    name = dialect.describe(url)
    version, copy = None, None
    try:
        with dialect.schema_transaction(writer) as tx:
            # Another process may have been quicker: what counts is what is there now.
            version = opening.read_version(tx, name)
            if version is None:
                opening.create(tx)
            elif not inspect(tx).has_table(REVISION_TABLE) or not opening.is_current(tx):
                if version < SCHEMA_VERSION and tx.dialect.name == "sqlite":
                    copy = copy_before_schema(Path(url.database or ""), SCHEMA_VERSION)
                    if problem := find_damage(copy):
                        raise V3Error(dialect.explain_damage(url, problem))
                from v3core.store.migrations import migrate  # only here: it imports Alembic

                migrate(tx, version)
                if copy is not None:
                    # At the last moment: a migration that is killed leaves no copy that is kept.
                    copy = keep_copy(copy)
    except BaseException as error:
        if copy is not None:
            copy.unlink(missing_ok=True)  # of a database that is as it was
        if version is None or isinstance(error, V3Error) or not isinstance(error, Exception):
            raise
        problem = dialect.first_line(error.orig if isinstance(error, DBAPIError) else error)
        raise V3Error(
            f"The database {name} is of schema {version} and could not be brought to schema {SCHEMA_VERSION}: "
            f"{problem}; it is as it was, so mend that and try again, or go on with the V3 Lab that wrote it."
        ) from error
