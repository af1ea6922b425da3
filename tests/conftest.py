"""What all tests share."""

from contextlib import suppress

import pytest
from hypothesis import settings

from tests import postgres_server
from v3core.native.build import BuildError, build, find_compiler

# On a busy machine a single example may take long for reasons that are not the code's.
settings.register_profile("unhurried", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=15)  # `make fast`
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """The session, not each of its workers, owns the PostgreSQL server that tests may start, and compiles once."""
    if not hasattr(config, "workerinput"):
        postgres_server.begin_session()
        if find_compiler() is not None:
            with suppress(BuildError):  # which the tests of the library report
                build()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End that server."""
    if not hasattr(config, "workerinput"):
        postgres_server.end_session()
