"""A real PostgreSQL server for the tests: in a temporary folder, started when first needed, one for all of a session.

Run as a program it is the server's guardian: it starts the server, waits for the test session to end in whatever way,
then stops the server and removes the folder.
"""

import fcntl
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = "V3_TEST_POSTGRES_FOLDER"
START_SECONDS = 60
SETTINGS = {
    "listen_addresses": "''",  # a socket in the folder: no port that another server may have
    "unix_socket_directories": ".",
    "max_connections": 300,
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


def binaries() -> Path | None:
    """The folder of Debian's newest PostgreSQL; None where none is installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def begin_session() -> None:
    """Say where the server of this session, and of its workers, will be; it is started only if a test needs it."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="v3-postgres-")


def end_session() -> None:
    """Stop the server if there is one, and remove its folder."""
    folder = Path(os.environ.pop(FOLDER))
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((folder / "guardian").read_text()), signal.SIGTERM)
        deadline = time.monotonic() + START_SECONDS
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)


def server_url() -> str:
    """URL of the server's own database; starts the server if nobody has yet, in whichever test process."""
    folder = Path(os.environ[FOLDER])
    url = folder / "url"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not url.exists():
            _start_guardian(folder, url)
    return url.read_text()


def _start_guardian(folder: Path, url: Path) -> None:
    # xdist's workers name the process of the session, which outlives them.
    session = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    with (folder / "log").open("w") as log:
        command = [sys.executable, __file__, str(folder), str(session)]
        # A test ends all that has its data folder in the environment; the server must outlive the test.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("V3_")}
        guardian = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (folder / "guardian").write_text(str(guardian.pid))
    deadline = time.monotonic() + START_SECONDS
    while not url.exists():
        if guardian.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The PostgreSQL server for the tests did not start:\n{(folder / 'log').read_text()}")
        time.sleep(0.02)


def guard(folder: Path, session: int) -> None:
    """Start the server, and end it with the process `session`, or on SIGTERM."""
    alive = os.pidfd_open(session)
    terminated, wake = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(wake, b"."))
    user = _unprivileged()
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        _run(
            user,
            "initdb",
            "--auth=trust",
            "--username=v3",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            folder=folder,
        )
        options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        _run(user, "pg_ctl", "start", "--wait", f"--log={folder / 'server.log'}", f"--options={options}", folder=folder)
        try:
            (folder / "url.new").write_text(f"postgresql+psycopg://v3@/postgres?host={folder / 'data'}")
            (folder / "url.new").rename(folder / "url")
            select.select([alive, terminated], [], [])
        finally:
            _run(user, "pg_ctl", "stop", "--mode=immediate", folder=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; None for anybody else, who runs it as himself."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _run(user: pwd.struct_passwd | None, program: str, *arguments: str, folder: Path) -> None:
    installed = binaries()
    assert installed is not None
    rights: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    command = [str(installed / program), f"--pgdata={folder / 'data'}", *arguments]
    subprocess.run(command, cwd=folder, check=True, timeout=START_SECONDS, **rights)


if __name__ == "__main__":
    guard(Path(sys.argv[1]), int(sys.argv[2]))
