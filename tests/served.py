"""The dashboard as people start it, `python -m v3core serve`, in a folder of its own."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser.support import free_port
from tests.processes import kill_all
from tests.waiting import PATIENCE_SECONDS, wait_for

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    port: int
    base: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def get(self, path: str = "/", host: str | None = None) -> tuple[int, str]:
        """Status and body of a request, under a host name if one is given."""
        address = f"http://127.0.0.1:{self.port}{self.base}{path}"
        request = urllib.request.Request(address, headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def served(
    folder: Path,
    *,
    base: str = "",
    port_by: str = "option",
    program: Sequence[str] = (sys.executable, "-m", "v3core"),
    **variables: str,
) -> Iterator[Served]:
    """Serve in `folder` until the end; `port_by` says whether the port is an option or a variable."""
    port, log = free_port(), folder / "server.log"
    command = [*program, "serve", *(["--port", str(port)] if port_by == "option" else [])]
    cleaned = {name: value for name, value in os.environ.items() if not name.startswith(("V3_", "STREAMLIT_"))}
    given = {"PYTHONPATH": str(ROOT), "STREAMLIT_SERVER_PORT": str(port), "STREAMLIT_SERVER_BASE_URL_PATH": base}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=cleaned | given | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Served(port, f"/{base}" if base else "", process, log)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return server.get("/_stcore/health")[0] == 200
        except OSError:
            return False

    try:
        wait_for(answers, "the server answers")
        yield server
    finally:
        process.kill()
        process.wait()
        kill_all(folder / "data")
