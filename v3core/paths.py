"""The paths of V3 Lab's own files and its data, in a checkout and installed with pip."""

import os
from pathlib import Path

from platformdirs import user_data_path

DATA_VARIABLE = "V3_DATA_DIR"
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


def data_dir() -> Path:
    """The folder of V3_DATA_DIR, absolute. Unset: `data` in the working folder, or installed, that of the user."""
    if chosen := os.environ.get(DATA_VARIABLE):
        return Path(chosen).absolute()
    return user_data_path("v3lab", appauthor=False) if INSTALLED else Path("data").absolute()
