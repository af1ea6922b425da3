"""A memory cgroup with a small limit, so that the kernel kills for memory what is moved into it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_for

LIMIT_BYTES = 64 * 2**20
ROOT = Path("/sys/fs/cgroup")


@contextmanager
def memory_cgroup() -> Iterator[Path | None]:
    """The folder of a new cgroup, of version 1 or 2; None where this process may not make one, or there are none."""
    folder = _make()
    try:
        yield folder
    finally:
        if folder is not None:
            wait_for(lambda: not (folder / "cgroup.procs").read_text(), "the cgroup is empty")
            folder.rmdir()


def _make() -> Path | None:
    first, second = ROOT / "memory" / "memory.limit_in_bytes", ROOT / "cgroup.subtree_control"
    parent = ROOT / "memory" if first.exists() else ROOT
    folder = parent / f"v3-test-{uuid.uuid4().hex}"
    try:
        if not first.exists():
            second.write_text("+memory")
        folder.mkdir()
    except OSError:
        return None
    try:
        limit = "memory.limit_in_bytes" if first.exists() else "memory.max"
        (folder / limit).write_text(str(LIMIT_BYTES))
        if not os.access(folder / "cgroup.procs", os.W_OK):
            raise PermissionError
        _forbid_swap(folder)
    except OSError:
        folder.rmdir()
        return None
    return folder


def _forbid_swap(folder: Path) -> None:
    """Without this the process would only become slow, where the machine has swap."""
    for name, value in (("memory.swap.max", "0"), ("memory.swappiness", "0")):
        if (folder / name).exists():
            (folder / name).write_text(value)
