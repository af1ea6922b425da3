"""Writing beside the target and renaming, so that a file or folder appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from v3core.errors import V3Error


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A file to write that takes the place of `target` at the end; an exception leaves `target` as it was.

    Raises:
        V3Error: if the folder is missing or cannot be written, or `target` is a folder.
    """
    if target.is_dir():
        raise V3Error(f"{target} is a folder; name a file.")
    _need_parent(target)
    with _explained(target):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        unfinished = Path(name)
        try:
            yield unfinished
            unfinished.chmod(0o644)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill that becomes `target` at the end; an exception leaves nothing.

    Raises:
        V3Error: if there is something at `target` already, or it cannot be written.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise V3Error(f"{target} exists already; name a new folder.")
    _need_parent(target)
    with _explained(target):
        unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            yield unfinished
            unfinished.chmod(0o755)
            unfinished.replace(target)  # an empty folder may be replaced
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _need_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise V3Error(f"The folder {target.parent} does not exist; make it first.")


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise V3Error(f"{target} cannot be written: {error.strerror or error}.") from None
