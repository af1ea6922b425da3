"""Empty databases for tests, on SQLite and on PostgreSQL.

V3_TEST_POSTGRES_URL names a PostgreSQL server to use; otherwise the tests start one, if it is installed.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from tests import postgres_server

GIVEN = os.environ.get("V3_TEST_POSTGRES_URL", "")
MISSING = not GIVEN and postgres_server.binaries() is None and os.environ.get("CI", "").lower() not in {"1", "true"}
"""In continuous integration it must be there: those tests fail instead."""

POSTGRES = pytest.param(
    "postgresql",
    marks=pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed: install Debian's package postgresql"),
)
BACKENDS = ["sqlite", POSTGRES]


@contextmanager
def empty_database(backend: str, folder: Path) -> Iterator[str]:
    """The URL of a database that nobody else uses; a PostgreSQL one is dropped at the end."""
    if backend == "sqlite":
        yield f"sqlite:///{folder / 'v3.db'}"
        return
    address = GIVEN or postgres_server.server_url()
    name = f"v3_test_{uuid.uuid4().hex}"
    server = create_engine(address, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield make_url(address).set(database=name).render_as_string(hide_password=False)
        finally:
            with server.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        server.dispose()
