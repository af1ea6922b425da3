"""The paths of V3 Lab's own files and its data, in a checkout and installed with pip."""

import hashlib
import os
import re
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

DATA_VARIABLE = "V3_DATA_DIR"
SCRATCH_VARIABLE = "V3_SCRATCH_DIR"
PACKAGE = Path(__file__).resolve().parent
INSTALLED = (PACKAGE / "_app").is_dir()
"""Whether this is an installed package: its wheel carries the files of the checkout's top level in `_app`."""
_TOP = PACKAGE / "_app" if INSTALLED else PACKAGE.parent
COMMAND = "v3lab" if INSTALLED else "python -m v3core"
"""How commands are called here."""
SERVE = "v3lab serve" if INSTALLED else "make run"
"""How the dashboard is started here."""


def shipped(*parts: str) -> Path:
    """A file or folder of the checkout's top level, such as `shipped("data", "recipes")`, wherever it is here."""
    return _TOP.joinpath(*parts)


def import_folders() -> list[str]:
    """What another Python of this machine needs in PYTHONPATH to import this `v3core`; nothing once installed."""
    return [] if INSTALLED else [str(_TOP)]


def is_url(address: str) -> bool:
    """Whether it names a place on a server, such as a bucket, and not a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address) is not None


def data_address() -> str:
    """V3_DATA_DIR if it is a URL, such as `s3://bucket/prefix`; otherwise the absolute path of `data_dir`."""
    chosen = os.environ.get(DATA_VARIABLE, "")
    return chosen if is_url(chosen) else str(data_dir())


def data_dir() -> Path:
    """The folder of V3_DATA_DIR, absolute. Unset: `data` in the working folder, or installed, that of the user.

    If that is a URL, the folder of this machine for what is being written and for copies: V3_SCRATCH_DIR, by default
    one in the user's cache.
    """
    chosen = os.environ.get(DATA_VARIABLE)
    if chosen and is_url(chosen):
        return scratch_folder(chosen)
    if chosen:
        return Path(chosen).absolute()
    return user_data_path("v3lab", appauthor=False) if INSTALLED else Path("data").absolute()


def scratch_folder(address: str) -> Path:
    """The folder of this machine for files of a URL: V3_SCRATCH_DIR, by default one in the user's cache."""
    if chosen := os.environ.get(SCRATCH_VARIABLE):
        return Path(chosen).absolute()
    return user_cache_path("v3lab", appauthor=False) / hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:12]
