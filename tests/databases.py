"""Empty databases for tests: SQLite always, PostgreSQL too where V3_TEST_POSTGRES_URL names a server."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url

POSTGRES = os.environ.get("V3_TEST_POSTGRES_URL", "")
BACKENDS = ["sqlite", "postgresql"] if POSTGRES else ["sqlite"]


@contextmanager
def empty_database(backend: str, folder: Path) -> Iterator[str]:
    """The URL of a database that nobody else uses; a PostgreSQL one is dropped at the end."""
    if backend == "sqlite":
        yield f"sqlite:///{folder / 'v3.db'}"
        return
    name = f"v3_test_{uuid.uuid4().hex}"
    server = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        server.dispose()
