"""Whether connections to the dashboard send at once, as far as the system says which sockets a process listens on."""

import asyncio
import socket

import psutil
import pytest
from streamlit.web.server.starlette.starlette_server import _bind_socket

import asgi
from v3core.jobs import warm
from v3core.ui.no_delay import send_at_once


def sends_at_once(listening: socket.socket) -> bool:
    """Of a new connection to it, on the server's side."""
    with socket.create_connection(listening.getsockname()[:2]):
        listening.settimeout(10)
        connection, _ = listening.accept()
        with connection:
            return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_dashboard_has_connections_to_streamlits_socket_send_at_once(address, monkeypatch):
    monkeypatch.setattr(asgi, "ensure_watchdog", lambda: None)
    monkeypatch.setattr(warm, "_wanted", False)
    try:
        listening = _bind_socket(address, 0, 10)
    except OSError:
        pytest.skip(f"This machine has no {address}.")

    async def serve():
        async with asgi.looking_after_runs(None):
            return sends_at_once(listening)

    with listening:
        assert not sends_at_once(listening), "Streamlit sets it by itself: v3core/ui/no_delay.py can go"
        assert asyncio.run(serve())


def test_where_sockets_cannot_be_listed_it_is_said(monkeypatch, caplog):
    def refused(self, kind):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "net_connections", refused)
    assert send_at_once() == 0
    assert "cannot be listed" in caplog.text
