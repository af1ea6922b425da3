"""Temporary files of a child process, which leaves its behind if it crashes in native code."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def own_temporary_folder() -> Iterator[dict[str, str]]:
    """Variables by which a process has a folder for temporary files to itself, which is removed at the end.

    By whose files they are it could not be known afterwards. None where no folder can be made, as on a full disk.
    """
    try:
        folder = tempfile.mkdtemp(prefix="v3-")
    except OSError:
        yield {}
        return
    try:
        yield {"TMPDIR": folder}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def use_temporary_folder(variables: Mapping[str, str]) -> None:
    """Put the temporary files of this process there from now on."""
    os.environ.update(variables)
    tempfile.tempdir = None
