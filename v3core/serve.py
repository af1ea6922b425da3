"""Start the dashboard's server, after looking whether it can start."""

import errno
import os
import socket
import sys
from pathlib import Path

from v3core.errors import V3Error
from v3core.jobs.launch import absolute_folders
from v3core.jobs.launcher import SLOTS_VARIABLE, keep_asked_slots
from v3core.jobs.notice import call_webhooks
from v3core.jobs.supervisor import reconcile
from v3core.store.database import Database

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8501


def serve(port: int) -> None:
    """Replace this process by the Streamlit server on 127.0.0.1.

    Raises:
        V3Error: if the port is taken, or the data folder or `static` cannot be written.
    """
    from v3core.ui.plotly_js import ensure_plotly_js  # only here: it imports Streamlit

    check_port(port)
    database = Database.open()
    keep_slots(database)
    stay_with(database)
    database.close()
    look_after_runs()
    ensure_plotly_js()  # before the server looks for the folder that it serves
    print(f"V3 Lab: http://{ADDRESS}:{port}", flush=True)
    os.chdir(ROOT)
    command = ["streamlit", "run", str(ROOT / "app.py"), f"--server.address={ADDRESS}", f"--server.port={port}"]
    os.execv(sys.executable, [sys.executable, "-m", *command])


def keep_slots(database: Database) -> None:
    """Make V3_MAX_WORKERS the limit of this machine, once: what is set on a page later must not be undone by a launch.

    Raises:
        V3Error: if it is not a positive number.
    """
    with database.write() as tx:
        keep_asked_slots(tx)
    os.environ.pop(SLOTS_VARIABLE, None)


def stay_with(database: Database) -> None:
    """Name files and folders by their whole paths: the server works in another folder than the shell that starts it."""
    os.environ["V3_DATA_DIR"] = str(database.data_dir)
    os.environ["V3_DATABASE_URL"] = database.url
    if folders := absolute_folders(os.environ.get("PYTHONPATH", "")):
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)


def look_after_runs() -> None:
    """Find runs that ended unseen, by a restart of the machine say, and start what waits, with no browser open.

    In a child, because this process becomes the server, which would not wait for the processes that are started here.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        reconcile(Database.open())
        if os.fork() == 0:  # a webhook that does not answer must not hold up the server
            call_webhooks(Database.open())
    except V3Error as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        os._exit(0)


def check_port(port: int) -> None:
    """Refuse a port that another program listens on.

    Raises:
        V3Error: naming the port and what to do.
    """
    if not 1 <= port <= 65535:
        raise V3Error(f"Port {port} does not exist; choose one from 1024 to 65535.")
    with socket.socket() as probe:
        # As the server itself does: a port in TIME_WAIT of an earlier run is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise V3Error(f"Port {port} needs administrator rights; choose another with --port.") from None
            raise V3Error(
                f"Port {port} is in use: V3 Lab may be running already at http://{ADDRESS}:{port}; "
                "otherwise choose another with `make run PORT=8502`."
            ) from None
