"""Real disks of a few megabytes, filled to the last byte. They need the right to mount."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[Path]:
    """A disk in memory, mounted at `folder`; the test is skipped where mounting is not allowed.

    Args:
        folder: made if it is missing.
        options: of tmpfs, by default `size=4m`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = ",".join(options or ["size=4m"])
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", chosen, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("a small disk needs Linux's mount")
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, name: str = "ballast") -> None:
    """Write a file until the disk has no byte left."""
    with (disk / name).open("ab", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
