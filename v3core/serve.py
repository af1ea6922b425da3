"""Start the dashboard's server, after looking whether it can start."""

import errno
import os
import socket
import sys
import tomllib
from dataclasses import dataclass

from v3core.browser import answers, can_open, open_when_served
from v3core.errors import V3Error
from v3core.jobs.launch import absolute_folders
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.slots import SLOTS_VARIABLE, save_requested_slots
from v3core.messages import _
from v3core.paths import INSTALLED, SERVE, shipped
from v3core.store.database import Database
from v3core.store.opening import open_database

ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8501


def serve(port: int) -> None:
    """Replace this process by the Streamlit server, on 127.0.0.1 unless its settings name another address.

    V3Error if the port is taken, or the data folder cannot be written; port 0 is that of the settings.
    """
    address = Address.of_settings(port)
    check_port(address.port, address.host)
    launcher = chosen()
    database = open_database()
    launcher.check(database)
    database.place.check()
    keep_slots(database)
    stay_with(database)
    database.close()
    print(_("V3 Lab: {url}", url=address.url), flush=True)
    os.chdir(shipped())
    flags = [f"--server.port={address.port}", "--server.enableStaticServing=false"]  # asgi.py serves the charts' script
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(shipped("asgi.py")), *flags])


def show_page(path: str, port: int) -> None:
    """Open a page of the dashboard in the browser, or print its address; serve it if no server answers there."""
    address = Address.of_settings(port)
    served = answers(address.url)
    if not served:
        check_port(address.port, address.host)
    if can_open():
        open_when_served(address.url, path)
    print(_("Page: {url}{path}", url=address.url, path=path), flush=True)
    if not served:
        serve(port)


@dataclass(frozen=True)
class Address:
    """Where the server listens: as Streamlit's settings say, which are variables, then .streamlit/config.toml."""

    host: str
    port: int
    base: str
    """The path before that of each page, behind a proxy; empty for none."""

    @classmethod
    def of_settings(cls, port: int = 0) -> "Address":
        """The server's address; `port` goes before that of the settings unless it is 0."""
        server = tomllib.loads(shipped(".streamlit", "config.toml").read_text(encoding="utf-8")).get("server", {})

        def setting(name: str, variable: str, otherwise: str) -> str:
            return os.environ.get(f"STREAMLIT_SERVER_{variable}") or str(server.get(name, otherwise))

        text = str(port) if port else setting("port", "PORT", str(DEFAULT_PORT))
        if not text.isdecimal():
            raise V3Error(
                "STREAMLIT_SERVER_PORT is '{text}'; set it to a port, such as {default_port}.",
                text=text,
                default_port=DEFAULT_PORT,
            )
        base = setting("baseUrlPath", "BASE_URL_PATH", "").strip("/")
        return cls(setting("address", "ADDRESS", ADDRESS), int(text), base)

    @property
    def url(self) -> str:
        """What to open in a browser of this machine."""
        host = {"0.0.0.0": ADDRESS, "::": "[::1]"}.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)
        return f"http://{host}:{self.port}{'/' if self.base else ''}{self.base}"


def keep_slots(database: Database) -> None:
    """Make V3_MAX_WORKERS the limit of this machine, once: a launch must not undo what is set on a page later."""
    with database.write() as tx:
        save_requested_slots(tx)
    os.environ.pop(SLOTS_VARIABLE, None)


def stay_with(database: Database) -> None:
    """Name files and folders by their whole paths: the server works in another folder than the shell that starts it."""
    os.environ.update(database.place.variables())
    os.environ["V3_DATABASE_URL"] = database.url
    if folders := absolute_folders(os.environ.get("PYTHONPATH", "")):
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)


def check_port(port: int, host: str = ADDRESS) -> None:
    """Raise V3Error for a port that another program listens on, or an address that this machine does not have."""
    if not 1 <= port <= 65535:
        raise V3Error("Port {port} does not exist; choose one from 1024 to 65535.", port=port)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the server itself does: a port in TIME_WAIT of an earlier run is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror:
            raise V3Error(
                "The address {host} cannot be resolved; set STREAMLIT_SERVER_ADDRESS to an address of this machine.",
                host=host,
            ) from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise V3Error(
                    "The address {host} does not belong to this machine; set STREAMLIT_SERVER_ADDRESS to an address "
                    "of this machine.",
                    host=host,
                ) from None
            if error.errno == errno.EACCES:
                raise V3Error(
                    "Port {port} needs administrator rights; choose another with --port.", port=port
                ) from None
            raise V3Error(
                "Port {port} is in use: V3 Lab may already be running at http://{host}:{port}; otherwise choose "
                "another with `{serve} {value}8502`.",
                port=port,
                host=host,
                serve=SERVE,
                value="--port " if INSTALLED else "PORT=",
            ) from None
