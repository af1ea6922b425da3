"""What a database is when it is opened: new, of this schema, of an earlier or a later one, or another program's."""

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from v3core.errors import V3Error
from v3core.store import dialect
from v3core.store.schema import SCHEMA_VERSION, meta, metadata, revision, revision_metadata


def is_current(tx: Connection) -> bool:
    """Whether the tables are there and of this schema, by one query; the transaction is of no use after a False."""
    query = select(meta.c.value).join(revision, revision.c.version_num == meta.c.value)
    try:
        return tx.execute(query.where(meta.c.key == "schema_version")).scalars().all() == [str(SCHEMA_VERSION)]
    except (OperationalError, ProgrammingError) as error:
        if dialect.is_missing_table(error):
            return False
        raise


def read_version(tx: Connection, name: str) -> int | None:
    """The schema of the tables; None for an empty database.

    Args:
        tx: any transaction.
        name: the database, for people.

    Raises:
        V3Error: if it is later than this one, or the tables belong to another program.
    """
    present = set(inspect(tx).get_table_names())
    if meta.name not in present:
        # A PostgreSQL database may be shared with other programs, as long as their tables have other names.
        foreign = present if tx.dialect.name == "sqlite" else present & set(metadata.tables)
        if foreign:
            raise V3Error(
                f"The database {name} belongs to another program (it has a table '{min(foreign)}'); "
                "choose another with V3_DATABASE_URL."
            )
        return None
    columns = {column["name"] for column in inspect(tx).get_columns(meta.name)}
    version = None
    if columns == set(meta.c.keys()):
        version = tx.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar_one_or_none()
    if version is None or not (version.isascii() and version.isdigit()) or int(version) < 1:
        raise V3Error(
            f"The database {name} belongs to another program (its table 'meta' is not V3 Lab's); "
            "choose another with V3_DATABASE_URL."
        )
    if int(version) > SCHEMA_VERSION:
        raise V3Error(
            f"The database {name} was written by a newer V3 Lab (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); update V3 Lab, or choose another database with V3_DATABASE_URL."
        )
    return int(version)


def create(tx: Connection) -> None:
    """Make all tables in an empty database, without Alembic: that would take longer."""
    metadata.create_all(tx, checkfirst=False)
    revision_metadata.create_all(tx, checkfirst=False)
    tx.execute(meta.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))
    tx.execute(revision.insert().values(version_num=str(SCHEMA_VERSION)))
