"""Writing under another name and renaming, so that a file or a folder is written completely or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from v3core.errors import V3Error


@contextmanager
def replacing(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """A file to write that replaces `target` at the end; an exception leaves `target` unchanged.

    Args:
        target: in a folder that exists.
        durable: wait until the disk has the content: a crash of the machine then leaves the old file or the new one.

    Raises:
        OSError: if it cannot be written.
    """
    unfinished = _other_name(target)
    unfinished.touch(exist_ok=False)
    try:
        yield unfinished
        if durable:
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """As `replacing`, for a file that a person has named.

    Raises:
        V3Error: if the folder is missing or cannot be written, or `target` is a folder.
    """
    with _explained(target):
        if target.is_dir():
            raise V3Error("{target} is a folder; give a file.", target=target)
        with replacing(target) as unfinished:
            yield unfinished


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill that becomes `target` at the end; an exception leaves nothing.

    Raises:
        V3Error: if there is something at `target` already, or it cannot be written.
    """
    with _explained(target):
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise V3Error("{target} already exists; give a new folder.", target=target)
        unfinished = _other_name(target)
        unfinished.mkdir()
        try:
            yield unfinished
            unfinished.replace(target)  # an empty folder may be replaced
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _other_name(target: Path) -> Path:
    """An unused name next to it, short enough for any file system."""
    return target.parent / f".{target.name[:50]}.{secrets.token_hex(4)}.tmp"


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        if not target.parent.is_dir():
            raise V3Error("The folder {parent} does not exist; create it first.", parent=target.parent)
        yield
    except OSError as error:
        raise V3Error("{target} cannot be written: {value}.", target=target, value=error.strerror or error) from None
