"""Open a page of the dashboard in a browser: `python -m v3core.browser BASE PATH` waits until the server answers."""

import os
import subprocess
import sys
import time
import webbrowser

HEALTH = "/_stcore/health"
"""Where Streamlit's server answers once it serves pages."""
WAIT_SECONDS = 60.0


def can_open() -> bool:
    """Whether there is a desktop with a browser: one that runs in the terminal itself would take that over."""
    desktop = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    try:
        return bool(desktop and webbrowser.get())
    except webbrowser.Error:
        return False


def answers(base: str) -> bool:
    """Whether a dashboard answers at that address, such as http://127.0.0.1:8501."""
    import requests  # only here: each worker would import it at its start

    with requests.Session() as session:
        session.trust_env = False  # never through a proxy: it is this machine
        try:
            return session.get(base + HEALTH, timeout=2).ok
        except requests.RequestException:
            return False


def open_when_served(base: str, path: str) -> None:
    """Open a page once its server responds, from a separate process, because the server may replace this one."""
    command = [sys.executable, "-m", "v3core.browser", base, path]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def _main(base: str, path: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not answers(base) and time.monotonic() < deadline:
        time.sleep(0.2)
    webbrowser.open(base + path)


if __name__ == "__main__":
    _main(*sys.argv[1:])
