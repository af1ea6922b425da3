"""An object store on this machine, moto's server, and a proxy before it that can refuse, be full or say nothing."""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import requests

from tests.browser.support import free_port
from tests.waiting import wait_for

SECRET = "a-secret-that-nobody-may-see"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "an-id-that-nobody-may-see",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def object_store() -> Iterator[str]:
    """The address of a store that has nothing in it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(address), "the object store")
        yield address
    finally:
        server.terminate()
        server.wait()


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/moto-api/", timeout=5).ok
    except requests.RequestException:
        return False


def make_bucket(address: str, name: str) -> None:
    """An empty bucket."""
    requests.put(f"{address}/{name}", timeout=30).raise_for_status()


class Proxy:
    """Passes requests on to a store, unless `refuses` says what to answer to which: `{"PUT": 507}`, 0 for nothing."""

    def __init__(self, store: str) -> None:
        """Listens at once; `close` ends it."""
        self.refuses: dict[str, int] = {}
        host, _, port = store.removeprefix("http://").partition(":")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                """Nothing."""

            def _do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                refused = outer.refuses.get(self.command)
                if refused == 0:
                    time.sleep(6)
                    self.close_connection = True
                    return
                if refused is not None:
                    code = {403: "AccessDenied", 507: "InsufficientStorage"}[refused]
                    answer = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                    # After a HEAD the client reads no content, and would take it for its next answer.
                    about = {"Content-Type": "application/xml"}
                    self._answer(refused, about, answer, head=self.command == "HEAD")
                    return
                connection = http.client.HTTPConnection(host, int(port), timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                found = connection.getresponse()
                self._answer(found.status, dict(found.getheaders()), found.read(), head=self.command == "HEAD")
                connection.close()

            def _answer(self, status: int, headers: dict[str, str], content: bytes, *, head: bool = False) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in {"content-length", "connection", "transfer-encoding", "date", "server"}:
                        self.send_header(name, value)
                size = headers.get("Content-Length", "0") if head else str(len(content))
                self.send_header("Content-Length", size)
                self.end_headers()
                if not head:
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _do

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
