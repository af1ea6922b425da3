"""Alembic runs this for every upgrade; the connection, and its transaction, are the caller's."""

from alembic import context

from v3core.store.schema import REVISION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=REVISION_TABLE,
    transactional_ddl=True,  # on SQLite too: the store begins its transactions itself
)
with context.begin_transaction():
    context.run_migrations()
