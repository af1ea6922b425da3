"""What only a database server has: names, rights, and not being there. Each is reported in one sentence."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, make_url, select

from tests.databases import POSTGRES, empty_database
from tests.waiting import PATIENCE_SECONDS
from v3core.errors import V3Error
from v3core.store import dialect
from v3core.store.database import DatabaseBusyError
from v3core.store.opening import open_database
from v3core.store.runs import list_runs
from v3core.store.schema import runs

pytestmark = pytest.mark.parametrize("server", [POSTGRES], indirect=True)


@pytest.fixture
def server(request, tmp_path):
    """URL of an empty database on a server."""
    with empty_database(request.param, tmp_path) as url:
        yield make_url(url)


@contextmanager
def as_owner(server) -> Iterator:
    """A connection that may do anything."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def stranger(server):
    """The same database as a user without rights sees it."""
    name = f"stranger_{server.database}"
    with as_owner(server) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield server.set(username=name, password="secret")
    with as_owner(server) as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name}")
        connection.exec_driver_sql(f"DROP ROLE {name}")


def refusal(url, folder):
    """The sentence that opening a database ends with."""
    with pytest.raises(V3Error) as caught:
        open_database(url.render_as_string(hide_password=False), folder)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["postgresql", "postgresql+psycopg"])
def test_both_ways_to_write_the_address_will_do(server, tmp_path, name):
    database = open_database(server.set(drivername=name).render_as_string(hide_password=False), tmp_path)
    assert list_runs(database) == []
    database.close()


def test_a_database_that_is_not_there(server, tmp_path):
    sentence = refusal(server.set(database="nowhere"), tmp_path)
    assert "cannot be reached: " in sentence
    assert 'database "nowhere" does not exist; check the server and V3_DATABASE_URL.' in sentence


def test_a_user_who_may_not_make_tables(stranger, tmp_path):
    assert "refuses this user: permission denied for schema public; ask the owner for" in refusal(stranger, tmp_path)


def test_a_user_who_may_not_read_the_tables(server, stranger, tmp_path):
    open_database(server.render_as_string(hide_password=False), tmp_path).close()
    assert "refuses this user: permission denied for table meta; ask the owner for" in refusal(stranger, tmp_path)


def test_a_user_who_may_only_read(server, stranger, tmp_path):
    open_database(server.render_as_string(hide_password=False), tmp_path).close()
    with as_owner(server) as connection:
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {stranger.username}")
    database = open_database(stranger.render_as_string(hide_password=False), tmp_path)
    assert list_runs(database) == []
    with pytest.raises(V3Error, match="refuses this user: permission denied for table runs"), database.write() as tx:
        tx.execute(runs.delete())
    database.close()


def test_another_programs_tables(server, tmp_path):
    with as_owner(server) as connection:
        connection.exec_driver_sql("CREATE TABLE runs (kilometres integer)")
    assert "belongs to another program (it has a table 'runs')" in refusal(server, tmp_path)
    with as_owner(server) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").scalar() == 1


def test_a_database_may_be_shared_where_no_name_is_taken(server, tmp_path):
    with as_owner(server) as connection:
        connection.exec_driver_sql("CREATE TABLE recipes (id integer)")
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num text)")
    open_database(server.render_as_string(hide_password=False), tmp_path).close()


def test_a_server_that_does_not_answer_is_not_waited_for(server, tmp_path, monkeypatch):
    monkeypatch.setattr(dialect, "CONNECT_SECONDS", 2)  # the least that the driver takes
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = make_url(f"postgresql://me:secret@127.0.0.1:{silent.getsockname()[1]}/v3")
        assert "cannot be reached: connection" in refusal(url, tmp_path)
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_no_server(server, tmp_path):
    url = make_url("postgresql://127.0.0.1:1/v3?user=me&password=secret")
    assert "Connection refused" in refusal(url, tmp_path)
    assert "v3" in refusal(make_url("postgresql://me:secret@no.such.host.invalid/v3"), tmp_path)


def test_a_missing_driver(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "is missing (import of psycopg halted" in refusal(server, tmp_path)
    assert refusal(server, tmp_path).endswith("install it with: pip install 'psycopg[binary]'.")


def test_a_connection_that_the_server_ends_is_made_anew(server, tmp_path):
    database = open_database(server.render_as_string(hide_password=False), tmp_path)
    with as_owner(server) as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    assert list_runs(database) == []
    database.close()


def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(server, tmp_path, new_run):
    """The other transaction continues, and a writer that gets this error tries its batch again."""
    database = open_database(server.render_as_string(hide_password=False), tmp_path)
    ids = [new_run(database), new_run(database)]
    both_hold_one, reported = threading.Barrier(2), []

    def change(order):
        try:
            with database.write() as tx:
                tx.execute(runs.update().where(runs.c.id == order[0]).values(step=1))
                both_hold_one.wait(PATIENCE_SECONDS)
                tx.execute(runs.update().where(runs.c.id == order[1]).values(step=1))
        except V3Error as error:
            reported.append(error)

    threads = [threading.Thread(target=change, args=(order,)) for order in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in reported] == [DatabaseBusyError]
    assert "stayed locked: deadlock detected; end the program that holds it" in str(reported[0])
    assert [run.step for run in list_runs(database)] == [1, 1]
    database.close()


def test_what_a_suspended_writer_has_locked_is_free_again_and_it_is_asked_to_try_again(
    server, tmp_path, new_run, monkeypatch
):
    """So is that of a machine that is gone, of which the server learns after hours."""
    monkeypatch.setattr(dialect, "IDLE_SECONDS", 1)
    address = server.render_as_string(hide_password=False)
    suspended, other = open_database(address, tmp_path), open_database(address, tmp_path)
    run_id = new_run(suspended)

    def write(store, step):
        with store.write() as tx:
            tx.execute(runs.update().where(runs.c.id == run_id).values(step=step))

    def be_suspended():
        with suspended.write() as tx:
            tx.execute(runs.update().where(runs.c.id == run_id).values(step=1))
            write(other, 2)
            tx.execute(select(runs.c.step))

    with pytest.raises(DatabaseBusyError, match="undid a write that took longer than 1 seconds; try again"):
        be_suspended()
    with suspended.write() as tx:  # the connection is made again
        assert tx.execute(select(runs.c.step)).scalar_one() == 2
    suspended.close()
    other.close()
