"""The place of V3_DATA_DIR."""

from functools import lru_cache
from pathlib import Path

from v3core.paths import data_address, data_dir, is_url, scratch_folder
from v3core.places.bucket import Bucket
from v3core.places.place import Place


def place_here() -> Place:
    """The place of V3_DATA_DIR in this process.

    Raises:
        V3Error: if it names one that cannot be used here.
    """
    return place_at(data_address(), data_dir())


@lru_cache(maxsize=8)
def place_at(address: str, folder: Path) -> Place:
    """The place at a path or URL; `folder` is that of this machine."""
    return Bucket(address, folder) if is_url(address) else Place(folder)


def local_file(address: str | Path) -> Path:
    """A file that a person has named: its path, or of a URL a copy on this machine.

    Raises:
        V3Error: if the place cannot be used.
    """
    if not is_url(str(address)):
        return Path(address)
    above, _, name = str(address).rpartition("/")
    folder = scratch_folder(above)
    return place_at(above, folder).bring(folder / name)
