"""A place of files that is a folder, which is its own place, and the methods that any other place has too.

Code names a file by its path in `folder`. It writes there, and `put`s what is complete; it `bring`s what it reads.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from v3core.errors import V3Error
from v3core.paths import DATA_VARIABLE


class PlaceError(V3Error):
    """The place cannot be used now; what is in it may be whole."""


class Place:
    """A folder of this machine, or one that several machines share: what is written there is there."""

    is_remote = False
    """Whether files must be put and brought: others see only what was put."""

    def __init__(self, folder: Path) -> None:
        """For that folder, which need not exist."""
        self.folder = folder.absolute()

    @property
    def address(self) -> str:
        """What V3_DATA_DIR says in another process that uses the same place. No credentials are in it."""
        return str(self.folder)

    def variables(self) -> dict[str, str]:
        """Those with which another process of this machine uses the same place, and the same folder."""
        return {DATA_VARIABLE: self.address}

    def name_of(self, file: Path) -> str:
        """The file as people and programs outside V3 Lab find it."""
        return str(file.resolve())

    def check(self) -> None:
        """Write something, and remove it.

        Raises:
            PlaceError: if it cannot be written.
        """

    def bring(self, file: Path) -> Path:
        """The path of a file that has the newest content; nothing is there if the place has no such file.

        Raises:
            PlaceError: if the place cannot be asked.
        """
        return file

    def put(self, file: Path) -> None:
        """Have a complete file in the place, whole or not at all. Read it by `bring` from then on.

        Raises:
            PlaceError: if it cannot be written there.
        """

    def has(self, file: Path) -> bool:
        """Whether the file is there."""
        return file.is_file()

    def stamp(self, file: Path) -> list[int] | None:
        """Numbers that differ once the file has changed; None if it is not there."""
        try:
            about = file.stat()
        except OSError:
            return None
        return [about.st_mtime_ns, about.st_size]

    def files(self, folder: Path) -> dict[Path, int]:
        """What is in a folder, not in folders below it, with its bytes.

        Raises:
            OSError: if it cannot be read.
        """
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found = {}
        for entry in entries:
            with suppress(FileNotFoundError):  # deleted meanwhile
                found[folder / entry.name] = entry.stat().st_size
        return found

    def bytes_in(self, folder: Path) -> int:
        """Bytes of all files in a folder and below it."""
        return folder_bytes(folder)

    def share(self, source: Path, target: Path) -> None:
        """A second name for a file, or a copy: files of checkpoints are never changed. `target` has a folder.

        Raises:
            OSError: if it cannot be written.
        """
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    def remove(self, file: Path) -> None:
        """Delete a file, if it is there.

        Raises:
            OSError, PlaceError: if it cannot be deleted.
        """
        file.unlink(missing_ok=True)

    def remove_behind(self, folder: Path) -> None:
        """Delete all below a folder in the place behind it; the folder itself is for the caller to delete.

        Raises:
            PlaceError: if it cannot be deleted.
        """

    def behind(self, folder: Path) -> dict[Path, int]:
        """All files below a folder in the place behind it, as paths in `folder`; none where nothing is behind it."""
        del folder
        return {}


def folder_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for file in (path, *path.rglob("*")):
        with suppress(OSError):
            total += 0 if file.is_dir() else file.lstat().st_size
    return total
