"""Answers are sent at once.

Streamlit opens its server's socket in a way that asyncio does not take for TCP. So the system held back the second part
of each answer, and further messages, until the browser had confirmed the first: 40 ms on Linux, for each module of a
page.
"""

import logging
import socket

import psutil

from v3core.ui.text import md

_log = logging.getLogger(__name__)


def send_at_once() -> int:
    """Have the sockets on which this process listens send at once; connections that are made later inherit it.

    Returns:
        How many sockets; none where the system does not say which they are, as Windows does not.
    """
    try:
        found = psutil.Process().net_connections("tcp")
    except (psutil.Error, OSError) as error:
        _log.warning(md("Pages load more slowly: this process's sockets cannot be listed (%s)."), error)
        return 0
    listening = [one for one in found if one.status == psutil.CONN_LISTEN and one.fd >= 0]
    for one in listening:
        with socket.fromfd(one.fd, one.family, one.type) as same:
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return len(listening)
